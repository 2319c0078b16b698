//! Bytes from a container's pipe to complete records.

use memchr::memchr_iter;

use crate::timestamp::TIMESTAMP_BYTES;
use crate::{Stream, Timestamp};

/// A line longer than this goes into several records, all but the last tagged `P`.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// What a record adds to its text: `TIMESTAMP stdout F ` and the newline.
pub const RECORD_OVERHEAD_BYTES: usize = HEADER_BYTES + 1;

/// What is before its text.
pub(crate) const HEADER_BYTES: usize = TIMESTAMP_BYTES + 1 + STREAM_BYTES + 3;
/// `stdout` and `stderr` are of one length.
const STREAM_BYTES: usize = 6;
const TAG_AT: usize = HEADER_BYTES - 2;

/// Encodes one stream of one container. Text of an unfinished line is held back until its newline
/// comes, so how the bytes were cut into chunks never shows; at most [`TEXT_BYTES_MAX`] are held.
#[derive(Debug)]
pub struct Encoder {
    stream: Stream,
    held: Vec<u8>,
}

impl Encoder {
    #[must_use]
    pub const fn new(stream: Stream) -> Self {
        Self { stream, held: Vec::new() }
    }

    /// Appends to `records` every record that `chunk` completes. Only whole records are ever appended.
    pub fn push(&mut self, chunk: &[u8], at: Timestamp, records: &mut Vec<u8>) {
        let mut headers = Headers::new(self.stream, at);
        let mut line_start = 0;
        for newline in memchr_iter(b'\n', chunk) {
            let line = &chunk[line_start..newline];
            line_start = newline + 1;
            if self.held.is_empty() && line.len() <= TEXT_BYTES_MAX {
                headers.append(b'F', line, records);
            } else {
                self.hold(line, &mut headers, records);
                headers.append(b'F', &self.held, records);
                self.held.clear();
            }
        }
        self.hold(&chunk[line_start..], &mut headers, records);
    }

    /// Gives back what longer lines took than the one that is held.
    pub fn release_memory(&mut self) {
        self.held.shrink_to_fit();
    }

    /// Appends what is held at the end of the stream. Its tag is `P`, as containerd's is: the container
    /// wrote no newline, so a reader prints none.
    pub fn finish(&mut self, at: Timestamp, records: &mut Vec<u8>) {
        if !self.held.is_empty() {
            Headers::new(self.stream, at).append(b'P', &self.held, records);
            self.held = Vec::new();
        }
    }

    /// Holds `text`; what is over the limit leaves as partial records. A line of exactly the limit
    /// stays whole.
    fn hold(&mut self, mut text: &[u8], headers: &mut Headers, records: &mut Vec<u8>) {
        while !text.is_empty() {
            if self.held.len() == TEXT_BYTES_MAX {
                headers.append(b'P', &self.held, records);
                self.held.clear();
            }
            let room = TEXT_BYTES_MAX - self.held.len();
            let (part, rest) = text.split_at(room.min(text.len()));
            self.held.extend_from_slice(part);
            text = rest;
        }
    }
}

/// The fixed part of every record of one push.
struct Headers([u8; HEADER_BYTES]);

impl Headers {
    fn new(stream: Stream, at: Timestamp) -> Self {
        let mut header = [b' '; HEADER_BYTES];
        header[..TIMESTAMP_BYTES].copy_from_slice(at.as_bytes());
        header[TIMESTAMP_BYTES + 1..][..STREAM_BYTES].copy_from_slice(stream.as_str().as_bytes());
        Self(header)
    }

    fn append(&mut self, tag: u8, text: &[u8], records: &mut Vec<u8>) {
        self.0[TAG_AT] = tag;
        records.reserve(RECORD_OVERHEAD_BYTES + text.len());
        records.extend_from_slice(&self.0);
        records.extend_from_slice(text);
        records.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use podspec::WallTime;

    use super::{Encoder, RECORD_OVERHEAD_BYTES, TEXT_BYTES_MAX};
    use crate::{Stream, Timestamp, decode};

    fn at() -> Timestamp {
        Timestamp::new(WallTime::from_unix(1_475_713_029, 669_794_202))
    }

    fn encode(chunks: &[&[u8]]) -> Vec<u8> {
        let mut encoder = Encoder::new(Stream::Stdout);
        let mut records = Vec::new();
        for chunk in chunks {
            encoder.push(chunk, at(), &mut records);
        }
        encoder.finish(at(), &mut records);
        records
    }

    /// (partial, text) of each record.
    fn records(encoded: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let lines = encoded.strip_suffix(b"\n").map_or(&[][..], |all| all);
        if lines.is_empty() {
            return Vec::new();
        }
        let decoded = lines.split(|&b| b == b'\n').map(|line| decode(line).unwrap());
        decoded.map(|record| (record.partial, record.text.to_vec())).collect()
    }

    /// What a reader prints: the container's own bytes.
    fn printed(encoded: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (partial, text) in records(encoded) {
            bytes.extend(text);
            if !partial {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    #[test]
    fn a_record_has_the_form_of_the_cri() {
        let encoded = encode(&[b"log content 1\n\nlast"]);
        let expected = "2016-10-06T00:17:09.669794202Z stdout F log content 1\n\
                        2016-10-06T00:17:09.669794202Z stdout F \n\
                        2016-10-06T00:17:09.669794202Z stdout P last\n";
        assert_eq!(String::from_utf8(encoded).unwrap(), expected);
        let mut encoded = Vec::new();
        Encoder::new(Stream::Stderr).push(b"x\n", at(), &mut encoded);
        assert_eq!(encoded, b"2016-10-06T00:17:09.669794202Z stderr F x\n");
        assert_eq!(encoded.len(), RECORD_OVERHEAD_BYTES + 1);
    }

    #[test]
    fn a_carriage_return_belongs_to_the_text() {
        assert_eq!(records(&encode(&[b"a\r\nb\n"])), [(false, b"a\r".to_vec()), (false, b"b".to_vec())]);
    }

    #[test]
    fn lines_at_the_limit_are_whole_and_over_it_are_split() {
        let line = |length: usize| [vec![b'x'; length], vec![b'\n']].concat();
        let lengths = |length| -> Vec<(bool, usize)> {
            records(&encode(&[&line(length)])).iter().map(|(partial, text)| (*partial, text.len())).collect()
        };
        let max = TEXT_BYTES_MAX;
        assert_eq!(lengths(max), [(false, max)]);
        assert_eq!(lengths(max + 1), [(true, max), (false, 1)]);
        assert_eq!(lengths(2 * max), [(true, max), (false, max)]);
        assert_eq!(lengths(2 * max + 5), [(true, max), (true, max), (false, 5)]);
    }

    #[test]
    fn nothing_in_is_nothing_out() {
        assert_eq!(encode(&[]), b"");
        assert_eq!(encode(&[b"", b""]), b"");
    }

    /// A small generator of its own: deterministic, and no dependency for one test.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
        }
    }

    #[test]
    fn any_chunking_gives_the_same_records_and_the_same_bytes_back() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..300 {
            let mut text = Vec::new();
            for _ in 0..random.below(12) {
                let length = match random.below(5) {
                    0 => 0,
                    1 => TEXT_BYTES_MAX - 1 + random.below(3),
                    2 => 2 * TEXT_BYTES_MAX - 1 + random.below(3),
                    _ => random.below(200),
                };
                text.extend((0..length).map(|i| b'a' + u8::try_from(i % 26).unwrap()));
                text.push(b'\n');
            }
            if random.below(2) == 0 {
                text.pop();
            }
            let mut chunks = Vec::new();
            let mut rest: &[u8] = &text;
            while !rest.is_empty() {
                let most = if round % 2 == 0 { 50_000 } else { 700 };
                let (chunk, tail) = rest.split_at((1 + random.below(most)).min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            let whole = encode(&[&text]);
            assert_eq!(encode(&chunks), whole, "round {round}");
            assert_eq!(printed(&whole), text, "round {round}");
            assert!(records(&whole).iter().all(|(_, text)| text.len() <= TEXT_BYTES_MAX));
        }
    }

    #[test]
    fn memory_is_given_back_and_what_is_held_is_not() {
        let mut encoder = Encoder::new(Stream::Stdout);
        let mut out = Vec::new();
        encoder.push(&[b'x'; TEXT_BYTES_MAX], at(), &mut out);
        encoder.push(b"\nrest", at(), &mut out);
        assert!(encoder.held.capacity() >= TEXT_BYTES_MAX);
        encoder.release_memory();
        assert!(encoder.held.capacity() < 100);
        out.clear();
        encoder.push(b"\n", at(), &mut out);
        assert_eq!(printed(&out), b"rest\n");
    }

    #[test]
    fn a_push_leaves_only_whole_records() {
        let mut encoder = Encoder::new(Stream::Stdout);
        let mut out = Vec::new();
        for byte in b"one\ntwo\nthr" {
            encoder.push(&[*byte], at(), &mut out);
            assert!(out.is_empty() || out.ends_with(b"\n"));
        }
        assert_eq!(printed(&out), b"one\ntwo\n");
    }
}
