//! Advisory locks on files, released when their holder ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// An exclusive lock, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock on the file at `path`, which is made when it is missing; `None` when another
/// process holds it.
///
/// # Errors
/// When the file cannot be opened.
pub fn try_exclusive(path: &Path) -> io::Result<Option<Lock>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Takes the lock on the directory at `path` itself. Waits for another holder, who is to be brief.
///
/// # Errors
/// When the directory cannot be opened.
pub fn directory(path: &Path) -> io::Result<Lock> {
    let file = File::open(path)?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::try_exclusive;

    #[test]
    fn a_second_holder_has_to_wait_for_the_first() {
        let path = std::env::temp_dir().join(format!("linux-sys-lock-{}", std::process::id()));
        let first = try_exclusive(&path).unwrap();
        assert!(first.is_some());
        assert!(try_exclusive(&path).unwrap().is_none());
        drop(first);
        assert!(try_exclusive(&path).unwrap().is_some());
        std::fs::remove_file(path).unwrap();
    }
}
