//! `localhost/host`: the programs of this machine as an image, with nothing else of it.
//!
//! Its layers are the host's own directories of programs over a generated skeleton, which lies at
//! `DATA/images/host/DIGEST/rootfs` beside its `config.json`. `current.json` says which one belongs
//! to the host as it was when it was last looked at; a later look that finds the same costs a few
//! dozen `stat`s. An overlay does not cross mounts: what is mounted below `/usr` is not visible. A
//! program that the host upgrades may change under a running container, as it would for a process
//! of the host.
//!
//! Images of earlier states of the host stay, as containers may run on them.

mod fingerprint;
mod skeleton;
mod source;
mod store;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use container_config::ImageConfig;

use crate::filesystem::unfit_for_layers;
use fingerprint::Fingerprint;
use registry::Digest;
use skeleton::Skeleton;
use source::Source;
use store::Store;

const REPOSITORY: &str = "localhost/host";

#[derive(Debug, thiserror::Error)]
pub enum HostImageError {
    #[error("cannot open the root directory {}", path.display())]
    OpenRoot { path: PathBuf, source: io::Error },
    #[error("cannot list {}", path.display())]
    List { path: PathBuf, source: io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error(
        "the data directory {} is on {file_system}, on which the kernel makes no writable layers: move it with \
         --data-dir to ext4, xfs, btrfs or tmpfs; inside a container, mount a volume there",
        path.display()
    )]
    UnfitFileSystem { path: PathBuf, file_system: &'static str },
    #[error(
        "the data directory {} is inside {}, which is a layer of the image: move it with --data-dir, for \
         instance to /var/lib/monopod",
        path.display(),
        layer.display()
    )]
    DataInsideLayer { path: PathBuf, layer: PathBuf },
    #[error("the engine is shutting down")]
    Interrupted,
}

#[derive(Debug)]
pub(crate) struct HostImage {
    /// `/`, but for tests.
    root: PathBuf,
    store: Store,
    /// What this engine saw last.
    seen: Mutex<Option<(Fingerprint, Arc<ImageConfig>)>>,
}

impl HostImage {
    /// `directory` is `DATA/images/host`.
    pub(crate) fn new(root: PathBuf, directory: PathBuf) -> Self {
        Self { root, store: Store::new(directory), seen: Mutex::new(None) }
    }

    /// The image, if this engine has seen it and neither host nor store has changed. Does not block.
    pub(crate) fn unchanged(&self) -> Option<Arc<ImageConfig>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (fingerprint, config) = seen.as_ref()?;
        let is_present = self.store.has(digest_of(&config.id)?);
        (is_present && *fingerprint == Fingerprint::take(&self.root)).then(|| Arc::clone(config))
    }

    /// Makes the image of the host as it is now, unless it is there already.
    pub(crate) fn ensure(&self) -> Result<Arc<ImageConfig>, HostImageError> {
        let fingerprint = Fingerprint::take(&self.root);
        let config = Arc::new(match self.store.current(&fingerprint) {
            Some(config) => config,
            None => self.make(&fingerprint)?,
        });
        self.remember(fingerprint, &config);
        Ok(config)
    }

    /// A present image by its id, also one of an earlier state of the host.
    pub(crate) fn inspect(&self, id: &str) -> Result<Option<Arc<ImageConfig>>, HostImageError> {
        {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, config)) = seen.as_ref().filter(|(_, config)| config.id == id) {
                return Ok(Some(Arc::clone(config)));
            }
        }
        match digest_of(id) {
            Some(digest) => Ok(self.store.config(digest)?.map(Arc::new)),
            None => Ok(None),
        }
    }

    fn make(&self, fingerprint: &Fingerprint) -> Result<ImageConfig, HostImageError> {
        let lock = self.store.lock()?;
        // Another engine may have made it while this one waited.
        if let Some(config) = self.store.current(fingerprint) {
            return Ok(config);
        }
        let skeleton = Skeleton::of(&Source::open(&self.root)?)?;
        self.check_data_directory(&skeleton)?;
        let digest = skeleton.digest();
        let config = skeleton.config(format!("{REPOSITORY}@sha256:{digest}"), &self.store.rootfs(&digest));
        lock.publish(&digest, &skeleton, &config, fingerprint)?;
        tracing::info!(image = config.id, "made the image of this machine's programs");
        Ok(config)
    }

    fn check_data_directory(&self, skeleton: &Skeleton) -> Result<(), HostImageError> {
        let directory = self.store.directory();
        let path = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        if let Some(file_system) = unfit_for_layers(&path) {
            return Err(HostImageError::UnfitFileSystem { path, file_system });
        }
        match skeleton.host_directories().find(|layer| path.starts_with(layer)) {
            Some(layer) => Err(HostImageError::DataInsideLayer { layer: layer.to_owned(), path }),
            None => Ok(()),
        }
    }

    fn remember(&self, fingerprint: Fingerprint, config: &Arc<ImageConfig>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Some((fingerprint, Arc::clone(config)));
    }
}

/// The hexadecimal part of an image id; `None` for what is not an id of this image, so that nothing
/// else is ever made into a path.
fn digest_of(id: &str) -> Option<&str> {
    let digest = id.strip_prefix(REPOSITORY)?.strip_prefix("@sha256:")?;
    is_digest(digest).then_some(digest)
}

fn is_digest(text: &str) -> bool {
    Digest::from_hex(text).is_some()
}

/// An image of the host as it is or was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct State {
    /// `localhost/host@sha256:...`
    pub(crate) id: String,
    /// It is the one that was made or looked at last.
    pub(crate) is_current: bool,
}

/// The images in `directory`, which is `DATA/images/host`.
pub(crate) fn states(directory: &Path) -> Result<Vec<State>, HostImageError> {
    let store = Store::new(directory.to_owned());
    let current = store.current_digest();
    let state = |digest: String| State {
        is_current: current.as_ref() == Some(&digest),
        id: format!("{REPOSITORY}@sha256:{digest}"),
    };
    Ok(store.digests()?.into_iter().map(state).collect())
}

/// Removes those of `ids` that are not the current one by now.
pub(crate) fn remove(directory: &Path, ids: &[String]) -> Result<(), HostImageError> {
    if ids.is_empty() {
        return Ok(());
    }
    let store = Store::new(directory.to_owned());
    let lock = store.lock()?;
    let current = store.current_digest();
    let digests = ids.iter().filter_map(|id| digest_of(id));
    digests.filter(|digest| current.as_deref() != Some(digest)).try_for_each(|digest| lock.remove(digest))
}

/// Where `path`, absolute inside the root, is on the host.
fn on_host(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
pub(crate) mod tests;
