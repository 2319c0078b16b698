//! What is particular to v1: its files, and cpuset groups that start unusable.

use std::fs;
use std::io;
use std::path::Path;

use super::limits::{Limits, Resource, SHARES_DEFAULT, Write};
use crate::device_filter::DeviceRule;

const NO_LIMIT: &str = "-1";

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
    if let Some(count) = limits.processes_max {
        writes.push(Write::required("pids", "pids.max", count));
    }
    writes.extend(limits.devices.iter().map(device_write));
    writes
}

/// From one limit to another, in an order in which the kernel accepts it whatever both are.
pub(super) fn changes(resource: Resource, from: &Limits, to: &Limits) -> Vec<Write> {
    match resource {
        Resource::Cpu => cpu_changes(from, to),
        Resource::Memory => memory_changes(from, to),
    }
}

fn cpu_changes(from: &Limits, to: &Limits) -> Vec<Write> {
    let mut writes = Vec::new();
    if from.cpu_shares != to.cpu_shares {
        writes.push(Write::required("cpu", "cpu.shares", to.cpu_shares.unwrap_or(SHARES_DEFAULT)));
    }
    let no_quota = || Write::required("cpu", "cpu.cfs_quota_us", NO_LIMIT.to_owned());
    let other_period = from.period_us() != to.period_us();
    if from.cpu_quota_us.is_some() && (other_period || to.cpu_quota_us.is_none()) {
        writes.push(no_quota());
    }
    if other_period {
        writes.push(Write::required("cpu", "cpu.cfs_period_us", to.period_us()));
    }
    if let Some(quota) = to.cpu_quota_us.filter(|_| other_period || from.cpu_quota_us != to.cpu_quota_us) {
        writes.push(Write::required("cpu", "cpu.cfs_quota_us", quota));
    }
    writes
}

/// The limit of memory and swap together may never be below that of memory.
fn memory_changes(from: &Limits, to: &Limits) -> Vec<Write> {
    if from.memory_limit_bytes == to.memory_limit_bytes {
        return Vec::new();
    }
    let value = to.memory_limit_bytes.map_or_else(|| NO_LIMIT.to_owned(), |bytes| bytes.to_string());
    let memory = Write::required("memory", "memory.limit_in_bytes", value.clone());
    let with_swap = Write::optional("memory", "memory.memsw.limit_in_bytes", value);
    if to.has_less_memory_than(from) { vec![memory, with_swap] } else { vec![with_swap, memory] }
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
    use super::{changes, writes};
    use crate::cgroup::{Limits, Resource};
    use crate::device_filter::DeviceRule;

    fn change(resource: Resource, from: &Limits, to: &Limits) -> Vec<String> {
        changes(resource, from, to).iter().map(|write| format!("{} {}", write.file, write.value)).collect()
    }

    #[test]
    fn a_limit_grows_with_swap_first_and_shrinks_with_memory_first() {
        let limits = |bytes| Limits { memory_limit_bytes: bytes, ..Limits::default() };
        let change = |from, to| change(Resource::Memory, &limits(from), &limits(to));
        assert_eq!(change(Some(1), Some(2)), ["memory.memsw.limit_in_bytes 2", "memory.limit_in_bytes 2"]);
        assert_eq!(change(Some(2), Some(1)), ["memory.limit_in_bytes 1", "memory.memsw.limit_in_bytes 1"]);
        assert_eq!(change(None, Some(1)), ["memory.limit_in_bytes 1", "memory.memsw.limit_in_bytes 1"]);
        assert_eq!(change(Some(1), None), ["memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes -1"]);
        assert!(change(Some(1), Some(1)).is_empty());
    }

    #[test]
    fn only_what_differs_of_cpu_is_written() {
        let limits = |shares, quota, period| Limits {
            cpu_shares: shares,
            cpu_quota_us: quota,
            cpu_period_us: period,
            ..Limits::default()
        };
        let change = |from, to| change(Resource::Cpu, &from, &to);
        let (full, half) = (Some(100_000), Some(50_000));
        assert_eq!(
            change(limits(Some(2), full, full), limits(Some(3), half, full)),
            ["cpu.shares 3", "cpu.cfs_quota_us 50000"]
        );
        assert_eq!(
            change(limits(Some(2), full, full), limits(None, None, None)),
            ["cpu.shares 1024", "cpu.cfs_quota_us -1"]
        );
        assert_eq!(change(limits(None, None, None), limits(None, half, full)), ["cpu.cfs_quota_us 50000"]);
        // A quota is never seen with the other's period.
        assert_eq!(
            change(limits(None, full, full), limits(None, full, half)),
            ["cpu.cfs_quota_us -1", "cpu.cfs_period_us 50000", "cpu.cfs_quota_us 100000"]
        );
        assert!(change(limits(None, full, full), limits(None, full, None)).is_empty());
    }

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
            processes_max: Some(99),
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
                "pids.max 99",
                "devices.deny a *:* rwm",
                "devices.allow c 1:3 rw",
            ]
        );
        assert!(writes(&Limits::default()).is_empty());
    }
}
