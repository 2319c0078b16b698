//! Files: what can be read, written and made, and what was already open.

use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open, unlink};
use serde_json::{Value, json};

use super::{errno, failure, object, outcome, text};

/// What runtimes hide or make read-only, what they must not, and what tells one from another.
const PATHS: [&str; 58] = [
    "/",
    "/bin",
    "/dev",
    "/dev/console",
    "/dev/full",
    "/dev/mqueue",
    "/dev/null",
    "/dev/pts",
    "/dev/shm",
    "/dev/stdin",
    "/dev/stdout",
    "/dev/termination-log",
    "/etc",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc",
    "/proc/1/environ",
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/cpuinfo",
    "/proc/fs",
    "/proc/interrupts",
    "/proc/irq",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/self/oom_score_adj",
    "/proc/self/setgroups",
    "/proc/sys",
    "/proc/sys/fs/binfmt_misc",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/domainname",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/msgmax",
    "/proc/sys/kernel/shmmax",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    "/proc/sys/net/ipv4/ping_group_range",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/run",
    "/sys",
    "/sys/class/net",
    "/sys/devices/system/cpu/cpu0/thermal_throttle",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/cgroup.procs",
    "/tmp",
    "/usr",
];
const WRITABLE: [&str; 14] = [
    "/",
    "/dev",
    "/dev/mqueue",
    "/dev/pts",
    "/dev/shm",
    "/etc",
    "/proc",
    "/run",
    "/sys",
    "/sys/fs/cgroup",
    "/sys/fs/cgroup/memory",
    "/tmp",
    "/usr",
    "/var",
];
/// A descriptor past this one was leaked by nobody we know.
const DESCRIPTORS_MAX: u32 = 4096;

/// Number to what is open there.
pub(super) fn descriptors() -> Value {
    let numbers = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let mut numbers: Vec<u32> =
        numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.retain(|number| *number < DESCRIPTORS_MAX);
    // The one that listed them is closed again.
    let there = |number: &u32| fs::read_link(format!("/proc/self/fd/{number}")).is_ok();
    object(
        numbers.iter().filter(|number| there(number)).map(|number| (number.to_string(), descriptor(*number))),
    )
}

fn descriptor(number: u32) -> Value {
    let path = format!("/proc/self/fd/{number}");
    let target = fs::read_link(&path).map_or_else(|error| failure(&error), |to| to.display().to_string());
    let information = text(format!("/proc/self/fdinfo/{number}"));
    let flags = information.lines().find_map(|line| line.strip_prefix("flags:"));
    // Of a pipe, the number says nothing.
    let target = target.split_once(":[").map_or(target.as_str(), |(kind, _)| kind);
    json!({
        "target": target,
        "flags": flags.map(str::trim),
        "file": fs::metadata(&path).map_or_else(|error| failure(&error), |metadata| describe(&metadata)),
        "opened_again": again(&path),
    })
}

/// Opens what a descriptor refers to by its name, as `/dev/stdout` does.
fn again(path: &str) -> Value {
    let open = |flags| outcome(open(path, flags | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty()));
    json!({"read": open(OFlags::RDONLY), "write": open(OFlags::WRONLY)})
}

pub(super) fn paths() -> Value {
    object(PATHS.map(|path| (path.to_owned(), look(path))))
}

fn look(path: &str) -> Value {
    let file = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return json!(failure(&error)),
    };
    let contents = if file.is_dir() {
        let count = fs::read_dir(path).map(Iterator::count);
        count.map_or_else(
            |error| failure(&error),
            |count| if count == 0 { "empty" } else { "names" }.to_owned(),
        )
    } else {
        read_some(path)
    };
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    json!({
        "file": describe(&file),
        "contents": contents,
        "write": outcome(open(path, flags, Mode::empty())),
        "file_system": rustix::fs::statfs(path).map_or_else(errno, |found| format!("{:#x}", found.f_type)),
        "read_only": rustix::fs::statvfs(path)
            .map_or_else(errno, |found| found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY).to_string()),
    })
}

/// Whether anything comes.
fn read_some(path: &str) -> String {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut bytes = [0; 16];
    let read = open(path, flags, Mode::empty()).and_then(|file| rustix::io::read(file, &mut bytes));
    read.map_or_else(errno, |count| if count == 0 { "empty" } else { "bytes" }.to_owned())
}

/// Where a file can be made.
pub(super) fn created() -> Value {
    object(WRITABLE.map(|directory| {
        let path = Path::new(directory).join("e2e-probe");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let made = open(&path, flags, Mode::from_raw_mode(0o666));
        let file = fs::metadata(&path).map(|metadata| describe(&metadata)).unwrap_or_default();
        let result = outcome(made.and_then(|_| unlink(&path)));
        (directory.to_owned(), json!(format!("{result} {file}").trim()))
    }))
}

/// Kind, mode, owner, and the number of a device: `character 666 0:0 1:3`.
pub(super) fn describe(metadata: &Metadata) -> String {
    let kind = metadata.file_type();
    let name = if kind.is_dir() {
        "directory"
    } else if kind.is_char_device() {
        "character"
    } else if kind.is_block_device() {
        "block"
    } else if kind.is_fifo() {
        "pipe"
    } else if kind.is_socket() {
        "socket"
    } else if kind.is_symlink() {
        "link"
    } else {
        "file"
    };
    let mut text = format!("{name} {:o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    if kind.is_char_device() || kind.is_block_device() {
        let number = metadata.rdev();
        text.push_str(&format!(" {}:{}", rustix::fs::major(number), rustix::fs::minor(number)));
    }
    text
}
