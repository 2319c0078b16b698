//! The directories below which everything is kept.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kubelet::Paths;
use rustix::fs::{Access, StatVfs, access, statvfs};

/// The longest path the kernel takes, with its final NUL.
const PATH_BYTES_MAX: usize = 4_096;
/// What is made below has names this long together: a pod's UID, `containers`, a name of 63 bytes, the
/// directories of a layer; a log directory's name of 255 bytes.
const PATH_BELOW_BYTES_MAX: usize = 400;
/// For the records of a pod and the small files of `localhost/host`.
const DATA_MIN: Room = Room { bytes: 512 << 10, inodes: 64 };
/// For directories and first lines. A pod goes on when its logs find no more room.
const OTHER_MIN: Room = Room { bytes: 16 << 10, inodes: 8 };

/// What has to be left on a file system.
#[derive(Clone, Copy)]
struct Room {
    bytes: u64,
    inodes: u64,
}

/// Makes nothing: looks at what there is of each directory.
pub(super) fn check(paths: &Paths) -> Result<()> {
    if let Ok(existing) = nearest_existing(&paths.data_dir)
        && let Some(name) = images::unfit_for_layers(&existing)
    {
        bail!(
            "containers cannot have writable layers in {}: {} is on {name}, of which the kernel makes none\n\
             remedy: choose a place on ext4, xfs, btrfs or tmpfs with --data-dir DIR; in a container, mount \
             a volume there",
            paths.data_dir.display(),
            existing.display()
        );
    }
    for (dir, what, room, flags) in [
        (&paths.data_dir, "pods and images", DATA_MIN, "--root DIR or --data-dir DIR"),
        (&paths.run_dir, "the sockets of pods", OTHER_MIN, "--root DIR"),
        (&paths.log_dir, "logs", OTHER_MIN, "--root DIR"),
    ] {
        if let Err(Problem { what: problem, remedy }) = check_directory(dir, room) {
            bail!(
                "{what} cannot be kept in {}: {problem}\nremedy: {remedy}choose another place with {flags}",
                dir.display()
            );
        }
    }
    Ok(())
}

struct Problem {
    what: String,
    /// What can be done beside choosing another place, as the beginning of a sentence.
    remedy: &'static str,
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self { what, remedy: "" }
    }
}

fn check_directory(dir: &Path, needed: Room) -> Result<(), Problem> {
    let bytes = dir.as_os_str().as_bytes().len();
    let bytes_max = PATH_BYTES_MAX - PATH_BELOW_BYTES_MAX;
    if bytes > bytes_max {
        return Err(format!("its path has {bytes} bytes, and more than {bytes_max} are too long").into());
    }
    let existing = nearest_existing(dir)?;
    let named = existing.display();
    access(&existing, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{named} cannot be written to: {error}"))?;
    let space = statvfs(&existing).map_err(|error| format!("{named} cannot be looked at: {error}"))?;
    match too_full(&space, needed) {
        Some(what) => Err(Problem {
            what: format!("the file system of {named} {what}"),
            remedy: "free some there, or ",
        }),
        None => Ok(()),
    }
}

/// The directory itself, or the one in which it can be made.
fn nearest_existing(dir: &Path) -> Result<PathBuf, String> {
    for path in dir.ancestors() {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Ok(path.to_owned()),
            Ok(_) => return Err(format!("{} is not a directory", path.display())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                if path.is_symlink() {
                    return Err(format!("{} is a link that leads nowhere", path.display()));
                }
            }
            Err(error) => return Err(format!("{} cannot be looked at: {error}", path.display())),
        }
    }
    Err("the root directory is missing".to_owned())
}

/// This process is root, whom the kernel lets have what is reserved for it. No number of inodes is no limit.
fn too_full(space: &StatVfs, needed: Room) -> Option<String> {
    let Room { bytes, inodes } = needed;
    let left = space.f_bfree.saturating_mul(space.f_frsize);
    if left < bytes {
        return Some(format!("is full ({left} bytes are left, at least {bytes} are needed)"));
    }
    let left = space.f_ffree;
    (space.f_files > 0 && left < inodes)
        .then(|| format!("has too few inodes ({left} are left, at least {inodes} are needed)"))
}
