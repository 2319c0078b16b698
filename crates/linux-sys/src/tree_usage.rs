//! What a directory tree holds, as `du` counts it: blocks, each file once whatever its names.
//!
//! Its content is somebody else's, who may change it meanwhile: no link is followed and no mount crossed, one
//! directory is open at a time, and what is done is bounded by the caller.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::Errno;

const BLOCK_BYTES: u64 = 512;

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TreeUsage {
    pub bytes: u64,
    /// Files and directories, the top one included.
    pub inodes: u64,
}

impl TreeUsage {
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }
}

/// Looks at no more than `entries_max` names, and ends once there are more than `bytes_max`. A tree that is not there
/// holds nothing.
///
/// # Errors
/// When it is no directory, cannot be read, or has more entries.
pub fn tree_usage(path: &Path, entries_max: usize, bytes_max: u64) -> io::Result<TreeUsage> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut usage = TreeUsage::default();
    let top = match openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(usage),
        top => top?,
    };
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let (mut entries, mut several_names) = (0_usize, HashSet::new());
    let mut directories = vec![PathBuf::from(".")];
    while let Some(directory) = directories.pop() {
        let opened = openat2(&top, &directory, flags, Mode::empty(), beneath);
        let dir = match opened {
            // Gone, or another now; a mount is not the tree's.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => continue,
            opened => opened?,
        };
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            // A directory is counted where it is read, by its own entry.
            if name == c".." {
                continue;
            }
            entries += 1;
            if entries > entries_max {
                return Err(io::Error::other(format!("it has more than {entries_max} entries")));
            }
            let found = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                found => found?,
            };
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                if name != c"." {
                    directories.push(directory.join(OsStr::from_bytes(name.to_bytes())));
                    continue;
                }
            } else if found.st_nlink > 1 && !several_names.insert(found.st_ino) {
                continue;
            }
            let blocks = u64::try_from(found.st_blocks).unwrap_or(0);
            let this = TreeUsage { bytes: blocks.saturating_mul(BLOCK_BYTES), inodes: 1 };
            usage = usage.plus(this);
            if usage.bytes > bytes_max {
                return Ok(usage);
            }
        }
    }
    Ok(usage)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::{Path, PathBuf};

    use super::tree_usage;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("monopod-tree-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn blocks(path: &Path) -> u64 {
        fs::symlink_metadata(path).unwrap().blocks() * 512
    }

    #[test]
    fn blocks_are_counted_once_and_links_not_followed() {
        let scratch = Scratch::new("once");
        let (tree, outside) = (scratch.0.join("tree"), scratch.0.join("outside"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("large"), vec![1; 1 << 20]).unwrap();
        let file = tree.join("a/b/file");
        fs::write(&file, vec![1; 100_000]).unwrap();
        fs::File::options().write(true).open(&file).unwrap().sync_all().unwrap();
        fs::hard_link(&file, tree.join("again")).unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        // A hole takes nothing.
        fs::File::create(tree.join("sparse")).unwrap().set_len(1 << 30).unwrap();
        let all = ["", "a", "a/b", "a/b/file", "link", "sparse"].map(|name| blocks(&tree.join(name)));
        let sum: u64 = all.iter().sum();
        assert!(sum >= 100_000, "{all:?}");
        let usage = tree_usage(&tree, 100, u64::MAX).unwrap();
        assert_eq!((usage.bytes, usage.inodes), (sum, 6));
        assert!(tree_usage(&tree, 100, 0).unwrap().bytes > 0, "it ends with what is too much");
        assert!(tree_usage(&tree, 3, u64::MAX).is_err());
    }

    #[test]
    fn what_is_not_there_holds_nothing() {
        let scratch = Scratch::new("nothing");
        assert_eq!(tree_usage(&scratch.0.join("none"), 1, 0).unwrap().bytes, 0);
        fs::write(scratch.0.join("file"), "x").unwrap();
        assert!(tree_usage(&scratch.0.join("file"), 1, 0).is_err());
    }
}
