//! A stream of lines.

use bytes::BytesMut;
use client::Parts;

use crate::client::failure::{Failure, Result};

/// One entry of a journal; a snapshot has the whole pod.
const LINE_BYTES_MAX: usize = 8 << 20;

#[derive(Debug)]
pub(super) struct Lines {
    parts: Parts,
    rest: BytesMut,
    /// Of the rest; there is no end of a line in it.
    searched: usize,
}

impl Lines {
    pub(super) fn new(parts: Parts) -> Self {
        Self { parts, rest: BytesMut::new(), searched: 0 }
    }

    /// The next one that is not empty; `None` at the end. Safe to cancel.
    pub(super) async fn next(&mut self) -> Result<Option<BytesMut>> {
        loop {
            if let Some(end) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.searched + end + 1);
                self.searched = 0;
                if line.len() > 1 {
                    return Ok(Some(line));
                }
                continue;
            }
            self.searched = self.rest.len();
            if self.searched > LINE_BYTES_MAX {
                return Err(Failure::said(format!(
                    "an entry of the pod's journal has more than {LINE_BYTES_MAX} bytes"
                )));
            }
            match self.parts.next().await? {
                Some(part) => self.rest.extend_from_slice(&part),
                None => return Ok(None),
            }
        }
    }
}
