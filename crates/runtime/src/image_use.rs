//! Which images living pods have.

use std::io;
use std::path::Path;

use lifecycle::Observed;
use podspec::Pod;
use ports::{Paths, PortError};
use shim_protocol::{RecordError, checkpoint_path, pod_path, read_record};

use crate::bury::shim_is_alive;
use crate::claim::claim_abandoned;
use crate::sweep::directories;

/// The images of one pod.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImageUse {
    /// `NAMESPACE/NAME`
    pub pod: String,
    /// What its containers name, as written.
    pub names: Vec<String>,
    /// The IDs of what its containers were or are about to be made from.
    pub ids: Vec<String>,
}

/// The images of every pod under the root that has an engine or a shim, or whose daemon will come back for
/// it. A pod has a record from before its first image is looked for.
///
/// # Errors
/// When a pod cannot be looked at: nothing can be said of its images then.
pub fn image_uses(paths: &Paths) -> Result<Vec<ImageUse>, PortError> {
    let mut errors = Vec::new();
    let mut uses = Vec::new();
    for pod_dir in directories(&paths.pods_dir(), &mut errors) {
        if !is_abandoned(&pod_dir).map_err(|error| cannot_look(&pod_dir, &error))? {
            uses.extend(image_use(&pod_dir).map_err(|error| cannot_look(&pod_dir, &error))?);
        }
    }
    match errors.into_iter().next() {
        Some(error) => Err(PortError(error)),
        None => Ok(uses),
    }
}

fn is_abandoned(pod_dir: &Path) -> io::Result<bool> {
    match claim_abandoned(pod_dir)? {
        Some(_claim) => Ok(!shim_is_alive(pod_dir)?),
        None => Ok(false),
    }
}

/// `None` for a pod that has not begun, or is gone by now.
fn image_use(pod_dir: &Path) -> Result<Option<ImageUse>, RecordError> {
    let Some(pod) = present(read_record::<Pod>(&pod_path(pod_dir)))? else { return Ok(None) };
    let observed = present(read_record::<Observed>(&checkpoint_path(pod_dir)))?.unwrap_or_default();
    let known = observed.containers.values();
    let ids = known.flat_map(|container| {
        let of_attempt = container.current.as_ref().map(|attempt| &attempt.image_id);
        container.image_id.iter().chain(of_attempt).cloned().collect::<Vec<_>>()
    });
    let containers = pod.spec.init_containers.iter().chain(&pod.spec.containers);
    Ok(Some(ImageUse {
        pod: format!("{}/{}", pod.namespace, pod.name),
        names: containers.map(|container| container.image.clone()).collect(),
        ids: ids.collect(),
    }))
}

fn present<T>(record: Result<T, RecordError>) -> Result<Option<T>, RecordError> {
    match record {
        Err(RecordError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        record => record.map(Some),
    }
}

fn cannot_look(pod_dir: &Path, error: &(dyn std::error::Error + 'static)) -> PortError {
    PortError(format!("cannot look at the pod in {}: {}", pod_dir.display(), PortError::chain(error)))
}
