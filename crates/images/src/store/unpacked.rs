//! A layer in the making: unpacked by itself first, then made to fit those below.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::files;
use super::layers::{LayerRecord, chain_id};
use crate::layer::{self, Limits, Unpacked};
use registry::Digest;

/// In staging. Knows nothing of the layers below yet, so that several may be unpacked at once.
#[derive(Debug)]
pub(crate) struct UnpackedLayer {
    directory: PathBuf,
    unpacked: Unpacked,
    diff_id: Digest,
}

/// In staging, whole, and fit for its place above those below.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SettledLayer {
    pub(crate) chain: Digest,
    pub(crate) directory: PathBuf,
    /// Of its regular files.
    pub(crate) content_bytes: u64,
}

impl UnpackedLayer {
    /// Unpacks `archive`, a plain tar, into the new `directory`. With `expected`, it is refused unless that is
    /// its digest. After an error `directory` is gone.
    pub(crate) fn unpack(
        directory: PathBuf,
        expected: Option<Digest>,
        limits: &Limits,
        archive: impl Read,
    ) -> Result<Self, StoreError> {
        files::make_directory(&directory)?;
        match unpack(&directory, expected, limits, archive) {
            Ok((unpacked, diff_id)) => Ok(Self { directory, unpacked, diff_id }),
            Err(error) => {
                files::remove(&directory)?;
                Err(error)
            }
        }
    }

    pub(crate) fn diff_id(&self) -> Digest {
        self.diff_id
    }

    /// Makes it fit `lower`, the files of all layers below, the topmost first; `parent` is the chain of these.
    pub(crate) fn settle(
        self,
        parent: Option<Digest>,
        lower: &[PathBuf],
    ) -> Result<SettledLayer, StoreError> {
        let Self { directory, unpacked, diff_id } = self;
        layer::settle(&fs_dir(&directory), &unpacked, lower)
            .map_err(|source| StoreError::Unpack { source })?;
        let record = LayerRecord {
            diff_id,
            parent,
            size_bytes: unpacked.size_bytes,
            content_bytes: unpacked.content_bytes,
            entries: unpacked.entries,
        };
        let path = directory.join("layer.json");
        let text = files::record(&path, &record)?;
        fs::write(&path, text).map_err(|source| StoreError::Write { path, source })?;
        let chain = chain_id(parent, diff_id);
        Ok(SettledLayer { chain, directory, content_bytes: unpacked.content_bytes })
    }
}

impl SettledLayer {
    /// Where its files are.
    pub(crate) fn fs_dir(&self) -> PathBuf {
        fs_dir(&self.directory)
    }
}

fn fs_dir(directory: &Path) -> PathBuf {
    directory.join("fs")
}

fn recipe(directory: &Path) -> PathBuf {
    directory.join("recipe")
}

fn unpack(
    directory: &Path,
    expected: Option<Digest>,
    limits: &Limits,
    archive: impl Read,
) -> Result<(Unpacked, Digest), StoreError> {
    let fs_dir = fs_dir(directory);
    files::make_directory(&fs_dir)?;
    let unpacked = layer::unpack(archive, &fs_dir, &recipe(directory), limits)
        .map_err(|source| StoreError::Unpack { source })?;
    let found = Digest::parse(&unpacked.diff_id).expect("unpack says what is a digest");
    match expected.filter(|expected| *expected != found) {
        Some(expected) => Err(StoreError::DiffId { expected, found }),
        None => Ok((unpacked, found)),
    }
}
