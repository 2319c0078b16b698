//! A pod's record in a file: by itself, or in a report of `monopod bug-report`. It is anybody's, so it is bounded.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use journal::{Happening, Record};
use podspec::Pod;
use serde::Deserialize;

use crate::client::failure::{Failure, Result};

/// Of a report; a journal has two generations of a megabyte.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// What a plan costs grows with both.
const ENTRIES_MAX: usize = 50_000;
const CONTAINERS_MAX: usize = 1_000;
/// A report, or a record by itself.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    record: Option<Record>,
}

/// The record in a file.
pub(super) fn open(path: &Path) -> Result<Record> {
    let what = path.display().to_string();
    let file =
        File::open(path).map_err(|error| Failure::refused(format!("{what} cannot be read: {error}")))?;
    read(file, &what)
}

/// The record that is read from there; `what` is its name in errors.
pub(super) fn read(from: impl io::Read, what: &str) -> Result<Record> {
    let mut text = Vec::new();
    from.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| Failure::refused(format!("{what} cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::refused(format!(
            "{what} has more than {} MiB: no record is as large",
            FILE_BYTES_MAX >> 20
        )));
    }
    let record = match serde_json::from_slice::<Report>(&text) {
        Ok(Report { record: Some(record) }) => Ok(record),
        Ok(Report { record: None }) => serde_json::from_slice(&text),
        Err(error) => Err(error),
    };
    let record = record.map_err(|error| {
        Failure::refused(format!(
            "{what} is no report of `monopod bug-report` and no record that this version can read: {error}"
        ))
    })?;
    bounded(&record).map_err(|why| Failure::refused(format!("{what} is not taken: {why}")))?;
    Ok(record)
}

fn bounded(record: &Record) -> std::result::Result<(), String> {
    if record.entries.len() > ENTRIES_MAX {
        return Err(format!("it has {} entries, and at most {ENTRIES_MAX} are taken", record.entries.len()));
    }
    let of_entries = record.entries.iter().filter_map(|entry| match &entry.what {
        Happening::Snapshot(snapshot) => Some(&snapshot.pod),
        Happening::Changed(pod) => Some(&**pod),
        _ => None,
    });
    let containers = |pod: &Pod| pod.spec.all_containers().count();
    match of_entries.chain([&record.pod]).map(containers).max() {
        Some(most) if most > CONTAINERS_MAX => {
            Err(format!("its pod has {most} containers, and at most {CONTAINERS_MAX} are taken"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{CONTAINERS_MAX, ENTRIES_MAX, FILE_BYTES_MAX, read};
    use crate::client::replay::tests::record;

    fn refused(text: &[u8]) -> String {
        match read(text, "FILE") {
            Err(failure) => format!("{failure:?}"),
            Ok(_) => panic!("it was read"),
        }
    }

    #[test]
    fn a_record_is_read_by_itself_or_from_a_report() {
        let record = record();
        let alone = serde_json::to_vec(&record).unwrap();
        let report = serde_json::to_vec(&serde_json::json!({"why": "x", "record": record})).unwrap();
        assert_eq!(read(&*alone, "FILE").unwrap(), record);
        assert_eq!(read(&*report, "FILE").unwrap(), record);
    }

    #[test]
    fn what_is_foreign_or_too_large_is_refused() {
        for foreign in
            [&b""[..], b"\0\xff", b"[]", b"{}", b"{\"record\":{}}", b"{\"record\":null}", b"apiVersion: v1"]
        {
            assert!(refused(foreign).contains("is no report"), "{}", refused(foreign));
        }
        let deep = "[".repeat(100_000);
        assert!(refused(deep.as_bytes()).contains("is no report"));
        let long = vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        assert!(refused(&long).contains("more than 32 MiB"));
        let mut many = record();
        many.entries = vec![many.entries[1].clone(); ENTRIES_MAX + 1];
        assert!(refused(&serde_json::to_vec(&many).unwrap()).contains("50001 entries"));
        let mut wide = record();
        wide.pod.spec.containers = vec![wide.pod.spec.containers[0].clone(); CONTAINERS_MAX + 1];
        assert!(refused(&serde_json::to_vec(&wide).unwrap()).contains("1001 containers"));
    }
}
