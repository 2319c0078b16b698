//! One pull of a reference at a time, among all engines under one root: `pulling/HEX`, by the digest of the
//! reference, locked as long as the pull lasts.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use registry::{Digest, Reference};
use tokio::sync::oneshot;

/// Removed when dropped.
#[derive(Debug)]
pub(super) struct ReferenceLock {
    path: PathBuf,
    _file: File,
}

impl ReferenceLock {
    /// Waits for whoever has it. In a thread of its own, since the wait may be long: one whose waiter has gone away
    /// gives the lock back.
    pub(super) async fn take(directory: PathBuf, reference: &Reference) -> io::Result<Self> {
        let path = directory.join(Digest::of(reference.to_string().as_bytes()).hex());
        if let Some(lock) = Self::attempt(&path, File::try_lock)? {
            return Ok(lock);
        }
        let (taken, waiting) = oneshot::channel();
        thread::Builder::new().name("pull-lock".to_owned()).spawn(move || {
            let lock = loop {
                match Self::attempt(&path, |file| file.lock().map_err(fs::TryLockError::Error)) {
                    // What was locked had been removed.
                    Ok(None) => {}
                    Ok(Some(lock)) => break Ok(lock),
                    Err(error) => break Err(error),
                }
            };
            // Dropped where nobody waits any more.
            let _ = taken.send(lock);
        })?;
        waiting.await.map_err(io::Error::other)?
    }

    /// `None` when somebody else has it, or when what was locked is not what is there.
    fn attempt(
        path: &Path,
        lock: impl FnOnce(&File) -> Result<(), fs::TryLockError>,
    ) -> io::Result<Option<Self>> {
        let file = File::create(path)?;
        match lock(&file) {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        let locked = file.metadata()?;
        let is_there = fs::symlink_metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (locked.dev(), locked.ino()));
        Ok(is_there.then(|| Self { path: path.to_owned(), _file: file }))
    }
}

impl Drop for ReferenceLock {
    fn drop(&mut self) {
        // While it is locked, so that it is this one's. An empty file that stays does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use registry::Reference;

    use super::ReferenceLock;
    use crate::host::tests::Directory;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_holder_at_a_time_and_nothing_is_left() {
        let directory = Directory::new();
        let reference = Reference::parse("a").expect("a name");
        let held = Arc::new(AtomicBool::new(false));
        let mut takers = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (path, reference, held) = (directory.path().to_owned(), reference.clone(), Arc::clone(&held));
            takers.spawn(async move {
                for _ in 0..10 {
                    let lock = ReferenceLock::take(path.clone(), &reference).await.expect("the lock");
                    assert!(!held.swap(true, Ordering::SeqCst), "somebody else has it");
                    tokio::task::yield_now().await;
                    held.store(false, Ordering::SeqCst);
                    drop(lock);
                }
            });
        }
        while let Some(taker) = takers.join_next().await {
            taker.expect("it had the lock ten times");
        }
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);
    }

    #[tokio::test]
    async fn who_no_longer_waits_does_not_keep_it() {
        let directory = Directory::new();
        let reference = Reference::parse("a").expect("a name");
        let take = || ReferenceLock::take(directory.path().to_owned(), &reference);
        let held = take().await.expect("the lock");
        let mut waiting = Box::pin(take());
        // Polled once, so that it waits.
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("it is held"),
            () = std::future::ready(()) => {}
        }
        drop(waiting);
        drop(held);
        let _again = take().await.expect("the lock");
    }
}
