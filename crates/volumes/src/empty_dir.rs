//! emptyDir: a directory of the pod's own, at `POD_DIR/volumes/NAME`
//! (<https://kubernetes.io/docs/concepts/storage/volumes/#emptydir>).
//!
//! The memory medium has the directory too: the shim mounts a tmpfs over it in its own mount
//! namespace, so that it ends with the sandbox.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use linux_sys::remove_tree::{RemoveError, remove_tree};
use podspec::Volume;
use rustix::fs::{Gid, Mode, OFlags, fchmod, fchown, mkdir, open};
use rustix::io::Errno;

use crate::{VolumeError, failed_to_make, ownership};

/// Everybody may write, whatever the umask.
const MODE: u32 = 0o777;
/// What a tmpfs has unless told otherwise, and memory volumes have in Kubernetes.
pub(crate) const MEMORY_MODE: u32 = 0o1777;

pub(crate) fn path(pod_dir: &Path, volume: &Volume) -> PathBuf {
    pod_dir.join("volumes").join(volume.name.as_str())
}

/// A link that somebody put there is not.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Keeps what is there: containers may have changed its mode.
pub(crate) fn set_up(path: &Path, group: Option<u32>) -> Result<(), VolumeError> {
    if is_there(path) {
        return Ok(());
    }
    // Renamed when it has its mode, so that it is there whole or not at all. No volume has a name
    // with a dot.
    let new = path.with_extension("new");
    if let Some(volumes) = path.parent() {
        fs::create_dir_all(volumes).map_err(failed_to_make(volumes))?;
    }
    let made = make(&new, group).map_err(io::Error::from);
    made.map_err(failed_to_make(&new))?;
    fs::rename(&new, path).map_err(failed_to_make(path))
}

/// What a link in its place names is left alone.
fn make(path: &Path, group: Option<u32>) -> Result<(), Errno> {
    match mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = open(path, flags, Mode::empty())?;
    // First the owner: a change of that may cost bits of the mode.
    if let Some(gid) = group {
        fchown(&directory, None, Some(Gid::from_raw(gid)))?;
    }
    fchmod(&directory, Mode::from_raw_mode(ownership::directory(MODE, group)))
}

/// Also removes the directory of all volumes once it is empty.
pub(crate) fn tear_down(path: &Path) -> Vec<RemoveError> {
    let mut left = remove_tree(path);
    left.extend(remove_tree(&path.with_extension("new")));
    if let Some(volumes) = path.parent()
        && let Err(source) = fs::remove_dir(volumes)
        && !matches!(source.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty)
    {
        left.push(RemoveError { path: volumes.to_owned(), source });
    }
    left
}
