//! Making and joining namespaces.

use std::io::{self, Write as _};
use std::ops::BitOr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// A set of namespace kinds (`CLONE_NEW*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Namespaces(u32);

impl Namespaces {
    pub const NONE: Self = Self(0);
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u32);
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u32);
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u32);
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u32);
    pub const PID: Self = Self(libc::CLONE_NEWPID as u32);
    pub const NET: Self = Self(libc::CLONE_NEWNET as u32);
    /// Made or joined before the others of its set, which are then its.
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u32);

    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for Namespaces {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Moves this thread into new namespaces ([`Namespaces::PID`]: its future children). Async-signal-safe.
///
/// # Errors
/// `unshare(2)`'s.
pub fn unshare(namespaces: Namespaces) -> rustix::io::Result<()> {
    let flags = rustix::thread::UnshareFlags::from_bits_retain(namespaces.bits());
    // SAFETY: the flags are of namespaces only; descriptors and memory stay shared.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Moves this thread into namespaces of a process ([`Namespaces::PID`]: its future children), or,
/// with a descriptor from `/proc/PID/ns`, into that namespace. Async-signal-safe.
///
/// # Errors
/// `setns(2)`'s; `ESRCH` when the process has ended.
pub fn setns(fd: BorrowedFd<'_>, namespaces: Namespaces) -> rustix::io::Result<()> {
    // SAFETY: setns takes no pointers; the descriptor is borrowed for the call.
    let result = unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), namespaces.bits()) };
    if result == 0 { Ok(()) } else { Err(crate::last_errno()) }
}

/// A TCP socket of another network namespace: non-blocking, closed on exec. This thread goes there and comes back
/// `home`, where it was before. One that could not would be in a foreign network for whatever it does next, so the process
/// ends instead; the kernel has no reason for that but to be out of memory.
///
/// # Errors
/// `setns(2)`'s and `socket(2)`'s.
pub fn tcp_socket(
    netns: BorrowedFd<'_>,
    home: BorrowedFd<'_>,
    family: AddressFamily,
) -> rustix::io::Result<OwnedFd> {
    setns(netns, Namespaces::NET)?;
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None);
    if let Err(error) = setns(home, Namespaces::NET) {
        let _ = writeln!(io::stderr(), "a thread cannot come back from the network of a pod: {error}");
        std::process::abort();
    }
    socket
}

/// Sets the `lo` interface of this thread's network namespace up.
///
/// # Errors
/// Without `CAP_NET_ADMIN` over the namespace.
pub fn set_loopback_up() -> io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: ifreq is plain data for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = byte.cast_signed() as libc::c_char;
    }
    interface_ioctl(socket.as_fd(), libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS filled in the flags member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    interface_ioctl(socket.as_fd(), libc::SIOCSIFFLAGS, &mut request)
}

fn interface_ioctl(
    socket: BorrowedFd<'_>,
    operation: libc::c_ulong,
    request: &mut libc::ifreq,
) -> io::Result<()> {
    // SAFETY: both operations read and write one ifreq, which is borrowed for the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), operation as _, std::ptr::from_mut(request)) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
