//! A blob: hashed while it is handed out, and gone on with where it was cut.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::pace::Pace;
use super::stream::Stream;
use super::{Repository, retry};
use crate::digest::Digest;
use crate::error::{Error, Kind, Problem};

/// A blob on its way. What has been handed out is verified only when the end has been seen.
pub struct Blob {
    repository: Repository,
    digest: Digest,
    bytes: u64,
    bytes_done: u64,
    hash: Sha256,
    stream: Option<Stream>,
    pace: Pace,
    /// Failures since enough bytes came, and how many had come then.
    failures: u32,
    bytes_then: u64,
    resumes: u32,
    has_ended: bool,
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("digest", &self.digest)
            .field("bytes_done", &self.bytes_done)
            .finish_non_exhaustive()
    }
}

impl Blob {
    pub(super) fn new(repository: Repository, digest: Digest, bytes: u64, stream: Stream) -> Self {
        let pace = Pace::new(repository.limits());
        Self {
            repository,
            digest,
            bytes,
            bytes_done: 0,
            hash: Sha256::new(),
            stream: Some(stream),
            pace,
            failures: 0,
            bytes_then: 0,
            resumes: 0,
            has_ended: false,
        }
    }

    /// What comes next, never empty, or `None` at the end, when size and digest are right; again `None` after that.
    ///
    /// # Errors
    /// When it does not come, or is not what was promised. What was handed out before must not be used then. A wait that
    /// is given up loses nothing.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.has_ended {
            return Ok(None);
        }
        loop {
            if self.stream.is_none() {
                self.stream = Some(self.repository.open(self.digest, self.bytes_done, self.bytes).await?);
            }
            // It stays where it is while it is waited for, so that nothing is lost when the wait is given up.
            let Some(stream) = &mut self.stream else { continue };
            let problem = match stream.chunk(&mut self.pace).await {
                Ok(Some(chunk)) => {
                    self.bytes_done += chunk.len() as u64;
                    self.hash.update(&chunk);
                    return Ok(Some(chunk));
                }
                Ok(None) if self.bytes_done < self.bytes => {
                    Problem::Cut(format!("it ended after {} of {} bytes", self.bytes_done, self.bytes))
                }
                Ok(None) => match self.end() {
                    Ok(()) => return Ok(None),
                    Err(problem) => problem,
                },
                // All is there but the end of the answer.
                Err(problem) if self.bytes_done == self.bytes && problem.kind() != Kind::Corrupt => {
                    match self.end() {
                        Ok(()) => return Ok(None),
                        Err(problem) => problem,
                    }
                }
                Err(problem) => problem,
            };
            let stream = self.stream.take();
            let Some(pause) = self.pause(&problem) else {
                return Err(self.repository.failed(self.digest, stream.as_ref(), problem));
            };
            tracing::debug!(digest = %self.digest, from = self.bytes_done, ?pause, "a blob is gone on with: {problem}");
            drop(stream);
            self.pace = Pace::new(self.repository.limits());
            tokio::time::sleep(pause).await;
        }
    }

    fn end(&mut self) -> Result<(), Problem> {
        let found = Digest::of_hash(self.hash.clone());
        if found != self.digest {
            return Err(Problem::Wrong(format!("what came has the digest {found}")));
        }
        self.has_ended = true;
        Ok(())
    }

    /// How long to wait before it goes on, if it does.
    fn pause(&mut self, problem: &Problem) -> Option<std::time::Duration> {
        let limits = self.repository.limits();
        if self.bytes_done - self.bytes_then >= limits.progress_bytes_min {
            self.failures = 0;
            self.bytes_then = self.bytes_done;
        }
        self.failures += 1;
        self.resumes += 1;
        if self.resumes > limits.resumes_max {
            return None;
        }
        retry::pause(problem, self.failures, limits.attempts, true, limits)
    }
}
