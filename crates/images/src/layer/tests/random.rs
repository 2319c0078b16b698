//! Archives by chance: of odd trees, and with bytes changed.

use std::fmt::Write as _;

use super::archives::{Tar, header};
use super::bed::Bed;
use crate::layer::Limits;

/// xorshift64*; the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        usize::try_from(drawn).unwrap_or_default() % bound
    }

    fn of<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| u8::try_from(self.below(256)).unwrap_or_default()).collect()
    }
}

/// Few names, so that entries meet; short paths, so that links lead somewhere.
fn name(random: &mut Random) -> String {
    let mut name = random.of(&["", "", "", "./", "/"]).to_owned();
    for _ in 0..random.below(3) {
        write!(name, "{}/", random.of(&["a", "b", "c", "l", "d"])).unwrap();
    }
    name + random.of(&["a", "b", "c", "l", "d", "e", ".wh.a", ".wh.b", ".wh..wh..opq", "f"])
}

fn entry(tar: Tar, random: &mut Random) -> Tar {
    let name = name(random);
    let tar = match random.below(8) {
        0 => tar.pax(&[("mtime", b"12.5"), ("SCHILY.xattr.user.note", &random.bytes(20)[..])]),
        1 => tar.pax(&[("path", name.as_bytes())]),
        2 => tar.entry(header(b'L', b"././@LongLink", 0), name.as_bytes()),
        _ => tar,
    };
    match random.below(12) {
        0..5 => {
            let length = random.of(&[&0, &1, &511, &512, &513, &2000]);
            let content = random.bytes(*length);
            tar.file(name, content)
        }
        5..8 => tar.directory(name),
        8 => tar
            .symlink(name, random.of(&["a", "/b", "../c", "a/b", "..", "/", "d/../a", "../../outside", "l"])),
        9 => tar.link(name, self::name(random)),
        10 => tar.entry(header(b'6', name.as_bytes(), 0o644), b""),
        _ => tar.entry(header(b'3', name.as_bytes(), 0o644), b""),
    }
}

/// As many entries as are taken, of those drawn.
fn archive(random: &mut Random, entries: usize) -> Option<Vec<u8>> {
    let bed = Bed::in_memory()?;
    let mut tar = Tar::new();
    for _ in 0..entries {
        let longer = entry(tar.clone(), random);
        bed.clear();
        if bed.unpack(&longer.clone().end()).is_ok() {
            tar = longer;
        }
    }
    Some(tar.end())
}

/// [`Bed::unpack`] compares the archive made again.
#[test]
fn any_archive_that_is_taken_can_be_made_again() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let Some(archive) = archive(&mut random, 25) else { return };
        assert!(archive.len() > 2048, "seed {seed}: nothing was taken");
    }
}

#[test]
fn changed_bytes_do_no_harm() {
    const LIMITS: Limits = Limits {
        entries_max: 1000,
        archive_bytes_max: 1 << 20,
        content_bytes_max: 1 << 20,
        noted_bytes_max: 1 << 16,
    };
    let mut taken = 0;
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let Some(archive) = archive(&mut random, 12) else { return };
        let bed = Bed::in_memory().expect("as before");
        for _ in 0..200 {
            let mut changed = archive.clone();
            for _ in 0..=random.below(3) {
                let header = 512 * random.below(changed.len() / 512);
                // Where headers say the most: name, size, type, link.
                let length = *random.of(&[&512, &512, &20, &265]);
                let at = header + random.below(length);
                changed[at] = *random.of(&[&0, &0xff, &b'/', &b'.', &b'1', &b'x', &b'L']);
                if random.below(4) > 0 {
                    correct_sum(&mut changed[header..header + 512]);
                }
            }
            bed.clear();
            taken += u32::from(bed.unpack_within(&changed, &LIMITS).is_ok());
        }
    }
    assert!(taken > 100, "only {taken} were taken");
}

fn correct_sum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn changed_bytes_of_compressed_archives_do_no_harm() {
    use std::io::{Read as _, Write as _};
    let Some(archive) = archive(&mut Random::new(0), 12) else { return };
    let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    gzip.write_all(&archive).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(&archive[..], ruzstd::encoding::CompressionLevel::Fastest);
    let mut random = Random::new(1);
    for whole in [gzip.finish().unwrap(), zstd] {
        for _ in 0..3000 {
            let mut changed = whole.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(changed.len());
                changed[at] = random.bytes(1)[0];
            }
            let Ok(plain) = crate::layer::decompress(&changed[..]) else { continue };
            // What comes of it is bounded by whoever reads.
            let _ = plain.take(1 << 20).read_to_end(&mut vec![]);
        }
    }
}
