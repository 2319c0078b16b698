//! Removing: names first, then what no image needs any more.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::Arc;

use ports::PortError;

use super::error::StoreError;
use super::index::Entry;
use super::staging::Staging;
use super::{Store, chain_ids, files};
use crate::host::{self, State};
use registry::Digest;

/// What a living pod has of images.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PodImages {
    /// `NAMESPACE/NAME`
    pub pod: String,
    /// `image` of its containers, as written.
    pub names: Vec<String>,
    /// The IDs of images its containers were or are about to be made from.
    pub ids: Vec<String>,
}

/// Says what living pods have, each time anew.
pub type LivingPods<'f> = &'f dyn Fn() -> Result<Vec<PodImages>, PortError>;

/// [`LivingPods`] for whoever lives longer than a call.
#[derive(Clone)]
pub struct SharedPods(Arc<dyn Fn() -> Result<Vec<PodImages>, PortError> + Send + Sync>);

impl SharedPods {
    pub fn new(pods: impl Fn() -> Result<Vec<PodImages>, PortError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(pods))
    }

    pub(crate) fn ask(&self) -> LivingPods<'_> {
        &*self.0
    }
}

impl fmt::Debug for SharedPods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPods").finish_non_exhaustive()
    }
}

impl Store {
    /// Removes what no name and no living pod needs: layers, configurations, leavings. `gone` are names
    /// that were taken from images a moment ago: a pod may just be starting from one. False when somebody
    /// is adding; then it is left to the next removal.
    pub(crate) fn collect(&self, gone: &[(String, Entry)], pods: LivingPods<'_>) -> Result<bool, StoreError> {
        let Some(_lock) = self.try_lock()? else { return Ok(false) };
        let pods = pods().map_err(|source| StoreError::Pods { source })?;
        self.collect_locked(gone, &pods)?;
        Ok(true)
    }

    /// Of whoever has the lock.
    pub(super) fn collect_locked(
        &self,
        gone: &[(String, Entry)],
        pods: &[PodImages],
    ) -> Result<(), StoreError> {
        let mut images: BTreeSet<Digest> =
            self.index()?.names.into_values().map(|entry| entry.image).collect();
        images.extend(pods.iter().flat_map(|pod| &pod.ids).filter_map(|id| Digest::parse(id)));
        let is_named = |name: &str| pods.iter().any(|pod| pod.is_from(name));
        images.extend(gone.iter().filter(|(name, _)| is_named(name)).map(|(_, entry)| entry.image));
        self.keep_only(&images)?;
        self.remove_old_hosts(pods)
    }

    /// Images of the host as it was, without pods that are made from them.
    fn remove_old_hosts(&self, pods: &[PodImages]) -> Result<(), StoreError> {
        let failed = |source| StoreError::Host { source };
        let directory = self.host_dir();
        let is_unused =
            |state: &State| !state.is_current && !pods.iter().any(|pod| pod.ids.contains(&state.id));
        let states = host::states(&directory).map_err(failed)?.into_iter();
        let unused: Vec<String> = states.filter(is_unused).map(|state| state.id).collect();
        host::remove(&directory, &unused).map_err(failed)
    }

    /// [`Self::collect`] after something was added. That is done, whatever becomes of what it displaced: the
    /// next removal tries again.
    pub(crate) fn collect_displaced(&self, displaced: &[(String, Entry)], pods: LivingPods<'_>) {
        if displaced.is_empty() {
            return;
        }
        if let Err(error) = self.collect(displaced, pods) {
            tracing::warn!("images that lost their names are left: {}", PortError::chain(&error));
        }
    }

    /// `None` when somebody has it. There is nothing to collect before there is a lock.
    pub(super) fn try_lock(&self) -> Result<Option<File>, StoreError> {
        let path = self.lock_path();
        let failed = |source| StoreError::Lock { path: path.clone(), source };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn keep_only(&self, images: &BTreeSet<Digest>) -> Result<(), StoreError> {
        let mut layers = BTreeSet::new();
        for image in images {
            layers.extend(self.oci_config(*image)?.iter().flat_map(|config| chain_ids(&config.diff_ids)));
        }
        let trash = Staging::new(&self.staging_dir())?;
        layers.extend(self.needed_by_pulls()?);
        // Layers last: as long as a configuration is there, so are its layers.
        remove_others(&self.configs_dir(), images, &trash)?;
        remove_others(&self.layers_dir(), &layers, &trash)?;
        self.forget_access(images)
    }
}

impl PodImages {
    /// Whether a container of the pod was made from the image.
    pub(super) fn has(&self, image: Digest) -> bool {
        let id = image.to_string();
        self.ids.contains(&id)
    }

    /// Whether a container of the pod may be made from the image of this full name.
    pub(crate) fn is_from(&self, name: &str) -> bool {
        let full =
            |written: &String| registry::Reference::parse(written).is_ok_and(|full| full.to_string() == name);
        self.names.iter().any(full)
    }
}

/// By way of `trash`, so that no half of one is taken for the whole.
fn remove_others(directory: &Path, kept: &BTreeSet<Digest>, trash: &Staging) -> Result<(), StoreError> {
    for name in files::list(directory)? {
        if Digest::from_hex(&name).is_some_and(|digest| kept.contains(&digest)) {
            continue;
        }
        let (path, away) = (directory.join(&name), trash.path().join(&name));
        fs::rename(&path, &away).map_err(|source| StoreError::Remove { path, source })?;
        files::remove(&away)?;
    }
    Ok(())
}
