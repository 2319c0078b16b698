//! What is particular to v2: its files, and controllers that have to be handed down.

use std::fs;
use std::io;
use std::path::Path;

use super::limits::{Limits, Resource, SHARES_DEFAULT, Write, weight_from_shares};

/// The controllers groups are limited by.
pub(super) const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

const NO_LIMIT: &str = "max";

pub(super) fn writes(limits: &Limits) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Some(shares) = limits.cpu_shares {
        writes.push(Write::required("cpu", "cpu.weight", weight_from_shares(shares)));
    }
    if limits.cpu_quota_us.is_some() {
        writes.push(Write::required("cpu", "cpu.max", cpu_max(limits)));
    }
    if let Some(bytes) = limits.memory_limit_bytes {
        writes.push(Write::required("memory", "memory.max", bytes));
        writes.push(Write::optional("memory", "memory.swap.max", 0));
    }
    if let Some(count) = limits.processes_max {
        writes.push(Write::required("pids", "pids.max", count));
    }
    if limits.oom_ends_all {
        writes.push(Write::optional("memory", "memory.oom.group", 1));
    }
    writes
}

fn cpu_max(limits: &Limits) -> String {
    let quota = limits.cpu_quota_us.map_or_else(|| NO_LIMIT.to_owned(), |quota| quota.to_string());
    format!("{quota} {}", limits.period_us())
}

/// From one limit to another.
pub(super) fn changes(resource: Resource, from: &Limits, to: &Limits) -> Vec<Write> {
    let mut writes = Vec::new();
    match resource {
        Resource::Cpu => {
            if from.cpu_shares != to.cpu_shares {
                let weight = weight_from_shares(to.cpu_shares.unwrap_or(SHARES_DEFAULT));
                writes.push(Write::required("cpu", "cpu.weight", weight));
            }
            if cpu_max(from) != cpu_max(to) {
                writes.push(Write::required("cpu", "cpu.max", cpu_max(to)));
            }
        }
        Resource::Memory if from.memory_limit_bytes == to.memory_limit_bytes => {}
        Resource::Memory => {
            let limit = to.memory_limit_bytes.map_or_else(|| NO_LIMIT.to_owned(), |bytes| bytes.to_string());
            let swap = if to.memory_limit_bytes.is_some() { "0" } else { NO_LIMIT };
            writes.push(Write::required("memory", "memory.max", limit));
            writes.push(Write::optional("memory", "memory.swap.max", swap.to_owned()));
        }
    }
    writes
}

/// Hands the controllers `parent` has down to its children. What cannot be handed down (this
/// parent holds processes and is not the root, or does not have it) is found missing later.
pub(super) fn hand_down(parent: &Path) -> io::Result<()> {
    let has = fs::read_to_string(parent.join("cgroup.controllers"))?;
    let given = fs::read_to_string(parent.join("cgroup.subtree_control"))?;
    for controller in CONTROLLERS.into_iter().filter(|name| lists(&has, name) && !lists(&given, name)) {
        match fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn lists(controllers: &str, name: &str) -> bool {
    controllers.split_ascii_whitespace().any(|controller| controller == name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{changes, hand_down, writes};
    use crate::cgroup::{Limits, Resource};

    #[test]
    fn only_what_differs_is_written() {
        let none = Limits::default();
        let some = Limits {
            cpu_shares: Some(512),
            cpu_quota_us: Some(20_000),
            cpu_period_us: Some(100_000),
            memory_limit_bytes: Some(1 << 20),
            ..Limits::default()
        };
        let change = |resource, from: &Limits, to: &Limits| -> Vec<String> {
            changes(resource, from, to)
                .iter()
                .map(|write| format!("{} {}", write.file, write.value))
                .collect()
        };
        assert_eq!(change(Resource::Cpu, &none, &some), ["cpu.weight 59", "cpu.max 20000 100000"]);
        assert_eq!(change(Resource::Cpu, &some, &none), ["cpu.weight 100", "cpu.max max 100000"]);
        assert_eq!(change(Resource::Memory, &none, &some), ["memory.max 1048576", "memory.swap.max 0"]);
        assert_eq!(change(Resource::Memory, &some, &none), ["memory.max max", "memory.swap.max max"]);
        for resource in [Resource::Cpu, Resource::Memory] {
            assert!(change(resource, &some, &some).is_empty());
        }
    }

    #[test]
    fn limits_use_the_words_of_v2() {
        let limits = Limits {
            cpu_shares: Some(1024),
            cpu_quota_us: Some(20_000),
            memory_limit_bytes: Some(1 << 20),
            processes_max: Some(99),
            oom_ends_all: true,
            ..Limits::default()
        };
        let lines: Vec<String> =
            writes(&limits).iter().map(|write| format!("{} {}", write.file, write.value)).collect();
        assert_eq!(
            lines,
            [
                "cpu.weight 100",
                "cpu.max 20000 100000",
                "memory.max 1048576",
                "memory.swap.max 0",
                "pids.max 99",
                "memory.oom.group 1"
            ]
        );
    }

    #[test]
    fn only_what_is_there_and_not_yet_given_is_handed_down() {
        let directory = std::env::temp_dir().join(format!("linux-sys-hand-down-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let control = directory.join("cgroup.subtree_control");
        fs::write(directory.join("cgroup.controllers"), "cpuset io memory pids\n").unwrap();
        fs::write(&control, "memory\n").unwrap();
        hand_down(&directory).unwrap();
        assert_eq!(fs::read_to_string(&control).unwrap(), "+pids");
        fs::write(&control, "memory pids\n").unwrap();
        hand_down(&directory).unwrap();
        assert_eq!(fs::read_to_string(&control).unwrap(), "memory pids\n");
        fs::remove_dir_all(directory).unwrap();
    }
}
