//! Pod volumes: emptyDir, hostPath, and files that the API holds
//! (<https://kubernetes.io/docs/concepts/storage/volumes/>).

mod claim;
mod empty_dir;
mod group;
mod host_path;
mod ownership;
mod projected;
mod read;
#[cfg(test)]
mod tests;
mod usage;
mod writer;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use container_config::{NodeFacts, Tmpfs, pod_memory_limit_bytes};
use podspec::{EmptyDirMedium, Volume, VolumeSource};
use ports::{ObjectReader, PodContext, PortError, VolumeService};

use claim::Claimed;
use projected::{Contents, Reader};

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
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot give {} to the pod's fsGroup", path.display())]
    Group { path: PathBuf, source: io::Error },
    #[error("cannot read {path}")]
    Read { path: String, source: io::Error },
    #[error("{path} is no file: something else is there")]
    NoFile { path: String },
    #[error("{path} has more than {bytes_max} bytes: keep what is read of it small")]
    TooLarge { path: String, bytes_max: usize },
    #[error("{path:?} is no path within a volume")]
    HostileName { path: String },
}

/// The volumes of one node.
#[derive(Debug)]
pub struct Volumes {
    node_memory_bytes: u64,
    reader: Reader,
}

impl Volumes {
    /// No memory volume is larger than the node's memory.
    #[must_use]
    pub fn new(node: &NodeFacts, objects: Arc<dyn ObjectReader>) -> Self {
        Self { node_memory_bytes: node.memory_bytes, reader: Reader::new(node.clone(), objects) }
    }

    /// The least of the node's memory, what the pod's containers may use together, and the
    /// volume's own limit.
    fn memory_size_bytes(&self, pod: &PodContext, size_limit: Option<u64>) -> u64 {
        [pod_memory_limit_bytes(&pod.pod.spec), size_limit.filter(|bytes| *bytes > 0)]
            .into_iter()
            .flatten()
            .fold(self.node_memory_bytes, u64::min)
    }
}

impl VolumeService for Volumes {
    async fn set_up(&self, pod: &Arc<PodContext>) -> Result<(), PortError> {
        let claimed = claim::claimed(pod, self.reader.objects()).await;
        if !projected::has_files(pod) {
            return on_each_volume(pod, move |pod, place, volume| {
                failed_set_up(volume, set_up(pod, place, volume, &Contents::new(), &claimed))
            })
            .await;
        }
        let held = self.reader.held(&pod.pod.uid);
        let mut held = held.lock().await;
        let contents = self.reader.contents(pod, &mut held).await;
        on_each_volume(pod, move |pod, place, volume| {
            failed_set_up(volume, set_up(pod, place, volume, &contents, &claimed))
        })
        .await
    }

    async fn refresh(&self, pod: &Arc<PodContext>) -> Result<Option<Duration>, PortError> {
        if !projected::has_files(pod) {
            return Ok(None);
        }
        let held = self.reader.held(&pod.pod.uid);
        let mut held = held.lock().await;
        let contents = self.reader.contents(pod, &mut held).await;
        on_each_volume(pod, move |pod, place, volume| {
            let path = empty_dir::path(&pod.pod_dir, volume);
            // One that is not there has not been set up yet, or is gone already.
            if !contents.contains_key(&place) || !empty_dir::is_there(&path) {
                return None;
            }
            failed_set_up(volume, set_up_files(pod, &path, place, &contents))
        })
        .await?;
        Ok(projected::due_in(&held))
    }

    async fn tear_down(&self, pod: &Arc<PodContext>) -> Result<(), PortError> {
        let held = self.reader.held(&pod.pod.uid);
        let _held = held.lock().await;
        self.reader.forget(&pod.pod.uid);
        on_each_volume(pod, |pod, _, volume| {
            let left = match &volume.source {
                // Of a claim there is a link, and nothing but that is removed.
                VolumeSource::EmptyDir { .. } | VolumeSource::Projected(_) | VolumeSource::Claim { .. } => {
                    empty_dir::tear_down(&empty_dir::path(&pod.pod_dir, volume))
                }
                VolumeSource::HostPath { .. } | VolumeSource::Image { .. } => Vec::new(),
            };
            let why: Vec<String> = left.iter().map(|error| PortError::chain(error).0).collect();
            (!why.is_empty()).then(|| {
                format!("UnmountVolume.TearDown failed for volume \"{}\" : {}", volume.name, why.join("; "))
            })
        })
        .await
    }

    fn has_limits(&self, pod: &PodContext) -> bool {
        usage::is_limited(&pod.pod)
    }

    async fn over_limit(&self, pod: &Arc<PodContext>) -> Result<Option<String>, PortError> {
        let pod = Arc::clone(pod);
        let measured = tokio::task::spawn_blocking(move || usage::over_limit(&pod)).await;
        measured.map_err(|_| PortError("the engine is shutting down".to_owned()))?
    }

    async fn read_file(
        &self,
        volume: OwnedFd,
        path: &str,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, PortError> {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            read::file(volume.as_fd(), &path, bytes_max).map_err(|error| PortError::chain(&error))
        });
        read.await.map_err(|_| PortError("the engine is shutting down".to_owned()))?
    }

    fn host_path(&self, pod: &PodContext, volume: &Volume) -> PathBuf {
        match &volume.source {
            VolumeSource::EmptyDir { .. }
            | VolumeSource::Projected(_)
            | VolumeSource::Image { .. }
            | VolumeSource::Claim { .. } => empty_dir::path(&pod.pod_dir, volume),
            VolumeSource::HostPath { path, .. } => PathBuf::from(path),
        }
    }

    fn tmpfs(&self, pod: &PodContext) -> Vec<Tmpfs> {
        let memory_volume = |volume: &Volume| match volume.source {
            VolumeSource::EmptyDir { medium: EmptyDirMedium::Memory, size_limit } => Some(Tmpfs {
                path: empty_dir::path(&pod.pod_dir, volume),
                size_bytes: Some(self.memory_size_bytes(pod, size_limit)),
                mode: ownership::directory(empty_dir::MEMORY_MODE, pod.pod.spec.fs_group),
                gid: pod.pod.spec.fs_group,
                no_swap: true,
            }),
            _ => None,
        };
        pod.pod.spec.volumes.iter().filter_map(memory_volume).collect()
    }
}

fn set_up(
    pod: &PodContext,
    place: usize,
    volume: &Volume,
    contents: &Contents,
    claimed: &Claimed,
) -> Result<(), String> {
    let path = empty_dir::path(&pod.pod_dir, volume);
    let made = match &volume.source {
        VolumeSource::EmptyDir { .. } => empty_dir::set_up(&path, pod.pod.spec.fs_group),
        VolumeSource::Image { .. } => Ok(()),
        VolumeSource::HostPath { path, kind } => host_path::check(path, *kind),
        VolumeSource::Projected(_) => return set_up_files(pod, &path, place, contents),
        VolumeSource::Claim { read_only, .. } => {
            let claimed = claimed.get(&place).ok_or("nobody was asked for its claim")?.as_ref()?;
            let spec = &pod.pod.spec;
            claim::set_up(&path, claimed, *read_only, (spec.fs_group, spec.fs_group_trusts_root))
        }
    };
    made.map_err(|error| PortError::chain(&error).0)
}

fn set_up_files(pod: &PodContext, path: &Path, place: usize, contents: &Contents) -> Result<(), String> {
    let files = match contents.get(&place) {
        Some(Ok(files)) => files,
        Some(Err(why)) => return Err(why.clone()),
        None => return Ok(()),
    };
    let group = pod.pod.spec.fs_group;
    let made = empty_dir::set_up(path, group).and_then(|()| writer::write(path, files, group));
    made.map_err(|error| PortError::chain(&error).0)
}

fn failed_set_up(volume: &Volume, made: Result<(), String>) -> Option<String> {
    made.err().map(|why| format!("MountVolume.SetUp failed for volume \"{}\" : {why}", volume.name))
}

/// Goes on past errors, which come back together, one line; off the async threads, as a volume may
/// be large or lie on a file system that hangs.
async fn on_each_volume(
    pod: &Arc<PodContext>,
    act: impl Fn(&PodContext, usize, &Volume) -> Option<String> + Send + 'static,
) -> Result<(), PortError> {
    if pod.pod.spec.volumes.is_empty() {
        return Ok(());
    }
    let pod = Arc::clone(pod);
    let work = move || {
        let volumes = pod.pod.spec.volumes.iter().enumerate();
        volumes.filter_map(|(place, volume)| act(&pod, place, volume)).collect::<Vec<_>>()
    };
    let failures = tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| PortError("the engine is shutting down".to_owned()))?;
    if failures.is_empty() { Ok(()) } else { Err(PortError(failures.join("; "))) }
}

fn failed_to_make(path: &Path) -> impl Fn(io::Error) -> VolumeError {
    move |source| VolumeError::Make { path: path.to_owned(), source }
}
