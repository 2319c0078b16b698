//! The ends of a container's logs, for explanations.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use cri_log::{Stream, decode};
use journal::LogTail;

use super::directory::Directory;

/// The newest attempt and the one before it.
const ATTEMPTS_MAX: usize = 2;
const LINES_MAX: usize = 20;
/// A longer line is cut.
const LINE_BYTES_MAX: usize = 1_024;
/// What is read of a file: more than so many lines of a usual log.
const END_BYTES_MAX: u64 = 64 << 10;

/// The last lines of the last two attempts of the container whose logs are in `dir`, oldest attempt first; none when there are none.
///
/// # Errors
/// When a file cannot be read.
pub fn tails(dir: &Path) -> io::Result<Vec<LogTail>> {
    let attempts = Directory::attempts(dir)?;
    let newest = &attempts[attempts.len().saturating_sub(ATTEMPTS_MAX)..];
    newest.iter().map(|attempt| Ok(LogTail { attempt: *attempt, lines: tail(dir, *attempt)? })).collect()
}

fn tail(dir: &Path, attempt: u32) -> io::Result<Vec<String>> {
    let directory = Directory::new(dir, attempt, attempt);
    directory.scan()?;
    let files: Vec<_> = std::iter::from_fn(|| directory.next_file()).collect();
    let mut lines = Vec::new();
    for file in files.iter().rev() {
        let mut of_file = last_lines(&end(&file.file)?);
        of_file.append(&mut lines);
        lines = of_file;
        if lines.len() >= LINES_MAX {
            break;
        }
    }
    lines.drain(..lines.len().saturating_sub(LINES_MAX));
    Ok(lines)
}

/// What the file ends with, from the beginning of a line on.
fn end(file: &File) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(END_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(length - start).unwrap_or(0)];
    file.read_exact_at(&mut bytes, start)?;
    if start > 0 {
        let cut = memchr::memchr(b'\n', &bytes).map_or(bytes.len(), |newline| newline + 1);
        bytes.drain(..cut);
    }
    Ok(bytes)
}

/// Whole lines as the container wrote them: its records of one line are one.
fn last_lines(bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut begun: BTreeMap<Stream, Vec<u8>> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(record) = decode(line) else { continue };
        let text = begun.entry(record.stream).or_default();
        let room = LINE_BYTES_MAX.saturating_sub(text.len());
        text.extend_from_slice(&record.text[..record.text.len().min(room)]);
        if !record.partial {
            lines.push(String::from_utf8_lossy(text).into_owned());
            text.clear();
        }
    }
    // What has no end yet, such as a question.
    lines.extend(
        begun.values().filter(|text| !text.is_empty()).map(|t| String::from_utf8_lossy(t).into_owned()),
    );
    lines.drain(..lines.len().saturating_sub(LINES_MAX));
    lines
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{LINE_BYTES_MAX, LINES_MAX, tails};

    #[test]
    fn the_last_lines_of_the_last_two_attempts() {
        let dir = std::env::temp_dir().join(format!("monopod-tails-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        assert_eq!(tails(&dir).unwrap(), []);
        fs::create_dir_all(&dir).unwrap();
        let line = |stream: &str, tag: &str, text: &str| {
            format!("2016-10-06T00:17:09.000000001Z {stream} {tag} {text}\n")
        };
        fs::write(dir.join("0.log"), line("stdout", "F", "gone")).unwrap();
        let many: String = (0..10_000).map(|at| line("stdout", "F", &format!("line {at}"))).collect();
        fs::write(dir.join("1.log"), many).unwrap();
        let rotated = line("stdout", "F", "first");
        fs::write(dir.join("2.log.20161006-001709"), rotated).unwrap();
        let long = line("stdout", "F", &"\u{e9}".repeat(LINE_BYTES_MAX));
        let text = ["one, ", "and "].map(|part| line("stdout", "P", part)).concat()
            + &line("stderr", "F", "error")
            + &line("stdout", "F", "the same")
            + "no record\n"
            + &long
            + &line("stdout", "P", "password: ");
        fs::write(dir.join("2.log"), text).unwrap();
        let tails = tails(&dir).unwrap();
        assert_eq!(tails.iter().map(|tail| tail.attempt).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(tails[0].lines.len(), LINES_MAX);
        assert_eq!(tails[0].lines[LINES_MAX - 1], "line 9999");
        let mut lines = tails[1].lines.clone();
        assert_eq!(lines.remove(3).chars().count(), LINE_BYTES_MAX / 2);
        assert_eq!(lines, ["first", "error", "one, and the same", "password: "]);
        fs::remove_dir_all(&dir).unwrap();
    }
}
