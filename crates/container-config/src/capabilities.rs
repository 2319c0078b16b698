//! Linux capabilities of a container
//! (<https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#set-capabilities-for-a-container>).

use podspec::SecurityContext;

use crate::config::CapabilitySets;
use crate::error::ConfigError;

/// By number, as in capabilities(7).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// In a user namespace of its own a pod can have every one, over what belongs to the namespace.
pub(crate) const ALL: u64 = (1 << NAMES.len()) - 1;

/// What every container has unless it drops it: the field's common default.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The bit of a capability named as in capabilities(7) without `CAP_`.
///
/// # Panics
/// At compile time, for a name that is none: call it in constants only.
pub(crate) const fn bit(name: &str) -> u64 {
    let mut number = 0;
    while number < NAMES.len() {
        if equal(NAMES[number], name) {
            return 1 << number;
        }
        number += 1;
    }
    panic!("not a capability's name")
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

const DEFAULT_BITS: u64 = {
    let (mut bits, mut at) = (0, 0);
    while at < DEFAULT.len() {
        bits |= bit(DEFAULT[at]);
        at += 1;
    }
    bits
};

/// `ALL` first, whether added or dropped, then the single names added, then those dropped, so that
/// `drop: [ALL], add: [CHOWN]` leaves one. A process that is not root starts without any, but may
/// gain those of the bounding set from a file, as Kubernetes has no ambient capabilities. A privileged one begins with
/// all, and may drop some.
pub(crate) fn sets(
    security: &SecurityContext,
    uid: u32,
    available: u64,
) -> Result<CapabilitySets, ConfigError> {
    let asked = &security.capabilities;
    let mut bounding = if security.privileged { available } else { DEFAULT_BITS & available };
    if asked.add.iter().any(|name| is_all(name)) {
        bounding = available;
    }
    if asked.drop.iter().any(|name| is_all(name)) {
        bounding = 0;
    }
    for name in asked.add.iter().filter(|name| !is_all(name)) {
        let added = parse(name)?;
        if added & available == 0 {
            return Err(ConfigError::UnavailableCapability { name: name.clone() });
        }
        bounding |= added;
    }
    for name in asked.drop.iter().filter(|name| !is_all(name)) {
        bounding &= !parse(name)?;
    }
    let held = if uid == 0 { bounding } else { 0 };
    Ok(CapabilitySets { bounding, effective: held, permitted: held })
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("ALL")
}

/// Of a capability named without `CAP_`.
pub(crate) fn number(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))
}

fn parse(name: &str) -> Result<u64, ConfigError> {
    number(name)
        .map(|number| 1 << number)
        .ok_or_else(|| ConfigError::UnknownCapability { name: name.to_owned() })
}
