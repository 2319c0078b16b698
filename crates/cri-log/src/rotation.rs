//! When a log file is rotated, what its old parts are called, and which of them go.
//!
//! The limits are the node's (`containerLogMaxSize`, `containerLogMaxFiles` of a kubelet,
//! <https://kubernetes.io/docs/concepts/cluster-administration/logging/#log-rotation>). The names are the kubelet's,
//! `N.log.YYYYMMDD-HHMMSS`, but a part that would take a name already used gets a number after it: a fast
//! writer fills several files within one second.

use std::collections::VecDeque;
use std::fmt;

use memchr::{memchr, memrchr};
use podspec::WallTime;

/// How many bytes of whole records go into a file of `size_bytes` that is to grow to `bytes_max` at most; with 0 it is to
/// be rotated first. Into an empty file goes at least one record, however long it is.
#[must_use]
pub fn fitting(size_bytes: u64, records: &[u8], bytes_max: u64) -> usize {
    let room = usize::try_from(bytes_max.saturating_sub(size_bytes)).unwrap_or(usize::MAX);
    if records.len() <= room {
        return records.len();
    }
    match memrchr(b'\n', &records[..room]) {
        Some(newline) => newline + 1,
        None if size_bytes > 0 => 0,
        None => memchr(b'\n', records).map_or(records.len(), |newline| newline + 1),
    }
}

/// The name of one file of a container's log directory. They order as they were written: by attempt,
/// rotated parts by time and number, the file being written last.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LogName {
    pub attempt: u32,
    /// `None` for the file being written, which comes after every rotated part.
    rotated: Part,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Rotated { stamp: String, number: u32 },
    Current,
}

impl LogName {
    /// `N.log`.
    #[must_use]
    pub const fn current(attempt: u32) -> Self {
        Self { attempt, rotated: Part::Current }
    }

    /// `None` for names that are none of ours.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (attempt, rest) = name.split_once(".log")?;
        let attempt = attempt.parse().ok()?;
        if rest.is_empty() {
            return Some(Self::current(attempt));
        }
        let rest = rest.strip_prefix('.')?;
        let (stamp, number) = rest.split_at_checked(STAMP_BYTES)?;
        let is_stamp =
            stamp.bytes().enumerate().all(|(i, b)| if i == 8 { b == b'-' } else { b.is_ascii_digit() });
        let number = if number.is_empty() { 0 } else { number.strip_prefix('-')?.parse().ok()? };
        is_stamp.then(|| Self { attempt, rotated: Part::Rotated { stamp: stamp.to_owned(), number } })
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.log", self.attempt)?;
        match &self.rotated {
            Part::Current => Ok(()),
            Part::Rotated { stamp, number: 0 } => write!(f, ".{stamp}"),
            Part::Rotated { stamp, number } => write!(f, ".{stamp}-{number:03}"),
        }
    }
}

/// The rotated parts of one attempt's log, oldest first.
#[derive(Debug)]
pub struct RotatedFiles {
    attempt: u32,
    /// Files of the attempt, the one being written among them.
    files_max: usize,
    kept: VecDeque<LogName>,
}

impl RotatedFiles {
    #[must_use]
    pub const fn new(attempt: u32, files_max: usize) -> Self {
        Self { attempt, files_max, kept: VecDeque::new() }
    }

    /// Takes note of a rotation: the name for the file that was written until now, later than every name
    /// before it even when the clock went back; and the oldest part, when it has to go for it.
    pub fn rotate(&mut self, at: WallTime) -> (LogName, Option<LogName>) {
        let mut part = Part::Rotated { stamp: stamp(at), number: 0 };
        if let Some(LogName { rotated: Part::Rotated { stamp, number }, .. }) = self.kept.back() {
            let next = Part::Rotated { stamp: stamp.clone(), number: number.saturating_add(1) };
            part = part.max(next);
        }
        let name = LogName { attempt: self.attempt, rotated: part };
        self.kept.push_back(name.clone());
        let oldest = if self.kept.len() >= self.files_max { self.kept.pop_front() } else { None };
        (name, oldest)
    }
}

const STAMP_BYTES: usize = 15;

/// `YYYYMMDD-HHMMSS`
fn stamp(at: WallTime) -> String {
    let c = at.civil();
    let year = c.year.clamp(0, 9_999);
    format!("{year:04}{:02}{:02}-{:02}{:02}{:02}", c.month, c.day, c.hour, c.minute, c.second)
}

#[cfg(test)]
mod tests {
    use podspec::WallTime;

    use super::{LogName, RotatedFiles, fitting};

    const FILES_MAX: usize = 5;

    #[test]
    fn a_file_takes_whole_records_and_grows_over_no_limit() {
        for (size, records, expected) in [
            (0, "ab\ncd\n", 6),
            (2, "ab\ncd\n", 6),
            (3, "ab\ncd\n", 3),
            (5, "ab\ncd\n", 3),
            (6, "ab\ncd\n", 0),
            (9, "ab\n", 0),
            (0, "a record that is longer\nb\n", 24),
            (1, "a record that is longer\nb\n", 0),
            (0, "no record", 9),
            (0, "", 0),
        ] {
            assert_eq!(fitting(size, records.as_bytes(), 8), expected, "{records:?} after {size} bytes");
        }
    }

    #[test]
    fn names_are_unique_and_in_order_whatever_the_clock_does() {
        let at = |seconds: i64| WallTime::from_unix(1_475_713_029 + seconds, 0);
        let mut files = RotatedFiles::new(3, FILES_MAX);
        let mut names = Vec::new();
        for seconds in [0, 0, 0, 1, -60, 2] {
            names.push(files.rotate(at(seconds)).0.to_string());
        }
        let expected = [
            "3.log.20161006-001709",
            "3.log.20161006-001709-001",
            "3.log.20161006-001709-002",
            "3.log.20161006-001710",
            "3.log.20161006-001710-001",
            "3.log.20161006-001711",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn names_parse_back_and_order_as_written() {
        let texts =
            ["0.log.20161006-001709", "0.log.20161006-001709-001", "0.log.20161006-001709-1000", "0.log"]
                .into_iter()
                .chain(["2.log.20151006-001709", "2.log", "10.log"]);
        let names: Vec<LogName> = texts.clone().map(|text| LogName::parse(text).unwrap()).collect();
        assert!(names.is_sorted());
        assert_eq!(names.iter().map(LogName::to_string).collect::<Vec<_>>(), texts.collect::<Vec<_>>());
        for foreign in
            ["", "log", "a.log", "0.log.gz", "0.log.20161006-001709.gz", "0.logs", "0.log.20161006-0017090"]
        {
            assert_eq!(LogName::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn keeps_as_many_files_as_the_limit_says() {
        for files_max in [2, FILES_MAX] {
            let mut files = RotatedFiles::new(0, files_max);
            let mut on_disk = Vec::new();
            for seconds in 0..20 {
                let (rotated, removed) = files.rotate(WallTime::from_unix(seconds, 0));
                on_disk.push(rotated);
                if let Some(removed) = removed {
                    assert_eq!(on_disk.remove(0), removed);
                }
                // The file being written counts too.
                assert!(on_disk.len() < files_max);
            }
            assert_eq!(on_disk.len(), files_max - 1);
        }
    }
}
