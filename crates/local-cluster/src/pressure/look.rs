//! What is left of the machine, and what each pod has of it.

use std::path::Path;

use kubelet::PodView;
use linux_sys::tree_usage::{TreeUsage, tree_usage};
use podspec::quantity::Quantity;
use podspec::{Container, PodSpec};
use scheduler::pressure::{Candidate, Level, Levels, Signal, Starved, Used};
use scheduler::requests_of;

use crate::stats::{Trees, images_dir};
use crate::usage::disk::{FileSystem, is_apart};
use crate::usage::host::{Memory, Processes};
use crate::usage::pods::{Running, running_of};
use crate::usage::sampler;

/// Names that are looked at in one tree. A pod with more is known by that alone.
const ENTRIES_MAX: usize = 4_000_000;

/// What cannot be found out is not there.
pub(super) fn levels(data_dir: &Path) -> Levels {
    let images_dir = images_dir(data_dir);
    // Where both are one, what is left is looked at once, as that of the pods.
    let images = is_apart(data_dir, &images_dir).then(|| FileSystem::of(&images_dir).ok()).flatten();
    levels_of(&Memory::read(), FileSystem::of(data_dir).ok(), images, &Processes::read())
}

fn levels_of(
    memory: &Memory,
    pods: Option<FileSystem>,
    images: Option<FileSystem>,
    processes: &Processes,
) -> Levels {
    let bytes = |disk: Option<FileSystem>| disk.map(|disk| (disk.available_bytes, disk.capacity_bytes));
    let inodes = |disk: Option<FileSystem>| disk.map(|disk| (disk.inodes_free, disk.inodes));
    let seen = [
        (Signal::MemoryAvailable, Some((memory.available(), memory.total))),
        (Signal::NodefsAvailable, bytes(pods)),
        (Signal::NodefsInodesFree, inodes(pods)),
        (Signal::ImagefsAvailable, bytes(images)),
        (Signal::ImagefsInodesFree, inodes(images)),
        (Signal::PidAvailable, Some((processes.max.saturating_sub(processes.running), processes.max))),
    ];
    // Of what there is nothing at all there is no limit, or nothing was read.
    let seen = seen.into_iter().filter_map(|(signal, level)| Some((signal, level?)));
    let known = seen.filter(|(_, (_, capacity))| *capacity > 0);
    known.map(|(signal, (available, capacity))| (signal, Level { available, capacity })).collect()
}

/// Whether the end of a pod gives some of it back. An image file system of its own holds nothing of theirs.
pub(super) fn is_of_pods(signal: Signal) -> bool {
    !matches!(signal, Signal::ImagefsAvailable | Signal::ImagefsInodesFree)
}

/// Whether the end of unused images gives some of it back.
pub(super) fn holds_images(signal: Signal, levels: &Levels) -> bool {
    match signal {
        Signal::ImagefsAvailable | Signal::ImagefsInodesFree => true,
        Signal::NodefsAvailable | Signal::NodefsInodesFree => !levels.contains_key(&Signal::ImagefsAvailable),
        Signal::MemoryAvailable | Signal::PidAvailable => false,
    }
}

/// What each of these pods has of what `signal` is about, in their order.
pub(super) fn candidates(signal: Signal, active: &[PodView], priorities: &[i32]) -> Vec<Candidate> {
    let starved = signal.starved();
    let candidate = |(view, priority): (&PodView, &i32)| {
        let pod = &view.pod.pod;
        let running = running_of(view);
        let (usage, containers) = match starved {
            Starved::Memory => memory(view, &running),
            Starved::Pids => (pod_usage(view).and_then(|usage| usage.processes), Vec::new()),
            Starved::EphemeralStorage | Starved::Inodes => disk(starved, view, &running),
        };
        let is_memory = starved == Starved::Memory;
        Candidate {
            name: pod.name.to_string(),
            priority: *priority,
            usage,
            request: match starved {
                Starved::Memory | Starved::EphemeralStorage => requests_of(&pod.spec).amount(starved.name()),
                Starved::Inodes | Starved::Pids => 0,
            },
            pod_request: pod.spec.resources.as_ref().and_then(|own| own.memory_request).filter(|_| is_memory),
            containers,
        }
    };
    active.iter().zip(priorities).map(candidate).collect()
}

fn pod_usage(view: &PodView) -> Option<linux_sys::cgroup::Usage> {
    let group = container_config::pod_cgroup(&view.pod.pod.uid);
    sampler::read(&[group]).pop().flatten().map(|reading| reading.usage)
}

fn memory(view: &PodView, running: &[Running]) -> (Option<u64>, Vec<Used>) {
    let groups: Vec<String> = running.iter().map(|container| container.group.clone()).collect();
    let readings = sampler::read(&groups);
    let used = running.iter().zip(readings).filter_map(|(container, reading)| {
        let usage = reading?.usage.working_set_bytes?;
        let request = named(&view.pod.pod.spec, &container.name)?.resources.memory_request.unwrap_or(0);
        Some(Used { name: container.name.clone(), usage, request })
    });
    (pod_usage(view).and_then(|usage| usage.working_set_bytes), used.collect())
}

/// `None` of an ephemeral container, which requests nothing and is never told of.
fn named<'a>(spec: &'a PodSpec, name: &str) -> Option<&'a Container> {
    spec.init_and_app_containers().find(|container| container.name.as_str() == name)
}

fn disk(starved: Starved, view: &PodView, running: &[Running]) -> (Option<u64>, Vec<Used>) {
    let trees = Trees::of(&view.pod, running.iter().map(|of| (of.name.as_str(), of.attempt)));
    let held = |path: &Path| tree_usage(path, ENTRIES_MAX, u64::MAX).ok();
    let amount = |usage: TreeUsage| if starved == Starved::Inodes { usage.inodes } else { usage.bytes };
    let mut all = Some(TreeUsage::default());
    let mut add = |usage: Option<TreeUsage>| all = all.zip(usage).map(|(all, usage)| all.plus(usage));
    trees.volumes.iter().for_each(|(_, path)| add(held(path)));
    let mut containers = Vec::new();
    for (container, (layer, logs)) in running.iter().zip(&trees.containers) {
        let own = held(layer).zip(held(logs)).map(|(layer, logs)| layer.plus(logs));
        add(own);
        let of = named(&view.pod.pod.spec, &container.name).filter(|_| starved == Starved::EphemeralStorage);
        if let (Some(own), Some(of)) = (own, of) {
            let request = of.other_resources.storage_request().map_or(0, Quantity::to_units);
            containers.push(Used { name: container.name.clone(), usage: own.bytes, request });
        }
    }
    (all.map(amount), containers)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use scheduler::pressure::{Level, Signal};

    use super::{levels, levels_of};
    use crate::usage::disk::FileSystem;
    use crate::usage::host::{Memory, Processes};

    #[test]
    fn what_was_not_read_is_no_level() {
        let memory = Memory { total: 100, working_set: 70, kernel_available: 20, ..Memory::default() };
        let disk = FileSystem { capacity_bytes: 50, available_bytes: 10, inodes: 0, inodes_free: 0 };
        let levels = levels_of(&memory, Some(disk), None, &Processes::default());
        let expected = [
            (Signal::MemoryAvailable, Level { available: 20, capacity: 100 }),
            (Signal::NodefsAvailable, Level { available: 10, capacity: 50 }),
        ];
        assert_eq!(levels.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn images_on_the_file_system_of_the_pods_are_not_looked_at_apart() {
        let levels = levels(Path::new("/tmp"));
        assert!(
            levels.contains_key(&Signal::MemoryAvailable) && levels.contains_key(&Signal::NodefsAvailable)
        );
        assert!(!levels.contains_key(&Signal::ImagefsAvailable), "{levels:?}");
    }
}
