//! The memory that zstd wants to look back into: as much as an archive says, up to 100 MiB, for each that is
//! decompressed at the same time. Here they wait for one another.

use std::io::{self, Read};
use std::sync::{Condvar, Mutex, PoisonError};

/// For all in this process. One that wants more has it all: the usual level of compression takes 8 MiB at most.
const BYTES_MAX: u64 = 32 << 20;
/// Of a frame's magic, descriptor, window, dictionary and size.
const START_BYTES_MAX: usize = 4 + 1 + 1 + 4 + 8;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

static FREE: Mutex<u64> = Mutex::new(BYTES_MAX);
static FREED: Condvar = Condvar::new();

/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Window {
    taken: u64,
}

impl Window {
    /// Waits while others have it.
    pub(super) fn take(bytes: u64) -> Self {
        let taken = bytes.min(BYTES_MAX);
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = FREED.wait_while(free, |free| *free < taken).unwrap_or_else(PoisonError::into_inner);
        *free -= taken;
        Self { taken }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.taken
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        *FREE.lock().unwrap_or_else(PoisonError::into_inner) += self.taken;
        FREED.notify_all();
    }
}

/// Reads the start of a frame, as far as it says how large its window is, and how large that is; 0 for what has none
/// (<https://www.rfc-editor.org/rfc/rfc8878#name-frame_header>).
pub(super) fn read_start(source: &mut impl Read) -> io::Result<(Vec<u8>, u64)> {
    let mut start = Vec::with_capacity(START_BYTES_MAX);
    more(source, &mut start, 4)?;
    if start != MAGIC {
        return Ok((start, 0));
    }
    let descriptor = more(source, &mut start, 1)?[0];
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = more(source, &mut start, 1)?[0];
        let base = 1_u64 << (10 + u32::from(window >> 3));
        return Ok((start, base + base / 8 * u64::from(window & 7)));
    }
    more(source, &mut start, [0, 1, 2, 4][usize::from(descriptor & 3)])?;
    let content = more(source, &mut start, [1, 2, 4, 8][usize::from(descriptor >> 6)])?;
    let mut bytes = [0; 8];
    bytes[..content.len()].copy_from_slice(content);
    let content_bytes = u64::from_le_bytes(bytes) + if content.len() == 2 { 256 } else { 0 };
    Ok((start, content_bytes))
}

/// What the decoder finds missing, it says itself.
fn more<'s>(source: &mut impl Read, start: &'s mut Vec<u8>, count: usize) -> io::Result<&'s [u8]> {
    let before = start.len();
    source.take(count as u64).read_to_end(start)?;
    if start.len() < before + count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(&start[before..]) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{BYTES_MAX, MAGIC, Window, read_start};

    fn window(header: &[u8]) -> Option<(usize, u64)> {
        let bytes = [&MAGIC[..], header, &[0xff; 20]].concat();
        let (start, bytes_of) = read_start(&mut bytes.as_slice()).ok()?;
        Some((start.len(), bytes_of))
    }

    #[test]
    fn a_frame_says_how_large_its_window_is() {
        for (header, start, bytes) in [
            (&[0, 0][..], 6, 1 << 10),
            (&[0, 0x58], 6, 2 << 20),
            (&[0, 0x69], 6, (8 << 20) + (1 << 20)),
            (&[0x20, 7], 6, 7),
            (&[0x60, 7, 1], 7, 256 + 7 + 256),
            (&[0xa0, 0, 0, 1, 0], 9, 1 << 16),
            (&[0xe3, 1, 2, 3, 4, 0, 0, 0, 0, 1, 0, 0, 0], 17, 1 << 32),
        ] {
            assert_eq!(window(header), Some((start, bytes)), "{header:?}");
        }
        assert_eq!(
            read_start(&mut &b"\x50\x2a\x4d\x18rest"[..]).expect("read"),
            (b"\x50\x2a\x4d\x18".to_vec(), 0)
        );
        assert!(read_start(&mut &MAGIC[..]).is_err() && read_start(&mut &b"x"[..]).is_err());
    }

    #[test]
    fn all_at_once_have_no_more_than_there_is() {
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for n in 1..=16 {
                let (now, most) = (&now, &most);
                scope.spawn(move || {
                    for turn in 0..50 {
                        let window = Window::take((n * turn) << 18);
                        let sum = now.fetch_add(window.bytes(), Ordering::SeqCst) + window.bytes();
                        most.fetch_max(sum, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(window.bytes(), Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= BYTES_MAX);
        assert_eq!(Window::take(u64::MAX).bytes(), BYTES_MAX, "one that wants more has it all");
    }
}
