//! When a log file is rotated, what its old parts are called, and which of them go.
//!
//! The limits are the kubelet's defaults (`containerLogMaxSize: 10Mi`, `containerLogMaxFiles: 5`,
//! <https://kubernetes.io/docs/concepts/cluster-administration/logging/#log-rotation>). So are the names,
//! `N.log.YYYYMMDD-HHMMSS`, but a part that would take a name already used gets a number after it: a fast
//! writer fills several files within one second.

use std::collections::VecDeque;
use std::fmt;

use podspec::WallTime;

/// A file that would grow over this is rotated first.
pub const LOG_BYTES_MAX: u64 = 10 << 20;
/// Files kept for one attempt, the one being written among them.
pub const LOG_FILES_MAX: usize = 5;

/// Whether a file of `size_bytes` is to be rotated before whole records of `incoming_bytes` go into it.
/// An empty file never is, however much is incoming.
#[must_use]
pub const fn must_rotate(size_bytes: u64, incoming_bytes: u64) -> bool {
    size_bytes > 0 && size_bytes.saturating_add(incoming_bytes) > LOG_BYTES_MAX
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
    kept: VecDeque<LogName>,
}

impl RotatedFiles {
    #[must_use]
    pub const fn new(attempt: u32) -> Self {
        Self { attempt, kept: VecDeque::new() }
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
        // The file being written counts too.
        let oldest = if self.kept.len() >= LOG_FILES_MAX { self.kept.pop_front() } else { None };
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

    use super::{LOG_BYTES_MAX, LOG_FILES_MAX, LogName, RotatedFiles, must_rotate};

    #[test]
    fn a_file_is_rotated_before_it_grows_over_the_limit() {
        assert!(!must_rotate(0, LOG_BYTES_MAX + 1));
        assert!(!must_rotate(LOG_BYTES_MAX - 10, 10));
        assert!(must_rotate(LOG_BYTES_MAX - 10, 11));
        assert!(must_rotate(LOG_BYTES_MAX + 1, 0));
    }

    #[test]
    fn names_are_unique_and_in_order_whatever_the_clock_does() {
        let at = |seconds: i64| WallTime::from_unix(1_475_713_029 + seconds, 0);
        let mut files = RotatedFiles::new(3);
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
        let mut files = RotatedFiles::new(0);
        let mut on_disk = Vec::new();
        for seconds in 0..20 {
            let (rotated, removed) = files.rotate(WallTime::from_unix(seconds, 0));
            on_disk.push(rotated);
            if let Some(removed) = removed {
                assert_eq!(on_disk.remove(0), removed);
            }
            assert!(on_disk.len() < LOG_FILES_MAX);
        }
        assert_eq!(on_disk.len(), LOG_FILES_MAX - 1);
    }
}
