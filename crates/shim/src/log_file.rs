//! The log file of one attempt, rotated between records so that none is torn or lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use container_config::LogLimits;
use cri_log::{LogName, RotatedFiles, fitting};
use podspec::WallTime;
use rustix::fs::OFlags;

#[derive(Debug)]
pub(crate) struct LogFile {
    dir: PathBuf,
    name: LogName,
    file: File,
    size_bytes: u64,
    bytes_max: u64,
    rotated: RotatedFiles,
}

impl LogFile {
    /// Opens `DIR/ATTEMPT.log`, making the directory when it is missing.
    pub(crate) fn open(dir: &Path, attempt: u32, limits: LogLimits) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let name = LogName::current(attempt);
        let file = open(&dir.join(name.to_string()))?;
        let size_bytes = file.metadata()?.len();
        let LogLimits { file_bytes_max: bytes_max, files_max } = limits;
        let rotated = RotatedFiles::new(attempt, files_max);
        Ok(Self { dir: dir.to_owned(), name, file, size_bytes, bytes_max, rotated })
    }

    /// Writes whole records, into as many files as they need. When the disk refuses they are lost, but none of
    /// them half-written.
    pub(crate) fn append(&mut self, mut records: &[u8], at: WallTime) -> io::Result<()> {
        let mut rotation = Ok(());
        while !records.is_empty() {
            let mut length = fitting(self.size_bytes, records, self.bytes_max);
            if length == 0 {
                let rotated = self.rotate(at);
                // The old file grows on, by all of it: what failed now would fail for each part.
                length = if rotated.is_ok() { fitting(0, records, self.bytes_max) } else { records.len() };
                rotation = rotation.and(rotated);
            }
            let (now, later) = records.split_at(length);
            self.write(now)?;
            records = later;
        }
        rotation
    }

    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(records) {
            self.file.set_len(self.size_bytes)?;
            return Err(error);
        }
        self.size_bytes += records.len() as u64;
        Ok(())
    }

    /// The new file is made before the old one is renamed: if that fails, the old one just grows on.
    fn rotate(&mut self, at: WallTime) -> io::Result<()> {
        let current = self.dir.join(self.name.to_string());
        let next = current.with_extension("log.new");
        let file = open(&next)?;
        let (rotated, oldest) = self.rotated.rotate(at);
        match fs::rename(&current, self.dir.join(rotated.to_string())) {
            // Moved by an earlier rotation that got no further.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            moved => moved?,
        }
        fs::rename(&next, &current)?;
        self.file = file;
        self.size_bytes = 0;
        oldest.map_or(Ok(()), |oldest| fs::remove_file(self.dir.join(oldest.to_string())))
    }
}

/// Somebody may have put something else in its place: a link is not followed, and nothing but a file is
/// waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use container_config::LogLimits;
    use cri_log::LogName;
    use podspec::WallTime;
    use rustix::fs::FileType;

    use super::LogFile;

    const LIMITS: LogLimits = LogLimits { file_bytes_max: 10 << 20, files_max: 5 };

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("monopod-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn names(&self) -> Vec<LogName> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries
                .map(|entry| LogName::parse(entry.unwrap().file_name().to_str().unwrap()).unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn rotation_keeps_the_newest_records_in_order_and_whole() {
        let dir = Dir::new("rotation");
        let mut log = LogFile::open(&dir.0, 2, LIMITS).unwrap();
        let chunk = |n: u32| format!("{n:07}\n").repeat(1 << 17).into_bytes();
        let chunks = 100;
        for n in 0..chunks {
            log.append(&chunk(n), WallTime::from_unix(1_475_713_029, 0)).unwrap();
        }
        let names = dir.names();
        assert_eq!(names.len(), LIMITS.files_max);
        assert_eq!(names.last(), Some(&LogName::current(2)));
        let mut all = Vec::new();
        for name in &names {
            let content = fs::read(dir.0.join(name.to_string())).unwrap();
            assert!(content.len() as u64 <= LIMITS.file_bytes_max && content.ends_with(b"\n"));
            all.extend(content);
        }
        let kept = u32::try_from(all.len() / chunk(0).len()).unwrap();
        let expected: Vec<u8> = (chunks - kept..chunks).flat_map(chunk).collect();
        assert!(all == expected, "the last {kept} chunks");
        assert!(kept > 40);
    }

    #[test]
    fn more_than_a_file_takes_goes_into_several() {
        let dir = Dir::new("several");
        let limits = LogLimits { file_bytes_max: 100, files_max: 3 };
        let mut log = LogFile::open(&dir.0, 0, limits).unwrap();
        let line = |n: u32| format!("{n:08}\n");
        let all: String = (0..100).map(line).collect();
        log.append(all.as_bytes(), WallTime::from_unix(1_475_713_029, 0)).unwrap();
        let long = format!("{}\n", "x".repeat(200));
        log.append(long.as_bytes(), WallTime::from_unix(1_475_713_029, 0)).unwrap();
        let names = dir.names();
        let content: Vec<String> =
            names.iter().map(|name| fs::read_to_string(dir.0.join(name.to_string())).unwrap()).collect();
        let lines = |from: u32, to: u32| (from..to).map(line).collect::<String>();
        assert_eq!(content, [lines(88, 99), lines(99, 100), long]);
    }

    #[test]
    fn a_rotation_that_got_half_way_does_not_keep_the_next_from_it() {
        let dir = Dir::new("half-rotation");
        let mut log = LogFile::open(&dir.0, 0, LIMITS).unwrap();
        let at = WallTime::from_unix(1_475_713_029, 0);
        let chunk = vec![b'x'; usize::try_from(LIMITS.file_bytes_max).unwrap() / 2 + 1];
        log.append(&chunk, at).unwrap();
        fs::remove_file(dir.0.join("0.log")).unwrap();
        log.append(&chunk, at).unwrap();
        assert_eq!(fs::read(dir.0.join("0.log")).unwrap().len(), chunk.len());
    }

    #[test]
    fn goes_on_with_an_existing_file() {
        let dir = Dir::new("append");
        for _ in 0..2 {
            LogFile::open(&dir.0, 0, LIMITS).unwrap().append(b"x\n", WallTime::default()).unwrap();
        }
        assert_eq!(fs::read(dir.0.join("0.log")).unwrap(), b"x\nx\n");
    }

    #[test]
    fn what_somebody_put_in_a_files_place_is_neither_followed_nor_waited_for() {
        let dir = Dir::new("planted");
        fs::create_dir_all(&dir.0).unwrap();
        std::os::unix::fs::symlink("victim", dir.0.join("0.log")).unwrap();
        assert!(LogFile::open(&dir.0, 0, LIMITS).is_err());
        assert!(!dir.0.join("victim").exists());
        let fifo = dir.0.join("1.log");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(LogFile::open(&dir.0, 1, LIMITS).is_err());
    }
}
