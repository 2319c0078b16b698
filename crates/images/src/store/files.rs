//! Files of the store: bounded when read, whole and on disk when written.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::StoreError;

/// Of every record; raised when one changes in a way that an older monopod would misread.
const SCHEMA: u64 = 1;
/// Layers keep the owners and modes their image gave them, which are for containers alone.
pub(super) const DIRECTORY_MODE: u32 = 0o700;

#[derive(Serialize)]
struct Envelope<'r, T> {
    schema: u64,
    #[serde(flatten)]
    record: &'r T,
}

/// Read first, so that a newer record's body is never guessed at.
#[derive(Deserialize)]
struct Schema {
    schema: u64,
}

/// With what is above it. Fine when it is there.
pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    let above = path.parent().map_or(Ok(()), fs::create_dir_all);
    let made = above.and_then(|()| match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    });
    made.map_err(|source| StoreError::Make { path: path.to_owned(), source })
}

/// `None` when there is no such file.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let failed = |source| StoreError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(StoreError::TooLong { path: path.to_owned(), bytes_max });
    }
    Ok(Some(bytes))
}

/// `None` when there is no such file.
pub(super) fn read_record<T: DeserializeOwned>(path: &Path, bytes_max: u64) -> Result<Option<T>, StoreError> {
    let Some(bytes) = read(path, bytes_max)? else { return Ok(None) };
    let malformed = |source| StoreError::Malformed { path: path.to_owned(), source };
    let Schema { schema } = serde_json::from_slice(&bytes).map_err(malformed)?;
    if schema != SCHEMA {
        return Err(StoreError::UnknownSchema { path: path.to_owned(), found: schema, known: SCHEMA });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(malformed)
}

/// The text of a record.
pub(super) fn record<T: Serialize>(path: &Path, record: &T) -> Result<Vec<u8>, StoreError> {
    let text = serde_json::to_vec(&Envelope { schema: SCHEMA, record });
    text.map_err(|error| StoreError::Write { path: path.to_owned(), source: error.into() })
}

/// Replaces `path` with a file that is on disk. `temporary` is on the same file system.
pub(super) fn replace(path: &Path, temporary: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let written = File::create(temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|source| StoreError::Write { path: temporary.to_owned(), source })?;
    fs::rename(temporary, path).map_err(|source| StoreError::Publish { path: path.to_owned(), source })?;
    path.parent().map_or(Ok(()), sync)
}

/// Brings the names in a directory to disk.
pub(super) fn sync(directory: &Path) -> Result<(), StoreError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|source| StoreError::Sync { path: directory.to_owned(), source })
}

pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match linux_sys::remove_tree::remove_tree(path).into_iter().next() {
        Some(error) => Err(StoreError::Remove { path: error.path, source: error.source }),
        None => Ok(()),
    }
}

/// The entries of a directory; none when it does not exist.
pub(super) fn list(path: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::List { path: path.to_owned(), source };
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // What is not text is none of the store's names.
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}
