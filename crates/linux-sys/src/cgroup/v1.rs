//! What is particular to v1: its files, and cpuset groups that start unusable.

use std::fs;
use std::io;
use std::path::Path;

use super::limits::{Limits, Write};
use crate::device_filter::DeviceRule;

/// In the order in which the kernel accepts them.
pub(super) fn writes(limits: &Limits) -> Vec<Write> {
    let mut writes = Vec::new();
    if let Some(shares) = limits.cpu_shares {
        writes.push(Write::required("cpu", "cpu.shares", shares));
    }
    if let Some(period) = limits.cpu_period_us {
        writes.push(Write::required("cpu", "cpu.cfs_period_us", period));
    }
    if let Some(quota) = limits.cpu_quota_us {
        writes.push(Write::required("cpu", "cpu.cfs_quota_us", quota));
    }
    if let Some(bytes) = limits.memory_limit_bytes {
        writes.push(Write::required("memory", "memory.limit_in_bytes", bytes));
        // May not be below the one before; there only with swap accounting.
        writes.push(Write::optional("memory", "memory.memsw.limit_in_bytes", bytes));
    }
    writes.extend(limits.devices.iter().map(device_write));
    writes
}

fn device_write(rule: &DeviceRule) -> Write {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let file = if rule.allow { "devices.allow" } else { "devices.deny" };
    let value = format!("{} {}:{} {}", rule.kind, number(rule.major), number(rule.minor), rule.access);
    Write::required("devices", file, value)
}

/// Gives a new cpuset group its parent's processors and memory nodes; without, nothing can join it.
pub(super) fn inherit_cpuset(parent: &Path, child: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if fs::read_to_string(child.join(file))?.trim().is_empty() {
            fs::write(child.join(file), fs::read_to_string(parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::writes;
    use crate::cgroup::Limits;
    use crate::device_filter::DeviceRule;

    #[test]
    fn swap_is_limited_after_memory_and_rules_keep_their_order() {
        let rule = |allow, kind, major, minor, access: &str| DeviceRule {
            allow,
            kind,
            major,
            minor,
            access: access.to_owned(),
        };
        let limits = Limits {
            cpu_shares: Some(512),
            cpu_quota_us: Some(50_000),
            cpu_period_us: Some(100_000),
            memory_limit_bytes: Some(1 << 20),
            oom_ends_all: true,
            devices: vec![rule(false, 'a', None, None, "rwm"), rule(true, 'c', Some(1), Some(3), "rw")],
        };
        let lines: Vec<String> =
            writes(&limits).iter().map(|write| format!("{} {}", write.file, write.value)).collect();
        assert_eq!(
            lines,
            [
                "cpu.shares 512",
                "cpu.cfs_period_us 100000",
                "cpu.cfs_quota_us 50000",
                "memory.limit_in_bytes 1048576",
                "memory.memsw.limit_in_bytes 1048576",
                "devices.deny a *:* rwm",
                "devices.allow c 1:3 rw",
            ]
        );
        assert!(writes(&Limits::default()).is_empty());
    }
}
