//! Files of the kernel's: what changes the machine, what tells of it, and devices.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat, open, unlink};
use rustix::io::Errno;

use super::{Attack, For, Seen, Target, errno_of, judge, shown};

macro_rules! write {
    ($($path:literal),* $(,)?) => {
        [$(Attack { name: concat!("write ", $path), allowed: For::Privileged, run: |_| writable($path) }),*]
    };
}
macro_rules! read {
    ($($path:literal),* $(,)?) => {
        [$(Attack { name: concat!("read ", $path), allowed: For::Privileged, run: |_| readable($path) }),*]
    };
}

const WRITES: [Attack; 18] = write!(
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/fs/suid_dumpable",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity",
    "/proc/fs/nfsd/threads",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/profiling",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/kexec_crash_size",
    "/sys/power/state",
    "/sys/class/net/lo/mtu",
    "/sys/module/kernel/parameters/panic",
);
const READS: [Attack; 13] = read!(
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/latency_stats",
    "/proc/interrupts",
    "/proc/scsi/scsi",
    "/proc/acpi",
    "/proc/asound",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/sys/kernel/debug/sched/debug",
);
const OTHERS: [Attack; 7] = [
    Attack { name: "write a file of the cgroup", allowed: For::Privileged, run: cgroup },
    Attack {
        name: "open /dev/mem",
        allowed: For::Privileged,
        run: |_| device(FileType::CharacterDevice, 1, 1),
    },
    Attack {
        name: "open /dev/port",
        allowed: For::Privileged,
        run: |_| device(FileType::CharacterDevice, 1, 4),
    },
    Attack {
        name: "open /dev/kmsg",
        allowed: For::Privileged,
        run: |_| device(FileType::CharacterDevice, 1, 11),
    },
    Attack {
        name: "open the console",
        allowed: For::Privileged,
        run: |_| device(FileType::CharacterDevice, 5, 1),
    },
    Attack {
        name: "open /dev/fuse",
        allowed: For::Privileged,
        run: |_| device(FileType::CharacterDevice, 10, 229),
    },
    Attack { name: "open a disk", allowed: For::Privileged, run: disk },
];
const COUNT: usize = WRITES.len() + READS.len() + OTHERS.len();

pub(super) const ATTACKS: &[Attack] = &{
    let mut all = [OTHERS[0]; COUNT];
    let mut at = 0;
    while at < COUNT {
        all[at] = if at < WRITES.len() {
            WRITES[at]
        } else if at < WRITES.len() + READS.len() {
            READS[at - WRITES.len()]
        } else {
            OTHERS[at - WRITES.len() - READS.len()]
        };
        at += 1;
    }
    all
};

/// Opened for it: nothing is written.
fn writable(path: &str) -> Seen {
    match open(path, OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty()) {
        // Hidden behind what swallows everything.
        Ok(_) if is_null(path) => Seen::Stopped("hidden".to_owned()),
        Err(Errno::NOENT) => Seen::Absent(shown(Errno::NOENT)),
        other => judge(other.map(drop), &[]),
    }
}

fn is_null(path: &str) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).is_ok_and(|found| found.rdev() == makedev(1, 3))
}

/// A byte of a file, or the name of something in a directory.
fn readable(path: &str) -> Seen {
    let path = Path::new(path);
    let failed = |error: std::io::Error| match errno_of(&error) {
        Errno::NOENT => Seen::Absent(shown(Errno::NOENT)),
        errno => judge(Err(errno), &[]),
    };
    if path.is_dir() {
        return match fs::read_dir(path) {
            Ok(mut entries) => match entries.next() {
                Some(_) => Seen::Through(String::new()),
                None => Seen::Stopped("empty".to_owned()),
            },
            Err(error) => failed(error),
        };
    }
    match fs::File::open(path).and_then(|mut file| file.read(&mut [0; 64])) {
        Ok(0) => Seen::Stopped("empty".to_owned()),
        Ok(_) => Seen::Through(String::new()),
        Err(error) => failed(error),
    }
}

/// Of any of them below `/sys/fs/cgroup`: to leave the group, to raise a limit, to have a program started.
fn cgroup(_: &Target) -> Seen {
    const DEPTH_MAX: usize = 3;
    let mut refused = None;
    match first_writable(Path::new("/sys/fs/cgroup"), DEPTH_MAX, &mut refused) {
        Some(name) => Seen::Through(name),
        None => judge(Err(refused.unwrap_or(Errno::NOSYS)), &[]),
    }
}

fn first_writable(directory: &Path, depth: usize, refused: &mut Option<Errno>) -> Option<String> {
    let mut entries: Vec<_> = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.into_iter().find_map(|path| {
        if path.is_dir() && !path.is_symlink() {
            return if depth == 0 { None } else { first_writable(&path, depth - 1, refused) };
        }
        // Nobody writes to what only tells something.
        use std::os::unix::fs::PermissionsExt as _;
        if path.is_symlink() || path.metadata().ok()?.permissions().mode() & 0o222 == 0 {
            return None;
        }
        match open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(_) => Some(String::new()),
            Err(errno) => {
                refused.get_or_insert(errno);
                None
            }
        }
    })
}

fn disk(target: &Target) -> Seen {
    device(FileType::BlockDevice, target.disk.0, target.disk.1)
}

/// By a node of the container's own making.
fn device(kind: FileType, major: u32, minor: u32) -> Seen {
    const NODE: &str = "/tmp/e2e-attack-node";
    if let Err(errno) = mknodat(CWD, NODE, kind, Mode::from_raw_mode(0o666), makedev(major, minor)) {
        return Seen::Stopped(format!("making the node: {}", shown(errno)));
    }
    let opened =
        open(NODE, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    let _ = unlink(NODE);
    // Also let through: to a driver that is not there, or that has nothing to say.
    judge(opened.map(drop), &[Errno::NXIO, Errno::NODEV, Errno::BUSY, Errno::NOMEDIUM])
}
