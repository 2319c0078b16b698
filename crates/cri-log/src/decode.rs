//! One line of a log file to a record. Lenient: other writers' forms of the same format are read too.

use memchr::memchr;
use podspec::WallTime;

use crate::{Stream, parse_timestamp};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    pub time: WallTime,
    pub stream: Stream,
    /// The container's line goes on in the stream's next record.
    pub partial: bool,
    /// Without a newline.
    pub text: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("log line does not begin with an RFC 3339 timestamp")]
    Timestamp,
    #[error("log line names neither stdout nor stderr as its stream")]
    Stream,
    #[error("log line has neither tag F nor tag P")]
    Tag,
}

/// Decodes one line; a newline at its end is ignored. Of several tags (`F:x:y`) the first counts.
///
/// # Errors
/// When it is no CRI log line, as after a torn write of some other program.
pub fn decode(line: &[u8]) -> Result<Record<'_>, DecodeError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (time, rest) = word(line).ok_or(DecodeError::Timestamp)?;
    let time = parse_timestamp(time).ok_or(DecodeError::Timestamp)?;
    let (stream, rest) = word(rest).ok_or(DecodeError::Stream)?;
    let stream = match stream {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return Err(DecodeError::Stream),
    };
    // A line without text may have lost its last space to an editor or shipper.
    let (tags, text) = word(rest).unwrap_or((rest, &[]));
    let partial = match tags.split(|&byte| byte == b':').next() {
        Some(b"F") => false,
        Some(b"P") => true,
        _ => return Err(DecodeError::Tag),
    };
    Ok(Record { time, stream, partial, text })
}

/// What is before and after the first space.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    memchr(b' ', text).map(|space| (&text[..space], &text[space + 1..]))
}

#[cfg(test)]
mod tests {
    use podspec::WallTime;

    use super::{DecodeError, Record, decode};
    use crate::Stream;

    #[test]
    fn reads_what_runtimes_write() {
        let time = WallTime::from_unix(1_475_713_029, 669_794_202);
        let record = |stream, partial, text| Ok(Record { time, stream, partial, text });
        for (line, expected) in [
            (&b"stdout F log content 1\n"[..], record(Stream::Stdout, false, &b"log content 1"[..])),
            (b"stderr P log content 2", record(Stream::Stderr, true, b"log content 2")),
            (b"stdout F  two  spaces ", record(Stream::Stdout, false, b" two  spaces ")),
            (b"stdout F ", record(Stream::Stdout, false, b"")),
            (b"stdout F", record(Stream::Stdout, false, b"")),
            (b"stdout P:tag:other x", record(Stream::Stdout, true, b"x")),
            (b"stdout F \xff\xfe", record(Stream::Stdout, false, b"\xff\xfe")),
            (b"stdin F x", Err(DecodeError::Stream)),
            (b"stdout", Err(DecodeError::Stream)),
            (b"stdout X x", Err(DecodeError::Tag)),
            (b"stdout x", Err(DecodeError::Tag)),
        ] {
            let line = [b"2016-10-06T00:17:09.669794202Z ", line].concat();
            assert_eq!(decode(&line), expected, "{}", String::from_utf8_lossy(&line));
        }
        for line in [&b""[..], b" stdout F x", b"yesterday stdout F x", b"\n"] {
            assert_eq!(decode(line), Err(DecodeError::Timestamp));
        }
    }

    #[test]
    fn no_prefix_of_a_record_panics() {
        let line = b"2016-10-06T00:17:09.669794202+02:00 stderr P:a:b text";
        for end in 0..line.len() {
            let _ = decode(&line[..end]);
        }
    }
}
