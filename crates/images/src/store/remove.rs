//! `monopod image rm`.

use super::Store;
use super::collect::{LivingPods, PodImages};
use super::error::StoreError;
use super::index::{Entry, Index};
use super::select::{SelectError, Selected, select};
use crate::host;
use registry::Digest;

/// What was taken away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removed {
    /// The names that lead nowhere now.
    pub names: Vec<String>,
    /// No other name leads to the image, and no living pod has it.
    pub image_is_gone: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error("image {image} has several names, {}: name the one to remove, or remove all with --force", names.join(" and "))]
    SeveralNames { image: Digest, names: Vec<String> },
    #[error("image {image} is in use by pod {}: stop it first, or take away the name alone with --force", pods.join(", "))]
    InUse { image: String, pods: Vec<String> },
    #[error("it is in use by pod {}: stop it first", pods.join(", "))]
    HostInUse { pods: Vec<String> },
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
        if let Some(removed) = self.remove_host(target, pods)? {
            return Ok(removed);
        }
        // In an empty store there is not even a lock.
        select(&self.index()?, target)?;
        let living = pods().map_err(|source| StoreError::Pods { source })?;
        let taken = self.change_index(|index| {
            let selected = select(index, target)?;
            if !force {
                refuse(index, target, &selected, &living)?;
            }
            let taken = selected.names.into_iter().filter_map(|name| index.names.remove_entry(&name));
            Ok::<_, RemoveError>((selected.image, taken.collect::<Vec<(String, Entry)>>()))
        })?;
        let (id, gone) = taken?;
        self.collect(&gone, pods)?;
        let image_is_gone = self.config_bytes(id).is_ok_and(|config| config.is_none());
        Ok(Removed { names: gone.into_iter().map(|(name, _)| name).collect(), image_is_gone })
    }

    /// Removes an image of this machine's programs as they were. `None` when `target` is none of those.
    fn remove_host(&self, target: &str, pods: LivingPods<'_>) -> Result<Option<Removed>, RemoveError> {
        let failed = |source| StoreError::Host { source };
        let directory = self.host_dir();
        let states = host::states(&directory).map_err(failed)?;
        let Some(state) = states.into_iter().find(|state| state.id == target) else { return Ok(None) };
        if state.is_current {
            return Err(SelectError::BuiltIn.into());
        }
        let living = pods().map_err(|source| StoreError::Pods { source })?;
        let users = living.into_iter().filter(|pod| pod.ids.contains(&state.id)).map(|pod| pod.pod);
        let users: Vec<String> = users.collect();
        if !users.is_empty() {
            return Err(RemoveError::HostInUse { pods: users });
        }
        host::remove(&directory, std::slice::from_ref(&state.id)).map_err(failed)?;
        Ok(Some(Removed { names: vec![state.id], image_is_gone: true }))
    }
}

/// A pod needs the name it was written with for its next start, and the image's last name keeps it.
fn refuse(index: &Index, target: &str, selected: &Selected, pods: &[PodImages]) -> Result<(), RemoveError> {
    let Selected { image, names, by_id } = selected;
    if *by_id && names.len() > 1 {
        return Err(RemoveError::SeveralNames { image: *image, names: names.clone() });
    }
    let is_last = index.names_of(*image).len() == names.len();
    let needs = |pod: &&PodImages| names.iter().any(|name| pod.is_from(name)) || is_last && pod.has(*image);
    let users: Vec<String> = pods.iter().filter(needs).map(|pod| pod.pod.clone()).collect();
    if users.is_empty() {
        return Ok(());
    }
    Err(RemoveError::InUse { image: target.to_owned(), pods: users })
}
