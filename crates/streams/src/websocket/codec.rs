//! Messages of a WebSocket that is divided into channels: the channel's number, and then its bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;

/// Standard input.
pub(crate) const STDIN: u8 = 0;
/// Standard output.
pub(crate) const STDOUT: u8 = 1;
/// Standard error.
pub(crate) const STDERR: u8 = 2;
/// The report at the end.
pub(crate) const ERROR: u8 = 3;
/// Sizes of the terminal.
pub(crate) const RESIZE: u8 = 4;
/// In protocol 5: the channel whose number follows is at its end.
pub(crate) const CLOSE: u8 = 255;

/// How channel and bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// The number as a byte, the bytes as they are.
    Raw,
    /// The number as a digit, the bytes in base64.
    Base64,
}

impl Codec {
    pub(crate) fn new(is_base64: bool) -> Codec {
        if is_base64 { Codec::Base64 } else { Codec::Raw }
    }

    /// The message that carries `bytes` on `channel`.
    pub(crate) fn encode(self, channel: u8, bytes: &[u8]) -> Message {
        match self {
            Codec::Raw => {
                let mut message = Vec::with_capacity(1 + bytes.len());
                message.push(channel);
                message.extend_from_slice(bytes);
                Message::binary(message)
            }
            Codec::Base64 => {
                let mut message = String::from(char::from(b'0'.wrapping_add(channel)));
                STANDARD.encode_string(bytes, &mut message);
                Message::text(message)
            }
        }
    }

    /// The message that carries `bytes`, of a WebSocket without channels.
    pub(crate) fn encode_whole(self, bytes: &[u8]) -> Message {
        match self {
            Codec::Raw => Message::binary(bytes.to_vec()),
            Codec::Base64 => Message::text(STANDARD.encode(bytes)),
        }
    }

    /// The channel of a message and its bytes; none of a message that is empty or not in base64.
    pub(crate) fn decode(self, mut message: Bytes) -> Option<(u8, Bytes)> {
        if message.is_empty() {
            return None;
        }
        let bytes = message.split_off(1);
        let channel = message[0];
        match self {
            Codec::Raw => Some((channel, bytes)),
            Codec::Base64 => Some((channel.wrapping_sub(b'0'), STANDARD.decode(bytes).ok()?.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        for (codec, channel, bytes, message) in [
            (Codec::Raw, 1, &b"hello"[..], Message::binary(&b"\x01hello"[..])),
            (Codec::Raw, 3, b"", Message::binary(&b"\x03"[..])),
            (Codec::Base64, 0, b"hello", Message::text("0aGVsbG8=")),
            (Codec::Base64, 4, b"", Message::text("4")),
        ] {
            assert_eq!(codec.encode(channel, bytes), message);
            assert_eq!(codec.decode(message.into_data()), Some((channel, Bytes::copy_from_slice(bytes))));
        }
        assert_eq!(Codec::Base64.encode_whole(b"hello"), Message::text("aGVsbG8="));
    }

    #[test]
    fn what_is_no_message() {
        assert_eq!(Codec::Raw.decode(Bytes::new()), None);
        assert_eq!(Codec::Base64.decode(Bytes::new()), None);
        assert_eq!(Codec::Base64.decode("0not base64!".into()), None);
        assert_eq!(Codec::Base64.decode("\0aGVsbG8=".into()), Some((208, "hello".into())));
    }
}
