//! One attempt's log as `kubectl logs` prints it.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cri_log::{Flow, Printer, Selection, Stream, TailScan};

use super::LogWatcher;
use super::directory::{Directory, LogFile};
use super::follower::{LogChunk, Reading};
use super::watcher::Shared;

/// Read backwards for the last lines, a block of this size at a time.
const BLOCK_BYTES: u64 = 64 << 10;

/// What of a container's logs is asked for (`v1.PodLogOptions`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogQuery {
    /// Of the attempt before the newest that has a log.
    pub previous: bool,
    /// Go on until the attempt has ended.
    pub follow: bool,
    /// `None` for both.
    pub stream: Option<Stream>,
    pub selection: Selection,
}

/// A log, or a part of it, to be read at the reader's pace.
pub struct LogStream {
    attempt: u32,
    stream: Option<Stream>,
    printer: Printer,
    /// The limit is reached.
    done: bool,
    /// What was there when it was opened, in the order of writing; the first from where to read.
    there: VecDeque<LogFile>,
    start: u64,
    reading: Option<Reading>,
    /// What the last lines were read into.
    memory: Vec<u8>,
    /// What is printed next, in the memory of what was printed before when nobody has that any more.
    printed: BytesMut,
    following: Option<Following>,
}

/// What comes later.
struct Following {
    directory: Arc<Directory>,
    watcher: Arc<Shared>,
    watch: i32,
    /// `None` once it has ended.
    ended: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl LogWatcher {
    /// Opens the log of the container whose logs are in `dir` (`/var/log/pods/NS_NAME_UID/CONTAINER`). With
    /// `follow`, the stream ends when everything is read that was written before `ended`, which is given the attempt;
    /// it may take its time to say so, but has to say it.
    ///
    /// # Errors
    /// `NotFound` when there is no such log; when the directory cannot be read or watched.
    pub fn open<E>(&self, dir: &Path, query: &LogQuery, ended: impl FnOnce(u32) -> E) -> io::Result<LogStream>
    where
        E: Future<Output = ()> + Send + 'static,
    {
        let attempts = Directory::attempts(dir)?;
        let attempt = attempts.iter().rev().nth(usize::from(query.previous)).copied();
        let attempt = attempt.ok_or(io::ErrorKind::NotFound)?;
        let directory = Arc::new(Directory::new(dir, attempt, attempt));
        let following = if query.follow {
            let watch = self.watch(&directory, dir)?;
            let (directory, watcher) = (Arc::clone(&directory), Arc::clone(self.shared()));
            let ended: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(ended(attempt));
            Some(Following { directory, watcher, watch, ended: Some(ended) })
        } else {
            directory.scan()?;
            None
        };
        let mut there: VecDeque<LogFile> = std::iter::from_fn(|| directory.next_file()).collect();
        let start = match query.selection.tail_lines {
            Some(lines) => tail(&mut there, lines)?,
            None => 0,
        };
        Ok(LogStream {
            attempt,
            stream: query.stream,
            printer: Printer::new(&query.selection),
            done: query.selection.limit_bytes == Some(0),
            there,
            start,
            reading: None,
            memory: Vec::new(),
            printed: BytesMut::new(),
            following,
        })
    }
}

/// Drops the files before the last lines. Returns where those begin in the first one that is left.
fn tail(files: &mut VecDeque<LogFile>, lines: u64) -> io::Result<u64> {
    let mut scan = TailScan::new(lines);
    for at in (0..files.len()).rev() {
        if let Some(start) = tail_of(&files[at].file, &mut scan)? {
            files.drain(..at);
            return Ok(start);
        }
    }
    Ok(0)
}

fn tail_of(file: &File, scan: &mut TailScan) -> io::Result<Option<u64>> {
    let mut end = file.metadata()?.len();
    let mut block = vec![0; usize::try_from(end.min(BLOCK_BYTES)).unwrap_or(0)];
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        block.resize(usize::try_from(end - start).unwrap_or(0), 0);
        file.read_exact_at(&mut block, start)?;
        if let Some(found) = scan.block_before(start, &block) {
            return Ok(Some(found));
        }
        end = start;
    }
    Ok(None)
}

impl LogStream {
    /// The attempt whose log it is.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The next part of it, never empty; `None` at the end. Waits for more when it follows. Safe to cancel.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            // A log that is written faster than it is read would keep everybody else on this thread waiting.
            tokio::task::yield_now().await;
            if self.done {
                return Ok(None);
            }
            // Asked before reading: nothing is written after it.
            let ended = self.following.as_ref().is_none_or(|following| following.ended.is_none());
            if let Some(Following { directory, .. }) = self.following.as_ref().filter(|_| ended) {
                // Events of the last files may still be under way.
                directory.scan()?;
            }
            if let Some(chunk) = self.read_on()? {
                let printed = self.print(chunk);
                if !printed.is_empty() {
                    return Ok(Some(printed));
                }
                continue;
            }
            let Some(following) = self.following.as_mut().filter(|_| !ended) else { return Ok(None) };
            // Whoever waits for a line now and then needs no memory for many.
            self.printed = BytesMut::new();
            following.wait().await;
        }
    }

    /// `None` when everything written so far is read.
    fn read_on(&mut self) -> io::Result<Option<LogChunk>> {
        loop {
            let Some(reading) = &mut self.reading else {
                let Some(next) = self.next_file() else { return Ok(None) };
                self.reading = Some(Reading::from(next, std::mem::take(&mut self.start)));
                continue;
            };
            // Asked before reading: a file is complete once there is a later one.
            let later = self.following.as_ref().is_some_and(|following| following.directory.has_unread());
            let complete = !self.there.is_empty() || later;
            if let Some(chunk) = reading.read(std::mem::take(&mut self.memory))? {
                return Ok(Some(chunk));
            }
            if !complete {
                return Ok(None);
            }
            self.reading = None;
        }
    }

    fn next_file(&mut self) -> Option<LogFile> {
        let later = || self.following.as_ref().and_then(|following| following.directory.next_file());
        self.there.pop_front().or_else(later)
    }

    fn print(&mut self, chunk: LogChunk) -> Bytes {
        self.printed.reserve(chunk.len());
        for record in chunk.records().filter(|record| self.stream.is_none_or(|only| only == record.stream)) {
            if self.printer.print(&record, |piece| self.printed.extend_from_slice(piece)) == Flow::Done {
                self.done = true;
                break;
            }
        }
        self.memory = chunk.into_memory();
        self.printed.split().freeze()
    }
}

impl Following {
    /// Until there may be something new to read, or the attempt has ended.
    async fn wait(&mut self) {
        let Some(ended) = &mut self.ended else { return };
        tokio::select! {
            () = self.directory.changed.notified() => {}
            () = ended => self.ended = None,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.watcher.forget(self.watch, &self.directory);
    }
}

impl fmt::Debug for LogStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStream").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::PathBuf;
    use std::time::Duration;

    use cri_log::{Selection, Stream};
    use podspec::WallTime;
    use tokio::sync::oneshot;

    use super::{LogQuery, LogStream};
    use crate::logs::LogWatcher;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("monopod-stream-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// `1o` is a line "1" of standard output, written in second 1.
        fn append(&self, name: &str, lines: &str) {
            let line = |word: &str| {
                let (text, stream) = word.split_at(1);
                let stream = if stream == "e" { "stderr" } else { "stdout" };
                format!("1970-01-01T00:00:0{text}.000000000Z {stream} F {text}\n")
            };
            let lines: String = lines.split(' ').map(line).collect();
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

    async fn next(stream: &mut LogStream) -> Option<String> {
        let part = tokio::time::timeout(Duration::from_secs(10), stream.next()).await.expect("in time");
        part.unwrap().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn all(dir: &Dir, query: LogQuery) -> String {
        let watcher = LogWatcher::new().unwrap();
        let mut stream = watcher.open(&dir.0, &query, |_| std::future::pending()).unwrap();
        let mut text = String::new();
        while let Some(part) = next(&mut stream).await {
            text.push_str(&part.replace('\n', " "));
        }
        text
    }

    #[tokio::test]
    async fn parts_of_a_log_through_its_files() {
        let dir = Dir::new("parts");
        dir.append("0.log", "0o");
        dir.append("1.log.20161006-001709", "1o 2e");
        dir.append("1.log.20161006-001710", "3o 4o");
        dir.append("1.log", "5e 6o");
        let plain = LogQuery::default;
        let select = |selection| LogQuery { selection, ..plain() };
        let tail = |lines| select(Selection { tail_lines: Some(lines), ..Selection::default() });
        for (query, expected) in [
            (plain(), "1 2 3 4 5 6 "),
            (LogQuery { previous: true, ..plain() }, "0 "),
            (LogQuery { stream: Some(Stream::Stderr), ..plain() }, "2 5 "),
            (tail(0), ""),
            (tail(1), "6 "),
            (tail(2), "5 6 "),
            (tail(3), "4 5 6 "),
            (tail(4), "3 4 5 6 "),
            (tail(6), "1 2 3 4 5 6 "),
            (tail(99), "1 2 3 4 5 6 "),
            (select(Selection { since: Some(WallTime::from_unix(4, 0)), ..Selection::default() }), "4 5 6 "),
            (select(Selection { limit_bytes: Some(3), ..Selection::default() }), "1 2"),
            (select(Selection { limit_bytes: Some(0), ..Selection::default() }), ""),
            (
                select(Selection { timestamps: true, tail_lines: Some(1), ..Selection::default() }),
                "1970-01-01T00:00:06.000000000Z 6 ",
            ),
        ] {
            assert_eq!(all(&dir, query.clone()).await, expected, "{query:?}");
        }
    }

    #[tokio::test]
    async fn a_log_is_followed_until_its_attempt_has_ended() {
        let dir = Dir::new("follow");
        let watcher = LogWatcher::new().unwrap();
        dir.append("0.log", "1o 2o");
        let (end, ended) = oneshot::channel::<()>();
        let selection = Selection { tail_lines: Some(1), ..Selection::default() };
        let query = LogQuery { follow: true, selection, ..LogQuery::default() };
        let ended = |attempt| {
            assert_eq!(attempt, 0);
            async move { drop(ended.await) }
        };
        let mut stream = watcher.open(&dir.0, &query, ended).unwrap();
        assert_eq!(next(&mut stream).await.unwrap(), "2\n");
        dir.append("0.log", "3o");
        assert_eq!(next(&mut stream).await.unwrap(), "3\n");
        dir.append("0.log", "4o");
        dir.rotate("0.log.20161006-001709");
        dir.append("0.log", "5o");
        assert_eq!(next(&mut stream).await.unwrap(), "4\n");
        assert_eq!(next(&mut stream).await.unwrap(), "5\n");
        dir.append("0.log", "6o");
        dir.append("1.log", "7o");
        end.send(()).unwrap();
        assert_eq!(next(&mut stream).await.unwrap(), "6\n");
        assert_eq!(next(&mut stream).await, None);
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found() {
        let dir = Dir::new("none");
        let watcher = LogWatcher::new().unwrap();
        let open = |previous| {
            let query = LogQuery { previous, ..LogQuery::default() };
            watcher.open(&dir.0, &query, |_| std::future::pending()).map(drop).unwrap_err().kind()
        };
        assert_eq!(open(false), std::io::ErrorKind::NotFound);
        dir.append("0.log", "1o");
        assert_eq!(open(true), std::io::ErrorKind::NotFound);
    }
}
