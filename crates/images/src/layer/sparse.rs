//! Sparse files, as GNU tar writes them with `--sparse`: in its own format, and in the versions 0.0, 0.1
//! and 1.0 of the one by extended headers
//! (<https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html>).

use tar::{GnuHeader, GnuSparseHeader};

use super::number::number;
use super::pax;

/// Pieces of one file.
const PIECES_MAX: usize = 65_536;

/// A file with holes between its pieces.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Sparse {
    /// Of the file, with its holes.
    pub(super) bytes: u64,
    /// Offsets and lengths, one behind the other; `None` when the content begins with them.
    pub(super) pieces: Option<Vec<u64>>,
}

impl Sparse {
    /// What a header of GNU tar's own format says. More pieces may follow in blocks of their own.
    pub(super) fn of_gnu(header: &GnuHeader) -> Option<Self> {
        let bytes = number(&header.realsize)?.try_into().ok()?;
        let mut sparse = Self { bytes, pieces: Some(vec![]) };
        sparse.add(&header.sparse)?;
        Some(sparse)
    }

    /// `None` when one is malformed, or when there are too many.
    pub(super) fn add(&mut self, pieces: &[GnuSparseHeader]) -> Option<()> {
        let found = self.pieces.as_mut()?;
        for piece in pieces.iter().filter(|piece| piece.numbytes[0] != 0) {
            found.push(number(&piece.offset)?.try_into().ok()?);
            found.push(number(&piece.numbytes)?.try_into().ok()?);
        }
        (found.len() <= 2 * PIECES_MAX).then_some(())
    }

    /// The pieces, given that the content of the archive has `bytes` for them: in order, apart, and
    /// inside the file.
    pub(super) fn checked(&self, pieces: &[u64], bytes: u64) -> Option<Vec<(u64, u64)>> {
        let mut end = 0_u64;
        let mut sum = 0_u64;
        let mut checked = vec![];
        for piece in pieces.chunks(2) {
            let [offset, length] = *piece else { return None };
            if offset < end {
                return None;
            }
            end = offset.checked_add(length)?;
            sum = sum.checked_add(length)?;
            checked.push((offset, length));
        }
        (end <= self.bytes && sum == bytes).then_some(checked)
    }
}

/// The records `GNU.sparse.*` of an extended header.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Records {
    pub(super) name: Option<Vec<u8>>,
    bytes: Option<u64>,
    pieces: Option<Vec<u64>>,
    major: Option<u64>,
}

impl Records {
    /// `None` when it is malformed.
    pub(super) fn add(&mut self, keyword: &[u8], value: &[u8]) -> Option<()> {
        match keyword {
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = Some(pax::decimal(value)?),
            b"size" | b"realsize" => self.bytes = Some(pax::decimal(value)?),
            b"map" => {
                let numbers = value.split(|&byte| byte == b',').map(pax::decimal);
                self.pieces = Some(numbers.collect::<Option<_>>()?);
            }
            b"offset" | b"numbytes" => self.pieces.get_or_insert_default().push(pax::decimal(value)?),
            b"numblocks" => drop(self.pieces.get_or_insert_default()),
            _ => {}
        }
        (self.pieces.as_ref().is_none_or(|pieces| pieces.len() <= 2 * PIECES_MAX)).then_some(())
    }

    /// `Some(None)` when there were no such records; `None` when they do not fit together.
    pub(super) fn sparse(self) -> Option<Option<Sparse>> {
        if self == Self::default() {
            return Some(None);
        }
        let pieces = match self.major {
            None | Some(0) => Some(self.pieces?),
            Some(1) => None,
            Some(_) => return None,
        };
        Some(Some(Sparse { bytes: self.bytes?, pieces }))
    }
}

/// The map at the beginning of the content, a number a line: how many pieces, and of each its offset
/// and length.
#[derive(Debug, Default)]
pub(super) struct Map {
    line: Vec<u8>,
    /// Lines still to come; `None` before the first.
    left: Option<usize>,
    pub(super) pieces: Vec<u64>,
}

impl Map {
    /// Reads a block. Whether the map ends in it; `None` when it is malformed.
    pub(super) fn read(&mut self, block: &[u8]) -> Option<bool> {
        for &byte in block {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let number = pax::decimal(&self.line)?;
            self.line.clear();
            let left = match self.left {
                None => usize::try_from(number).ok().filter(|pieces| *pieces <= PIECES_MAX)? * 2,
                Some(left) => {
                    self.pieces.push(number);
                    left - 1
                }
            };
            self.left = Some(left);
            if left == 0 {
                return Some(true);
            }
        }
        // A number of more digits than a block has bytes is none.
        (self.line.len() < block.len()).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::{Map, Sparse};

    #[test]
    fn pieces_are_in_order_apart_and_inside() {
        let sparse = Sparse { bytes: 100, pieces: None };
        for (pieces, bytes, is_good) in [
            (&[][..], 0, true),
            (&[0, 100], 100, true),
            (&[0, 10, 10, 5, 100, 0], 15, true),
            (&[0, 10], 11, false),
            (&[0, 10, 9, 5], 15, false),
            (&[50, 10, 0, 10], 20, false),
            (&[91, 10], 10, false),
            (&[0], 0, false),
            (&[u64::MAX, 1], 1, false),
            (&[0, u64::MAX, u64::MAX, 1], 0, false),
        ] {
            assert_eq!(sparse.checked(pieces, bytes).is_some(), is_good, "{pieces:?}");
        }
    }

    #[test]
    fn maps_in_the_content() {
        let read = |text: &[u8]| {
            let mut map = Map::default();
            let mut padded = text.to_vec();
            padded.resize(text.len().next_multiple_of(512), 0);
            padded.chunks(512).find_map(|block| match map.read(block) {
                Some(false) => None,
                Some(true) => Some(true),
                None => Some(false),
            });
            map.pieces
        };
        assert_eq!(read(b"2\n0\n5\n100\n0\n"), [0, 5, 100, 0]);
        assert_eq!(read(b"0\n"), Vec::<u64>::new());
        let long = format!("200\n{}", "1234567890\n".repeat(400));
        assert_eq!(read(long.as_bytes()).len(), 400);
        for malformed in [&b"x\n"[..], b"1\n-1\n0\n", b"99999999\n", b"\n", &[b'1'; 600]] {
            assert!(read(malformed).len() < 2, "{malformed:?}");
        }
    }
}
