//! Frames of SPDY/3 as bytes (draft-mbelshe-httpbis-spdy-00, section 2.2).

use crate::spdy::headers::{HeaderDecoder, Headers};

/// A control frame that is longer ends the connection; those of Kubernetes have a few dozen bytes.
pub(super) const CONTROL_BYTES_MAX: usize = 16 * 1024;
/// Every frame begins with so many bytes.
pub(super) const HEAD_BYTES: usize = 8;

const VERSION: u16 = 3;
const FLAG_FIN: u8 = 1;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;
const ID_MASK: u32 = 0x7fff_ffff;
const LENGTH_MASK: u32 = 0x00ff_ffff;

/// Why a stream was reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResetStatus {
    ProtocolError = 1,
    RefusedStream = 3,
    Cancel = 5,
}

/// Why a connection ends: the peer does not speak SPDY/3, or not within bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("SPDY version {0}; this is version 3")]
    Version(u16),
    #[error("a control frame of type {kind} with {length} bytes; at most {CONTROL_BYTES_MAX}")]
    TooLong { kind: u16, length: usize },
    #[error("a control frame of type {kind} with {length} bytes, which is not its length")]
    Length { kind: u16, length: usize },
    #[error("stream 0 in a frame that needs a stream")]
    StreamZero,
    #[error("header block: {0}")]
    Headers(&'static str),
}

/// The beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Data { id: u32, is_last: bool, length: usize },
    Control { kind: u16, flags: u8, length: usize },
}

/// A control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    SynStream {
        id: u32,
        is_last: bool,
        headers: Headers,
    },
    SynReply {
        id: u32,
        is_last: bool,
    },
    Reset {
        id: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    Headers {
        id: u32,
        is_last: bool,
    },
    /// Settings and windows: the SPDY of Kubernetes has no flow control but the connection's own.
    Ignored,
}

pub(super) fn parse_head(bytes: [u8; HEAD_BYTES]) -> Result<Head, FrameError> {
    let [a, b, c, d, flags, ..] = bytes;
    let first = u32::from_be_bytes([a, b, c, d]);
    let length = (u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) & LENGTH_MASK) as usize;
    if first & !ID_MASK == 0 {
        if first == 0 {
            return Err(FrameError::StreamZero);
        }
        return Ok(Head::Data { id: first, is_last: flags & FLAG_FIN != 0, length });
    }
    let (version, kind) = ((first >> 16) as u16 & 0x7fff, first as u16);
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    if length > CONTROL_BYTES_MAX {
        return Err(FrameError::TooLong { kind, length });
    }
    Ok(Head::Control { kind, flags, length })
}

/// The control frame with this payload. Every header block of a connection has to pass through its one decoder.
pub(super) fn parse_control(
    kind: u16,
    flags: u8,
    payload: &[u8],
    decoder: &mut HeaderDecoder,
) -> Result<Control, FrameError> {
    let is_last = flags & FLAG_FIN != 0;
    let wrong = || FrameError::Length { kind, length: payload.len() };
    match kind {
        SYN_STREAM => {
            let (fixed, block) = payload.split_at_checked(10).ok_or_else(wrong)?;
            let headers = decoder.decode(block)?;
            Ok(Control::SynStream { id: stream_id(fixed)?, is_last, headers })
        }
        SYN_REPLY | HEADERS => {
            let (fixed, block) = payload.split_at_checked(4).ok_or_else(wrong)?;
            decoder.decode(block)?;
            let id = stream_id(fixed)?;
            Ok(if kind == HEADERS {
                Control::Headers { id, is_last }
            } else {
                Control::SynReply { id, is_last }
            })
        }
        RST_STREAM if payload.len() == 8 => Ok(Control::Reset { id: stream_id(payload)? }),
        PING if payload.len() == 4 => Ok(Control::Ping { id: word(payload) }),
        // The status came with SPDY/3; SPDY/2 had none.
        GOAWAY if payload.len() == 8 || payload.len() == 4 => Ok(Control::GoAway),
        RST_STREAM | PING | GOAWAY => Err(wrong()),
        SETTINGS | WINDOW_UPDATE => Ok(Control::Ignored),
        // A frame of an unknown type is to be ignored (section 2.2.1).
        _ => Ok(Control::Ignored),
    }
}

fn stream_id(payload: &[u8]) -> Result<u32, FrameError> {
    match word(payload) & ID_MASK {
        0 => Err(FrameError::StreamZero),
        id => Ok(id),
    }
}

/// The first four bytes; the caller has seen that there are as many.
fn word(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

pub(super) fn data_head(id: u32, is_last: bool, length: usize) -> [u8; HEAD_BYTES] {
    head(id, u8::from(is_last), length)
}

fn head(first: u32, flags: u8, length: usize) -> [u8; HEAD_BYTES] {
    let second = u32::from(flags) << 24 | length as u32 & LENGTH_MASK;
    let mut bytes = [0; HEAD_BYTES];
    bytes[..4].copy_from_slice(&first.to_be_bytes());
    bytes[4..].copy_from_slice(&second.to_be_bytes());
    bytes
}

fn control(kind: u16, flags: u8, parts: &[&[u8]]) -> Vec<u8> {
    let first = 1 << 31 | u32::from(VERSION) << 16 | u32::from(kind);
    let length = parts.iter().map(|part| part.len()).sum();
    let mut frame = head(first, flags, length).to_vec();
    for part in parts {
        frame.extend_from_slice(part);
    }
    frame
}

/// `block` is of the connection's one header encoder, and goes out in the order it came from it.
pub(crate) fn syn_stream(id: u32, block: &[u8]) -> Vec<u8> {
    // No associated stream, the highest priority, no credential slot.
    control(SYN_STREAM, 0, &[&id.to_be_bytes(), &[0; 6], block])
}

/// As [`syn_stream`].
pub(super) fn syn_reply(id: u32, block: &[u8]) -> Vec<u8> {
    control(SYN_REPLY, 0, &[&id.to_be_bytes(), block])
}

pub(super) fn reset(id: u32, status: ResetStatus) -> Vec<u8> {
    control(RST_STREAM, 0, &[&id.to_be_bytes(), &(status as u32).to_be_bytes()])
}

pub(super) fn ping(id: u32) -> Vec<u8> {
    control(PING, 0, &[&id.to_be_bytes()])
}

pub(super) fn go_away(last_id: u32, is_error: bool) -> Vec<u8> {
    control(GOAWAY, 0, &[&last_id.to_be_bytes(), &u32::from(is_error).to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spdy::headers::HeaderEncoder;

    fn parse(frame: &[u8]) -> Result<Control, FrameError> {
        let head = parse_head(*frame.first_chunk().unwrap())?;
        let Head::Control { kind, flags, length } = head else { panic!("{head:?}") };
        assert_eq!(length, frame.len() - HEAD_BYTES);
        parse_control(kind, flags, &frame[HEAD_BYTES..], &mut HeaderDecoder::default())
    }

    #[test]
    fn what_is_written_is_read() {
        let headers = Headers::from([("streamtype", "error"), ("port", "80")]);
        let block = HeaderEncoder::default().encode(&headers);
        for (frame, expected) in [
            (syn_stream(5, &block), Control::SynStream { id: 5, is_last: false, headers }),
            (syn_reply(5, &block), Control::SynReply { id: 5, is_last: false }),
            (reset(7, ResetStatus::Cancel), Control::Reset { id: 7 }),
            (ping(9), Control::Ping { id: 9 }),
            (go_away(3, false), Control::GoAway),
            (control(SETTINGS, 0, &[&[0; 4]]), Control::Ignored),
            (control(WINDOW_UPDATE, 0, &[&[0; 8]]), Control::Ignored),
            (control(77, 3, &[b"whatever"]), Control::Ignored),
        ] {
            assert_eq!(parse(&frame), Ok(expected));
        }
        assert_eq!(parse_head(data_head(3, true, 5)), Ok(Head::Data { id: 3, is_last: true, length: 5 }));
    }

    #[test]
    fn bytes_on_the_wire() {
        assert_eq!(ping(1), [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1]);
        assert_eq!(reset(3, ResetStatus::Cancel), [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 5]);
        assert_eq!(data_head(1, true, 0x010203), [0, 0, 0, 1, 1, 1, 2, 3]);
    }

    #[test]
    fn wrong_frames() {
        for (frame, expected) in [
            (vec![0x80, 2, 0, 6, 0, 0, 0, 4], FrameError::Version(2)),
            (vec![0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff], FrameError::TooLong { kind: 1, length: 0xff_ffff }),
            (vec![0, 0, 0, 0, 0, 0, 0, 0], FrameError::StreamZero),
            (control(PING, 0, &[&[0; 5]]), FrameError::Length { kind: 6, length: 5 }),
            (control(RST_STREAM, 0, &[&[0; 7]]), FrameError::Length { kind: 3, length: 7 }),
            (control(RST_STREAM, 0, &[&[0; 8]]), FrameError::StreamZero),
            (control(GOAWAY, 0, &[]), FrameError::Length { kind: 7, length: 0 }),
            (control(SYN_STREAM, 0, &[&[0; 9]]), FrameError::Length { kind: 1, length: 9 }),
            (control(SYN_REPLY, 0, &[&[0; 3]]), FrameError::Length { kind: 2, length: 3 }),
        ] {
            assert_eq!(parse(&frame), Err(expected), "{frame:?}");
        }
    }
}
