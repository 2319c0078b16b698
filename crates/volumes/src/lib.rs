//! Pod volumes: emptyDir and hostPath (<https://kubernetes.io/docs/concepts/storage/volumes/>).

mod empty_dir;
mod host_path;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use container_config::{Tmpfs, pod_memory_limit_bytes};
use podspec::{EmptyDirMedium, Volume, VolumeSource};
use ports::{PodContext, PortError, VolumeService};

/// What may be wrong with one volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("cannot make {}", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("cannot look at {}", path.display())]
    Stat { path: PathBuf, source: io::Error },
    #[error("invalid HostPath `{path}`: must not contain '..'")]
    Backsteps { path: String },
    #[error("hostPath type check failed: {path} is not {expected}")]
    WrongType { path: String, expected: &'static str },
}

/// The volumes of one node.
#[derive(Clone, Copy, Debug)]
pub struct Volumes {
    node_memory_bytes: u64,
}

impl Volumes {
    /// No memory volume is larger than `node_memory_bytes`.
    #[must_use]
    pub fn new(node_memory_bytes: u64) -> Self {
        Self { node_memory_bytes }
    }

    /// The least of the node's memory, what the pod's containers may use together, and the
    /// volume's own limit.
    fn memory_size_bytes(self, pod: &PodContext, size_limit: Option<u64>) -> u64 {
        [pod_memory_limit_bytes(&pod.pod.spec), size_limit.filter(|bytes| *bytes > 0)]
            .into_iter()
            .flatten()
            .fold(self.node_memory_bytes, u64::min)
    }
}

impl VolumeService for Volumes {
    async fn set_up(&self, pod: &Arc<PodContext>) -> Result<(), PortError> {
        on_each_volume(pod, |pod, volume| {
            let made = match &volume.source {
                VolumeSource::EmptyDir { .. } => empty_dir::set_up(&empty_dir::path(&pod.pod_dir, volume)),
                VolumeSource::HostPath { path, kind } => host_path::check(path, *kind),
            };
            made.err().map(|error| {
                let PortError(why) = PortError::chain(&error);
                format!("MountVolume.SetUp failed for volume \"{}\" : {why}", volume.name)
            })
        })
        .await
    }

    async fn tear_down(&self, pod: &Arc<PodContext>) -> Result<(), PortError> {
        on_each_volume(pod, |pod, volume| {
            let left = match &volume.source {
                VolumeSource::EmptyDir { .. } => empty_dir::tear_down(&empty_dir::path(&pod.pod_dir, volume)),
                VolumeSource::HostPath { .. } => Vec::new(),
            };
            let why: Vec<String> = left.iter().map(|error| PortError::chain(error).0).collect();
            (!why.is_empty()).then(|| {
                format!("UnmountVolume.TearDown failed for volume \"{}\" : {}", volume.name, why.join("; "))
            })
        })
        .await
    }

    fn host_path(&self, pod: &PodContext, volume: &Volume) -> PathBuf {
        match &volume.source {
            VolumeSource::EmptyDir { .. } => empty_dir::path(&pod.pod_dir, volume),
            VolumeSource::HostPath { path, .. } => PathBuf::from(path),
        }
    }

    fn tmpfs(&self, pod: &PodContext) -> Vec<Tmpfs> {
        let memory_volume = |volume: &Volume| match volume.source {
            VolumeSource::EmptyDir { medium: EmptyDirMedium::Memory, size_limit } => Some(Tmpfs {
                path: empty_dir::path(&pod.pod_dir, volume),
                size_bytes: Some(self.memory_size_bytes(pod, size_limit)),
                mode: empty_dir::MEMORY_MODE,
            }),
            _ => None,
        };
        pod.pod.spec.volumes.iter().filter_map(memory_volume).collect()
    }
}

/// Goes on past errors, which come back together, one line; off the async threads, as a volume may
/// be large or lie on a file system that hangs.
async fn on_each_volume(
    pod: &Arc<PodContext>,
    act: impl Fn(&PodContext, &Volume) -> Option<String> + Send + 'static,
) -> Result<(), PortError> {
    if pod.pod.spec.volumes.is_empty() {
        return Ok(());
    }
    let pod = Arc::clone(pod);
    let work = move || pod.pod.spec.volumes.iter().filter_map(|volume| act(&pod, volume)).collect::<Vec<_>>();
    let failures = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| PortError("the engine is shutting down".to_owned()))?;
    if failures.is_empty() { Ok(()) } else { Err(PortError(failures.join("; "))) }
}

fn failed_to_make(path: &Path) -> impl Fn(io::Error) -> VolumeError {
    move |source| VolumeError::Make { path: path.to_owned(), source }
}
