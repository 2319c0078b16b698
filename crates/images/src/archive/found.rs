//! An image in an archive, as both formats have it.

use std::fmt::Display;
use std::io::Read as _;

use serde::de::DeserializeOwned;

use super::BLOB_JSON_BYTES_MAX;
use super::error::ArchiveError;
use super::members::Members;
use super::oci::blob;
use crate::config::OciConfig;
use registry::Digest;

/// Its configuration was read and is what was promised; its layers are yet to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FoundImage {
    /// As they stand in the archive.
    pub(super) names: Vec<String>,
    /// Of its manifest and of the indexes above.
    pub(super) digests: Vec<Digest>,
    pub(super) id: Digest,
    pub(super) config_bytes: Vec<u8>,
    pub(super) config: OciConfig,
    /// From the bottom, one for each diff ID.
    pub(super) layers: Vec<FoundLayer>,
}

/// A layer as it is in the archive, maybe compressed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FoundLayer {
    pub(super) file: String,
    pub(super) digest: Option<Digest>,
    pub(super) bytes: Option<u64>,
}

impl FoundImage {
    pub(super) fn checked(self) -> Result<Self, ArchiveError> {
        let (layers, diff_ids) = (self.layers.len(), self.config.diff_ids.len());
        if layers != diff_ids {
            return Err(ArchiveError::LayerCount { image: self.called(), layers, diff_ids });
        }
        Ok(self)
    }

    /// What messages call it.
    pub(super) fn called(&self) -> String {
        called(&self.names, self.id)
    }
}

/// The first of the names, which may hold anything, or what else it is known by.
pub(super) fn called(names: &[String], or: impl Display) -> String {
    names.first().map_or_else(|| or.to_string(), |name| name.escape_default().to_string())
}

pub(super) fn parse_config(id: Digest, bytes: &[u8]) -> Result<OciConfig, ArchiveError> {
    let config = OciConfig::parse(bytes);
    config.map_err(|source| ArchiveError::Config { image: id.to_string(), source })
}

/// A blob that has to be what its digest says.
pub(super) fn read_blob(
    members: &Members,
    digest: &str,
    bytes: u64,
) -> Result<(Digest, Vec<u8>), ArchiveError> {
    let (expected, file) = blob(digest)?;
    let content = read_file(members, &file)?;
    let found = Digest::of(&content);
    if content.len() as u64 != bytes {
        return Err(ArchiveError::WrongSize { file, expected: bytes, found: content.len() as u64 });
    }
    if found != expected {
        return Err(ArchiveError::WrongDigest { file, expected, found });
    }
    Ok((expected, content))
}

pub(super) fn read_json<T: DeserializeOwned>(members: &Members, file: &str) -> Result<T, ArchiveError> {
    let bytes = read_file(members, file)?;
    serde_json::from_slice(&bytes).map_err(|source| ArchiveError::Json { file: file.to_owned(), source })
}

/// A file of which the whole is kept in memory.
pub(super) fn read_file(members: &Members, file: &str) -> Result<Vec<u8>, ArchiveError> {
    let content = members.open(file)?.ok_or_else(|| ArchiveError::Missing { file: file.to_owned() })?;
    if content.length_bytes() > BLOB_JSON_BYTES_MAX {
        return Err(ArchiveError::JsonTooLong { file: file.to_owned() });
    }
    let mut bytes = Vec::new();
    content
        .take(BLOB_JSON_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(|source| ArchiveError::Read { source })?;
    Ok(bytes)
}
