//! What is particular to v2: its files, and controllers that have to be handed down.

use std::fs;
use std::io;
use std::path::Path;

use super::limits::{CPU_PERIOD_DEFAULT_US, Limits, Write, weight_from_shares};

/// The controllers groups are limited by.
pub(super) const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

pub(super) fn writes(limits: &Limits) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Some(shares) = limits.cpu_shares {
        writes.push(Write::required("cpu", "cpu.weight", weight_from_shares(shares)));
    }
    let period = limits.cpu_period_us.unwrap_or(CPU_PERIOD_DEFAULT_US);
    if let Some(quota) = limits.cpu_quota_us {
        writes.push(Write::required("cpu", "cpu.max", format!("{quota} {period}")));
    }
    if let Some(bytes) = limits.memory_limit_bytes {
        writes.push(Write::required("memory", "memory.max", bytes));
        writes.push(Write::optional("memory", "memory.swap.max", 0));
    }
    if limits.oom_ends_all {
        writes.push(Write::optional("memory", "memory.oom.group", 1));
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

    use super::{hand_down, writes};
    use crate::cgroup::Limits;

    #[test]
    fn limits_use_the_words_of_v2() {
        let limits = Limits {
            cpu_shares: Some(1024),
            cpu_quota_us: Some(20_000),
            memory_limit_bytes: Some(1 << 20),
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
