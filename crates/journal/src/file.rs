//! One bounded, versioned file per pod.
//!
//! `journal.jsonl` in the pod's directory: the first line names the schema, each further line is one
//! [`Entry`]. When it has grown to [`GENERATION_BYTES_MAX`] it becomes `journal.1.jsonl`, in place of
//! the one before, so a pod never has more than two generations. Each begins with a [`crate::Snapshot`], which is not
//! counted, so that a large pod leaves room for what happens to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lifecycle::SCHEMA_VERSION;
use podspec::Moment;
use serde::{Deserialize, Serialize};

use crate::entry::{Entry, Happening, Occasion};

/// One generation is not appended to once it has this size, without its snapshots.
pub const GENERATION_BYTES_MAX: u64 = 1 << 20;

pub(crate) const CURRENT: &str = "journal.jsonl";
pub(crate) const PREVIOUS: &str = "journal.1.jsonl";
/// The oldest version whose entries are entries still. It has no snapshots: it is read, and not played again.
const SCHEMA_READ_FROM: u64 = 5;
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
    /// Without the snapshots that this writer has appended.
    bytes: u64,
    /// Of whole lines.
    length: u64,
    next_seq: u64,
    /// Entries were lost since the last snapshot.
    gap: bool,
}

impl Journal {
    /// Opens the pod's journal to go on where it ends, and returns what is in it. A damaged or foreign file, and one of
    /// a version too old to be read, is moved aside and a new one begun: nothing is decided from it.
    ///
    /// # Errors
    /// When the file system refuses, or the journal is of a newer version.
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
        self.gap |= written.is_err();
        (entries, written)
    }

    /// Why a snapshot of what the entries have led to is to be appended, by itself, before any other entry.
    #[must_use]
    pub fn snapshot_due(&self) -> Option<Occasion> {
        if self.gap {
            return Some(Occasion::Gap);
        }
        (self.bytes >= GENERATION_BYTES_MAX).then_some(Occasion::Generation)
    }

    fn write(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        if self.bytes >= GENERATION_BYTES_MAX {
            self.begin_generation()?;
        }
        let path = self.pod_dir.join(CURRENT);
        let failed = |source| JournalError::Write { path: path.clone(), source };
        let mut text = Vec::new();
        let mut counted = 0;
        for entry in entries {
            let before = text.len();
            serde_json::to_writer(&mut text, entry).map_err(|error| failed(error.into()))?;
            text.push(b'\n');
            if !matches!(entry.what, Happening::Snapshot(_)) {
                counted += text.len() - before;
            }
        }
        if self.gap {
            // What was written of a line that failed must not begin the next one.
            self.current.set_len(self.length).map_err(failed)?;
        }
        self.current.write_all(&text).map_err(failed)?;
        self.bytes += counted as u64;
        self.length += text.len() as u64;
        if entries.iter().any(|entry| matches!(entry.what, Happening::Snapshot(_))) {
            self.gap = false;
        }
        Ok(())
    }

    fn begin_generation(&mut self) -> Result<(), JournalError> {
        let path = self.pod_dir.join(CURRENT);
        // It is moved already when the disk was full just before the new one was begun.
        if path.exists() {
            rename_to_previous(&self.pod_dir)?;
        }
        (self.current, self.bytes) = open_generation(&path)?;
        self.length = self.bytes;
        Ok(())
    }
}

/// A journal that was read and not touched yet.
#[derive(Debug)]
pub struct Past {
    pod_dir: PathBuf,
    read: Result<Kept, JournalError>,
}

#[derive(Debug, Default)]
struct Kept {
    entries: Vec<Entry>,
    /// Of the newest generation; `None` where there is none, or it has no header yet.
    schema: Option<u64>,
}

impl Past {
    /// # Errors
    /// Where nobody may go on with it: when it cannot be read, or is of a newer version.
    pub fn read(pod_dir: &Path) -> Result<Self, JournalError> {
        match read_kept(pod_dir) {
            Err(error @ JournalError::Read { .. }) => Err(error),
            Err(error @ JournalError::UnknownVersion { found, .. }) if found > u64::from(SCHEMA_VERSION) => {
                Err(error)
            }
            read => Ok(Self { pod_dir: pod_dir.to_owned(), read }),
        }
    }

    pub fn go_on(self) -> Result<(Journal, Vec<Entry>), JournalError> {
        let Self { pod_dir, read } = self;
        let Kept { entries, schema } = match read {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(error = %error, "journal moved to {REFUSED}");
                move_aside(&pod_dir)?;
                Kept::default()
            }
        };
        let path = pod_dir.join(CURRENT);
        drop_torn_line(&path)?;
        if schema.is_some_and(|schema| schema < u64::from(SCHEMA_VERSION)) {
            // What this version writes is not for who goes by that header.
            rename_to_previous(&pod_dir)?;
        }
        let (current, bytes) = open_generation(&path)?;
        let next_seq = entries.last().map_or(1, |entry| entry.seq.saturating_add(1));
        Ok((Journal { pod_dir, current, bytes, length: bytes, next_seq, gap: false }, entries))
    }
}

/// Every entry still kept of a pod, oldest first; none when it has no journal. A last line without its
/// newline was being written when the engine died, and is left out.
///
/// # Errors
/// When a generation cannot be read, is foreign, of a schema version that this one cannot read, or damaged.
pub fn read(pod_dir: &Path) -> Result<Vec<Entry>, JournalError> {
    read_kept(pod_dir).map(|kept| kept.entries)
}

fn read_kept(pod_dir: &Path) -> Result<Kept, JournalError> {
    let mut entries = Vec::new();
    read_generation(&pod_dir.join(PREVIOUS), &mut entries)?;
    let schema = read_generation(&pod_dir.join(CURRENT), &mut entries)?;
    Ok(Kept { entries, schema })
}

/// Its schema, when it has a header.
fn read_generation(path: &Path, entries: &mut Vec<Entry>) -> Result<Option<u64>, JournalError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(JournalError::Read { path: path.to_owned(), source }),
    };
    let whole = &text[..text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)];
    let mut lines = whole.split_inclusive(|&byte| byte == b'\n');
    let Some(first) = lines.next() else {
        // Made, but its engine died before the header was in it.
        return if text.len() < HEADER_BYTES_MAX { Ok(None) } else { Err(foreign(path)) };
    };
    let header: Header = serde_json::from_slice(first).map_err(|_| foreign(path))?;
    if !(SCHEMA_READ_FROM..=u64::from(SCHEMA_VERSION)).contains(&header.schema) {
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
    Ok(Some(header.schema))
}

/// Longer than any header: a file without a newline up to here is not one of ours cut short.
const HEADER_BYTES_MAX: usize = 128;

fn foreign(path: &Path) -> JournalError {
    JournalError::NotAJournal { path: path.to_owned() }
}

fn rename_to_previous(pod_dir: &Path) -> Result<(), JournalError> {
    let path = pod_dir.join(CURRENT);
    fs::rename(&path, pod_dir.join(PREVIOUS)).map_err(|source| JournalError::Write { path, source })
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
        if let Err(error) = file.write_all(&line) {
            // A piece of a header must not take the place of the generation before.
            let _ = fs::remove_file(path);
            return Err(failed(error));
        }
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

    use super::{
        CURRENT, GENERATION_BYTES_MAX, Happening, Journal, JournalError, Occasion, PREVIOUS,
        SCHEMA_READ_FROM, read,
    };
    use crate::Snapshot;

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
    fn what_the_version_before_wrote_is_read_and_not_appended_to() {
        let dir = Scratch::new("older");
        let (mut journal, _) = Journal::open(&dir.0).unwrap();
        journal.append(vec![failed("a"), failed("b")]).1.unwrap();
        let path = dir.0.join(CURRENT);
        let text = fs::read_to_string(&path).unwrap();
        let older =
            |version| text.replace(&format!("\"schema\":{SCHEMA_VERSION}"), &format!("\"schema\":{version}"));
        fs::write(&path, older(SCHEMA_READ_FROM)).unwrap();

        let (mut journal, before) = Journal::open(&dir.0).unwrap();
        assert_eq!(before.len(), 2);
        journal.append(vec![failed("c")]).1.unwrap();
        assert_eq!(read(&dir.0).unwrap().iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(fs::read_to_string(dir.0.join(PREVIOUS)).unwrap(), older(SCHEMA_READ_FROM));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);

        // Nobody knows what that one meant: it is kept, and the pod is taken over all the same.
        fs::write(&path, older(SCHEMA_READ_FROM - 1)).unwrap();
        assert!(matches!(read(&dir.0), Err(JournalError::UnknownVersion { found: 4, .. })));
        let (_, before) = Journal::open(&dir.0).unwrap();
        assert!(before.is_empty());
        let kept = fs::read_to_string(dir.0.join("journal.refused.0")).unwrap();
        assert_eq!(kept, older(SCHEMA_READ_FROM - 1));
    }

    #[test]
    fn a_generation_is_as_long_as_what_happens_however_large_the_pod_is() {
        let dir = Scratch::new("large");
        let (mut journal, _) = Journal::open(&dir.0).unwrap();
        let large = usize::try_from(GENERATION_BYTES_MAX).unwrap() + 1;
        let begin = || (Moment::default(), snapshot(Occasion::Engine, &"x".repeat(large)));
        journal.append(vec![begin(), failed("a")]).1.unwrap();
        assert_eq!(journal.snapshot_due(), None);
        journal.append(vec![failed("b")]).1.unwrap();
        assert_eq!(read(&dir.0).unwrap().len(), 3);
        journal.append(vec![failed(&"y".repeat(large))]).1.unwrap();
        assert_eq!(journal.snapshot_due(), Some(Occasion::Generation));
        journal.append(vec![begin()]).1.unwrap();
        assert_eq!(journal.snapshot_due(), None);
        let entries = read(&dir.0).unwrap();
        assert_eq!(entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert!(fs::read_to_string(dir.0.join(CURRENT)).unwrap().lines().count() == 2);
    }

    /// `/dev/full` takes no byte, and a file that is cut anew has no piece of a line.
    #[test]
    fn entries_that_are_lost_are_followed_by_a_snapshot() {
        let dir = Scratch::new("gap");
        let (mut journal, _) = Journal::open(&dir.0).unwrap();
        journal.append(vec![failed("a")]).1.unwrap();
        let good = std::mem::replace(
            &mut journal.current,
            fs::File::options().write(true).open("/dev/full").unwrap(),
        );
        let (lost, written) = journal.append(vec![failed("b")]);
        assert!(matches!(written, Err(JournalError::Write { .. })));
        assert_eq!((lost[0].seq, journal.snapshot_due()), (2, Some(Occasion::Gap)));
        // A piece of it came to the disk.
        let path = dir.0.join(CURRENT);
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"seq\":2,\"at\"");
        fs::write(&path, text).unwrap();
        journal.current = good;
        journal.append(vec![failed("c")]).1.unwrap();
        assert_eq!(journal.snapshot_due(), Some(Occasion::Gap));
        journal.append(vec![(Moment::default(), snapshot(Occasion::Gap, ""))]).1.unwrap();
        assert_eq!(journal.snapshot_due(), None);
        assert_eq!(read(&dir.0).unwrap().iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 3, 4]);
    }

    /// The disk was full between the end of one file and the beginning of the next.
    #[test]
    fn a_generation_that_could_not_be_begun_is_begun_later() {
        let dir = Scratch::new("later");
        let (mut journal, _) = Journal::open(&dir.0).unwrap();
        journal.append(vec![failed(&"x".repeat(usize::try_from(GENERATION_BYTES_MAX).unwrap()))]).1.unwrap();
        fs::rename(dir.0.join(CURRENT), dir.0.join(PREVIOUS)).unwrap();
        journal.append(vec![failed("a")]).1.unwrap();
        assert_eq!(read(&dir.0).unwrap().iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2]);
    }

    fn snapshot(occasion: Occasion, annotation: &str) -> Happening {
        let text =
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: i}]}}";
        let mut pod =
            podspec::load_pods("test", text, || [7; podspec::IDENTITY_BYTES]).unwrap().remove(0).admitted.pod;
        pod.annotations.insert("a".to_owned(), annotation.to_owned());
        let observed = lifecycle::Observed::default();
        Happening::Snapshot(Box::new(Snapshot { occasion, pod, observed, decisions: Vec::new() }))
    }

    /// `--nocapture` says what it costs.
    #[test]
    fn the_snapshot_a_pod_begins_with_is_small() {
        const ROUNDS: u32 = 300;
        let dir = Scratch::new("cost");
        let (mut journal, _) = Journal::open(&dir.0).unwrap();
        let mut appended = |what: &Happening| {
            let before = journal.length;
            let begun = std::time::Instant::now();
            for _ in 0..ROUNDS {
                journal.append(vec![(Moment::default(), what.clone())]).1.unwrap();
            }
            (begun.elapsed() / ROUNDS, (journal.length - before) / u64::from(ROUNDS))
        };
        let with = appended(&snapshot(Occasion::Engine, ""));
        let without = appended(&Happening::Observed(Observation::Accepted));
        println!(
            "a snapshot: {:?}, {} bytes; an observation: {:?}, {} bytes",
            with.0, with.1, without.0, without.1
        );
        assert!(with.1 < 4_096, "{} bytes", with.1);
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
