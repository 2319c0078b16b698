//! Containers by other runtimes: the configuration of a container as an OCI runtime specification
//! (<https://github.com/opencontainers/runtime-spec/blob/main/spec.md>), and running it.

mod enter;
mod facts;
mod mounts;
mod runtime;
mod seccomp;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use container_config::{CapabilitySets, ContainerConfig, DeviceRule, Process};
use serde_json::{Map, Value, json};

pub(crate) use enter::{Launch, launch};
pub(crate) use facts::{PodFacts, container_config};
pub(crate) use runtime::{Outcome, Runtime};

/// Where a container is made: what its configuration leaves to whoever carries it out.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The upper and the work directory of each of the root's layers but the first.
    pub(crate) inner_layers: Vec<(PathBuf, PathBuf)>,
    pub(crate) termination_log: PathBuf,
    /// Type and path of those to join; the others of a container are new ones.
    pub(crate) joined: Vec<(&'static str, PathBuf)>,
    /// From each hierarchy's root.
    pub(crate) cgroup: PathBuf,
    pub(crate) cgroup_v2: bool,
    /// Whether `oom_score_adj` may fall below that of this process, and hard limits rise.
    pub(crate) has_sys_resource: bool,
}

/// `config.json` of the bundle, whose root is `rootfs`.
pub(crate) fn spec(config: &ContainerConfig, place: &Place) -> Value {
    let mut linux = json!({
        "namespaces": namespaces(place),
        "cgroupsPath": place.cgroup,
        "resources": resources(config, place.cgroup_v2),
        "maskedPaths": config.masked_paths,
        "readonlyPaths": config.readonly_paths,
    });
    if !config.process.seccomp.is_empty() {
        linux["seccomp"] = seccomp::profile(config.process.capabilities.bounding);
    }
    json!({
        "ociVersion": "1.0.2",
        "process": process(&config.process, config.tty, place.has_sys_resource),
        "root": {"path": "rootfs", "readonly": config.root.read_only},
        "mounts": mounts::mounts(config, place),
        "linux": linux,
    })
}

fn process(process: &Process, tty: bool, has_sys_resource: bool) -> Value {
    let mut spec = json!({
        "terminal": tty,
        "user": {"uid": process.uid, "gid": process.gid, "additionalGids": process.groups, "umask": process.umask},
        "args": process.args,
        "env": process.env,
        "cwd": process.cwd,
        "capabilities": capabilities(process.capabilities),
        "noNewPrivileges": process.no_new_privileges,
        "rlimits": process.rlimits.iter().map(|limit| json!({
            "type": RLIMITS[limit.resource as usize], "soft": limit.soft, "hard": limit.hard,
        })).collect::<Vec<_>>(),
    });
    // Other runtimes fail where this one leaves a value that it may not set as it was.
    if has_sys_resource || process.oom_score_adj >= 0 {
        spec["oomScoreAdj"] = json!(process.oom_score_adj);
    }
    spec
}

/// By number, on every architecture this builds for.
const RLIMITS: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// By number, as in capabilities(7).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

fn capabilities(sets: CapabilitySets) -> Value {
    let names = |set: u64| {
        let held = CAPABILITIES.iter().enumerate().filter(|(number, _)| set & (1 << number) != 0);
        held.map(|(_, name)| *name).collect::<Vec<_>>()
    };
    json!({
        "bounding": names(sets.bounding),
        "effective": names(sets.effective),
        "permitted": names(sets.permitted),
    })
}

fn namespaces(place: &Place) -> Vec<Value> {
    let mut kinds = vec!["mount", "pid"];
    if place.cgroup_v2 {
        kinds.push("cgroup");
    }
    kinds.retain(|kind| !place.joined.iter().any(|(joined, _)| joined == kind));
    let joined = place.joined.iter().map(|(kind, path)| json!({"type": kind, "path": path}));
    kinds.iter().map(|kind| json!({"type": kind})).chain(joined).collect()
}

fn resources(config: &ContainerConfig, cgroup_v2: bool) -> Value {
    let limits = &config.resources;
    let mut resources = Map::new();
    // No rules are none here, and those of the runtime there.
    let every = config.privileged.then(|| json!({"allow": true, "access": "rwm"}));
    resources.insert("devices".into(), limits.devices.iter().map(device).chain(every).collect());
    let cpu =
        [("shares", limits.cpu_shares), ("quota", limits.cpu_quota_us), ("period", limits.cpu_period_us)];
    resources.insert("cpu".into(), given(cpu));
    // No swap beside it.
    let memory = [("limit", limits.memory_limit_bytes), ("swap", limits.memory_limit_bytes)];
    resources.insert("memory".into(), given(memory));
    if cgroup_v2 && limits.oom_ends_all {
        resources.insert("unified".into(), json!({"memory.oom.group": "1"}));
    }
    Value::Object(resources)
}

fn given<const N: usize>(values: [(&str, Option<u64>); N]) -> Value {
    values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect()
}

fn device(rule: &DeviceRule) -> Value {
    let mut device = json!({"allow": rule.allow, "type": rule.kind.to_string(), "access": rule.access});
    for (name, number) in [("major", rule.major), ("minor", rule.minor)] {
        if let Some(number) = number {
            device[name] = json!(number);
        }
    }
    device
}
