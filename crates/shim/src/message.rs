//! The termination message of a container
//! (<https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cri_log::{Printer, RECORD_OVERHEAD_BYTES, Selection, TEXT_BYTES_MAX, TailScan, decode};
use rustix::fs::OFlags;

/// The end of the container's file that counts.
const FILE_BYTES_MAX: usize = 4 << 10;
/// The end of its log that counts instead: so much of what it wrote, and so many records of that.
const LOG_BYTES_MAX: usize = 2 << 10;
const LOG_RECORDS_MAX: usize = 80;
/// What holds that end, with a record that is only just begun before it.
const LOG_TAIL_BYTES: usize =
    LOG_BYTES_MAX + LOG_RECORDS_MAX * RECORD_OVERHEAD_BYTES + RECORD_OVERHEAD_BYTES + TEXT_BYTES_MAX;

/// The end of the container's termination message; empty when there is none. The container wrote the
/// file, so nothing in it or about it is trusted.
pub(crate) fn of_file(path: &Path) -> io::Result<String> {
    Ok(end_of(&tail(path, FILE_BYTES_MAX)?.bytes, FILE_BYTES_MAX))
}

/// The end of what an attempt wrote to its log, both streams as they came.
pub(crate) fn of_log(path: &Path) -> io::Result<String> {
    let Tail { bytes, is_whole } = tail(path, LOG_TAIL_BYTES)?;
    let last = TailScan::new(LOG_RECORDS_MAX as u64).block_before(0, &bytes);
    let start = last.and_then(|start| usize::try_from(start).ok()).unwrap_or(0);
    let mut records = bytes[start..].split_inclusive(|byte| *byte == b'\n');
    if start == 0 && !is_whole {
        records.next();
    }
    let mut printer = Printer::new(&Selection::default());
    let mut printed = Vec::new();
    for record in records.filter_map(|line| decode(line).ok()) {
        printer.print(&record, |piece| printed.extend_from_slice(piece));
    }
    Ok(end_of(&printed, LOG_BYTES_MAX))
}

#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    /// There is nothing before it.
    is_whole: bool,
}

/// The last bytes of a file; none of what is no file, or not there.
fn tail(path: &Path, bytes_max: usize) -> io::Result<Tail> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tail::default()),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Tail::default());
    }
    let bytes_max = bytes_max as u64;
    let start = metadata.len().saturating_sub(bytes_max);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(Tail { bytes, is_whole: start == 0 })
}

/// Not within a character; what is none takes more room than it had.
fn end_of(bytes: &[u8], bytes_max: usize) -> String {
    let bytes = &bytes[bytes.len().saturating_sub(bytes_max)..];
    let cut = bytes.iter().take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count();
    let text = String::from_utf8_lossy(&bytes[cut..]);
    let start = text.ceil_char_boundary(text.len().saturating_sub(bytes_max));
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use cri_log::{Encoder, Stream, TEXT_BYTES_MAX, Timestamp};
    use podspec::WallTime;

    use super::{FILE_BYTES_MAX, LOG_BYTES_MAX, LOG_RECORDS_MAX, of_file, of_log};

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("monopod-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_end_of_the_message_counts_and_only_of_a_file() {
        let dir = Dir::new("message");
        let path = dir.0.join("termination-log");
        assert_eq!(of_file(&path).unwrap(), "");
        fs::write(&path, "why").unwrap();
        assert_eq!(of_file(&path).unwrap(), "why");
        fs::write(&path, "a".repeat(5_000) + "end").unwrap();
        let message = of_file(&path).unwrap();
        assert!(message.len() == FILE_BYTES_MAX && message.ends_with("aend"));
        fs::write(&path, "\u{e9}".repeat(5_000) + "x").unwrap();
        let message = of_file(&path).unwrap();
        assert!(message.len() == FILE_BYTES_MAX - 1 && message.starts_with('\u{e9}'), "{}", message.len());
        fs::write(&path, [0xff; 5_000]).unwrap();
        let message = of_file(&path).unwrap();
        assert!(message.len() <= FILE_BYTES_MAX && message.starts_with(char::REPLACEMENT_CHARACTER));
        std::os::unix::fs::symlink("/etc/passwd", dir.0.join("link")).unwrap();
        assert!(of_file(&dir.0.join("link")).is_err());
        assert_eq!(of_file(&dir.0).unwrap(), "");
    }

    /// As the log of a container that wrote this.
    fn log(dir: &Dir, written: &[(Stream, &str)]) -> String {
        let path = dir.0.join("0.log");
        let at = Timestamp::new(WallTime::from_unix(1_475_713_029, 669_794_202));
        let mut records = Vec::new();
        for (stream, text) in written {
            let mut encoder = Encoder::new(*stream);
            encoder.push(text.as_bytes(), at, &mut records);
            encoder.finish(at, &mut records);
        }
        fs::write(&path, records).unwrap();
        of_log(&path).unwrap()
    }

    #[test]
    fn the_end_of_the_log_is_what_the_container_wrote() {
        use Stream::{Stderr, Stdout};
        let dir = Dir::new("message-log");
        assert_eq!(of_log(&dir.0.join("0.log")).unwrap(), "");
        assert_eq!(log(&dir, &[]), "");
        assert_eq!(log(&dir, &[(Stdout, "DONE")]), "DONE");
        assert_eq!(
            log(&dir, &[(Stdout, "one\ntwo\n"), (Stderr, "no"), (Stderr, " end\n")]),
            "one\ntwo\nno end\n"
        );
        let lines = |count: usize| (0..count).map(|n| format!("line {n}\n")).collect::<Vec<_>>();
        let many = lines(200);
        assert_eq!(log(&dir, &[(Stdout, &many.concat())]), many[200 - LOG_RECORDS_MAX..].concat());
        // One line that fills several records.
        let long = "x".repeat(5 * TEXT_BYTES_MAX / 2) + "end\n";
        let message = log(&dir, &[(Stdout, &long)]);
        assert_eq!(message, long[long.len() - LOG_BYTES_MAX..]);
        // The records before a short one are what fills the rest.
        let full = "y".repeat(TEXT_BYTES_MAX) + "\n";
        let message = log(&dir, &[(Stdout, &full), (Stdout, &full), (Stderr, "end")]);
        assert!(message.len() == LOG_BYTES_MAX && message.ends_with("y\nend"), "{message}");
        let wide = log(&dir, &[(Stdout, &("\u{e9}".repeat(3_000) + "\n"))]);
        assert!(wide.len() <= LOG_BYTES_MAX && wide.starts_with('\u{e9}') && wide.ends_with("\u{e9}\n"));
    }

    #[test]
    fn what_is_no_log_has_no_end() {
        let dir = Dir::new("message-foreign");
        let path = dir.0.join("0.log");
        for content in ["no record\n".repeat(10_000), "x".repeat(100_000), "\n".repeat(100)] {
            fs::write(&path, content).unwrap();
            assert_eq!(of_log(&path).unwrap(), "");
        }
    }
}
