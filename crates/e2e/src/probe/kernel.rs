//! What the kernel has made for the container: namespaces, cgroup, mounts.

use std::fs;

use serde_json::{Map, Value, json};

use super::{failure, object, text};

/// Those of a v2 group, and of the directory of each v1 hierarchy.
const CGROUP_FILES: [&str; 16] = [
    "cpu.max",
    "cpu.weight",
    "memory.max",
    "memory.swap.max",
    "memory.oom.group",
    "pids.max",
    "cpu/cpu.shares",
    "cpu/cpu.cfs_quota_us",
    "cpu/cpu.cfs_period_us",
    "memory/memory.limit_in_bytes",
    "memory/memory.memsw.limit_in_bytes",
    "memory/memory.use_hierarchy",
    "memory/memory.oom_control",
    "pids/pids.max",
    "cpuset/cpuset.cpus",
    "cpuset/cpuset.mems",
];

/// `net` to `net:[4026531840]`.
pub(super) fn namespaces() -> Value {
    let entries = fs::read_dir("/proc/self/ns").into_iter().flatten().flatten();
    object(entries.map(|entry| {
        let target = fs::read_link(entry.path())
            .map_or_else(|error| failure(&error), |target| target.display().to_string());
        (entry.file_name().to_string_lossy().into_owned(), json!(target))
    }))
}

pub(super) fn cgroup() -> Value {
    let membership = text("/proc/self/cgroup");
    // Hierarchies are numbered as they were made on this machine.
    let memberships = membership.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let entries = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let is_v2 = names.iter().any(|name| name == "cgroup.procs");
    json!({
        "membership": object(memberships.map(|(name, path)| (name.to_owned(), json!(path)))),
        "names": if is_v2 { json!("v2") } else { object(names.iter().map(|name| (name.clone(), json!(kind(name))))) },
        "values": object(CGROUP_FILES.map(|name| (name.to_owned(), json!(text(format!("/sys/fs/cgroup/{name}")))))),
    })
}

fn kind(name: &str) -> String {
    let path = format!("/sys/fs/cgroup/{name}");
    match fs::read_link(&path) {
        Ok(target) => format!("link to {}", target.display()),
        Err(_) if fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) => "directory".to_owned(),
        Err(_) => "file".to_owned(),
    }
}

/// Mount point to the mounts there, lowest first.
pub(super) fn mounts() -> Value {
    let mut mounts: Map<String, Value> = Map::new();
    for mount in text("/proc/self/mountinfo").lines().filter_map(mount) {
        let at = mount["at"].as_str().unwrap_or_default().to_owned();
        let there = mounts.entry(at).or_insert_with(|| json!([]));
        if let Some(list) = there.as_array_mut() {
            list.push(mount);
        }
    }
    Value::Object(mounts)
}

/// `36 35 98:0 /root /at rw,noatime shared:1 - ext3 /dev/root rw,errors=continue`, without numbers.
fn mount(line: &str) -> Option<Value> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mount: Vec<&str> = mount.split(' ').collect();
    let file_system: Vec<&str> = file_system.split(' ').collect();
    let [_, _, _, root, at, options, propagation @ ..] = mount.as_slice() else { return None };
    let [kind, source, superblock] = file_system.as_slice() else { return None };
    let propagation: Vec<&str> = propagation.iter().filter_map(|tag| tag.split(':').next()).collect();
    Some(json!({
        "at": at,
        "root": root,
        "type": kind,
        "source": source,
        "options": sorted(options),
        "superblock": sorted(superblock),
        "propagation": propagation,
    }))
}

fn sorted(options: &str) -> Vec<&str> {
    let mut options: Vec<&str> = options.split(',').collect();
    options.sort_unstable();
    options
}
