//! Which image a user means.

use super::error::StoreError;
use super::index::Index;
use registry::Digest;
use registry::Reference;

/// Of an image ID, so that a short word is not taken for one.
const ID_DIGITS_MIN: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    #[error("there is no image {image:?}: `monopod image ls` lists what there is")]
    Unknown { image: String },
    #[error("several images have an ID that begins with {image:?}: give more of it")]
    Ambiguous { image: String },
    #[error("localhost/host is built in: it is this machine's programs, made again whenever a pod wants it")]
    BuiltIn,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An image, and the names that are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Selected {
    pub(crate) image: Digest,
    pub(crate) names: Vec<String>,
    /// All its names are meant.
    pub(super) by_id: bool,
}

/// By name, or by the first digits of an ID. A name goes before an ID.
pub(super) fn select(index: &Index, target: &str) -> Result<Selected, SelectError> {
    let reference = Reference::parse(target).ok();
    if reference.as_ref().is_some_and(Reference::is_built_in) {
        return Err(SelectError::BuiltIn);
    }
    let name = reference.map(|reference| reference.to_string());
    if let Some((name, entry)) = name.and_then(|name| index.names.get_key_value(&name)) {
        return Ok(Selected { image: entry.image, names: vec![name.clone()], by_id: false });
    }
    let digits = target.strip_prefix("sha256:").unwrap_or(target);
    let is_id = digits.len() >= ID_DIGITS_MIN && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let begins = |image: &Digest| is_id && image.hex().starts_with(digits);
    let mut images: Vec<Digest> = index.names.values().map(|entry| entry.image).filter(begins).collect();
    images.sort_unstable();
    images.dedup();
    match images.as_slice() {
        [] => Err(SelectError::Unknown { image: target.to_owned() }),
        [image] => Ok(Selected { image: *image, names: index.names_of(*image), by_id: true }),
        _ => Err(SelectError::Ambiguous { image: target.to_owned() }),
    }
}
