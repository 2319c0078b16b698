//! What an emptyDir on disk holds, as `du` counts it: blocks, each file once whatever its names.
//!
//! Its content is somebody else's, who may change it meanwhile: no link is followed and no mount crossed, one
//! directory is open at a time, and what is done is bounded.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use podspec::quantity::Quantity;
use podspec::{EmptyDirMedium, Pod, VolumeSource};
use ports::{PodContext, PortError};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::Errno;

use crate::empty_dir;

const BLOCK_BYTES: u64 = 512;
/// Of one volume. What its directories take alone is more than most limits by then.
const ENTRIES_MAX: usize = 4_000_000;

/// Whether a volume of the pod has a limit that nothing but a look enforces.
pub(crate) fn is_limited(pod: &Pod) -> bool {
    limits(pod).next().is_some()
}

/// Memory volumes are bounded by their file systems.
fn limits(pod: &Pod) -> impl Iterator<Item = (&podspec::Volume, u64)> {
    pod.spec.volumes.iter().filter_map(|volume| match volume.source {
        VolumeSource::EmptyDir { medium: EmptyDirMedium::Disk, size_limit } => {
            Some((volume, size_limit.filter(|bytes| *bytes > 0)?))
        }
        _ => None,
    })
}

/// Why the pod cannot stay: the first of its volumes that holds more than it may. Blocks.
pub(crate) fn over_limit(pod: &PodContext) -> Result<Option<String>, PortError> {
    for (volume, limit) in limits(&pod.pod) {
        let path = empty_dir::path(&pod.pod_dir, volume);
        let exceeded = exceeds(&path, limit).map_err(|error| {
            PortError(format!("cannot measure volume {} in {}: {error}", volume.name, path.display()))
        })?;
        if exceeded {
            // The space at its end is a kubelet's.
            let (name, limit) = (&volume.name, canonical(limit));
            return Ok(Some(format!("Usage of EmptyDir volume \"{name}\" exceeds the limit \"{limit}\". ")));
        }
    }
    Ok(None)
}

fn canonical(bytes: u64) -> String {
    let binary = bytes.is_multiple_of(1_024).then(|| Quantity::parse(&format!("{}Ki", bytes / 1_024)).ok());
    binary.flatten().unwrap_or_else(|| Quantity::from_units(bytes)).to_string()
}

/// Ends with the first entry that is too much. A tree that is not there holds nothing.
fn exceeds(path: &Path, limit: u64) -> io::Result<bool> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = match openat(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(false),
        top => top?,
    };
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let (mut bytes, mut entries, mut several_names) = (0_u64, 0_usize, HashSet::new());
    let mut directories = vec![PathBuf::from(".")];
    while let Some(directory) = directories.pop() {
        let opened = openat2(&top, &directory, flags, Mode::empty(), beneath);
        let dir = match opened {
            // Gone, or another now; a mount is not the volume's.
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
            if entries > ENTRIES_MAX {
                return Err(io::Error::other(format!("it has more than {ENTRIES_MAX} entries")));
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
            bytes = bytes.saturating_add(blocks.saturating_mul(BLOCK_BYTES));
            if bytes > limit {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::{Path, PathBuf};

    use super::{canonical, exceeds};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("monopod-usage-{name}-{}", std::process::id()));
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
        let (volume, outside) = (scratch.0.join("volume"), scratch.0.join("outside"));
        fs::create_dir_all(volume.join("a/b")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("large"), vec![1; 1 << 20]).unwrap();
        let file = volume.join("a/b/file");
        fs::write(&file, vec![1; 100_000]).unwrap();
        fs::File::options().write(true).open(&file).unwrap().sync_all().unwrap();
        fs::hard_link(&file, volume.join("again")).unwrap();
        symlink(&outside, volume.join("link")).unwrap();
        // A hole takes nothing.
        fs::File::create(volume.join("sparse")).unwrap().set_len(1 << 30).unwrap();
        let all = ["", "a", "a/b", "a/b/file", "link", "sparse"].map(|name| blocks(&volume.join(name)));
        let sum: u64 = all.iter().sum();
        assert!(sum >= 100_000, "{all:?}");
        assert!(!exceeds(&volume, sum).unwrap());
        assert!(exceeds(&volume, sum - 1).unwrap());
    }

    #[test]
    fn what_is_not_there_holds_nothing() {
        let scratch = Scratch::new("nothing");
        assert!(!exceeds(&scratch.0.join("none"), 0).unwrap());
        fs::write(scratch.0.join("file"), "x").unwrap();
        assert!(exceeds(&scratch.0.join("file"), 0).is_err());
    }

    #[test]
    fn limits_are_said_as_they_are_written() {
        for (bytes, text) in
            [(1 << 20, "1Mi"), (1_000_000, "1M"), (1_536, "1536"), (5 << 30, "5Gi"), (100, "100")]
        {
            assert_eq!(canonical(bytes), text);
        }
    }
}
