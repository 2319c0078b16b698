//! What `fsGroup` makes of modes
//! (<https://kubernetes.io/docs/tasks/configure-pod-container/security-context/>).

/// What is made in a directory of the group is the group's.
const SET_GID: u32 = 0o2000;
const READ_WRITE: u32 = 0o660;
const READ: u32 = 0o440;
const ENTER: u32 = 0o110;

/// Of a volume that containers write to.
pub(crate) fn directory(mode: u32, group: Option<u32>) -> u32 {
    with(mode, SET_GID | READ_WRITE | ENTER, group)
}

/// Of a file in a volume that containers write to.
pub(crate) fn file(mode: u32, group: Option<u32>) -> u32 {
    with(mode, READ_WRITE, group)
}

/// Of a directory in a volume that containers only read.
pub(crate) fn read_only_directory(mode: u32, group: Option<u32>) -> u32 {
    with(mode, SET_GID | READ | ENTER, group)
}

/// Of a file in a volume that containers only read.
pub(crate) fn read_only_file(mode: u32, group: Option<u32>) -> u32 {
    with(mode, READ, group)
}

fn with(mode: u32, more: u32, group: Option<u32>) -> u32 {
    group.map_or(mode, |_| mode | more)
}
