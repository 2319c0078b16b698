//! A blob as a stream: hashed while it is handed out.

use std::fmt;

use bytes::Bytes;
use reqwest::Response;
use sha2::{Digest as _, Sha256};

use super::Repository;
use crate::digest::Digest;
use crate::error::{Error, Problem};
use crate::transport::innermost;

/// A blob on its way. What has been handed out is verified only when the end has been seen.
pub struct Blob {
    repository: Repository,
    digest: Digest,
    bytes: u64,
    bytes_done: u64,
    hash: Sha256,
    response: Response,
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
    pub(super) fn new(repository: Repository, digest: Digest, bytes: u64, response: Response) -> Self {
        Self { repository, digest, bytes, bytes_done: 0, hash: Sha256::new(), response }
    }

    /// What comes next, or `None` at the end, when size and digest are right.
    ///
    /// # Errors
    /// When it does not come, or is not what was promised. There is nothing to be had after that.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.next().await {
            Ok(chunk) => Ok(chunk),
            Err(problem) => Err(self.repository.error(self.digest, self.response.url(), problem)),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let stall = self.repository.stall();
        let chunk = tokio::time::timeout(stall, self.response.chunk()).await;
        let chunk = chunk.map_err(|_| Problem::Stalled(stall))?;
        match chunk.map_err(|error| Problem::Cut(innermost(&error)))? {
            Some(chunk) => {
                self.bytes_done += chunk.len() as u64;
                if self.bytes_done > self.bytes {
                    return Err(Problem::Wrong(format!("more than the promised {} bytes came", self.bytes)));
                }
                self.hash.update(&chunk);
                Ok(Some(chunk))
            }
            None if self.bytes_done < self.bytes => {
                Err(Problem::Wrong(format!("{} bytes came of the promised {}", self.bytes_done, self.bytes)))
            }
            None => {
                let found = Digest::of_hash(self.hash.clone());
                if found == self.digest {
                    return Ok(None);
                }
                Err(Problem::Wrong(format!("what came has the digest {found}")))
            }
        }
    }
}
