//! `mount_setattr(2)`; the rest of the mount API is in [`rustix::mount`].

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

/// `struct mount_attr`; `libc` has it for some targets only.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

pub const RDONLY: u64 = 0x1;
pub const NOSUID: u64 = 0x2;
pub const NODEV: u64 = 0x4;
pub const NOEXEC: u64 = 0x8;
/// Instead of `relatime`.
pub const STRICTATIME: u64 = 0x20;

const ID_MAP: u64 = 0x10_0000;

/// Whether a change covers one mount or everything mounted below it too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    Mount,
    Tree,
}

/// Refers (`O_PATH`) to a file of the host in a read-only copy of its mount, which is mounted nowhere.
/// Whoever gets hold of a descriptor opened through it, or of a process that executes it, can write to a
/// device but change neither content, owner nor mode. Async-signal-safe.
///
/// # Errors
/// `EINVAL` when the file is in no mount of this mount namespace; `EPERM` without `CAP_SYS_ADMIN`.
pub fn lend(path: &CStr) -> Result<OwnedFd, Errno> {
    let copy = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    set_private(copy.as_fd(), Extent::Mount)?;
    set_attributes(copy.as_fd(), RDONLY | NOSUID, Extent::Mount)?;
    Ok(copy)
}

/// Adds attributes to the mount at `fd`. Async-signal-safe.
///
/// # Errors
/// `mount_setattr(2)`'s; `EINVAL` when `fd` is not the root of a mount.
pub fn set_attributes(fd: BorrowedFd<'_>, attributes: u64, extent: Extent) -> Result<(), Errno> {
    setattr(fd, extent, &MountAttr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 })
}

/// Cuts the mount at `fd` off from mounts made elsewhere, and the reverse. Async-signal-safe.
///
/// # Errors
/// `mount_setattr(2)`'s; `EINVAL` when `fd` is not the root of a mount.
pub fn set_private(fd: BorrowedFd<'_>, extent: Extent) -> Result<(), Errno> {
    setattr(fd, extent, &MountAttr { attr_set: 0, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 })
}

/// Mounts made below where the tree at `fd` is from show up in it, and never the other way round.
/// Async-signal-safe.
///
/// # Errors
/// `mount_setattr(2)`'s; `EINVAL` when `fd` is not the root of a mount.
pub fn set_slave(fd: BorrowedFd<'_>, extent: Extent) -> Result<(), Errno> {
    setattr(fd, extent, &MountAttr { attr_set: 0, attr_clr: 0, propagation: libc::MS_SLAVE, userns_fd: 0 })
}

/// Has the ids of files shown, and taken, as the user namespace at `users` maps them: what is 0 on the file system
/// is 0 in the namespace. Async-signal-safe.
///
/// # Errors
/// `mount_setattr(2)`'s; `EINVAL` for a file system that cannot do that, or a mount that is mounted somewhere.
pub fn set_id_map(fd: BorrowedFd<'_>, users: BorrowedFd<'_>, extent: Extent) -> Result<(), Errno> {
    let userns_fd = u64::try_from(users.as_raw_fd()).map_err(|_| Errno::BADF)?;
    setattr(fd, extent, &MountAttr { attr_set: ID_MAP, attr_clr: 0, propagation: 0, userns_fd })
}

/// Whether tmpfs is among the file systems that [`set_id_map`] works for: from Linux 6.3 on.
#[must_use]
pub fn tmpfs_maps_ids() -> bool {
    let kernel = rustix::system::uname();
    let release = kernel.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 3)
}

fn setattr(fd: BorrowedFd<'_>, extent: Extent, attributes: &MountAttr) -> Result<(), Errno> {
    let flags = match extent {
        Extent::Mount => libc::AT_EMPTY_PATH,
        Extent::Tree => libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
    };
    // SAFETY: the path is a C string, the attributes are borrowed for the call, their size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(crate::last_errno()) }
}
