//! A file of numbered lines, which shows of every copy whether all of it is there.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// With its newline.
pub(super) const LINE_BYTES: u64 = 100;
/// What is compared at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Writes as many lines as go into `bytes`, to the disk, and says how many bytes those are.
pub(super) fn make(path: &Path, bytes: u64) -> Result<u64> {
    let count = bytes / LINE_BYTES;
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut out = BufWriter::with_capacity(BLOCK_BYTES, file);
    for number in 0..count {
        // The number is everywhere in the line, so that no part of another passes for its own.
        writeln!(out, "{number:09} {number:x<87} {:x}", number % 16)?;
    }
    out.into_inner().context("cannot write lines")?.sync_all()?;
    Ok(count * LINE_BYTES)
}

/// Reads all that comes, which has to be the file's bytes, and returns how many there were.
pub(super) fn compare(path: &Path, mut copy: impl Read) -> Result<u64> {
    let mut original = BufReader::with_capacity(BLOCK_BYTES, File::open(path)?);
    let (mut block, mut expected) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut compared: u64 = 0;
    loop {
        let length = copy.read(&mut block)?;
        if length == 0 {
            break;
        }
        let expected = &mut expected[..length];
        original.read_exact(expected).context("a log has more than was written")?;
        if let Some(at) =
            block[..length].iter().zip(&*expected).position(|(found, expected)| found != expected)
        {
            bail!("a log is wrong from line {} on", (compared + at as u64) / LINE_BYTES);
        }
        compared += length as u64;
    }
    ensure!(original.read(&mut [0])? == 0, "a log ends after {} lines", compared / LINE_BYTES);
    Ok(compared)
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES, compare, make};

    #[test]
    fn a_copy_is_all_of_it_or_it_is_said_where_it_differs() {
        let path = std::env::temp_dir().join(format!("bench-lines-{}", std::process::id()));
        let bytes = make(&path, 100_050).unwrap();
        assert_eq!(bytes, 1_000 * LINE_BYTES);
        let text = std::fs::read(&path).unwrap();
        assert_eq!(
            text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).collect::<Vec<_>>(),
            [100; 1_000]
        );
        assert_eq!(compare(&path, &text[..]).unwrap(), bytes);
        let why = |copy: &[u8]| compare(&path, copy).unwrap_err().to_string();
        assert_eq!(why(&text[..text.len() - 100]), "a log ends after 999 lines");
        let lost = [&text[..50_000], &text[50_100..]].concat();
        assert_eq!(why(&lost), "a log is wrong from line 500 on");
        assert_eq!(why(&[&text[..], b"x"].concat()), "a log has more than was written");
        std::fs::remove_file(&path).unwrap();
    }
}
