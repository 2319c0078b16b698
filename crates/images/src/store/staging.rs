//! What is being made: `staging/N`, which its maker has locked. Without a lock it is left over.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::files;

/// How many makers there may be at once.
const STAGINGS_MAX: usize = 1000;

/// A directory of one maker's own, removed when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    /// Of the directory itself, so that no moment has the one without the other for long.
    _lock: File,
}

impl Staging {
    /// In `directory`, from which what is left over is removed first.
    pub(super) fn new(directory: &Path) -> Result<Self, StoreError> {
        files::make_directory(directory)?;
        sweep(directory)?;
        let failed = |source| StoreError::Make { path: directory.to_owned(), source };
        for n in 0..STAGINGS_MAX {
            let path = directory.join(n.to_string());
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(failed)?,
            }
            // Before it was locked, it looked left over to others.
            if let Some(lock) = try_lock(&path)? {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(failed(io::Error::other(format!("{STAGINGS_MAX} others are making images"))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = files::remove(&self.path) {
            // The next maker tries again.
            tracing::warn!("{}", ports::PortError::chain(&error));
        }
    }
}

/// Removes what nobody is making any more.
pub(super) fn sweep(directory: &Path) -> Result<(), StoreError> {
    for name in files::list(directory)? {
        let path = directory.join(name);
        if let Some(_lock) = try_lock(&path)? {
            files::remove(&path)?;
        }
    }
    Ok(())
}

/// `None` when somebody else has it, or when it is gone.
fn try_lock(path: &Path) -> Result<Option<File>, StoreError> {
    let failed = |source| StoreError::Lock { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // Who had the lock may have removed it.
    let locked = file.metadata().map_err(failed)?;
    let is_there = fs::symlink_metadata(path)
        .is_ok_and(|found| (found.dev(), found.ino()) == (locked.dev(), locked.ino()));
    Ok(is_there.then_some(file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Barrier;
    use std::thread;

    use super::{Staging, sweep};
    use crate::host::tests::Directory;

    #[test]
    fn what_nobody_holds_is_removed_by_the_next_maker() {
        let directory = Directory::new();
        let held = Staging::new(directory.path()).unwrap();
        fs::create_dir_all(directory.path().join("7/a/b")).unwrap();
        fs::write(directory.path().join("8"), "").unwrap();
        let next = Staging::new(directory.path()).unwrap();
        assert!(held.path().is_dir() && next.path().is_dir() && held.path() != next.path());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        drop((held, next));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn no_maker_loses_its_directory_to_another_ones_sweep() {
        const MAKERS: usize = 8;
        const TURNS: usize = 200;
        let directory = Directory::new();
        let start = Barrier::new(MAKERS);
        thread::scope(|scope| {
            for maker in 0..MAKERS {
                let (start, directory) = (&start, directory.path());
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..TURNS {
                        let staging = Staging::new(directory).unwrap();
                        let file = staging.path().join("mine");
                        fs::write(&file, maker.to_string()).unwrap();
                        sweep(directory).unwrap();
                        assert_eq!(fs::read_to_string(&file).unwrap(), maker.to_string());
                    }
                });
            }
        });
    }
}
