//! An image on its way into the store, layer by layer. Unlike [`super::Adding`] it keeps nobody from removing,
//! since it may take hours: what it needs is written down beside it, in `staging/N/needs`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::{Deserialize, Serialize};

use super::add::{Displaced, NewImage};
use super::error::StoreError;
use super::staging::Staging;
use super::unpacked::{SettledLayer, UnpackedLayer};
use super::{Store, files};
use crate::layer::{self, LayerError, Limits};
use registry::Digest;

/// Of the chains of [`super::LAYERS_MAX`] layers.
const NEEDS_BYTES_MAX: u64 = 64 << 10;
const NEEDS: &str = "needs";

/// What is unpacked and not published goes when this goes.
#[derive(Debug)]
pub(crate) struct Pulling {
    store: Store,
    staging: Staging,
    /// How many layers have been begun.
    begun: AtomicUsize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Needs {
    chains: BTreeSet<Digest>,
}

impl Store {
    /// Where those who pull lock references, `pulling`. Told early, before anything is asked, whether there can be a
    /// store. What makers left that died is removed here, since a pull of what is there already makes nothing.
    pub(crate) fn make_for_pulls(&self) -> Result<PathBuf, StoreError> {
        self.make()?;
        self.clear_leavings()?;
        let directory = self.directory.join("pulling");
        files::make_directory(&directory)?;
        Ok(directory)
    }

    pub(crate) fn begin_pull(&self) -> Result<Pulling, StoreError> {
        let staging = Staging::new(&self.staging_dir())?;
        Ok(Pulling { store: self.clone(), staging, begun: AtomicUsize::new(0) })
    }

    /// The layers that living pulls need. No pull gets more while the caller has the lock for removers.
    pub(super) fn needed_by_pulls(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let mut chains = BTreeSet::new();
        for name in files::list(&self.staging_dir())? {
            let path = self.staging_dir().join(name).join(NEEDS);
            match files::read_record::<Needs>(&path, NEEDS_BYTES_MAX) {
                Ok(needs) => chains.extend(needs.into_iter().flat_map(|needs| needs.chains)),
                // A file is in the place of the directory.
                Err(StoreError::Read { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => {}
                Err(error) => return Err(error),
            }
        }
        Ok(chains)
    }
}

impl Pulling {
    /// From now on no removal takes layers of these chains away. Says which of them are there. Waits while
    /// somebody removes.
    pub(crate) fn hold(&self, chains: &[Digest]) -> Result<Vec<bool>, StoreError> {
        let _lock = self.store.keep()?;
        let path = self.staging.path().join(NEEDS);
        let needs = Needs { chains: chains.iter().copied().collect() };
        let text = files::record(&path, &needs)?;
        fs::write(&path, text).map_err(|source| StoreError::Write { path, source })?;
        chains.iter().map(|chain| Ok(self.store.layer_record(*chain)?.is_some())).collect()
    }

    /// Unpacks `archive`, a plain tar. May be called for several layers at once.
    pub(crate) fn unpack(
        &self,
        expected: Option<Digest>,
        limits: &Limits,
        archive: impl Read,
    ) -> Result<UnpackedLayer, StoreError> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let directory = self.staging.path().join(format!("layer-{number}"));
        UnpackedLayer::unpack(directory, expected, limits, archive)
    }

    /// Unpacks once more what was unpacked into `fs_dir` with the recipe beside it.
    pub(crate) fn unpack_again(&self, diff_id: Digest, fs_dir: &Path) -> Result<UnpackedLayer, StoreError> {
        let recipe = fs_dir.with_file_name("recipe");
        let failed = |source| StoreError::Unpack { source };
        let (reader, writer) = io::pipe().map_err(|source| failed(LayerError::Read { source }))?;
        thread::scope(|scope| {
            let repacked = scope.spawn(|| layer::repack(fs_dir, &recipe, writer));
            let unpacked = self.unpack(Some(diff_id), &Limits::default(), reader);
            match repacked.join() {
                // Where the reader gave up, it says why.
                Ok(Err(error)) if !matches!(error, LayerError::Write { .. }) => Err(failed(error)),
                _ => unpacked,
            }
        })
    }

    /// Where the files of a layer of the store are.
    pub(crate) fn layer_fs(&self, chain: Digest) -> PathBuf {
        self.store.layer_fs(chain)
    }

    /// Gives layers their places for good: the next pull finds them, whatever becomes of this one.
    pub(crate) fn publish(&self, layers: &[SettledLayer]) -> Result<(), StoreError> {
        self.store.publish_layers(&self.staging, layers)
    }

    /// Puts an image into the store, with the layers that are not yet there. `before` is called with its ID
    /// before it has its name.
    pub(crate) fn finish(
        &self,
        layers: &[SettledLayer],
        image: &NewImage,
        before: impl FnOnce(Digest) -> Result<(), StoreError>,
    ) -> Result<Displaced, StoreError> {
        let _lock = self.store.keep()?;
        self.store.publish_layers(&self.staging, layers)?;
        before(Digest::of(&image.config))?;
        self.store.publish_images(&self.staging, std::slice::from_ref(image))
    }
}
