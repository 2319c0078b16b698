//! One bounded, versioned file per pod.
//!
//! `journal.jsonl` in the pod's directory: the first line names the schema, each further line is one
//! [`Entry`]. When it has grown to [`GENERATION_BYTES_MAX`] it becomes `journal.1.jsonl`, in place of
//! the one before, so a pod never has more than two generations.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lifecycle::SCHEMA_VERSION;
use podspec::Moment;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, Happening};

/// One generation is not appended to once it has this size.
pub const GENERATION_BYTES_MAX: u64 = 1 << 20;

const CURRENT: &str = "journal.jsonl";
const PREVIOUS: &str = "journal.1.jsonl";
/// Where a file that is no journal of ours is moved, so that it is neither misread nor lost.
const REFUSED: &str = "journal.refused";

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not a journal of monopod", path.display())]
    NotAJournal { path: PathBuf },
    #[error(
        "{} has schema version {found}, this monopod knows {SCHEMA_VERSION}: use the version that wrote it, or `monopod reset`",
        path.display()
    )]
    UnknownVersion { path: PathBuf, found: u64 },
    #[error("{} line {line} is damaged", path.display())]
    Damaged { path: PathBuf, line: usize, source: serde_json::Error },
}

#[derive(Serialize, Deserialize)]
struct Header {
    journal: Magic,
    schema: u64,
}

#[derive(Serialize, Deserialize)]
enum Magic {
    #[serde(rename = "monopod-pod")]
    Pod,
}

/// The writer's end; one per pod.
#[derive(Debug)]
pub struct Journal {
    pod_dir: PathBuf,
    current: File,
    bytes: u64,
    next_seq: u64,
}

impl Journal {
    /// Opens the pod's journal to go on where it ends, and returns what is in it. A damaged or foreign file
    /// is moved aside and a new one begun: nothing is decided from it.
    ///
    /// # Errors
    /// When the file system refuses, or the journal is of another version.
    pub fn open(pod_dir: &Path) -> Result<(Self, Vec<Entry>), JournalError> {
        Past::read(pod_dir)?.go_on()
    }

    /// Numbers `happenings` and appends them in one write. The entries are returned in any case: a
    /// full disk must not keep them from those who watch the pod.
    pub fn append(&mut self, happenings: Vec<(Moment, Happening)>) -> (Vec<Entry>, Result<(), JournalError>) {
        let mut entries = Vec::with_capacity(happenings.len());
        for (at, what) in happenings {
            entries.push(Entry { seq: self.next_seq, at, what });
            self.next_seq += 1;
        }
        let written = self.write(&entries);
        (entries, written)
    }

    fn write(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        if self.bytes >= GENERATION_BYTES_MAX {
            self.begin_generation()?;
        }
        let path = self.pod_dir.join(CURRENT);
        let failed = |source| JournalError::Write { path: path.clone(), source };
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry).map_err(|error| failed(error.into()))?;
            text.push(b'\n');
        }
        self.current.write_all(&text).map_err(failed)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn begin_generation(&mut self) -> Result<(), JournalError> {
        let path = self.pod_dir.join(CURRENT);
        fs::rename(&path, self.pod_dir.join(PREVIOUS))
            .map_err(|source| JournalError::Write { path: path.clone(), source })?;
        (self.current, self.bytes) = open_generation(&path)?;
        Ok(())
    }
}

/// A journal that was read and not touched yet.
#[derive(Debug)]
pub struct Past {
    pod_dir: PathBuf,
    entries: Result<Vec<Entry>, JournalError>,
}

impl Past {
    /// # Errors
    /// Where nobody may go on with it: when it cannot be read, or is of another version.
    pub fn read(pod_dir: &Path) -> Result<Self, JournalError> {
        let entries = read(pod_dir);
        match entries {
            Err(error @ (JournalError::Read { .. } | JournalError::UnknownVersion { .. })) => Err(error),
            entries => Ok(Self { pod_dir: pod_dir.to_owned(), entries }),
        }
    }

    pub fn go_on(self) -> Result<(Journal, Vec<Entry>), JournalError> {
        let Self { pod_dir, entries } = self;
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(error = %error, "journal moved to {REFUSED}");
                move_aside(&pod_dir)?;
                Vec::new()
            }
        };
        drop_torn_line(&pod_dir.join(CURRENT))?;
        let (current, bytes) = open_generation(&pod_dir.join(CURRENT))?;
        let next_seq = entries.last().map_or(1, |entry| entry.seq.saturating_add(1));
        Ok((Journal { pod_dir, current, bytes, next_seq }, entries))
    }
}

/// Every entry still kept of a pod, oldest first; none when it has no journal. A last line without its
/// newline was being written when the engine died, and is left out.
///
/// # Errors
/// When a generation cannot be read, is foreign, of another schema version, or damaged.
pub fn read(pod_dir: &Path) -> Result<Vec<Entry>, JournalError> {
    let mut entries = Vec::new();
    for name in [PREVIOUS, CURRENT] {
        read_generation(&pod_dir.join(name), &mut entries)?;
    }
    Ok(entries)
}

fn read_generation(path: &Path, entries: &mut Vec<Entry>) -> Result<(), JournalError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(JournalError::Read { path: path.to_owned(), source }),
    };
    let whole = &text[..text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)];
    let mut lines = whole.split_inclusive(|&byte| byte == b'\n');
    let Some(first) = lines.next() else {
        // Made, but its engine died before the header was in it.
        return if text.len() < HEADER_BYTES_MAX { Ok(()) } else { Err(foreign(path)) };
    };
    let header: Header = serde_json::from_slice(first).map_err(|_| foreign(path))?;
    if header.schema != u64::from(SCHEMA_VERSION) {
        return Err(JournalError::UnknownVersion { path: path.to_owned(), found: header.schema });
    }
    for (index, line) in lines.enumerate() {
        let entry = serde_json::from_slice(line).map_err(|source| JournalError::Damaged {
            path: path.to_owned(),
            line: index + 2,
            source,
        })?;
        entries.push(entry);
    }
    Ok(())
}

/// Longer than any header: a file without a newline up to here is not one of ours cut short.
const HEADER_BYTES_MAX: usize = 128;

fn foreign(path: &Path) -> JournalError {
    JournalError::NotAJournal { path: path.to_owned() }
}

fn move_aside(pod_dir: &Path) -> Result<(), JournalError> {
    for (name, number) in [(PREVIOUS, 1), (CURRENT, 0)] {
        let path = pod_dir.join(name);
        match fs::rename(&path, pod_dir.join(format!("{REFUSED}.{number}"))) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::Write { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// What follows the last newline is no whole line; the next entry must not be appended to it.
fn drop_torn_line(path: &Path) -> Result<(), JournalError> {
    let failed = |source| JournalError::Write { path: path.to_owned(), source };
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(JournalError::Read { path: path.to_owned(), source }),
    };
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    if whole == text.len() {
        return Ok(());
    }
    OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(whole as u64)).map_err(failed)
}

/// Opens for appending; a new file begins with the header.
fn open_generation(path: &Path) -> Result<(File, u64), JournalError> {
    let failed = |source| JournalError::Write { path: path.to_owned(), source };
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    let mut bytes = file.metadata().map_err(failed)?.len();
    if bytes == 0 {
        let header = Header { journal: Magic::Pod, schema: u64::from(SCHEMA_VERSION) };
        let mut line = serde_json::to_vec(&header).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        file.write_all(&line).map_err(failed)?;
        bytes = line.len() as u64;
    }
    Ok((file, bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use lifecycle::{Observation, SCHEMA_VERSION};
    use podspec::Moment;

    use super::{CURRENT, GENERATION_BYTES_MAX, Happening, Journal, JournalError, PREVIOUS, read};

    /// A directory of this test's own, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("kubelet-journal-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn failed(message: &str) -> (Moment, Happening) {
        (Moment::default(), Happening::Observed(Observation::VolumesFailed { message: message.to_owned() }))
    }

    #[test]
    fn a_reopened_journal_goes_on_with_the_next_number_after_a_torn_line() {
        let dir = Scratch::new("torn");
        let (mut journal, before) = Journal::open(&dir.0).unwrap();
        assert!(before.is_empty());
        let (_, written) = journal.append(vec![failed("a"), failed("b")]);
        written.unwrap();
        let path = dir.0.join(CURRENT);
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"seq\":3,\"at\":{\"bo");
        fs::write(&path, text).unwrap();

        let (mut journal, before) = Journal::open(&dir.0).unwrap();
        assert_eq!(before.len(), 2);
        let (entries, written) = journal.append(vec![failed("c")]);
        written.unwrap();
        assert_eq!(entries[0].seq, 3);
        assert_eq!(read(&dir.0).unwrap().iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn two_generations_are_kept_and_no_number_is_missing_in_them() {
        let dir = Scratch::new("bounded");
        let (mut journal, _) = Journal::open(&dir.0).unwrap();
        let long = "x".repeat(10_000);
        let mut last = 0;
        for _ in 0..500 {
            let (entries, written) = journal.append(vec![failed(&long)]);
            written.unwrap();
            last = entries[0].seq;
        }
        let size = |name| fs::metadata(dir.0.join(name)).unwrap().len();
        assert!(size(CURRENT) + size(PREVIOUS) < 2 * (GENERATION_BYTES_MAX + 20_000));
        let kept: Vec<u64> = read(&dir.0).unwrap().iter().map(|e| e.seq).collect();
        assert_eq!(kept.last(), Some(&last));
        assert!(kept.len() > 100 && kept.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }

    #[test]
    fn foreign_and_damaged_files_are_moved_aside_by_the_writer_and_newer_ones_left_alone() {
        let header = format!(r#"{{"journal":"monopod-pod","schema":{SCHEMA_VERSION}}}"#);
        for (name, text) in [
            ("foreign", "{\"journal\":\"other\",\"schema\":1}\n".to_owned()),
            ("newer", "{\"journal\":\"monopod-pod\",\"schema\":9}\n{\"new\":1}\n".to_owned()),
            ("damaged", format!("{header}\nnot json\n")),
            ("long", "z".repeat(300)),
        ] {
            let dir = Scratch::new(name);
            fs::write(dir.0.join(CURRENT), &text).unwrap();
            let error = read(&dir.0).unwrap_err();
            let expected = match &error {
                JournalError::NotAJournal { .. } => ["foreign", "long"].contains(&name),
                JournalError::UnknownVersion { found: 9, .. } => name == "newer",
                JournalError::Damaged { line: 2, .. } => name == "damaged",
                _ => false,
            };
            assert!(expected, "{name}: {error:?}");

            if name == "newer" {
                assert!(matches!(Journal::open(&dir.0), Err(JournalError::UnknownVersion { found: 9, .. })));
                assert_eq!(fs::read_to_string(dir.0.join(CURRENT)).unwrap(), text);
                continue;
            }
            let (mut journal, before) = Journal::open(&dir.0).unwrap();
            assert!(before.is_empty());
            journal.append(vec![failed("a")]).1.unwrap();
            assert_eq!(read(&dir.0).unwrap().len(), 1);
            assert_eq!(fs::read_to_string(dir.0.join("journal.refused.0")).unwrap(), text);
        }
    }
}
