//! The images of a data directory, shared by all engines and commands under it
//! (docs/adr/0004-layers-are-unpacked-once-and-kept-with-a-recipe.md).
//!
//! Whatever becomes a path here is a digest that was checked or a number.

mod access;
mod add;
mod collect;
mod error;
mod files;
mod index;
mod layers;
mod list;
mod lookup;
mod merged;
mod pulling;
mod reclaim;
mod remove;
mod select;
mod staging;
mod unpacked;

use std::fs::File;
use std::path::{Path, PathBuf};

pub(crate) use add::{Adding, Displaced, NewImage};
pub use collect::{LivingPods, PodImages, SharedPods};
pub use error::{ConfigError, StoreError};
pub(crate) use index::{Index, Stamp};
pub(crate) use layers::{LayerRecord, chain_id, chain_ids};
pub use list::{ImageDetails, ImageSummary, LayerDetails};
pub(crate) use pulling::Pulling;
pub use reclaim::{PruneOptions, Pruned};
pub use remove::{RemoveError, Removed};
pub use select::SelectError;
pub(crate) use select::Selected;
pub(crate) use unpacked::{SettledLayer, UnpackedLayer};

use registry::Digest;

/// The store of one data directory. Cheap: it holds nothing but the path.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

/// As many layers as one image may have; Docker's limit too.
pub(crate) const LAYERS_MAX: usize = 127;
/// Of a configuration; the field's tools have the same limit.
pub(crate) const CONFIG_BYTES_MAX: u64 = 4 << 20;

impl Store {
    /// `directory` is `DATA/images`. Nothing is made before something is added.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Which names there are.
    pub(crate) fn index(&self) -> Result<Index, StoreError> {
        index::read(&self.index_path())
    }

    /// What tells a changed index from an unchanged one, for one `stat`.
    pub(crate) fn index_stamp(&self) -> Result<Stamp, StoreError> {
        Stamp::take(&self.index_path())
    }

    fn index_path(&self) -> PathBuf {
        self.directory.join("index.json")
    }

    fn index_lock_path(&self) -> PathBuf {
        self.directory.join("index.lock")
    }

    /// Held shared by who adds or saves, exclusively by who removes.
    fn lock_path(&self) -> PathBuf {
        self.directory.join("lock")
    }

    fn host_dir(&self) -> PathBuf {
        self.directory.join("host")
    }

    fn staging_dir(&self) -> PathBuf {
        self.directory.join("staging")
    }

    fn configs_dir(&self) -> PathBuf {
        self.directory.join("configs")
    }

    fn config_path(&self, image: Digest) -> PathBuf {
        self.configs_dir().join(image.hex())
    }

    fn layers_dir(&self) -> PathBuf {
        self.directory.join("layers")
    }

    fn layer_dir(&self, chain: Digest) -> PathBuf {
        self.layers_dir().join(chain.hex())
    }

    pub(crate) fn select(&self, index: &Index, target: &str) -> Result<Selected, SelectError> {
        select::select(index, target)
    }

    /// As long as the lock is there, nothing that is in the store goes away. Waits while somebody removes.
    pub(crate) fn keep(&self) -> Result<File, StoreError> {
        let path = self.lock_path();
        let locked = File::create(&path).and_then(|file| file.lock_shared().map(|()| file));
        locked.map_err(|source| StoreError::Lock { path, source })
    }

    fn change_index<T>(&self, change: impl FnOnce(&mut Index) -> T) -> Result<T, StoreError> {
        index::update(&self.index_path(), self.index_lock_path(), change)
    }
}
