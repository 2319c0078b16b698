//! The steps that mount. Async-signal-safe.
//!
//! Targets are resolved inside the root by the kernel and mounted on by descriptor, so that no link
//! in an image or a volume leads a mount out of the container.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

use linux_sys::in_root::{self, Missing};
use linux_sys::mount::{self, Extent};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, fstatfs, makedev, mkdirat, mknodat, open,
    openat, symlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change,
    move_mount, open_tree, unmount,
};

use super::devices::Node;
use super::mount_data::MountData;
use super::step::{Bind, NewMount, Overlay, OverlayTarget, Source, V1Hierarchy};

/// What the steps of one child share. Its vector must not grow beyond its capacity.
#[derive(Debug)]
pub(super) struct Root<'p> {
    root: Option<OwnedFd>,
    /// The pod's user namespace.
    users: Option<BorrowedFd<'p>>,
    /// The root's overlays, for making them read-only at the end.
    overlays: Vec<OwnedFd>,
    /// An empty read-only tmpfs that hides a directory already.
    empty: Option<OwnedFd>,
    /// The container's own `/dev/null`.
    null: Option<OwnedFd>,
    /// The host's, each to be mounted once, where its root cannot be reached any more.
    lent_nulls: Vec<OwnedFd>,
}

const PROC_MAGIC: i64 = 0x9fa0;
/// Name, major and minor of the nodes in /dev, all of them character devices for everybody.
const DEVICES: [(&CStr, u32, u32); 6] = [
    (c"null", 1, 3),
    (c"zero", 1, 5),
    (c"full", 1, 7),
    (c"random", 1, 8),
    (c"urandom", 1, 9),
    (c"tty", 5, 0),
];
const DEVICE_LINKS: [(&CStr, &CStr); 6] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
    (c"core", c"/proc/kcore"),
];

impl<'p> Root<'p> {
    pub(super) fn new(overlays: usize, users: Option<BorrowedFd<'p>>) -> Self {
        let overlays = Vec::with_capacity(overlays);
        Self { root: None, users, overlays, empty: None, null: None, lent_nulls: Vec::new() }
    }

    pub(super) fn users(&self) -> Result<BorrowedFd<'p>, Errno> {
        self.users.ok_or(Errno::BADF)
    }

    /// For so many of [`Self::mask`] in a mount namespace that has none of the host's files. Allocates.
    pub(super) fn lend_nulls(&mut self, count: usize) -> Result<(), Errno> {
        self.lent_nulls = (0..count).map(|_| mount::lend(c"/dev/null")).collect::<Result<_, _>>()?;
        Ok(())
    }

    pub(super) fn fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.root.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// The current root of this process.
    pub(super) fn open_current(&mut self) -> Result<(), Errno> {
        self.root = Some(open_directory(c"/")?);
        Ok(())
    }

    /// Covers `/proc` of a mount namespace of our own, where nothing looks for it any more.
    pub(super) fn mount_empty(&mut self) -> Result<(), Errno> {
        let mount = new_mount(c"tmpfs", &[], mount::RDONLY | mount::NOSUID | mount::NODEV | mount::NOEXEC)?;
        attach(mount.as_fd(), open_directory(c"/proc")?.as_fd())?;
        self.root = Some(mount);
        Ok(())
    }

    pub(super) fn mount_overlay(&mut self, overlay: &Overlay) -> Result<(), Errno> {
        let target = match &overlay.at {
            OverlayTarget::Root(path) => open_directory(path)?,
            OverlayTarget::Inside(path) => in_root::open_or_make(self.fd()?, path, Missing::Directory)?,
        };
        let mut data = MountData::new();
        data.push(b"lowerdir=")?;
        for (at, path) in overlay.lower.iter().enumerate() {
            data.push(if at == 0 { b"" } else { b":" })?;
            match &overlay.mapped_at {
                None => data.push_directory(path)?,
                Some(at) => data.push_fd(mount_mapped(path, at, self.users()?)?.into_raw_fd())?,
            }
        }
        data.push(b",upperdir=")?;
        data.push_directory(&overlay.upper)?;
        data.push(b",workdir=")?;
        data.push_directory(&overlay.work)?;
        let mut target_path = MountData::new();
        target_path.push_fd(target.as_raw_fd())?;
        let target_path = target_path.as_c_str()?;
        rustix::mount::mount(c"overlay", target_path, c"overlay", MountFlags::empty(), data.as_c_str()?)?;
        let mounted = match &overlay.at {
            OverlayTarget::Root(path) => open_directory(path)?,
            OverlayTarget::Inside(path) => in_root::open(self.fd()?, path, OFlags::PATH)?,
        };
        if self.root.is_none() {
            self.root = Some(open_directory_at(mounted.as_fd())?);
        }
        if self.overlays.len() == self.overlays.capacity() {
            return Err(Errno::NOBUFS);
        }
        self.overlays.push(mounted);
        Ok(())
    }

    pub(super) fn mount(&self, new: &NewMount) -> Result<(), Errno> {
        self.mount_with(new, new.attributes).map(|_| ())
    }

    fn mount_with(&self, new: &NewMount, attributes: u64) -> Result<OwnedFd, Errno> {
        let target = in_root::open_or_make(self.fd()?, &new.target, Missing::Directory)?;
        let mount = new_mount(new.file_system, &new.options, attributes)?;
        attach(mount.as_fd(), target.as_fd())?;
        Ok(mount)
    }

    pub(super) fn mount_dev(&mut self, new: &NewMount, nodes: &[Node]) -> Result<(), Errno> {
        let dev = self.mount_with(new, new.attributes)?;
        for (name, major, minor) in DEVICES {
            mknodat(
                &dev,
                name,
                FileType::CharacterDevice,
                Mode::from_raw_mode(0o666),
                makedev(major, minor),
            )?;
        }
        for (name, to) in DEVICE_LINKS {
            symlinkat(to, &dev, name)?;
        }
        nodes.iter().try_for_each(|node| make_node(dev.as_fd(), node))?;
        self.null = Some(openat(&dev, c"null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?);
        Ok(())
    }

    /// Its owner and mode are the container's to change, as those of its output are.
    pub(super) fn input_from_own_null(&self) -> Result<(), Errno> {
        rustix::stdio::dup2_stdin(self.null.as_ref().ok_or(Errno::BADF)?)
    }

    pub(super) fn mount_cgroup_v1(&self, new: &NewMount, hierarchies: &[V1Hierarchy]) -> Result<(), Errno> {
        let top = self.mount_with(new, new.attributes & !mount::RDONLY)?;
        for hierarchy in hierarchies {
            mkdirat(&top, &hierarchy.name, Mode::from_raw_mode(0o755))?;
            for link in &hierarchy.links {
                symlinkat(&hierarchy.name, &top, link)?;
            }
            let group = clone_mount(CWD, &hierarchy.group, Extent::Mount)?;
            mount::set_private(group.as_fd(), Extent::Mount)?;
            mount::set_attributes(group.as_fd(), new.attributes, Extent::Mount)?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let target = openat(&top, &hierarchy.name, flags, Mode::empty())?;
            attach(group.as_fd(), target.as_fd())?;
        }
        mount::set_attributes(top.as_fd(), new.attributes, Extent::Mount)
    }

    pub(super) fn attach(&self, mount: BorrowedFd<'_>, target: &CStr) -> Result<(), Errno> {
        let target = in_root::open_or_make(self.fd()?, target, Missing::Directory)?;
        attach(mount, target.as_fd())
    }

    pub(super) fn bind(&self, bind: &Bind) -> Result<(), Errno> {
        let copy;
        let tree = match &bind.source {
            Source::Tree(tree) => tree.as_fd(),
            Source::Path { path, recursive } => {
                copy = clone_mount(CWD, path, if *recursive { Extent::Tree } else { Extent::Mount })?;
                copy.as_fd()
            }
        };
        // What the parent has copied of mounts that it shares is as they are.
        if !bind.shares_mounts {
            if bind.receives_mounts {
                mount::set_slave(tree, Extent::Tree)?;
            } else {
                mount::set_private(tree, Extent::Tree)?;
            }
        }
        if bind.maps_ids {
            map_ids(tree, self.users()?)?;
        }
        if bind.attributes != 0 {
            // Not recursively: a read-only volume mount leaves what is mounted below it alone
            // (`recursiveReadOnly: Disabled`).
            mount::set_attributes(tree, bind.attributes, Extent::Mount)?;
        }
        if bind.all_read_only {
            mount::set_attributes(tree, mount::RDONLY, Extent::Tree)?;
        }
        let target = in_root::open_or_make(self.fd()?, &bind.target, bind.kind)?;
        // The kernel has one and the same answer to these and to much else.
        let is_directory = FileType::from_raw_mode(fstat(&target)?.st_mode) == FileType::Directory;
        match bind.kind {
            Missing::Directory if !is_directory => Err(Errno::NOTDIR),
            Missing::File if is_directory => Err(Errno::ISDIR),
            _ => attach(tree, target.as_fd()),
        }
    }

    pub(super) fn mount_console(&self, terminal: BorrowedFd<'_>) -> Result<(), Errno> {
        let tree = clone_mount(terminal, c"", Extent::Mount)?;
        let target = in_root::open_or_make(self.fd()?, c"/dev/console", Missing::File)?;
        attach(tree.as_fd(), target.as_fd())
    }

    /// Fine when there is nothing to hide.
    pub(super) fn mask(&mut self, path: &CStr) -> Result<(), Errno> {
        let Some(target) = self.open_existing(path)? else { return Ok(()) };
        if FileType::from_raw_mode(fstat(&target)?.st_mode) != FileType::Directory {
            let null = match self.lent_nulls.pop() {
                Some(lent) => lent,
                None => mount::lend(c"/dev/null")?,
            };
            return attach(null.as_fd(), target.as_fd());
        }
        if let Some(empty) = &self.empty {
            return attach(clone_mount(empty.as_fd(), c"", Extent::Mount)?.as_fd(), target.as_fd());
        }
        let empty = new_mount(c"tmpfs", &[], mount::RDONLY | mount::NOSUID | mount::NODEV | mount::NOEXEC)?;
        attach(empty.as_fd(), target.as_fd())?;
        self.empty = Some(empty);
        Ok(())
    }

    /// Fine when it does not exist.
    pub(super) fn make_read_only(&self, path: &CStr) -> Result<(), Errno> {
        let Some(target) = self.open_existing(path)? else { return Ok(()) };
        let tree = clone_mount(target.as_fd(), c"", Extent::Tree)?;
        mount::set_attributes(tree.as_fd(), mount::RDONLY, Extent::Tree)?;
        attach(tree.as_fd(), target.as_fd())
    }

    /// What is below `/proc` has to be the kernel's: an image could have put something else there.
    fn open_existing(&self, path: &CStr) -> Result<Option<OwnedFd>, Errno> {
        let target = match in_root::open(self.fd()?, path, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            other => other?,
        };
        if path.to_bytes().starts_with(b"/proc/") && fstatfs(&target)?.f_type != PROC_MAGIC {
            return Err(Errno::INVAL);
        }
        Ok(Some(target))
    }

    pub(super) fn make_overlays_read_only(&self) -> Result<(), Errno> {
        self.overlays
            .iter()
            .try_for_each(|overlay| mount::set_attributes(overlay.as_fd(), mount::RDONLY, Extent::Mount))
    }

    /// Afterwards nothing of the old root can be reached.
    pub(super) fn pivot(&self) -> Result<(), Errno> {
        rustix::process::fchdir(self.fd()?)?;
        // The old root lands on top of the new one, which is why it is what "." unmounts.
        rustix::process::pivot_root(c".", c".")?;
        unmount(c".", UnmountFlags::DETACH)?;
        rustix::process::chdir(c"/")
    }

    pub(super) fn make_directory(&self, path: &CStr) -> Result<(), Errno> {
        in_root::open_or_make(self.fd()?, path, Missing::Directory).map(|_| ())
    }

    /// Links are followed inside the root only, and a directory that is not below it is refused.
    pub(super) fn change_directory(&self, path: &CStr) -> Result<(), Errno> {
        rustix::process::fchdir(in_root::open(self.fd()?, path, OFlags::PATH | OFlags::DIRECTORY)?)
    }
}

/// Nothing that was mounted in this namespace, which is about to be left, tells others of its end.
pub(super) fn leave_shared() -> Result<(), Errno> {
    mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
}

/// Fine when it is there already, as a standard one is.
fn make_node(dev: BorrowedFd<'_>, node: &Node) -> Result<(), Errno> {
    let kind = FileType::from_raw_mode(node.mode);
    let mode = Mode::from_raw_mode(node.mode);
    let made = match kind {
        FileType::Directory => mkdirat(dev, &node.path, mode),
        _ => mknodat(dev, &node.path, kind, mode, node.device),
    };
    match made {
        Err(Errno::EXIST) => return Ok(()),
        other => other?,
    }
    let (uid, gid) = (Uid::from_raw(node.owner.0), Gid::from_raw(node.owner.1));
    chownat(dev, &node.path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

/// A file system that is mounted nowhere yet. Its source has its name, which is what programs look for.
pub(super) fn new_mount(
    file_system: &CStr,
    options: &[(&'static CStr, CString)],
    attributes: u64,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(file_system, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"source", file_system)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, value.as_c_str())?;
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::from_bits_retain(u32::try_from(attributes).map_err(|_| Errno::INVAL)?);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A copy of the mount of `path`, cut there, at `at`, with ids as `users` has them.
pub(super) fn mount_mapped(path: &CStr, at: &CStr, users: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let copy = clone_mount(CWD, path, Extent::Mount)?;
    mount::set_private(copy.as_fd(), Extent::Mount)?;
    map_ids(copy.as_fd(), users)?;
    attach(copy.as_fd(), open_directory(at)?.as_fd())?;
    Ok(copy)
}

/// What is mounted below, and cannot have its ids mapped, stays as it is: `NOTSUP` is for the tree's own file system.
fn map_ids(tree: BorrowedFd<'_>, users: BorrowedFd<'_>) -> Result<(), Errno> {
    let mapped = mount::set_id_map(tree, users, Extent::Tree)
        .or_else(|_| mount::set_id_map(tree, users, Extent::Mount));
    mapped.map_err(|errno| if errno == Errno::INVAL { Errno::NOTSUP } else { errno })
}

fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", target, c"", flags)
}

/// A copy of the mount, cut at this path, that is mounted nowhere yet.
fn clone_mount(at: BorrowedFd<'_>, path: &CStr, extent: Extent) -> Result<OwnedFd, Errno> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, extent == Extent::Tree);
    open_tree(at, path, flags)
}

fn open_directory(path: &CStr) -> Result<OwnedFd, Errno> {
    open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn open_directory_at(directory: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    openat(directory, c".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
