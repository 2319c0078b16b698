//! What the node's pages tell of usage: gathered here, written by [`summary`] and [`prometheus`].

pub(crate) mod prometheus;
pub(crate) mod summary;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kubelet::{Kubelet, Node, PodView};
use linux_sys::cgroup::Usage;
use linux_sys::tree_usage::TreeUsage;
use podspec::{EmptyDirMedium, VolumeSource, WallTime};
use ports::PodContext;
use rustix::fs::fstatvfs;

use crate::usage::disk::{self, FileSystem};
use crate::usage::host::{self, Host, Interface};
use crate::usage::pods::{Running, running_of};
use crate::usage::sampler::{self, MACHINE, Reading, Sampler};

/// The group that has those of all pods.
const PODS: &str = "monopod";

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stats {
    pub(crate) node: NodeStats,
    pub(crate) pods: Vec<PodStats>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeStats {
    pub(crate) name: String,
    pub(crate) now: WallTime,
    pub(crate) host: Host,
    pub(crate) figures: Option<Figures>,
    /// Of all pods together.
    pub(crate) pods: Option<Figures>,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) disk: Option<NodeDisk>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeDisk {
    /// That holds the pods.
    pub(crate) pods: FileSystem,
    /// That holds the images, which may be the same.
    pub(crate) images: FileSystem,
}

/// Pods that hold something of the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PodStats {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) started: Option<WallTime>,
    pub(crate) figures: Option<Figures>,
    pub(crate) containers: Vec<ContainerStats>,
    /// Of those on disk that the pod does not share with the host.
    pub(crate) volumes: Vec<(String, TreeUsage)>,
    /// Each is a file system.
    pub(crate) memory_volumes: Vec<(String, FileSystem)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ContainerStats {
    pub(crate) name: String,
    pub(crate) started: WallTime,
    pub(crate) figures: Option<Figures>,
    /// What it has written to its root file system.
    pub(crate) layer: Option<TreeUsage>,
    pub(crate) logs: Option<TreeUsage>,
}

/// What the kernel counts for a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Figures {
    pub(crate) at: WallTime,
    pub(crate) usage: Usage,
    /// When somebody asked for it.
    pub(crate) nanocores: Option<u64>,
}

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Detail {
    /// Counters alone, without waiting.
    Counters,
    /// And how many processors are used.
    Rates,
    /// And what is on disk.
    All,
}

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gatherer<'a, N: Node> {
    pub(crate) kubelet: &'a Kubelet<N>,
    pub(crate) sampler: &'a Sampler,
    pub(crate) node_name: &'a str,
    pub(crate) data_dir: &'a Path,
}

impl<N: Node> Gatherer<'_, N> {
    pub(crate) async fn gather(&self, detail: Detail) -> Stats {
        let views: Vec<PodView> = self.views();
        let running: Vec<Vec<Running>> = views.iter().map(running_of).collect();
        let figures = self.figures(&views, &running, detail).await;
        let mut figures = figures.into_iter();
        let mut next = || figures.next().flatten();
        let (of_node, of_pods) = (next(), next());
        let mut pods: Vec<(PodStats, Trees)> = Vec::new();
        for (view, running) in views.iter().zip(running) {
            let of_pod = next();
            let containers = running.into_iter().map(|running| (next(), running));
            let (mut stats, trees) = pod_stats(view, of_pod, containers.collect());
            // One that has ended holds nothing but disk.
            if stats.figures.is_none() && stats.containers.is_empty() {
                continue;
            }
            if detail == Detail::All {
                stats.memory_volumes = self.memory_volumes(&view.pod).await;
            }
            pods.push((stats, trees));
        }
        let data_dir = (detail == Detail::All).then(|| self.data_dir.to_owned());
        let name = self.node_name.to_owned();
        let finish = move || {
            let host = Host::read();
            let interfaces = if data_dir.is_some() { host::interfaces() } else { Vec::new() };
            let disk = data_dir.as_deref().and_then(node_disk);
            let node = NodeStats {
                name,
                now: crate::sink::wall_now(),
                host,
                figures: of_node,
                pods: of_pods,
                interfaces,
                disk,
            };
            let pods =
                pods.into_iter().map(|(pod, trees)| if data_dir.is_some() { trees.look(pod) } else { pod });
            Stats { node, pods: pods.collect() }
        };
        let finished = tokio::task::spawn_blocking(finish).await;
        finished.expect("reading files does not panic")
    }

    /// Only the pod itself sees them. One that cannot be looked at, as before the sandbox is there, is left out.
    async fn memory_volumes(&self, pod: &PodContext) -> Vec<(String, FileSystem)> {
        let mut seen = Vec::new();
        for volume in &pod.pod.spec.volumes {
            if !matches!(volume.source, VolumeSource::EmptyDir { medium: EmptyDirMedium::Memory, .. }) {
                continue;
            }
            let Ok(opened) = self.kubelet.open_volume(&pod.pod.uid, &volume.name).await else { continue };
            if let Ok(held) = fstatvfs(&opened) {
                seen.push((volume.name.to_string(), FileSystem::from(&held)));
            }
        }
        seen
    }

    fn views(&self) -> Vec<PodView> {
        let pods = self.kubelet.pods_here();
        let view = |pod: &Arc<PodContext>| self.kubelet.subscribe(&pod.pod.uid).ok()?.view.borrow().clone();
        pods.iter().filter_map(view).collect()
    }

    /// Of the node, of all pods, then of each pod and its containers.
    async fn figures(
        &self,
        views: &[PodView],
        running: &[Vec<Running>],
        detail: Detail,
    ) -> Vec<Option<Figures>> {
        let mut groups = vec![MACHINE.to_owned(), PODS.to_owned()];
        for (view, running) in views.iter().zip(running) {
            groups.push(container_config::pod_cgroup(&view.pod.pod.uid));
            groups.extend(running.iter().map(|running| running.group.clone()));
        }
        let figures =
            |reading: Reading, nanocores| Figures { at: reading.at, usage: reading.usage, nanocores };
        if detail == Detail::Counters {
            let count = groups.len();
            let read = tokio::task::spawn_blocking(move || sampler::read(&groups)).await;
            let read = read.unwrap_or_else(|_| vec![None; count]).into_iter();
            return read.map(|reading| Some(figures(reading?, None))).collect();
        }
        let rates = self.sampler.rates(groups).await.into_iter();
        rates.map(|rate| rate.map(|rate| figures(rate.reading, Some(rate.nanocores)))).collect()
    }
}

fn node_disk(data_dir: &Path) -> Option<NodeDisk> {
    let pods = FileSystem::of(data_dir).ok()?;
    let images = FileSystem::of(&images_dir(data_dir)).unwrap_or(pods);
    Some(NodeDisk { pods, images })
}

/// Where images are kept.
pub(crate) fn images_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("images")
}

/// Where the disk usage of one pod is to be looked for.
#[derive(Debug)]
pub(crate) struct Trees {
    pub(crate) volumes: Vec<(String, PathBuf)>,
    /// Layers and logs of containers, in their order.
    pub(crate) containers: Vec<(PathBuf, PathBuf)>,
}

impl Trees {
    /// Of the containers that are named.
    pub(crate) fn of<'a>(pod: &PodContext, containers: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let volumes = pod.pod.spec.volumes.iter().filter(|volume| {
            let disk = EmptyDirMedium::Disk;
            matches!(&volume.source, VolumeSource::EmptyDir { medium, .. } if *medium == disk)
                || matches!(volume.source, VolumeSource::Projected(_))
        });
        let volumes = volumes.map(|volume| {
            let name = volume.name.to_string();
            let path = pod.pod_dir.join("volumes").join(&name);
            (name, path)
        });
        let containers = containers.map(|(name, attempt)| {
            let layer = pod.pod_dir.join("containers").join(name).join(attempt.to_string());
            (layer, pod.log_dir.join(name))
        });
        Self { volumes: volumes.collect(), containers: containers.collect() }
    }

    fn look(self, mut stats: PodStats) -> PodStats {
        let volumes = self.volumes.into_iter().filter_map(|(name, path)| Some((name, disk::held(&path)?)));
        stats.volumes = volumes.collect();
        for (container, (layer, logs)) in stats.containers.iter_mut().zip(&self.containers) {
            container.layer = disk::held(layer);
            container.logs = disk::held(logs);
        }
        stats
    }
}

fn pod_stats(
    view: &PodView,
    figures: Option<Figures>,
    running: Vec<(Option<Figures>, Running)>,
) -> (PodStats, Trees) {
    let pod = &view.pod.pod;
    let trees = Trees::of(&view.pod, running.iter().map(|(_, of)| (of.name.as_str(), of.attempt)));
    let containers = running.into_iter().map(|(figures, of)| ContainerStats {
        name: of.name,
        started: of.since,
        figures,
        layer: None,
        logs: None,
    });
    let stats = PodStats {
        namespace: pod.namespace.to_string(),
        name: pod.name.to_string(),
        uid: pod.uid.to_string(),
        started: view.status.start_time.map(|time| time.wall),
        figures,
        containers: containers.collect(),
        volumes: Vec::new(),
        memory_volumes: Vec::new(),
    };
    (stats, trees)
}

#[cfg(test)]
pub(crate) mod tests {
    use linux_sys::cgroup::Usage;
    use linux_sys::tree_usage::TreeUsage;
    use podspec::WallTime;

    use super::{ContainerStats, Figures, NodeDisk, NodeStats, PodStats, Stats};
    use crate::usage::disk::FileSystem;
    use crate::usage::host::{Host, Interface, Processes};

    const fn at(seconds: i64) -> WallTime {
        WallTime(seconds * 1_000_000_000)
    }

    /// A node with one pod of two containers, of which one has just ended.
    pub(crate) fn stats() -> Stats {
        let machine = Usage {
            cpu_ns: Some(2_000_000_000),
            memory_bytes: Some(50),
            working_set_bytes: Some(40),
            rss_bytes: Some(30),
            page_faults: Some(9),
            major_page_faults: Some(1),
            memory_limit_bytes: Some(100),
            ..Usage::default()
        };
        let group = Usage {
            cpu_ns: Some(1_500_000_000),
            memory_bytes: Some(5),
            working_set_bytes: Some(4),
            processes: Some(3),
            ..Usage::default()
        };
        let figures = |usage| Some(Figures { at: at(60), usage, nanocores: Some(5) });
        let tree = |bytes, inodes| TreeUsage { bytes, inodes };
        let container = |name: &str, figures, layer, logs| ContainerStats {
            name: name.to_owned(),
            started: at(30),
            figures,
            layer,
            logs,
        };
        let disk = FileSystem { capacity_bytes: 1_000, available_bytes: 300, inodes: 10, inodes_free: 4 };
        let (interface, host) = (
            Interface { name: "eth0".to_owned(), rx_bytes: 1, rx_errors: 2, tx_bytes: 3, tx_errors: 4 },
            Host { booted: at(7), processes: Processes { running: 8, max: 100 }, ..Host::default() },
        );
        let node = NodeStats {
            name: "box".to_owned(),
            now: at(60),
            host,
            figures: figures(machine),
            pods: figures(group),
            interfaces: vec![interface],
            disk: Some(NodeDisk { pods: disk, images: FileSystem { inodes: 0, ..disk } }),
        };
        let pod = PodStats {
            namespace: "default".to_owned(),
            name: "web".to_owned(),
            uid: "u1".to_owned(),
            started: Some(at(20)),
            figures: figures(group),
            containers: vec![
                container("main", figures(group), Some(tree(60, 5)), Some(tree(40, 1))),
                container("side", None, None, None),
            ],
            volumes: vec![("data".to_owned(), tree(20, 2))],
            memory_volumes: vec![(
                "cache".to_owned(),
                FileSystem { capacity_bytes: 64, available_bytes: 48, inodes: 8, inodes_free: 6 },
            )],
        };
        Stats { node, pods: vec![pod] }
    }
}
