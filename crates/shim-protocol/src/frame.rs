//! Length-prefixed JSON, without I/O.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::MESSAGE_BYTES_MAX;

const HEADER_BYTES: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("message of {bytes} bytes is longer than the limit of {MESSAGE_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("message is not of this protocol version")]
    Json(#[source] serde_json::Error),
}

/// One message with its header.
///
/// # Errors
/// When it is too long or cannot be written as JSON.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEADER_BYTES];
    serde_json::to_writer(&mut frame, message).map_err(FrameError::Json)?;
    let bytes = frame.len() - HEADER_BYTES;
    match u32::try_from(bytes) {
        Ok(header) if bytes <= MESSAGE_BYTES_MAX => {
            frame[..HEADER_BYTES].copy_from_slice(&header.to_le_bytes());
            Ok(frame)
        }
        _ => Err(FrameError::TooLong { bytes }),
    }
}

/// Collects received bytes and yields whole messages. Holds at most one message and one read.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
}

impl FrameBuffer {
    pub fn push(&mut self, received: &[u8]) {
        self.bytes.extend_from_slice(received);
    }

    /// Gives back what messages took that have been yielded.
    pub fn release_memory(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// The next whole message, if it has arrived.
    ///
    /// # Errors
    /// When the header or the JSON is not ours; the connection is then of no more use.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(header) = self.bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES_MAX {
            return Err(FrameError::TooLong { bytes: length });
        }
        let end = HEADER_BYTES + length;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let message = serde_json::from_slice(&self.bytes[HEADER_BYTES..end]).map_err(FrameError::Json)?;
        self.bytes.drain(..end);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameBuffer, FrameError, encode};
    use crate::{Reply, ReplyBody};

    #[test]
    fn messages_survive_any_split_of_the_stream() {
        let frame = encode(&Reply { id: 7, body: ReplyBody::Done, times: None }).unwrap();
        let stream = [frame.clone(), frame].concat();
        for cut in 0..stream.len() {
            let mut buffer = FrameBuffer::default();
            let mut ids = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                buffer.push(part);
                while let Some(reply) = buffer.next_message::<Reply>().unwrap() {
                    ids.push(reply.id);
                }
            }
            assert_eq!(ids, [7, 7], "cut at {cut}");
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_it_is_read() {
        let mut buffer = FrameBuffer::default();
        buffer.push(&u32::MAX.to_le_bytes());
        assert!(matches!(buffer.next_message::<Reply>(), Err(FrameError::TooLong { .. })));
    }
}
