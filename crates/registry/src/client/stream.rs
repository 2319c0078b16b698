//! The body of one answer to a request for a blob, from the byte on that was wanted.

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use reqwest::{Response, Url};

use super::answer;
use super::pace::Pace;
use crate::error::Problem;

pub(super) struct Stream {
    response: Response,
    /// Of the endpoint, in the repository.
    pub(super) endpoint: usize,
    /// What comes again, since the registry knows no ranges.
    skip: u64,
    /// What may come, with what is skipped.
    bytes_left: u64,
    /// Of the whole blob, for errors.
    bytes: u64,
}

impl Stream {
    /// # Errors
    /// When the head of the answer promises other bytes than are wanted.
    pub(super) fn new(response: Response, from: u64, bytes: u64) -> Result<Self, Problem> {
        let (skip, bytes_left) = match (response.status(), from) {
            (StatusCode::OK, _) => (from, bytes),
            (StatusCode::PARTIAL_CONTENT, 1..) => {
                let range = answer::content_range(response.headers());
                let fits = |(first, last, whole): (u64, u64, Option<u64>)| {
                    first == from && last < bytes && whole.is_none_or(|whole| whole == bytes)
                };
                if !range.is_some_and(fits) {
                    let said = response.headers().get(http::header::CONTENT_RANGE);
                    let said = said.map_or_else(String::new, |said| {
                        String::from_utf8_lossy(said.as_bytes()).into_owned()
                    });
                    return Err(Problem::Wrong(format!(
                        "asked for the bytes from {from} on of {bytes}, the registry sends the range {:?}",
                        said.chars().take(100).collect::<String>()
                    )));
                }
                (0, bytes - from)
            }
            (status, _) => {
                return Err(Problem::Wrong(format!("the registry answers a blob with status {status}")));
            }
        };
        let promised = response.content_length();
        // A part may be shorter than what was asked for, the whole not.
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        if promised.is_some_and(|promised| promised > bytes_left || (!is_part && promised < bytes_left)) {
            return Err(Problem::Wrong(format!(
                "the registry sends {} bytes where {bytes_left} were promised",
                promised.unwrap_or_default()
            )));
        }
        Ok(Self { response, endpoint: 0, skip, bytes_left, bytes })
    }

    pub(super) fn url(&self) -> &Url {
        self.response.url()
    }

    /// The next bytes that are new, or the end of the answer.
    pub(super) async fn chunk(&mut self, pace: &mut Pace) -> Result<Option<Bytes>, Problem> {
        loop {
            let Some(mut chunk) = pace.chunk(&mut self.response).await? else { return Ok(None) };
            let count = chunk.len() as u64;
            if count > self.bytes_left {
                return Err(Problem::Wrong(format!("more bytes come than the promised {}", self.bytes)));
            }
            self.bytes_left -= count;
            let skip = count.min(self.skip);
            self.skip -= skip;
            // It is not more than what this chunk has.
            chunk.advance(usize::try_from(skip).unwrap_or(chunk.len()));
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }
}
