//! One inotify instance and the thread that reads it.
//!
//! A thread of its own, because it must not wait for anything: while a rotated file goes unseen it may be
//! removed, and tokio's workers may be busy with the very lines of such a file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use cri_log::LogName;
use linux_sys::close::ClosedLater;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::directory::Directory;
use super::follower::LogFollower;

const EVENT_BYTES: usize = 16 << 10;

/// Watches log directories. Cheap to share by reference.
#[derive(Debug)]
pub struct LogWatcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    inotify: ClosedLater,
    /// Readable when the thread is to end.
    end: OwnedFd,
    /// By watch descriptor. Two followers of one directory have one watch.
    directories: Mutex<BTreeMap<i32, Vec<Arc<Directory>>>>,
}

impl LogWatcher {
    /// # Errors
    /// When the user's share of inotify instances (`fs.inotify.max_user_instances`) is used up.
    pub fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?.into();
        let end = eventfd(0, EventfdFlags::CLOEXEC)?;
        let shared = Arc::new(Shared { inotify, end, directories: Mutex::default() });
        let watched = Arc::clone(&shared);
        thread::Builder::new().name("logs".to_owned()).spawn(move || {
            if let Err(error) = watched.run() {
                tracing::error!("logs are no longer followed: {error}");
            }
        })?;
        Ok(Self { shared })
    }

    /// Follows the container whose logs are in `dir` (`/var/log/pods/NS_NAME_UID/CONTAINER`) from attempt
    /// `first_attempt` on. The directory is made when it is missing, as the container may not have started.
    ///
    /// # Errors
    /// When the directory cannot be made or watched.
    pub fn follow(&self, dir: &Path, first_attempt: u32) -> io::Result<LogFollower> {
        fs::create_dir_all(dir)?;
        let directory = Arc::new(Directory::new(dir, first_attempt, u32::MAX));
        let watch = self.watch(&directory, dir)?;
        Ok(LogFollower::new(directory, Arc::clone(&self.shared), watch))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Has the directory's files opened as they appear, until it is forgotten.
    pub(crate) fn watch(&self, directory: &Arc<Directory>, dir: &Path) -> io::Result<i32> {
        let events = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let mut directories = self.shared.directories();
        let watch = inotify::add_watch(&self.shared.inotify, dir, events)?;
        directories.entry(watch).or_default().push(Arc::clone(directory));
        drop(directories);
        // What was there before the watch.
        if let Err(error) = directory.scan() {
            self.shared.forget(watch, directory);
            return Err(error);
        }
        Ok(watch)
    }
}

impl Drop for LogWatcher {
    fn drop(&mut self) {
        // Fails only when it has been told so often that a counter is full.
        let _ = rustix::io::write(&self.shared.end, &1_u64.to_ne_bytes());
    }
}

impl Shared {
    pub(crate) fn forget(&self, watch: i32, directory: &Arc<Directory>) {
        let mut directories = self.directories();
        let Some(followed) = directories.get_mut(&watch) else { return };
        followed.retain(|other| !Arc::ptr_eq(other, directory));
        if followed.is_empty() {
            directories.remove(&watch);
            // The kernel has dropped it already when the directory is gone.
            let _ = inotify::remove_watch(&self.inotify, watch);
        }
    }

    fn run(&self) -> io::Result<()> {
        let mut buffer = vec![MaybeUninit::uninit(); EVENT_BYTES];
        loop {
            let mut ready =
                [PollFd::new(&self.inotify, PollFlags::IN), PollFd::new(&self.end, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) if ready[1].revents().contains(PollFlags::IN) => return Ok(()),
                Ok(_) => self.read_events(&mut buffer)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read_events(&self, buffer: &mut [MaybeUninit<u8>]) -> io::Result<()> {
        let mut reader = inotify::Reader::new(&self.inotify, buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let appeared = event.events().intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
                    let name = event.file_name().and_then(|name| name.to_str().ok());
                    let is_log = name.is_some_and(|name| LogName::parse(name).is_some());
                    if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                        self.tell_all();
                    } else if is_log {
                        self.tell(event.wd(), appeared);
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn tell(&self, watch: i32, appeared: bool) {
        let directories = self.directories();
        for directory in directories.get(&watch).into_iter().flatten() {
            if appeared {
                scan(directory);
            }
            directory.changed.notify_one();
        }
    }

    /// Events were lost: anything may have happened.
    fn tell_all(&self) {
        for directory in self.directories().values().flatten() {
            scan(directory);
            directory.changed.notify_one();
        }
    }

    fn directories(&self) -> MutexGuard<'_, BTreeMap<i32, Vec<Arc<Directory>>>> {
        self.directories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn scan(directory: &Directory) {
    if let Err(error) = directory.scan() {
        tracing::warn!("cannot follow a log: {error}");
    }
}
