//! Directories of groups: made and removed while others do the same.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How often the parents of a group may vanish while it is made.
const CREATE_TRIES_MAX: usize = 16;
/// How long killed processes may take to be gone before a group is given up.
const REMOVE_MAX: Duration = Duration::from_secs(5);
/// Between two tries; the kernel has no event for this on v1.
const REMOVE_PAUSE: Duration = Duration::from_millis(2);

/// Makes `path`, relative to `mount`, and the groups above it. `made` is called with each parent
/// and child on the way down. Another engine may remove an empty parent at any time.
pub(super) fn create(
    mount: &Path,
    path: &Path,
    mut made: impl FnMut(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match create_once(mount, path, &mut made) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < CREATE_TRIES_MAX => tries += 1,
            other => return other,
        }
    }
}

fn create_once(
    mount: &Path,
    path: &Path,
    made: &mut impl FnMut(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut parent = mount.to_owned();
    for name in path {
        let child = parent.join(name);
        match fs::create_dir(&child) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => made(&parent, &child)?,
        }
        parent = child;
    }
    Ok(())
}

/// Removes a group and the groups below it; `kill` is called while processes are in the way.
pub(super) fn remove(directory: &Path, mut kill: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let deadline = Instant::now() + REMOVE_MAX;
    loop {
        match remove_once(directory) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                kill()?;
                thread::sleep(REMOVE_PAUSE);
            }
            other => return other,
        }
    }
}

fn remove_once(directory: &Path) -> io::Result<()> {
    if rmdir(directory).is_ok() {
        return Ok(());
    }
    for child in children(directory)? {
        remove_once(&child)?;
    }
    rmdir(directory)
}

/// Fine when there is none.
fn rmdir(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The groups in a group; none when it is gone.
pub(super) fn children(directory: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut directories = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            directories.push(entry.path());
        }
    }
    Ok(directories)
}
