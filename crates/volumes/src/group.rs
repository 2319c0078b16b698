//! Gives a tree that others have filled to a group (`fsGroup`): the group may read and write all of it, and what is made
//! in it will be the group's (<https://kubernetes.io/docs/tasks/configure-pod-container/security-context/>).
//!
//! Follows no links, crosses no mounts, and goes on past what disappears meanwhile: another pod may be using it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RawMode, ResolveFlags, Stat, chmod, chownat, fstat,
    openat, openat2,
};
use rustix::io::Errno;

use crate::{VolumeError, ownership};

/// Names in one tree. A start that would take longer than they do is a mistake.
const ENTRIES_MAX: usize = 4_000_000;
const MODE_BITS: RawMode = 0o7777;

/// With `trusts_root` only when the top itself is not so already.
pub(crate) fn give(path: &Path, group: u32, trusts_root: bool) -> Result<(), VolumeError> {
    let failed = |errno: Errno| VolumeError::Group { path: path.to_owned(), source: errno.into() };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = match openat(CWD, path, flags, Mode::empty()) {
        // A file is a volume, too.
        Err(Errno::NOTDIR) => return give_one(CWD, path, group).map_err(failed),
        top => top.map_err(failed)?,
    };
    if trusts_root && is_given(&fstat(&top).map_err(failed)?, group) {
        return Ok(());
    }
    // The top last: it says of the whole tree that it was done.
    give_below(&top, group).map_err(|source| VolumeError::Group { path: path.to_owned(), source })?;
    let own = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    give_open(own.as_fd(), group).map_err(failed)
}

fn is_given(stat: &Stat, group: u32) -> bool {
    let mode = stat.st_mode & MODE_BITS;
    stat.st_gid == group && ownership::directory(mode, Some(group)) == mode
}

fn give_below(top: &OwnedFd, group: u32) -> io::Result<()> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (mut entries, mut directories) = (0_usize, vec![PathBuf::from(".")]);
    while let Some(directory) = directories.pop() {
        let opened = openat2(top, &directory, flags, Mode::empty(), beneath);
        let dir = match opened {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => continue,
            opened => opened?,
        };
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            entries += 1;
            if entries > ENTRIES_MAX {
                return Err(io::Error::other(format!("it has more than {ENTRIES_MAX} entries")));
            }
            let name = Path::new(OsStr::from_bytes(name.to_bytes()));
            match give_one(dir.as_fd(), name, group) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
            if entry.file_type() == FileType::Directory {
                directories.push(directory.join(name));
            }
        }
    }
    Ok(())
}

/// What `name` is in this directory, be it a link itself.
fn give_one(directory: BorrowedFd<'_>, name: &Path, group: u32) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    give_open(openat(directory, name, flags, Mode::empty())?.as_fd(), group)
}

/// Changes nothing that is so already.
fn give_open(file: BorrowedFd<'_>, group: u32) -> Result<(), Errno> {
    let stat = fstat(file)?;
    if stat.st_gid != group {
        // First the owner: a change of that may cost bits of the mode.
        chownat(file, c"", None, Some(Gid::from_raw(group)), AtFlags::EMPTY_PATH)?;
    }
    let mode = stat.st_mode & MODE_BITS;
    let wanted = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => return Ok(()),
        FileType::Directory => ownership::directory(mode, Some(group)),
        _ => ownership::file(mode, Some(group)),
    };
    if fstat(file)?.st_mode & MODE_BITS == wanted {
        return Ok(());
    }
    chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::from_raw_mode(wanted))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;

    use super::give;

    const GROUP: u32 = 4_242;

    fn of(path: &Path) -> (u32, u32) {
        let found = fs::symlink_metadata(path).unwrap();
        (found.gid(), found.mode() & 0o7777)
    }

    #[test]
    fn all_of_a_tree_and_nothing_that_links_name() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let base = std::env::temp_dir().join(format!("monopod-group-{}", std::process::id()));
        let tree = base.join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(base.join("outside"), "").unwrap();
        fs::write(tree.join("a/b/file"), "").unwrap();
        symlink("../outside", tree.join("link")).unwrap();
        for (path, mode) in [("tree", 0o700), ("tree/a", 0o755), ("tree/a/b/file", 0o600), ("outside", 0o600)]
        {
            fs::set_permissions(base.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        give(&tree, GROUP, true).unwrap();
        assert_eq!(of(&tree), (GROUP, 0o2770));
        assert_eq!(of(&tree.join("a")), (GROUP, 0o2775));
        assert_eq!(of(&tree.join("a/b/file")), (GROUP, 0o660));
        assert_eq!(of(&tree.join("link")).0, GROUP);
        assert_eq!(of(&base.join("outside")), (0, 0o600));
        // A top that is the group's speaks for all below it, if it is asked.
        fs::write(tree.join("later"), "").unwrap();
        fs::set_permissions(tree.join("later"), fs::Permissions::from_mode(0o600)).unwrap();
        give(&tree, GROUP, true).unwrap();
        assert_eq!(of(&tree.join("later")).1, 0o600);
        give(&tree, GROUP, false).unwrap();
        assert_eq!(of(&tree.join("later")), (GROUP, 0o660));
        fs::remove_dir_all(&base).unwrap();
    }
}
