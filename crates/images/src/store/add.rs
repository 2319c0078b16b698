//! Adding images: everything is made in staging; layers, configurations and names appear at the end, in
//! this order.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::index::Entry;
use super::layers::{LayerRecord, chain_id};
use super::staging::Staging;
use super::{CONFIG_BYTES_MAX, Store, files};
use crate::filesystem::unfit_for_layers;
use crate::layer;
use registry::Digest;

/// As long as it is there, nothing that is in the store goes away.
#[derive(Debug)]
pub(crate) struct Adding<'s> {
    store: &'s Store,
    staging: Staging,
    /// Layers that were made and are to be published, by chain.
    new: BTreeMap<Digest, PathBuf>,
    _lock: File,
}

/// An image whose layers are there, to be published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NewImage {
    pub(crate) config: Vec<u8>,
    pub(crate) names: Vec<String>,
    /// Of the manifest it came with and of the indexes above.
    pub(crate) digests: Vec<Digest>,
}

/// What names led to before, where that was another image.
pub(crate) type Displaced = Vec<(String, Entry)>;

impl Store {
    /// Waits while somebody removes images.
    pub(crate) fn add(&self) -> Result<Adding<'_>, StoreError> {
        let directory = &self.directory;
        files::make_directory(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(files::DIRECTORY_MODE))
            .map_err(|source| StoreError::Make { path: directory.clone(), source })?;
        if let Some(file_system) = unfit_for_layers(directory) {
            return Err(StoreError::UnfitFileSystem { path: directory.clone(), file_system });
        }
        let lock = self.keep()?;
        for directory in [self.configs_dir(), self.layers_dir()] {
            files::make_directory(&directory)?;
        }
        let staging = Staging::new(&self.staging_dir())?;
        Ok(Adding { store: self, staging, new: BTreeMap::new(), _lock: lock })
    }
}

impl Adding<'_> {
    /// A path for a file that goes when this goes.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.staging.path().join(name)
    }

    /// The layer above `parent` with this diff ID, if it is there already.
    pub(crate) fn find(&self, parent: Option<Digest>, diff_id: Digest) -> Result<Option<Digest>, StoreError> {
        let chain = chain_id(parent, diff_id);
        let is_there = self.new.contains_key(&chain) || self.store.layer_record(chain)?.is_some();
        Ok(is_there.then_some(chain))
    }

    /// Unpacks `archive`, a plain tar, above the layers `below`, the topmost last. With `expected`, it is
    /// refused unless that is its digest. Returns its chain and diff ID.
    pub(crate) fn layer(
        &mut self,
        below: &[Digest],
        expected: Option<Digest>,
        archive: impl Read,
    ) -> Result<(Digest, Digest), StoreError> {
        let new = self.staging.path().join(format!("layer-{}", self.new.len()));
        files::make_directory(&new)?;
        match self.unpack(&new, below, expected, archive) {
            Ok((chain, diff_id)) => {
                self.new.insert(chain, new);
                Ok((chain, diff_id))
            }
            Err(error) => {
                // The next one has its place.
                files::remove(&new)?;
                Err(error)
            }
        }
    }

    fn unpack(
        &self,
        new: &Path,
        below: &[Digest],
        expected: Option<Digest>,
        archive: impl Read,
    ) -> Result<(Digest, Digest), StoreError> {
        let fs_dir = new.join("fs");
        files::make_directory(&fs_dir)?;
        let failed = |source| StoreError::Unpack { source };
        let unpacked = layer::unpack(archive, &fs_dir, &new.join("recipe"), &layer::Limits::default())
            .map_err(failed)?;
        let diff_id = Digest::parse(&unpacked.diff_id).expect("unpack says what is a digest");
        if let Some(expected) = expected.filter(|expected| *expected != diff_id) {
            return Err(StoreError::DiffId { expected, found: diff_id });
        }
        let lower: Vec<PathBuf> = below.iter().rev().map(|chain| self.layer_fs(*chain)).collect();
        layer::settle(&fs_dir, &unpacked, &lower).map_err(failed)?;
        let record = LayerRecord {
            diff_id,
            parent: below.last().copied(),
            size_bytes: unpacked.size_bytes,
            content_bytes: unpacked.content_bytes,
            entries: unpacked.entries,
        };
        let path = new.join("layer.json");
        let text = files::record(&path, &record)?;
        fs::write(&path, text).map_err(|source| StoreError::Write { path, source })?;
        Ok((chain_id(record.parent, diff_id), diff_id))
    }

    fn layer_fs(&self, chain: Digest) -> PathBuf {
        self.new.get(&chain).map_or_else(|| self.store.layer_fs(chain), |new| new.join("fs"))
    }

    /// Puts the images into the store. Every file is on disk before it has its place there, and names
    /// come last: whoever finds a name finds a whole image.
    pub(crate) fn publish(mut self, images: &[NewImage]) -> Result<Displaced, StoreError> {
        let staging = self.staging.path();
        if !self.new.is_empty() {
            let synced =
                File::open(staging).and_then(|directory| rustix::fs::syncfs(directory).map_err(Into::into));
            synced.map_err(|source| StoreError::Sync { path: staging.to_owned(), source })?;
        }
        for (chain, new) in std::mem::take(&mut self.new) {
            self.publish_layer(chain, &new)?;
        }
        files::sync(&self.store.layers_dir())?;
        for image in images {
            self.publish_config(&image.config)?;
        }
        self.store.change_index(|index| {
            let mut displaced = Vec::new();
            for NewImage { config, names, digests } in images {
                let entry = Entry { image: Digest::of(config), digests: digests.clone() };
                for name in names {
                    let old = index.names.insert(name.clone(), entry.clone());
                    let old = old.filter(|old| old.image != entry.image);
                    displaced.extend(old.map(|old| (name.clone(), old)));
                }
            }
            displaced
        })
    }

    /// Who comes second leaves it to the first.
    fn publish_layer(&self, chain: Digest, new: &Path) -> Result<(), StoreError> {
        let place = self.store.layer_dir(chain);
        match fs::rename(new, &place) {
            Ok(()) => Ok(()),
            Err(error) if is_taken(&error) && self.store.layer_record(chain)?.is_some() => Ok(()),
            Err(source) => Err(StoreError::Publish { path: place, source }),
        }
    }

    fn publish_config(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.store.config_path(Digest::of(bytes));
        // What is there may have been damaged.
        let there = files::read(&path, CONFIG_BYTES_MAX).ok().flatten();
        if there.is_some_and(|there| there == bytes) {
            // Whoever put it there may not have come so far yet.
            return files::sync(&self.store.configs_dir());
        }
        files::replace(&path, &self.scratch("config"), bytes)
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}
