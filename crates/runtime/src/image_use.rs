//! Which images living pods have.

use std::io;
use std::path::Path;

use lifecycle::Observed;
use podspec::{Pod, VolumeSource};
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
    /// What its containers and volumes name, as written.
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
    match claim_abandoned(pod_dir) {
        Ok(Some(_claim)) => Ok(!shim_is_alive(pod_dir)?),
        Ok(None) => Ok(false),
        // Its directory went meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// `None` for a pod that has not begun, or is gone by now.
fn image_use(pod_dir: &Path) -> Result<Option<ImageUse>, RecordError> {
    let Some(pod) = present(read_record::<Pod>(&pod_path(pod_dir)))? else { return Ok(None) };
    let observed = present(read_record::<Observed>(&checkpoint_path(pod_dir)))?.unwrap_or_default();
    let known = observed.containers.values();
    let ids = known.flat_map(|container| {
        let of_attempt = container.current.iter();
        let of_attempt =
            of_attempt.flat_map(|attempt| attempt.volume_images.values().chain([&attempt.image_id]));
        let resolved = container.image_id.iter().chain(container.volume_images.values());
        resolved.chain(of_attempt).cloned().collect::<Vec<_>>()
    });
    let containers = pod.spec.init_containers.iter().chain(&pod.spec.containers);
    let of_volumes = pod.spec.volumes.iter().filter_map(|volume| match &volume.source {
        VolumeSource::Image { reference, .. } => Some(reference.clone()),
        _ => None,
    });
    Ok(Some(ImageUse {
        pod: format!("{}/{}", pod.namespace, pod.name),
        names: containers.map(|container| container.image.clone()).chain(of_volumes).collect(),
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

#[cfg(test)]
mod tests {
    use std::fs;

    use ports::Paths;
    use shim_protocol::pod_path;

    use super::image_uses;
    use crate::claim::claim;

    #[test]
    fn a_pod_that_cannot_be_read_is_no_reason_to_think_it_has_no_images() {
        let root = std::env::temp_dir().join(format!("monopod-image-use-{}", std::process::id()));
        let paths =
            Paths { data_dir: root.join("data"), run_dir: root.join("run"), log_dir: root.join("log") };
        assert_eq!(image_uses(&paths).unwrap(), [], "no pods at all");
        let pod_dir = paths.pods_dir().join("uid");
        let held = claim(&pod_dir, true).unwrap();
        assert_eq!(image_uses(&paths).unwrap(), [], "a pod that has not begun");
        fs::write(pod_path(&pod_dir), r#"{"schema":99,"record":{}}"#).unwrap();
        let error = image_uses(&paths).unwrap_err().to_string();
        assert!(error.contains("cannot look at the pod") && error.contains("schema version 99"), "{error}");
        drop(held);
        assert_eq!(image_uses(&paths).unwrap(), [], "nobody's: the next engine buries it");
        // A daemon comes back for its pods.
        drop(claim(&pod_dir, false).unwrap());
        assert!(image_uses(&paths).is_err());
        fs::remove_dir_all(root).unwrap();
    }
}
