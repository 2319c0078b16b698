//! The bytes of an archive, hashed and counted as they come.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::CHUNK_BYTES;
use super::error::LayerError;

pub(super) const BLOCK_BYTES: usize = 512;

#[derive(Debug)]
pub(super) struct Archive<R> {
    reader: R,
    buffer: Box<[u8]>,
    /// What of the buffer has been read and not yet used.
    unused: std::ops::Range<usize>,
    hash: Sha256,
    /// Read so far.
    bytes: u64,
    bytes_max: u64,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(reader: R, bytes_max: u64) -> Self {
        let buffer = vec![0; CHUNK_BYTES].into_boxed_slice();
        Self { reader, buffer, unused: 0..0, hash: Sha256::new(), bytes: 0, bytes_max }
    }

    /// Of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.bytes - self.unused.len() as u64
    }

    /// The next bytes, at least one and at most `bytes_max`; none at the end of the archive. They are
    /// used up.
    pub(super) fn chunk(&mut self, bytes_max: u64) -> Result<&[u8], LayerError> {
        if self.unused.is_empty() && bytes_max > 0 {
            self.fill()?;
        }
        let length = self.unused.len().min(usize::try_from(bytes_max).unwrap_or(usize::MAX));
        let start = self.unused.start;
        self.unused.start += length;
        Ok(&self.buffer[start..start + length])
    }

    /// `None` at the end of the archive.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, LayerError> {
        let mut block = [0; BLOCK_BYTES];
        let mut length = 0;
        while length < BLOCK_BYTES {
            let chunk = self.chunk((BLOCK_BYTES - length) as u64)?;
            if chunk.is_empty() {
                let within = "a header";
                return if length == 0 { Ok(None) } else { Err(LayerError::Truncated { within }) };
            }
            block[length..length + chunk.len()].copy_from_slice(chunk);
            length += chunk.len();
        }
        Ok(Some(block))
    }

    /// How many bytes the archive had, and their SHA-256.
    pub(super) fn finish(self) -> (u64, [u8; 32]) {
        (self.bytes, self.hash.finalize().into())
    }

    fn fill(&mut self) -> Result<(), LayerError> {
        let length = loop {
            match self.reader.read(&mut self.buffer) {
                Ok(length) => break length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(LayerError::Read { source }),
            }
        };
        self.hash.update(&self.buffer[..length]);
        self.bytes += length as u64;
        if self.bytes > self.bytes_max {
            return Err(LayerError::TooLong { max: self.bytes_max });
        }
        self.unused = 0..length;
        Ok(())
    }
}
