//! Ways to the machine's files, processes, sockets and memory.

use std::fs;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use linux_sys::inspect::{Argument, Call, number as sys};
use rustix::io::Errno;

use super::{Attack, For, Seen, Target, calls, errno_of, judge, number};

/// Before there are descriptors of our own.
pub(super) const FIRST: &[Attack] =
    &[Attack { name: "descriptors of the runtime", allowed: For::Nobody, run: descriptors }];

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "a file of the machine",
        allowed: For::Nobody,
        run: |target| secret(target, Path::new("/")),
    },
    Attack { name: "a file of the machine by ..", allowed: For::Nobody, run: up },
    Attack { name: "a file of the machine by leaving a chroot", allowed: For::Nobody, run: chroot },
    Attack { name: "a file of the machine by the root of a process", allowed: For::Host, run: by_roots },
    Attack {
        name: "a file of the machine by descriptors of a process",
        allowed: For::Host,
        run: by_descriptors,
    },
    Attack { name: "signal a process of the machine", allowed: For::Host, run: signal },
    Attack { name: "signal every process", allowed: For::Host, run: signal_all },
    Attack { name: "trace a process of the machine", allowed: For::Host, run: trace },
    Attack { name: "read memory of a process of the machine", allowed: For::Host, run: read_memory },
    Attack { name: "an abstract socket of the machine", allowed: For::Host, run: abstract_socket },
    Attack { name: "the machine's loopback", allowed: For::Host, run: loopback },
    Attack { name: "shared memory of the machine", allowed: For::Host, run: segment },
];

fn descriptors(_: &Target) -> Seen {
    const OWN: [&str; 3] = ["0", "1", "2"];
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let (name, leads) = (entry.file_name(), fs::read_link(entry.path()).unwrap_or_default());
        // The last is the directory that is being read.
        if !OWN.iter().any(|own| name == *own) && !leads.ends_with("fd") {
            found.push(leads.display().to_string());
        }
    }
    if found.is_empty() { Seen::Stopped("none".to_owned()) } else { Seen::Through(found.join(" ")) }
}

/// Below `root`.
fn secret(target: &Target, root: &Path) -> Seen {
    let path = root.join(target.secret.strip_prefix("/").unwrap_or(&target.secret));
    match fs::read_to_string(&path) {
        Ok(text) if text == target.text => Seen::Through(String::new()),
        Ok(_) => Seen::Stopped("another file".to_owned()),
        Err(error) => judge(Err(errno_of(&error)), &[]),
    }
}

fn up(target: &Target) -> Seen {
    const DEPTH: usize = 40;
    secret(target, &PathBuf::from("../".repeat(DEPTH)))
}

/// A working directory that is left outside leads up, past the new root, to the container's own and no further.
fn chroot(target: &Target) -> Seen {
    let secret = [b"../".repeat(8), target.secret.as_os_str().as_encoded_bytes().to_vec(), vec![0]].concat();
    let to_tmp = [Argument::Memory(b"/tmp\0")];
    let at_fdcwd = (-100_i64).cast_unsigned();
    let open = [number(at_fdcwd), Argument::Memory(&secret), number(0)];
    let sequence =
        [Call { number: sys::CHROOT, arguments: &to_tmp }, Call { number: sys::OPENAT, arguments: &open }];
    calls(&sequence, &[])
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    numbers.map(|entry| entry.path())
}

fn by_roots(target: &Target) -> Seen {
    best(processes().map(|process| secret(target, &process.join("root"))))
}

fn by_descriptors(target: &Target) -> Seen {
    let of_process = |process: PathBuf| {
        let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        descriptors.map(|descriptor| descriptor.path()).collect::<Vec<_>>()
    };
    // A directory may be open, or the file itself.
    best(processes().flat_map(of_process).map(|path| {
        let is_it = fs::read_link(&path).is_ok_and(|leads| leads == target.secret);
        if is_it && fs::read_to_string(&path).is_ok_and(|text| text == target.text) {
            Seen::Through(String::new())
        } else {
            Seen::Stopped("another file".to_owned())
        }
    }))
}

fn best(all: impl Iterator<Item = Seen>) -> Seen {
    let mut all = all.peekable();
    if all.peek().is_none() {
        return Seen::Stopped("nothing to try".to_owned());
    }
    all.find(|seen| matches!(seen, Seen::Through(_)))
        .unwrap_or_else(|| Seen::Stopped("none leads there".to_owned()))
}

fn process(target: &Target) -> Argument<'static> {
    number(target.process.unsigned_abs().into())
}

/// With no signal: only whether it could be sent.
fn signal(target: &Target) -> Seen {
    calls(&[Call { number: sys::KILL, arguments: &[process(target), number(0)] }], &[])
}

/// From a process that is alone with the first.
fn signal_all(_: &Target) -> Seen {
    let everyone = number((-1_i64).cast_unsigned());
    calls(&[Call { number: sys::KILL, arguments: &[everyone, number(0)] }], &[])
}

fn trace(target: &Target) -> Seen {
    const PTRACE_SEIZE: u64 = 0x4206;
    let arguments = [number(PTRACE_SEIZE), process(target), number(0), number(0)];
    calls(&[Call { number: sys::PTRACE, arguments: &arguments }], &[])
}

/// At an address where there is nothing.
fn read_memory(target: &Target) -> Seen {
    let buffer = [0_u8; 8];
    let local = [buffer.as_ptr() as u64, 8].map(u64::to_ne_bytes).concat();
    let remote = [16_u64, 8].map(u64::to_ne_bytes).concat();
    let one = number(1);
    let arguments =
        [process(target), Argument::Memory(&local), one, Argument::Memory(&remote), one, number(0)];
    calls(&[Call { number: sys::PROCESS_VM_READV, arguments: &arguments }], &[Errno::FAULT])
}

fn abstract_socket(target: &Target) -> Seen {
    let connected =
        SocketAddr::from_abstract_name(&target.socket).and_then(|address| UnixStream::connect_addr(&address));
    judge(connected.map(drop).map_err(|error| errno_of(&error)), &[])
}

fn loopback(target: &Target) -> Seen {
    let connected = TcpStream::connect(("127.0.0.1", target.port));
    judge(connected.map(drop).map_err(|error| errno_of(&error)), &[])
}

fn segment(target: &Target) -> Seen {
    let arguments = [number(target.segment.into()), number(0), number(0)];
    calls(&[Call { number: sys::SHMGET, arguments: &arguments }], &[])
}
