//! Sizes of a terminal, as the JSON objects that follow one another on the resize stream.

use serde::Deserialize;

use crate::exec::TerminalSize;

/// A size that is longer than this is no size.
const SIZE_BYTES_MAX: usize = 1024;

#[derive(Deserialize)]
struct Wire {
    #[serde(default, alias = "width")]
    #[serde(rename = "Width")]
    width: u16,
    #[serde(default, alias = "height")]
    #[serde(rename = "Height")]
    height: u16,
}

pub(crate) fn encode(size: TerminalSize) -> Vec<u8> {
    format!("{{\"Width\":{},\"Height\":{}}}\n", size.width, size.height).into_bytes()
}

/// Takes the bytes of the stream as they come.
#[derive(Debug, Default)]
pub(crate) struct SizeDecoder {
    rest: Vec<u8>,
    is_broken: bool,
}

impl SizeDecoder {
    /// The last size that is complete with these bytes. After something that is no size there are none any more.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Option<TerminalSize> {
        let mut last = None;
        while !self.is_broken && !bytes.is_empty() {
            let (part, tail) = bytes.split_at(bytes.len().min(SIZE_BYTES_MAX));
            bytes = tail;
            self.rest.extend_from_slice(part);
            last = self.take_complete().or(last);
            self.is_broken |= self.rest.len() > SIZE_BYTES_MAX;
        }
        if self.is_broken {
            self.rest = vec![];
        }
        last
    }

    fn take_complete(&mut self) -> Option<TerminalSize> {
        let mut values = serde_json::Deserializer::from_slice(&self.rest).into_iter::<Wire>();
        let (mut last, mut used) = (None, 0);
        while let Some(value) = values.next() {
            match value {
                Ok(Wire { width, height }) => last = Some(TerminalSize { width, height }),
                Err(error) => {
                    self.is_broken = !error.is_eof();
                    break;
                }
            }
            used = values.byte_offset();
        }
        self.rest.drain(..used);
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_a_stream() {
        let size = |width, height| Some(TerminalSize { width, height });
        let mut decoder = SizeDecoder::default();
        for (bytes, expected) in [
            (&b"{\"Width\":80,\"Height\":24}\n"[..], size(80, 24)),
            (b"{\"Width\":8", None),
            (b"1,\"Height\":25}{\"Width\":82,", size(81, 25)),
            (b"\"Height\":26}", size(82, 26)),
            (b"{\"Width\":1,\"Height\":2}{\"width\":3,\"height\":4}", size(3, 4)),
            (b"", None),
            (b"\n \n", None),
            (b"{\"Width\":70000}", None),
            (b"{\"Width\":80,\"Height\":24}", None),
        ] {
            assert_eq!(decoder.push(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(SizeDecoder::default().push(&encode(TerminalSize { width: 9, height: 8 })), size(9, 8));
    }

    #[test]
    fn what_never_ends_is_not_kept() {
        let mut decoder = SizeDecoder::default();
        for _ in 0..10 {
            assert_eq!(decoder.push(&[b'['; 3000]), None);
            assert!(decoder.rest.len() <= SIZE_BYTES_MAX);
        }
        let mut decoder = SizeDecoder::default();
        assert_eq!(decoder.push(&[b' '; 3000]), None);
        assert!(decoder.rest.len() <= 2 * SIZE_BYTES_MAX);
    }
}
