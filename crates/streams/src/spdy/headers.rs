//! Header blocks of SPDY/3: name and value pairs in one zlib stream per direction, with a dictionary.

use std::collections::BTreeMap;

use flate2::{Decompress, FlushDecompress};

use crate::spdy::dictionary::{CHECKSUM, dictionary};
use crate::spdy::frame::FrameError;

/// Bytes of a block when it is unpacked; those of Kubernetes have less than a hundred.
const BLOCK_BYTES_MAX: usize = 16 * 1024;
/// Pairs of a block.
const PAIRS_MAX: usize = 64;
/// Bytes of a stored block of deflate.
const STORED_BYTES_MAX: usize = 0xffff;
/// An empty stored block, as a compressor that flushes ends with. Go's reader hands out what it has when it sees one; without it,
/// it looks for the next block, finds the end of the frame, and reads no frame any more.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// The headers of a stream, by their names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers(BTreeMap<String, String>);

impl Headers {
    /// The value of the header with this name, which is in lower case.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Headers {
    fn from(pairs: [(&str, &str); N]) -> Headers {
        Headers(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Unpacks the blocks of one direction of a connection, in their order.
pub(super) struct HeaderDecoder {
    zlib: Decompress,
}

impl Default for HeaderDecoder {
    fn default() -> HeaderDecoder {
        HeaderDecoder { zlib: Decompress::new(true) }
    }
}

impl std::fmt::Debug for HeaderDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeaderDecoder").finish_non_exhaustive()
    }
}

impl HeaderDecoder {
    /// The headers of a block. After an error the connection's blocks cannot be read any more.
    pub(super) fn decode(&mut self, packed: &[u8]) -> Result<Headers, FrameError> {
        parse_block(&self.unpack(packed)?)
    }

    fn unpack(&mut self, mut packed: &[u8]) -> Result<Vec<u8>, FrameError> {
        let mut block = Vec::with_capacity(256);
        while !packed.is_empty() {
            if block.len() == block.capacity() {
                if block.len() >= BLOCK_BYTES_MAX {
                    return Err(FrameError::Headers("more than 16 KiB"));
                }
                block.reserve(block.len());
            }
            let (read, made) = (self.zlib.total_in(), block.len());
            match self.zlib.decompress_vec(packed, &mut block, FlushDecompress::Sync) {
                Ok(_) => {}
                Err(error) if error.needs_dictionary() == Some(CHECKSUM) => {
                    let set = self.zlib.set_dictionary(&dictionary());
                    set.map_err(|_| FrameError::Headers("the dictionary does not fit"))?;
                }
                Err(_) => return Err(FrameError::Headers("not of zlib, or of another dictionary")),
            }
            let read = (self.zlib.total_in() - read) as usize;
            // Nothing moves at the end of the stream, which must not come before the connection's.
            if read == 0 && block.len() == made && block.len() < block.capacity() {
                return Err(FrameError::Headers("the zlib stream has ended"));
            }
            packed = packed.get(read..).unwrap_or_default();
        }
        self.flush(&mut block)?;
        Ok(block)
    }

    /// What was read may still be held back for want of room.
    fn flush(&mut self, block: &mut Vec<u8>) -> Result<(), FrameError> {
        while block.len() == block.capacity() {
            if block.len() >= BLOCK_BYTES_MAX {
                return Err(FrameError::Headers("more than 16 KiB"));
            }
            block.reserve(block.len());
            // Without input zlib says that nothing could be done, which is what is asked here.
            let _ = self.zlib.decompress_vec(&[], block, FlushDecompress::Sync);
        }
        Ok(())
    }
}

fn parse_block(mut block: &[u8]) -> Result<Headers, FrameError> {
    let count = take_length(&mut block)?;
    if count > PAIRS_MAX {
        return Err(FrameError::Headers("more than 64 pairs"));
    }
    let mut headers = BTreeMap::new();
    for _ in 0..count {
        let name = take_text(&mut block)?.to_ascii_lowercase();
        let value = take_text(&mut block)?;
        if headers.insert(name, value).is_some() {
            return Err(FrameError::Headers("a name stands twice"));
        }
    }
    if !block.is_empty() {
        return Err(FrameError::Headers("bytes after the last pair"));
    }
    Ok(Headers(headers))
}

fn take_length(block: &mut &[u8]) -> Result<usize, FrameError> {
    let (length, rest) = block.split_first_chunk().ok_or(FrameError::Headers("ends within a length"))?;
    *block = rest;
    Ok(u32::from_be_bytes(*length) as usize)
}

fn take_text(block: &mut &[u8]) -> Result<String, FrameError> {
    let length = take_length(block)?;
    let (text, rest) = block.split_at_checked(length).ok_or(FrameError::Headers("ends within a text"))?;
    *block = rest;
    String::from_utf8(text.to_vec()).map_err(|_| FrameError::Headers("not in UTF-8"))
}

/// Packs the blocks of one direction of a connection.
///
/// It stores instead of compressing: that is zlib to every reader, the blocks are small, and there is no state of 256 KiB to keep for
/// each connection.
#[derive(Debug, Default)]
pub(crate) struct HeaderEncoder {
    has_begun: bool,
}

impl HeaderEncoder {
    /// The block of these headers, which has to be sent before the next one.
    pub(crate) fn encode(&mut self, headers: &Headers) -> Vec<u8> {
        let mut block = (headers.0.len() as u32).to_be_bytes().to_vec();
        for text in headers.0.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&(text.len() as u32).to_be_bytes());
            block.extend_from_slice(text.as_bytes());
        }
        let mut packed = vec![];
        if !self.has_begun {
            self.has_begun = true;
            // RFC 1950: deflate with a window of 32 KiB, and a dictionary. The check bits are 0: it is a multiple of 31.
            packed.extend_from_slice(&[0x78, 0x20]);
            packed.extend_from_slice(&CHECKSUM.to_be_bytes());
        }
        for part in block.chunks(STORED_BYTES_MAX) {
            // RFC 1951, section 3.2.4: not the last block, stored; its length and the complement of it.
            let length = part.len() as u16;
            packed.push(0);
            packed.extend_from_slice(&length.to_le_bytes());
            packed.extend_from_slice(&(!length).to_le_bytes());
            packed.extend_from_slice(part);
        }
        packed.extend_from_slice(&FLUSH);
        packed
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    fn pack(zlib: &mut Compress, block: &[u8]) -> Vec<u8> {
        let mut packed = Vec::with_capacity(block.len() + 4096);
        zlib.compress_vec(block, &mut packed, FlushCompress::Sync).unwrap();
        packed
    }

    fn compressor() -> Compress {
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(&dictionary()).unwrap();
        zlib
    }

    fn raw(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut block = (pairs.len() as u32).to_be_bytes().to_vec();
        for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&(text.len() as u32).to_be_bytes());
            block.extend_from_slice(text.as_bytes());
        }
        block
    }

    #[test]
    fn blocks_of_a_compressor_are_read_one_after_another() {
        let (mut zlib, mut decoder) = (compressor(), HeaderDecoder::default());
        for n in 0..1000 {
            let id = n.to_string();
            let pairs = [("Streamtype", "data"), ("Port", "8080"), ("requestid", &*id)];
            let headers = decoder.decode(&pack(&mut zlib, &raw(&pairs))).unwrap();
            assert_eq!(
                headers,
                Headers::from([("streamtype", "data"), ("port", "8080"), ("requestid", &*id)])
            );
        }
        let big = "x".repeat(8000);
        let headers = decoder.decode(&pack(&mut zlib, &raw(&[("a", &big)]))).unwrap();
        assert_eq!(headers.value("a"), Some(&*big));
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let (mut encoder, mut decoder) = (HeaderEncoder::default(), HeaderDecoder::default());
        for headers in
            [Headers::default(), Headers::from([("streamtype", "error")]), Headers::from([("", "")])]
        {
            let packed = encoder.encode(&headers);
            assert!(packed.ends_with(&FLUSH));
            assert_eq!(decoder.decode(&packed), Ok(headers));
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = pack(&mut compressor(), &vec![0; 50_000_000]);
        assert!(bomb.len() < 60_000);
        let mut decoder = HeaderDecoder::default();
        assert_eq!(decoder.unpack(&bomb), Err(FrameError::Headers("more than 16 KiB")));
        assert!(decoder.zlib.total_out() <= 2 * BLOCK_BYTES_MAX as u64);
    }

    #[test]
    fn wrong_blocks() {
        let mut many = vec![];
        let names: Vec<String> = (0..=PAIRS_MAX).map(|n| n.to_string()).collect();
        many.extend(names.iter().map(|name| (&**name, "")));
        let mut trailing = raw(&[("a", "b")]);
        trailing.push(0);
        for block in [
            raw(&many),
            raw(&[("a", ""), ("A", "")]),
            trailing,
            vec![0, 0, 0],
            vec![0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff],
            vec![0xff; 4],
            vec![0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0],
            vec![],
        ] {
            assert!(HeaderDecoder::default().decode(&pack(&mut compressor(), &block)).is_err(), "{block:?}");
        }
        for packed in [&b""[..], b"nonsense", &[0x78, 0xbb, 1, 2, 3, 4, 5, 6], &[0x78]] {
            assert!(HeaderDecoder::default().decode(packed).is_err(), "{packed:?}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let packed = pack(&mut compressor(), &raw(&[("streamtype", "data"), ("port", "80")]));
        for cut in 0..packed.len() {
            assert!(HeaderDecoder::default().decode(&packed[..cut]).is_err() || cut + 5 >= packed.len());
            for bit in 0..8 {
                let mut damaged = packed.clone();
                damaged[cut] ^= 1 << bit;
                let mut decoder = HeaderDecoder::default();
                let _ = decoder.decode(&damaged);
                let _ = decoder.decode(&packed);
            }
        }
    }
}
