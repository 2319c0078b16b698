//! Reading one container's log to its end.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cri_log::{Decoder, Record};
use rustix::buffer::spare_capacity;

use super::directory::{Directory, LogFile};
use super::watcher::Shared;

const CHUNK_BYTES_MAX: u64 = 256 << 10;
/// What is held of a line without an end: far more than the longest that is written. More is no log.
const UNFINISHED_BYTES_MAX: usize = 1 << 20;

/// Yields a container's log in the order in which it was written.
#[derive(Debug)]
pub struct LogFollower {
    directory: Arc<Directory>,
    watcher: Arc<Shared>,
    watch: i32,
    finished: Arc<AtomicBool>,
    reading: Option<Reading>,
}

/// Says that the container has ended for good: its follower ends when all is read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Finish {
    directory: Arc<Directory>,
    finished: Arc<AtomicBool>,
}

/// Whole log lines of one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogChunk {
    pub attempt: u32,
    /// Lines before this chunk may be missing: the reader fell too far behind the writer.
    pub after_gap: bool,
    lines: Vec<u8>,
}

/// A file being read.
#[derive(Debug)]
pub(crate) struct Reading {
    attempt: u32,
    file: Arc<File>,
    after_gap: bool,
    offset: u64,
    /// A line whose end has not been written yet.
    unfinished: Vec<u8>,
}

impl LogFollower {
    pub(crate) fn new(directory: Arc<Directory>, watcher: Arc<Shared>, watch: i32) -> Self {
        Self { directory, watcher, watch, finished: Arc::default(), reading: None }
    }

    #[must_use]
    pub fn finish_handle(&self) -> Finish {
        Finish { directory: Arc::clone(&self.directory), finished: Arc::clone(&self.finished) }
    }

    /// The next records, waiting for them if there are none; `None` at the end. Safe to cancel.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn next_chunk(&mut self) -> io::Result<Option<LogChunk>> {
        // A log that is written faster than it is read would keep everybody else on this thread waiting.
        tokio::task::yield_now().await;
        loop {
            // Asked before reading: what is written after this is not waited for when it says yes, and
            // nothing is written any more.
            let finished = self.finished.load(Ordering::Acquire);
            if finished {
                // Events of the last files may still be under way.
                self.directory.scan()?;
            }
            if let Some(chunk) = self.read_on()? {
                return Ok(Some(chunk));
            }
            if finished {
                return Ok(None);
            }
            self.directory.changed.notified().await;
        }
    }

    /// `None` when everything written so far is read.
    fn read_on(&mut self) -> io::Result<Option<LogChunk>> {
        loop {
            let Some(reading) = &mut self.reading else {
                let Some(next) = self.directory.next_file() else { return Ok(None) };
                self.reading = Some(Reading::new(next));
                continue;
            };
            // Asked before reading: a file is complete once there is a later one.
            let complete = self.directory.has_unread();
            if let Some(chunk) = reading.read(Vec::new())? {
                return Ok(Some(chunk));
            }
            if !complete {
                return Ok(None);
            }
            self.reading = None;
        }
    }
}

impl Drop for LogFollower {
    fn drop(&mut self) {
        self.watcher.forget(self.watch, &self.directory);
    }
}

impl Finish {
    /// To be called after the last exit was observed: nothing is written to the log after it.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.directory.changed.notify_one();
    }
}

impl LogChunk {
    /// The records; lines that are none are left out.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let (mut start, mut decoder) = (0, Decoder::default());
        memchr::memchr_iter(b'\n', &self.lines).filter_map(move |newline| {
            let line = &self.lines[start..newline];
            start = newline + 1;
            decoder.decode(line).ok()
        })
    }

    /// How many bytes its lines have.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Its memory, for other lines.
    pub(crate) fn into_memory(self) -> Vec<u8> {
        self.lines
    }
}

impl Reading {
    fn new(file: LogFile) -> Self {
        Self::from(file, 0)
    }

    /// `offset` is where a line begins.
    pub(crate) fn from(LogFile { attempt, file, after_gap }: LogFile, offset: u64) -> Self {
        Self { attempt, file, after_gap, offset, unfinished: Vec::new() }
    }

    /// The next whole lines; `None` at the end of what is written. `lines`: what they are read into, which may be the
    /// memory of lines before.
    pub(crate) fn read(&mut self, mut lines: Vec<u8>) -> io::Result<Option<LogChunk>> {
        loop {
            let available = self.file.metadata()?.len().saturating_sub(self.offset);
            let size = usize::try_from(available.min(CHUNK_BYTES_MAX)).unwrap_or(0);
            lines.clear();
            // At least one byte, to see that there is none.
            lines.reserve(self.unfinished.len() + size.max(1));
            lines.append(&mut self.unfinished);
            let held = lines.len();
            let length = rustix::io::pread(&self.file, spare_capacity(&mut lines), self.offset)?;
            self.offset += length as u64;
            let whole = memchr::memrchr(b'\n', &lines[held..]).map_or(0, |newline| held + newline + 1);
            if lines.len() - whole > UNFINISHED_BYTES_MAX {
                self.unfinished = Vec::new();
            } else {
                self.unfinished.extend_from_slice(&lines[whole..]);
            }
            lines.truncate(whole);
            if !lines.is_empty() {
                let after_gap = std::mem::take(&mut self.after_gap);
                return Ok(Some(LogChunk { attempt: self.attempt, after_gap, lines }));
            }
            if length == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;
    use std::time::Duration;

    use super::super::LogWatcher;
    use super::{LogFollower, UNFINISHED_BYTES_MAX};

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("monopod-follow-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn append(&self, name: &str, text: &str) {
            fs::create_dir_all(&self.0).unwrap();
            let lines = text.split(' ').filter(|word| !word.is_empty());
            let lines: String =
                lines.map(|word| format!("2016-10-06T00:17:09.000000001Z stdout F {word}\n")).collect();
            let mut file = fs::File::options().create(true).append(true).open(self.0.join(name)).unwrap();
            file.write_all(lines.as_bytes()).unwrap();
        }

        fn rotate(&self, to: &str) {
            fs::rename(self.0.join("0.log"), self.0.join(to)).unwrap();
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// `ATTEMPT:TEXT` of the next `count` records.
    async fn next(follower: &mut LogFollower, count: usize) -> Vec<String> {
        let mut found = Vec::new();
        while found.len() < count {
            let chunk = tokio::time::timeout(Duration::from_secs(10), follower.next_chunk()).await;
            let chunk = chunk.expect("records in time").unwrap().expect("not the end");
            assert!(!chunk.after_gap);
            let texts = chunk.records().map(|record| String::from_utf8(record.text.to_vec()).unwrap());
            found.extend(texts.map(|text| format!("{}:{text}", chunk.attempt)));
        }
        found
    }

    #[tokio::test]
    async fn follows_through_rotation_and_restart_to_the_end() {
        let dir = Dir::new("chain");
        let watcher = LogWatcher::new().unwrap();
        dir.append("0.log", "a b");
        let mut follower = watcher.follow(&dir.0, 0).unwrap();
        assert_eq!(next(&mut follower, 2).await, ["0:a", "0:b"]);
        dir.append("0.log", "c");
        dir.rotate("0.log.20161006-001709");
        dir.append("0.log", "d");
        assert_eq!(next(&mut follower, 2).await, ["0:c", "0:d"]);
        dir.append("0.log", "e");
        dir.append("1.log", "f");
        assert_eq!(next(&mut follower, 2).await, ["0:e", "1:f"]);
        dir.append("1.log", "g");
        follower.finish_handle().finish();
        assert_eq!(next(&mut follower, 1).await, ["1:g"]);
        assert_eq!(follower.next_chunk().await.unwrap(), None);
    }

    #[tokio::test]
    async fn waits_for_a_container_that_has_not_started() {
        let dir = Dir::new("early");
        let watcher = LogWatcher::new().unwrap();
        let mut follower = watcher.follow(&dir.0, 1).unwrap();
        let reader = tokio::spawn(async move { next(&mut follower, 1).await });
        dir.append("0.log", "earlier");
        dir.append("1.log", "x");
        assert_eq!(reader.await.unwrap(), ["1:x"]);
    }

    #[tokio::test]
    async fn a_part_that_went_unseen_is_a_gap() {
        let dir = Dir::new("gap");
        let watcher = LogWatcher::new().unwrap();
        dir.append("0.log", "a");
        let mut follower = watcher.follow(&dir.0, 0).unwrap();
        fs::remove_file(dir.0.join("0.log")).unwrap();
        dir.append("0.log", "b");
        follower.finish_handle().finish();
        let first = follower.next_chunk().await.unwrap().unwrap();
        let second = follower.next_chunk().await.unwrap().unwrap();
        assert!(!first.after_gap && second.after_gap);
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_held() {
        let dir = Dir::new("endless");
        let watcher = LogWatcher::new().unwrap();
        dir.append("0.log", "a");
        let mut file = fs::File::options().append(true).open(dir.0.join("0.log")).unwrap();
        file.write_all(&vec![b'x'; 3 * UNFINISHED_BYTES_MAX]).unwrap();
        let mut follower = watcher.follow(&dir.0, 0).unwrap();
        assert_eq!(next(&mut follower, 1).await, ["0:a"]);
        assert!(follower.read_on().unwrap().is_none());
        let reading = follower.reading.as_ref().unwrap();
        assert!(reading.unfinished.capacity() <= 2 * UNFINISHED_BYTES_MAX);
        file.write_all(b"\n").unwrap();
        dir.append("0.log", "b");
        assert_eq!(next(&mut follower, 1).await, ["0:b"]);
    }

    #[tokio::test]
    async fn parts_that_were_removed_are_still_read_and_torn_lines_are_joined() {
        let dir = Dir::new("removed");
        let watcher = LogWatcher::new().unwrap();
        dir.append("0.log", "a");
        let mut follower = watcher.follow(&dir.0, 0).unwrap();
        assert_eq!(next(&mut follower, 1).await, ["0:a"]);
        dir.append("0.log", "b");
        dir.rotate("0.log.20161006-001709");
        dir.append("0.log", "c");
        dir.rotate("0.log.20161006-001710");
        dir.append("0.log", "d");
        while follower.directory.unread() < 2 {
            tokio::task::yield_now().await;
        }
        for part in ["0.log.20161006-001709", "0.log.20161006-001710"] {
            fs::remove_file(dir.0.join(part)).unwrap();
        }
        assert_eq!(next(&mut follower, 3).await, ["0:b", "0:c", "0:d"]);
        fs::write(dir.0.join("1.log"), "2016-10-06T00:17:09Z std").unwrap();
        tokio::task::yield_now().await;
        let mut file = fs::File::options().append(true).open(dir.0.join("1.log")).unwrap();
        file.write_all(b"out F e\n").unwrap();
        follower.finish_handle().finish();
        assert_eq!(next(&mut follower, 1).await, ["1:e"]);
    }
}
