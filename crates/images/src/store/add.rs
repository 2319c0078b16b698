//! Adding images: everything is made in staging; layers, configurations and names appear at the end, in
//! this order.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::error::StoreError;
use super::index::Entry;
use super::layers::chain_id;
use super::staging::Staging;
use super::unpacked::{SettledLayer, UnpackedLayer};
use super::{CONFIG_BYTES_MAX, Store, files};
use crate::filesystem::unfit_for_layers;
use crate::layer::Limits;
use registry::Digest;

/// As long as it is there, nothing that is in the store goes away.
#[derive(Debug)]
pub(crate) struct Adding<'s> {
    store: &'s Store,
    staging: Staging,
    /// Layers that were made and are to be published, by chain.
    new: BTreeMap<Digest, SettledLayer>,
    _lock: File,
}

/// An image whose layers are there, to be published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NewImage {
    pub(crate) config: Vec<u8>,
    pub(crate) names: Vec<String>,
    /// Of the manifest it came with and of the indexes above.
    pub(crate) digests: Vec<Digest>,
    /// What a registry answered with when it was asked for it.
    pub(crate) pulled: Option<Digest>,
}

/// What names led to before, where that was another image.
pub(crate) type Displaced = Vec<(String, Entry)>;

impl Store {
    /// Waits while somebody removes images.
    pub(crate) fn add(&self) -> Result<Adding<'_>, StoreError> {
        self.make()?;
        let lock = self.keep()?;
        let staging = Staging::new(&self.staging_dir())?;
        Ok(Adding { store: self, staging, new: BTreeMap::new(), _lock: lock })
    }

    /// Makes the directories that are always there.
    pub(super) fn make(&self) -> Result<(), StoreError> {
        let directory = &self.directory;
        files::make_directory(directory)?;
        fs::set_permissions(directory, Permissions::from_mode(files::DIRECTORY_MODE))
            .map_err(|source| StoreError::Make { path: directory.clone(), source })?;
        if let Some(file_system) = unfit_for_layers(directory) {
            return Err(StoreError::UnfitFileSystem { path: directory.clone(), file_system });
        }
        for directory in [self.configs_dir(), self.layers_dir()] {
            files::make_directory(&directory)?;
        }
        Ok(())
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
        let unpacked = UnpackedLayer::unpack(new, expected, &Limits::default(), archive)?;
        let diff_id = unpacked.diff_id();
        let lower: Vec<PathBuf> = below.iter().rev().map(|chain| self.layer_fs(*chain)).collect();
        let settled = unpacked.settle(below.last().copied(), &lower)?;
        let chain = settled.chain;
        self.new.insert(chain, settled);
        Ok((chain, diff_id))
    }

    fn layer_fs(&self, chain: Digest) -> PathBuf {
        self.new.get(&chain).map_or_else(|| self.store.layer_fs(chain), SettledLayer::fs_dir)
    }

    /// Puts the images into the store. Every file is on disk before it has its place there, and names
    /// come last: whoever finds a name finds a whole image.
    pub(crate) fn publish(mut self, images: &[NewImage]) -> Result<Displaced, StoreError> {
        let new: Vec<SettledLayer> = std::mem::take(&mut self.new).into_values().collect();
        self.store.publish_layers(&self.staging, &new)?;
        self.store.publish_images(&self.staging, images)
    }
}

impl Store {
    /// Gives layers their places, once everything of them is on disk. Those below them are in the store, or
    /// among `layers`.
    pub(super) fn publish_layers(
        &self,
        staging: &Staging,
        layers: &[SettledLayer],
    ) -> Result<(), StoreError> {
        if layers.is_empty() {
            return Ok(());
        }
        let staging = staging.path();
        let synced =
            File::open(staging).and_then(|directory| rustix::fs::syncfs(directory).map_err(Into::into));
        synced.map_err(|source| StoreError::Sync { path: staging.to_owned(), source })?;
        layers.iter().try_for_each(|layer| self.publish_layer(layer))
    }

    /// Whoever comes second leaves it to the first.
    fn publish_layer(&self, layer: &SettledLayer) -> Result<(), StoreError> {
        let place = self.layer_dir(layer.chain);
        match fs::rename(&layer.directory, &place) {
            Ok(()) => Ok(()),
            Err(error) if is_taken(&error) && self.layer_record(layer.chain)?.is_some() => Ok(()),
            Err(source) => Err(StoreError::Publish { path: place, source }),
        }
    }

    /// Of images whose layers are there: their configurations, then their names. Says which images lost theirs.
    /// [`Store::lock_path`] is held by the caller.
    pub(super) fn publish_images(
        &self,
        staging: &Staging,
        images: &[NewImage],
    ) -> Result<Displaced, StoreError> {
        // Those that were there may be of somebody who has not come so far yet.
        files::sync(&self.layers_dir())?;
        for image in images {
            self.publish_config(staging, &image.config)?;
        }
        self.change_index(|index| {
            let mut displaced = Vec::new();
            for NewImage { config, names, digests, pulled } in images {
                let entry = Entry { image: Digest::of(config), digests: digests.clone(), pulled: *pulled };
                for name in names {
                    let old = index.names.insert(name.clone(), entry.clone());
                    let old = old.filter(|old| old.image != entry.image);
                    displaced.extend(old.map(|old| (name.clone(), old)));
                }
            }
            displaced
        })
    }

    /// Gives an image that came with the digest `asked`, and that `is_wanted`, another name. `None` when there is
    /// none. `before` is called with the image before it has the name. Waits while somebody removes images.
    pub(crate) fn name_again(
        &self,
        asked: Digest,
        name: &str,
        is_wanted: impl Fn(Digest) -> Result<bool, StoreError>,
        before: impl FnOnce(Digest) -> Result<(), StoreError>,
    ) -> Result<Option<(Digest, Displaced)>, StoreError> {
        if !self.index()?.names.values().any(|entry| entry.digests.contains(&asked)) {
            return Ok(None);
        }
        let _lock = self.keep()?;
        for entry in self.index()?.names.into_values().filter(|entry| entry.digests.contains(&asked)) {
            if is_wanted(entry.image)? {
                before(entry.image)?;
                let entry = Entry { pulled: Some(asked), ..entry };
                let displaced = self.change_index(|index| {
                    let old = index.names.insert(name.to_owned(), entry.clone());
                    old.filter(|old| old.image != entry.image).map(|old| (name.to_owned(), old))
                })?;
                return Ok(Some((entry.image, displaced.into_iter().collect())));
            }
        }
        Ok(None)
    }

    fn publish_config(&self, staging: &Staging, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.config_path(Digest::of(bytes));
        // What is there may have been damaged.
        let there = files::read(&path, CONFIG_BYTES_MAX).ok().flatten();
        if there.is_some_and(|there| there == bytes) {
            // Whoever put it there may not have come so far yet.
            return files::sync(&self.configs_dir());
        }
        files::replace(&path, &staging.path().join("config"), bytes)
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}
