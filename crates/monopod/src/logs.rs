//! The lines of containers, from their log files.

use std::io;

use cri_log::{Record, Stream};
use podspec::WallTime;
use runtime::logs::LogWatcher;
use tokio::sync::watch;

use crate::run::{Lines, LogSource};

/// A line longer than this is shown in parts.
const LINE_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct LogFiles(LogWatcher);

impl LogFiles {
    /// Needs a tokio runtime.
    pub(crate) fn new() -> io::Result<Self> {
        LogWatcher::new().map(Self)
    }
}

impl LogSource for LogFiles {
    async fn follow(&self, mut lines: Lines, mut ended: watch::Receiver<bool>) -> io::Result<()> {
        let dir = lines.pod.log_dir.join(lines.container.as_str());
        let mut follower = self.0.follow(&dir, lines.attempt)?;
        let finish = follower.finish_handle();
        let mut parts = [Line::default(), Line::default()];
        let mut told = false;
        loop {
            let chunk = tokio::select! {
                chunk = follower.next_chunk() => chunk?,
                _ = ended.wait_for(|ended| *ended), if !told => {
                    told = true;
                    finish.finish();
                    continue;
                }
            };
            // What the next attempt writes is for its own follower.
            let Some(chunk) = chunk.filter(|chunk| chunk.attempt == lines.attempt) else { break };
            if chunk.after_gap {
                tracing::warn!("lines of container {} are missing: output is too slow", lines.container);
            }
            for record in chunk.records() {
                parts[usize::from(record.stream == Stream::Stderr)].add(&record, &mut lines).await;
            }
            lines.flush().await;
        }
        for (stderr, mut line) in [false, true].into_iter().zip(parts) {
            line.show(stderr, &mut lines).await;
        }
        lines.flush().await;
        Ok(())
    }
}

/// A line of one stream, put together from its parts.
#[derive(Debug, Default)]
struct Line {
    /// Of its first part; `None` while there is none.
    began: Option<WallTime>,
    text: Vec<u8>,
}

impl Line {
    async fn add(&mut self, record: &Record<'_>, lines: &mut Lines) {
        let stderr = record.stream == Stream::Stderr;
        if !record.partial && self.began.is_none() {
            return lines.line(record.time, stderr, record.text).await;
        }
        self.began.get_or_insert(record.time);
        self.text.extend_from_slice(record.text);
        if !record.partial || self.text.len() >= LINE_BYTES_MAX {
            self.show(stderr, lines).await;
        }
    }

    async fn show(&mut self, stderr: bool, lines: &mut Lines) {
        if let Some(began) = self.began.take() {
            lines.line(began, stderr, &self.text).await;
            self.text.clear();
        }
    }
}
