//! System calls that change the machine, its mounts or its time, or read what is others'.

use linux_sys::inspect::{Argument, Call, number as sys};
use rustix::io::Errno;

use super::{Attack, For, Seen, Target, calls, number};

// By number, as in capabilities(7).
const DAC_READ_SEARCH: For = For::Capability(2);
const NET_ADMIN: For = For::Capability(12);
const NET_RAW: For = For::Capability(13);
const SYS_MODULE: For = For::Capability(16);
const SYS_CHROOT: For = For::Capability(18);
const SYS_PACCT: For = For::Capability(20);
const SYS_ADMIN: For = For::Capability(21);
const SYS_BOOT: For = For::Capability(22);
const SYS_TIME: For = For::Capability(25);
const SYSLOG: For = For::Capability(34);
#[cfg(target_arch = "x86_64")]
const SYS_RAWIO: For = For::Capability(17);

const AT_FDCWD: u64 = (-100_i64).cast_unsigned();
const NOTHING: u64 = 0;
const MS_REMOUNT_BIND: u64 = 0x1020;
const MNT_DETACH: u64 = 2;
const CLONE_NEWUSER_NEWNS: u64 = 0x1002_0000;
const AF_INET: u64 = 2;
const AF_PACKET: u64 = 17;
const AF_VSOCK: u64 = 40;
const SOCK_STREAM: u64 = 1;
const SOCK_DGRAM: u64 = 2;
const SOCK_RAW: u64 = 3;
const SESSION_KEYRING: u64 = (-3_i64).cast_unsigned();

macro_rules! attack {
    ($name:literal, $allowed:expr, $run:expr) => {
        Attack { name: $name, allowed: $allowed, run: $run }
    };
}

pub(super) const ATTACKS: &[Attack] = &[
    attack!("reboot", SYS_BOOT, reboot),
    attack!("kexec", For::Privileged, |_| one(sys::KEXEC_LOAD, &[0, 17, 0, 0], &[Errno::INVAL])),
    attack!("init_module", SYS_MODULE, init_module),
    attack!("delete_module", SYS_MODULE, delete_module),
    attack!("swapon", For::Privileged, |_| path(sys::SWAPON, b"/no-such-e2e\0", 0)),
    attack!("swapoff", For::Privileged, |_| path(sys::SWAPOFF, b"/no-such-e2e\0", 0)),
    attack!("acct", SYS_PACCT, |_| one(sys::ACCT, &[NOTHING], &[])),
    attack!("settimeofday", SYS_TIME, |_| one(sys::SETTIMEOFDAY, &[NOTHING, NOTHING], &[])),
    attack!("clock_adjtime", SYS_TIME, clock_adjtime),
    attack!("syslog", SYSLOG, |_| one(sys::SYSLOG, &[8, 0, 0], &[Errno::INVAL])),
    attack!("quotactl", SYS_ADMIN, quotactl),
    attack!("bpf map", SYS_ADMIN, bpf),
    attack!("perf_event_open of a processor", SYS_ADMIN, perf),
    attack!("userfaultfd", For::Privileged, |_| one(sys::USERFAULTFD, &[0], &[])),
    attack!("io_uring_setup", For::Privileged, io_uring),
    attack!("add_key", For::Privileged, add_key),
    attack!("request_key", For::Privileged, request_key),
    attack!("keyctl", For::Privileged, |_| one(sys::KEYCTL, &[0, SESSION_KEYRING, 0], &[])),
    attack!("sethostname", SYS_ADMIN, sethostname),
    attack!("setdomainname", SYS_ADMIN, setdomainname),
    attack!("mount tmpfs", SYS_ADMIN, |_| calls(&[mount(b"tmpfs\0", 0)], &[])),
    attack!("mount proc", SYS_ADMIN, |_| calls(&[mount(b"proc\0", 0)], &[])),
    attack!("mount sysfs", SYS_ADMIN, |_| calls(&[mount(b"sysfs\0", 0)], &[])),
    attack!("bind mount", SYS_ADMIN, bind),
    attack!("remount /proc/sys writable", SYS_ADMIN, |_| remount(b"/proc/sys\0")),
    attack!("remount /sys writable", SYS_ADMIN, |_| remount(b"/sys\0")),
    attack!("mount_setattr /proc/sys writable", SYS_ADMIN, mount_setattr),
    attack!("umount what hides /proc/keys", SYS_ADMIN, |_| path(sys::UMOUNT, b"/proc/keys\0", MNT_DETACH)),
    attack!("umount what protects /proc/sys", SYS_ADMIN, |_| path(sys::UMOUNT, b"/proc/sys\0", MNT_DETACH)),
    attack!("fsopen", SYS_ADMIN, |_| path(sys::FSOPEN, b"tmpfs\0", 0)),
    attack!("open_tree", SYS_ADMIN, open_tree),
    attack!("move_mount", SYS_ADMIN, move_mount),
    attack!("pivot_root", For::Privileged, pivot_root),
    attack!("unshare user and mount namespaces, then mount", SYS_ADMIN, unshare),
    attack!("enter the mount namespace of process 1", SYS_ADMIN, setns),
    attack!("chroot", SYS_CHROOT, |_| path(sys::CHROOT, b"/\0", 0)),
    attack!("open by handle", DAC_READ_SEARCH, open_by_handle),
    attack!("raw socket", NET_RAW, |_| socket(AF_INET, SOCK_RAW, 1)),
    attack!("packet socket", NET_RAW, |_| socket(AF_PACKET, SOCK_RAW, 0x300)),
    attack!("vsock", For::Privileged, |_| socket(AF_VSOCK, SOCK_STREAM, 0)),
    attack!("change an interface", NET_ADMIN, set_mtu),
    #[cfg(target_arch = "x86_64")]
    attack!("iopl", SYS_RAWIO, |_| one(sys::IOPL, &[3], &[])),
    #[cfg(target_arch = "x86_64")]
    attack!("ioperm", SYS_RAWIO, |_| one(sys::IOPERM, &[0x80, 1, 1], &[])),
];

/// A call with numbers alone.
fn one(number_of: i64, arguments: &[u64], passed: &[Errno]) -> Seen {
    let arguments: Vec<Argument<'_>> = arguments.iter().copied().map(number).collect();
    calls(&[Call { number: number_of, arguments: &arguments }], passed)
}

/// A call on a path that need not be there.
fn path(number_of: i64, path: &[u8], flags: u64) -> Seen {
    let arguments = [Argument::Memory(path), number(flags)];
    calls(&[Call { number: number_of, arguments: &arguments }], &[Errno::NOENT, Errno::INVAL])
}

/// With a command that there is not.
fn reboot(_: &Target) -> Seen {
    one(sys::REBOOT, &[0xfee1_dead, 672_274_793, 0xbad, 0], &[Errno::INVAL])
}

fn init_module(_: &Target) -> Seen {
    let arguments = [number(NOTHING), number(NOTHING), Argument::Memory(b"\0")];
    calls(
        &[Call { number: sys::INIT_MODULE, arguments: &arguments }],
        &[Errno::NOEXEC, Errno::INVAL, Errno::FAULT],
    )
}

fn delete_module(_: &Target) -> Seen {
    let arguments = [Argument::Memory(b"no_such_e2e\0"), number(0)];
    calls(&[Call { number: sys::DELETE_MODULE, arguments: &arguments }], &[Errno::NOENT])
}

/// To a length of the tick that is refused.
fn clock_adjtime(_: &Target) -> Seen {
    const ADJ_TICK: u8 = 0x40;
    let mut timex = [0_u8; 256];
    timex[1] = ADJ_TICK;
    let arguments = [number(0), Argument::Memory(&timex)];
    calls(&[Call { number: sys::CLOCK_ADJTIME, arguments: &arguments }], &[Errno::INVAL])
}

fn quotactl(_: &Target) -> Seen {
    const Q_GETINFO: u64 = 0x8000_0500;
    let memory = [0_u8; 64];
    let arguments =
        [number(Q_GETINFO), Argument::Memory(b"/no-such-e2e\0"), number(0), Argument::Memory(&memory)];
    calls(&[Call { number: sys::QUOTACTL, arguments: &arguments }], &[Errno::NOENT, Errno::NOTBLK])
}

/// An array of one.
fn bpf(_: &Target) -> Seen {
    let attributes = [2_u32, 4, 4, 1, 0].map(u32::to_ne_bytes).concat();
    let arguments = [number(0), Argument::Memory(&attributes), number(20)];
    calls(&[Call { number: sys::BPF, arguments: &arguments }], &[])
}

fn perf(_: &Target) -> Seen {
    const SIZE: u64 = 112;
    const SOFTWARE: u32 = 1;
    let mut attributes = [SOFTWARE, 112].map(u32::to_ne_bytes).concat();
    attributes.resize(usize::try_from(SIZE).unwrap_or_default(), 0);
    let everyone = (-1_i64).cast_unsigned();
    let arguments = [Argument::Memory(&attributes), number(everyone), number(0), number(everyone), number(0)];
    calls(&[Call { number: sys::PERF_EVENT_OPEN, arguments: &arguments }], &[])
}

fn io_uring(_: &Target) -> Seen {
    let parameters = [0_u8; 120];
    let arguments = [number(8), Argument::Memory(&parameters)];
    calls(&[Call { number: sys::IO_URING_SETUP, arguments: &arguments }], &[])
}

fn add_key(_: &Target) -> Seen {
    let arguments = [
        Argument::Memory(b"user\0"),
        Argument::Memory(b"e2e\0"),
        Argument::Memory(b"x"),
        number(1),
        number(SESSION_KEYRING),
    ];
    calls(&[Call { number: sys::ADD_KEY, arguments: &arguments }], &[])
}

fn request_key(_: &Target) -> Seen {
    let arguments = [Argument::Memory(b"user\0"), Argument::Memory(b"no-such-e2e\0"), number(0), number(0)];
    calls(&[Call { number: sys::REQUEST_KEY, arguments: &arguments }], &[Errno::NOKEY])
}

/// The pod's.
fn sethostname(_: &Target) -> Seen {
    let name = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    let length = name.iter().take_while(|byte| **byte != b'\n').count() as u64;
    let arguments = [Argument::Memory(&name), number(length)];
    calls(&[Call { number: sys::SETHOSTNAME, arguments: &arguments }], &[])
}

fn setdomainname(_: &Target) -> Seen {
    let arguments = [Argument::Memory(b"(none)"), number(6)];
    calls(&[Call { number: sys::SETDOMAINNAME, arguments: &arguments }], &[])
}

/// Over `/tmp`, in the container's mount namespace: what is tried after it does not need it.
fn mount(file_system: &'static [u8], flags: u64) -> Call<'static> {
    // One for each file system: they have to outlive the call.
    let arguments: &[Argument<'_>] = match (file_system, flags) {
        (b"proc\0", _) => &[TMP, TMP_TARGET, Argument::Memory(b"proc\0"), Argument::Number(0)],
        (b"sysfs\0", _) => &[TMP, TMP_TARGET, Argument::Memory(b"sysfs\0"), Argument::Number(0)],
        _ => &[TMP, TMP_TARGET, Argument::Memory(b"tmpfs\0"), Argument::Number(0)],
    };
    Call { number: sys::MOUNT, arguments }
}

const TMP: Argument<'static> = Argument::Memory(b"e2e\0");
const TMP_TARGET: Argument<'static> = Argument::Memory(b"/mnt\0");

fn bind(_: &Target) -> Seen {
    const MS_BIND: u64 = 0x1000;
    let arguments = [Argument::Memory(b"/etc\0"), TMP_TARGET, number(0), number(MS_BIND)];
    calls(&[Call { number: sys::MOUNT, arguments: &arguments }], &[])
}

fn remount(path: &[u8]) -> Seen {
    let arguments = [number(0), Argument::Memory(path), number(0), number(MS_REMOUNT_BIND)];
    // What is no mount of its own is none to be remounted: it was not protected.
    calls(&[Call { number: sys::MOUNT, arguments: &arguments }], &[Errno::INVAL])
}

fn mount_setattr(_: &Target) -> Seen {
    const RDONLY: u64 = 1;
    let attributes = [0, RDONLY, 0, 0].map(u64::to_ne_bytes).concat();
    let arguments = [
        number(AT_FDCWD),
        Argument::Memory(b"/proc/sys\0"),
        number(0),
        Argument::Memory(&attributes),
        number(attributes.len() as u64),
    ];
    calls(&[Call { number: sys::MOUNT_SETATTR, arguments: &arguments }], &[Errno::INVAL])
}

const CLONE: u64 = 1;

fn open_tree(_: &Target) -> Seen {
    let arguments = [number(AT_FDCWD), Argument::Memory(b"/\0"), number(CLONE)];
    calls(&[Call { number: sys::OPEN_TREE, arguments: &arguments }], &[])
}

/// A copy of `/etc`, over `/mnt`.
fn move_mount(_: &Target) -> Seen {
    let tree = [number(AT_FDCWD), Argument::Memory(b"/etc\0"), number(CLONE)];
    const F_EMPTY_PATH: u64 = 4;
    let to = [
        Argument::Returned(0),
        Argument::Memory(b"\0"),
        number(AT_FDCWD),
        Argument::Memory(b"/mnt\0"),
        number(F_EMPTY_PATH),
    ];
    let tree = Call { number: sys::OPEN_TREE, arguments: &tree };
    calls(&[tree, Call { number: sys::MOVE_MOUNT, arguments: &to }], &[])
}

fn pivot_root(_: &Target) -> Seen {
    let arguments = [Argument::Memory(b"/\0"), Argument::Memory(b"/no-such-e2e\0")];
    calls(
        &[Call { number: sys::PIVOT_ROOT, arguments: &arguments }],
        &[Errno::NOENT, Errno::INVAL, Errno::BUSY],
    )
}

fn unshare(_: &Target) -> Seen {
    let new = [number(CLONE_NEWUSER_NEWNS)];
    calls(&[Call { number: sys::UNSHARE, arguments: &new }, mount(b"tmpfs\0", 0)], &[])
}

fn setns(_: &Target) -> Seen {
    const CLONE_NEWNS: u64 = 0x2_0000;
    let open = [number(AT_FDCWD), Argument::Memory(b"/proc/1/ns/mnt\0"), number(0)];
    let enter = [Argument::Returned(0), number(CLONE_NEWNS)];
    let open = Call { number: sys::OPENAT, arguments: &open };
    calls(&[open, Call { number: sys::SETNS, arguments: &enter }], &[])
}

/// Of a file that is the machine's: from its handle, and the mount it is on, without a path.
fn open_by_handle(_: &Target) -> Seen {
    const HANDLE_BYTES: u32 = 128;
    let mut handle = HANDLE_BYTES.to_ne_bytes().to_vec();
    handle.resize(8 + HANDLE_BYTES as usize, 0);
    let mount_id = [0_u8; 8];
    let file = Argument::Memory(b"/etc/hosts\0");
    let open = [number(AT_FDCWD), file, number(0)];
    let name = [number(AT_FDCWD), file, Argument::Memory(&handle), Argument::Memory(&mount_id), number(0)];
    let by_handle = [Argument::Returned(0), Argument::Memory(&handle), number(0)];
    let sequence = [
        Call { number: sys::OPENAT, arguments: &open },
        Call { number: sys::NAME_TO_HANDLE_AT, arguments: &name },
        Call { number: sys::OPEN_BY_HANDLE_AT, arguments: &by_handle },
    ];
    calls(&sequence, &[])
}

fn socket(family: u64, kind: u64, protocol: u64) -> Seen {
    one(sys::SOCKET, &[family, kind, protocol], &[])
}

/// Loopback's, which is the pod's, to what it is.
fn set_mtu(_: &Target) -> Seen {
    const SIOCSIFMTU: u64 = 0x8922;
    let mut request = b"lo".to_vec();
    request.resize(16, 0);
    request.extend(65536_u32.to_ne_bytes());
    request.resize(40, 0);
    let socket = [number(AF_INET), number(SOCK_DGRAM), number(0)];
    let change = [Argument::Returned(0), number(SIOCSIFMTU), Argument::Memory(&request)];
    let socket = Call { number: sys::SOCKET, arguments: &socket };
    calls(&[socket, Call { number: sys::IOCTL, arguments: &change }], &[])
}
