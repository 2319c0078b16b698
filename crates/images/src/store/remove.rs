//! `monopod image rm`.

use super::Store;
use super::collect::{LivingPods, PodImages};
use super::error::StoreError;
use super::index::{Entry, Index};
use crate::digest::Digest;
use crate::reference::Reference;

/// Of an image ID, so that a short word is not taken for one.
const ID_DIGITS_MIN: usize = 4;

/// What was taken away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removed {
    /// The names that lead nowhere now.
    pub names: Vec<String>,
    pub id: Digest,
    /// No other name leads to the image, and no living pod has it.
    pub image_is_gone: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("there is no image {image:?}: `monopod image ls` lists what there is")]
    Unknown { image: String },
    #[error("several images have an ID that begins with {image:?}: give more of it")]
    Ambiguous { image: String },
    #[error("image {image} has several names, {}: name the one to remove, or remove all with --force", names.join(" and "))]
    SeveralNames { image: Digest, names: Vec<String> },
    #[error("image {image} is in use by pod {}: stop it first, or take away the name alone with --force", pods.join(", "))]
    InUse { image: String, pods: Vec<String> },
    #[error("localhost/host is built in: it is made again whenever a pod wants it")]
    BuiltIn,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Takes the name `target` away, or all names of the image with the ID `target`, and removes what no
    /// image needs then.
    ///
    /// With `force` also while pods use it: those keep its files until they end.
    ///
    /// # Errors
    /// When there is no such image, when it is in use, or when the store cannot be changed.
    pub fn remove(&self, target: &str, force: bool, pods: LivingPods<'_>) -> Result<Removed, RemoveError> {
        // In an empty store there is not even a lock.
        select(&self.index()?, target)?;
        let living = pods().map_err(|source| StoreError::Pods { source })?;
        let taken = self.change_index(|index| {
            let (id, names) = select(index, target)?;
            if !force {
                refuse(index, target, id, &names, &living)?;
            }
            let taken = names.into_iter().filter_map(|name| index.names.remove_entry(&name));
            Ok::<_, RemoveError>((id, taken.collect::<Vec<(String, Entry)>>()))
        })?;
        let (id, gone) = taken?;
        self.collect(&gone, pods)?;
        let image_is_gone = self.config_bytes(id).is_ok_and(|config| config.is_none());
        Ok(Removed { names: gone.into_iter().map(|(name, _)| name).collect(), id, image_is_gone })
    }
}

/// The image, and the names that are meant: a name before an ID.
pub(super) fn select(index: &Index, target: &str) -> Result<(Digest, Vec<String>), RemoveError> {
    let unknown = || RemoveError::Unknown { image: target.to_owned() };
    let reference = Reference::parse(target).ok();
    if reference.as_ref().is_some_and(Reference::is_built_in) {
        return Err(RemoveError::BuiltIn);
    }
    let name = reference.map(|reference| reference.to_string());
    if let Some((name, entry)) = name.and_then(|name| index.names.get_key_value(&name)) {
        return Ok((entry.image, vec![name.clone()]));
    }
    let digits = target.strip_prefix("sha256:").unwrap_or(target);
    let is_id = digits.len() >= ID_DIGITS_MIN && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_id {
        return Err(unknown());
    }
    let begins = |image: &Digest| image.hex().starts_with(digits);
    let mut images: Vec<Digest> = index.names.values().map(|entry| entry.image).filter(begins).collect();
    images.sort_unstable();
    images.dedup();
    match images.as_slice() {
        [] => Err(unknown()),
        [image] => Ok((*image, index.names_of(*image))),
        _ => Err(RemoveError::Ambiguous { image: target.to_owned() }),
    }
}

/// A pod needs the name it was written with for its next start, and the image's last name keeps it.
fn refuse(
    index: &Index,
    target: &str,
    id: Digest,
    names: &[String],
    pods: &[PodImages],
) -> Result<(), RemoveError> {
    let is_by_id =
        !names.iter().any(|name| Reference::parse(target).is_ok_and(|full| full.to_string() == *name));
    if is_by_id && names.len() > 1 {
        return Err(RemoveError::SeveralNames { image: id, names: names.to_vec() });
    }
    let is_last = index.names_of(id).len() == names.len();
    let needs = |pod: &&PodImages| names.iter().any(|name| pod.is_from(name)) || is_last && pod.has(id);
    let users: Vec<String> = pods.iter().filter(needs).map(|pod| pod.pod.clone()).collect();
    if users.is_empty() {
        return Ok(());
    }
    Err(RemoveError::InUse { image: target.to_owned(), pods: users })
}
