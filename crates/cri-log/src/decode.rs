//! One line of a log file to a record. Lenient: other writers' forms of the same format are read too.

use memchr::memchr;
use podspec::WallTime;

use crate::encode::HEADER_BYTES;
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

/// Decodes line after line. Those that a writer made of one piece of output begin alike, which is taken apart once.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What a line began with, up to its text, and its record without that.
    last: Option<([u8; HEADER_BYTES], Record<'static>)>,
}

impl Decoder {
    /// As [`decode`].
    ///
    /// # Errors
    /// As [`decode`].
    pub fn decode<'l>(&mut self, line: &'l [u8]) -> Result<Record<'l>, DecodeError> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let Some((header, text)) = line.split_first_chunk::<HEADER_BYTES>() else { return decode(line) };
        if let Some((last, record)) = &self.last
            && last == header
        {
            return Ok(Record { text, ..*record });
        }
        let record = decode(line)?;
        // Only then is the text what follows these bytes, whatever that is.
        let is_all = header.ends_with(b" ") && record.text.len() == text.len();
        self.last = is_all.then_some((*header, Record { text: &[], ..record }));
        Ok(record)
    }
}

/// What is before and after the first space.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    memchr(b' ', text).map(|space| (&text[..space], &text[space + 1..]))
}

#[cfg(test)]
mod tests {
    use podspec::WallTime;

    use super::{DecodeError, Decoder, Record, decode};
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
    fn lines_that_begin_alike_are_read_as_each_alone() {
        let at = "2016-10-06T00:17:09.669794202Z";
        let lines = [
            format!("{at} stdout F one"),
            format!("{at} stdout F two"),
            format!("{at} stdout F "),
            format!("{at} stdout F"),
            format!("{at} stdout F  three"),
            format!("{at} stdout P four"),
            format!("{at} stderr P five\n"),
            format!("{at} stdout F:x y six"),
            format!("{at} stdout F:x"),
            format!("{at} stdout F seven"),
            "2016-10-06T00:17:09.66979420Z stdout F eight".to_owned(),
            "2016-10-06T00:17:09.66979420Z stdout F nine".to_owned(),
            "2016-10-06T00:17:09.66979420Z stdout F  ten".to_owned(),
            "2016-10-06T00:17:09.6697942021Z stdout F eleven".to_owned(),
            "2016-10-06T00:17:09.6697942021Z stdout F twelve".to_owned(),
            "no record at all, but longer than what is before a text".to_owned(),
            format!("{at} stdout F thirteen"),
        ];
        for first in &lines {
            for second in &lines {
                let mut decoder = Decoder::default();
                for line in [first, second, first, second] {
                    assert_eq!(
                        decoder.decode(line.as_bytes()),
                        decode(line.as_bytes()),
                        "{line:?} after {first:?}"
                    );
                }
            }
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
