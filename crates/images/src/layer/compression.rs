//! Layers come compressed by gzip, by zstd, or not at all.

use std::io::{self, BufRead, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::window::{self, Window};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// With any value of the low four bits of the first byte.
const ZSTD_SKIPPABLE: &[u8] = &[0x50, 0x2a, 0x4d, 0x18];
/// What else layers were compressed by once.
const UNSUPPORTED: [(&[u8], &str); 2] = [(b"\xfd7zXZ", "xz"), (b"BZh", "bzip2")];
/// The longest of them.
const MAGIC_BYTES: usize = 5;
/// A frame of no bytes, without its only block.
const ZSTD_EMPTY: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0];

/// The bytes that `compressed` stands for. Gzip may have several members, zstd several frames. What
/// zstd calls the window takes memory of all that are decompressed at once: see [`window`].
///
/// # Errors
/// When nothing can be read, or what is read is compressed by a program that is not supported.
pub(crate) fn decompress(mut compressed: impl BufRead) -> io::Result<impl Read> {
    let mut magic = Vec::with_capacity(MAGIC_BYTES);
    compressed.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut magic)?;
    if let Some((_, program)) = UNSUPPORTED.iter().find(|(start, _)| magic.starts_with(start)) {
        let message = format!("it is compressed by {program}, which is not supported: use gzip or zstd");
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let is_gzip = magic.starts_with(GZIP);
    let is_skippable = magic.len() >= 4 && magic[0] & 0xf0 == 0x50 && magic[1..4] == ZSTD_SKIPPABLE[1..];
    let is_zstd = magic.starts_with(ZSTD) || is_skippable;
    let whole = Cursor::new(magic).chain(compressed);
    Ok(if is_gzip {
        Decompressed::Gzip(Box::new(MultiGzDecoder::new(whole)))
    } else if is_zstd {
        Decompressed::Zstd(Box::new(ZstdFrames::new(whole)?))
    } else {
        Decompressed::Plain(whole)
    })
}

enum Decompressed<R> {
    Plain(Chain<Cursor<Vec<u8>>, R>),
    Gzip(Box<MultiGzDecoder<Chain<Cursor<Vec<u8>>, R>>>),
    Zstd(Box<ZstdFrames<Chain<Cursor<Vec<u8>>, R>>>),
}

impl<R: BufRead> Read for Decompressed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.read(bytes),
            Self::Gzip(gzip) => gzip.read(bytes),
            Self::Zstd(zstd) => zstd.read(bytes),
        }
    }
}

/// zstd frames one after another, and skippable ones between them
/// (<https://www.rfc-editor.org/rfc/rfc8878>).
struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether `decoder` has a frame whose end has not been checked.
    is_within: bool,
    /// Of the frame.
    window: Option<Window>,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> io::Result<Self> {
        let mut decoder = FrameDecoder::new();
        // The decoder bounds the window of every frame but its first.
        decoder.init(ZSTD_EMPTY).map_err(io::Error::other)?;
        Ok(Self { source, decoder, is_within: false, window: None })
    }

    /// Starts with the next frame that has content. Whether there is one.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let (start, window_bytes) = window::read_start(&mut self.source)?;
            // What the decoder has is not given back before it has less.
            if self.window.as_ref().is_none_or(|window| window.bytes() < window_bytes) {
                self.window = None;
                self.window = Some(Window::take(window_bytes));
            }
            match self.decoder.reset(start.as_slice().chain(&mut self.source)) {
                Ok(()) => {
                    self.is_within = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.source.by_ref().take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    fn check_frame(&mut self) -> io::Result<()> {
        self.is_within = false;
        let expected = self.decoder.get_checksum_from_data();
        if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum of a zstd frame is wrong"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            while self.is_within && !self.decoder.is_finished() && self.decoder.can_collect() == 0 {
                let some = BlockDecodingStrategy::UptoBytes(bytes.len());
                self.decoder.decode_blocks(&mut self.source, some).map_err(io::Error::other)?;
            }
            match self.decoder.read(bytes)? {
                0 if self.is_within => self.check_frame()?,
                0 if !self.next_frame()? => return Ok(0),
                0 => {}
                length => return Ok(length),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader, Read, Write as _};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::decompress;

    /// Hands out one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let length = bytes.len().min(1);
            self.0.read(&mut bytes[..length])
        }
    }

    fn decompressed(compressed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = vec![];
        decompress(BufReader::new(Slow(compressed)))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::default());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn skippable(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap();
        [&[0x5e, 0x2a, 0x4d, 0x18][..], &length.to_le_bytes(), bytes].concat()
    }

    fn text() -> Vec<u8> {
        (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect()
    }

    #[test]
    fn what_is_not_compressed_stays_as_it_is() {
        for plain in [&b""[..], b"x", b"\x1f", b"BZ", &text()] {
            assert_eq!(decompressed(plain).unwrap(), plain);
        }
    }

    #[test]
    fn gzip_of_several_members() {
        let text = text();
        let (one, two) = text.split_at(1000);
        assert!(decompressed(&gzip(&text)).unwrap() == text);
        assert!(decompressed(&[gzip(one), gzip(b""), gzip(two)].concat()).unwrap() == text);
    }

    #[test]
    fn zstd_of_several_frames() {
        let text = text();
        let (one, two) = text.split_at(1000);
        assert!(decompressed(&zstd(&text)).unwrap() == text);
        assert!(decompressed(&[zstd(one), zstd(b""), zstd(two)].concat()).unwrap() == text);
        let skipped = [skippable(b"table"), zstd(one), skippable(b""), zstd(two), skippable(b"x")].concat();
        assert!(decompressed(&skipped).unwrap() == text);
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_an_error() {
        let text = text();
        for whole in [gzip(&text), zstd(&text), [zstd(&text), skippable(b"table")].concat()] {
            for length in [5, 20, whole.len() / 2, whole.len() - 1] {
                assert!(decompressed(&whole[..length]).is_err(), "{length}");
            }
            let mut garbage = whole.clone();
            garbage.extend_from_slice(b"garbage");
            assert!(decompressed(&garbage).is_err());
        }
        let mut wrong = zstd(&text);
        *wrong.last_mut().unwrap() ^= 1;
        assert!(decompressed(&wrong).unwrap_err().to_string().contains("checksum"));
    }

    #[test]
    fn other_programs_are_named() {
        let error = decompressed(b"\xfd7zXZ\0").unwrap_err().to_string();
        assert_eq!(error, "it is compressed by xz, which is not supported: use gzip or zstd");
    }

    #[test]
    fn a_window_without_end_is_refused() {
        // Of 3.75 TiB, the largest that can be written down; then a block of one byte.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xff, 0x09, 0, 0, b'x'];
        let error = decompressed(&frame).unwrap_err().to_string();
        assert!(error.to_lowercase().contains("window"), "{error}");
        let of_a_gib = [0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, 0x09, 0, 0, b'x'];
        assert!(decompressed(&of_a_gib).unwrap_err().to_string().to_lowercase().contains("window"));
    }
}
