//! The copy on disk: one redb file.
//!
//! Objects are under `resource NUL namespace NUL name`, as revision (8 bytes, little endian), uid, NUL, JSON. Labels and fields are not
//! there: they are read from the JSON at open, so that a program that selects by more fields than the one before finds them.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    TableHandle,
};

use crate::error::{DiskError, OpenError};
use crate::medium::Medium;
use crate::object::{Object, ObjectKey, Resource};
use crate::state::State;
use crate::store::{FIRST_REVISION, IndexFn};

const OBJECTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("objects");
const META: TableDefinition<'_, u8, u64> = TableDefinition::new("meta");
/// Keys of `META`.
const META_FORMAT: u8 = 0;
/// No revision above this was ever published.
const META_RESERVED: u8 = 1;

/// Changes whenever an older program would misread the file.
const FORMAT: u64 = 1;
/// What redb keeps of the file in memory. Objects are read from our own memory, so this serves the inner pages of its trees.
const CACHE_BYTES: usize = 512 * 1024;
/// How many different resources a file may name.
const RESOURCES_MAX: usize = 1_024;
/// redb's header page, and the longest file it makes before it first writes its magic number.
const HEADER_BYTES: usize = 4_096;
const UNBORN_BYTES_MAX: u64 = 1024 * 1024;
const MAGIC_BYTES: usize = 9;

/// A key and what it leads to; `None` when it is to be removed.
pub(crate) type Entry = (ObjectKey, Option<Arc<Object>>);

#[derive(Debug)]
pub(crate) struct Disk {
    /// `None` after an error: it has to be opened anew. Before `medium`, so that it is dropped first.
    database: Option<Database>,
    medium: Medium,
}

impl Disk {
    /// Opens or creates the file, and reads everything in it.
    pub(crate) fn open(medium: Medium, index: IndexFn) -> Result<(Disk, State), OpenError> {
        discard_unborn(&medium).map_err(|source| OpenError::Io { file: medium.name.clone(), source })?;
        let database = open(&medium).map_err(|error| open_error(&medium, error))?;
        let reserved = match read_meta(&database, &medium)? {
            Some(reserved) => reserved,
            None => begin(&database, FIRST_REVISION).map_err(|error| broken(&medium, &error))?,
        };
        let mut state = State::new(reserved);
        load(&database, &medium, index, &mut state)?;
        Ok((Disk { database: Some(database), medium }, state))
    }

    /// Makes the entries durable in one step, with the end of the reserved revisions when it moves. After an error the file has
    /// either all of it or nothing.
    pub(crate) fn commit(&mut self, entries: &[Entry], reserved: Option<u64>) -> Result<(), DiskError> {
        let Some(database) = &self.database else {
            return Err(DiskError { what: format!("{}: not open", self.medium.name.display()) });
        };
        commit(database, entries, reserved).map_err(|error| {
            self.database = None;
            DiskError { what: format!("{}: {error}", self.medium.name.display()) }
        })
    }

    /// Whether an error has left it so that [`Disk::recover`] has to come before the next commit.
    pub(crate) fn is_broken(&self) -> bool {
        self.database.is_none()
    }

    #[cfg(test)]
    pub(crate) fn pretend_a_sync_failed(&mut self) {
        self.database = None;
        self.medium.pretend_a_sync_failed();
    }

    /// Opens the file anew after an error. Every commit that succeeded is in it; one that failed may be, too. A file whose sync
    /// failed is not trusted: a new one takes its place, with the objects that are handed in.
    pub(crate) fn recover(
        &mut self,
        objects: impl FnOnce() -> Vec<Entry>,
        reserved: u64,
    ) -> Result<(), DiskError> {
        let name = self.medium.name.clone();
        let failed = |what: String| DiskError { what: format!("{}: {what}", name.display()) };
        self.database = None;
        if !(self.medium.is_file && self.medium.lost_writes()) {
            self.database = Some(open(&self.medium).map_err(|error| failed(error.to_string()))?);
            return Ok(());
        }
        let medium = self.medium.successor().map_err(|error| failed(error.to_string()))?;
        let database = open(&medium).map_err(|error| failed(error.to_string()))?;
        begin(&database, reserved).map_err(|error| failed(error.to_string()))?;
        commit(&database, &objects(), None).map_err(|error| failed(error.to_string()))?;
        medium.take_place().map_err(|error| failed(error.to_string()))?;
        self.database = Some(database);
        self.medium = medium;
        Ok(())
    }
}

/// A crash while the file was made leaves one that redb refuses. Nothing was ever stored in it, which is certain: redb writes its magic
/// number before anything but the header.
fn discard_unborn(medium: &Medium) -> io::Result<()> {
    let bytes = medium.bytes()?;
    if bytes == 0 || bytes > UNBORN_BYTES_MAX {
        return Ok(());
    }
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(0)];
    let magic_bytes = content.len().min(MAGIC_BYTES);
    let (magic, rest) = content.split_at_mut(magic_bytes);
    medium.read(0, magic)?;
    if magic.iter().any(|byte| *byte != 0) {
        return Ok(());
    }
    medium.read(MAGIC_BYTES as u64, rest)?;
    if content.iter().skip(HEADER_BYTES).all(|byte| *byte == 0) {
        medium.clear()?;
    }
    Ok(())
}

fn open(medium: &Medium) -> Result<Database, DatabaseError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    // Everything is read at open anyway, and only so redb promises an error instead of a panic for a file that is damaged.
    builder.set_check_integrity_on_open(true);
    builder.create_with_backend(medium.lend())
}

fn open_error(medium: &Medium, error: DatabaseError) -> OpenError {
    let file = medium.name.clone();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Locked { file },
        DatabaseError::Storage(StorageError::Io(source)) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { file, source }
        }
        other => OpenError::Damaged { file, what: other.to_string() },
    }
}

/// An error of what is open already.
fn broken(medium: &Medium, error: &redb::Error) -> OpenError {
    let file = medium.name.clone();
    match error {
        redb::Error::Io(source) => {
            OpenError::Io { file, source: io::Error::new(source.kind(), source.to_string()) }
        }
        other => OpenError::Damaged { file, what: other.to_string() },
    }
}

/// The end of the reserved revisions; `None` when the file is new.
fn read_meta(database: &Database, medium: &Medium) -> Result<Option<u64>, OpenError> {
    type Meta = (Option<u64>, Option<u64>);
    let read = || -> Result<Option<Meta>, redb::Error> {
        let transaction = database.begin_read()?;
        if transaction.list_tables()?.count() == 0 {
            return Ok(None);
        }
        if !transaction.list_tables()?.any(|table| table.name() == META.name()) {
            return Ok(Some((None, None)));
        }
        let meta = transaction.open_table(META)?;
        let value = |key: u8| Ok::<_, redb::Error>(meta.get(key)?.map(|value| value.value()));
        Ok(Some((value(META_FORMAT)?, value(META_RESERVED)?)))
    };
    let Some(meta) = read().map_err(|error| broken(medium, &error))? else { return Ok(None) };
    let file = medium.name.clone();
    match meta {
        (Some(FORMAT), Some(reserved)) => Ok(Some(reserved)),
        (Some(found), _) if found != FORMAT => Err(OpenError::Version { file, found, known: FORMAT }),
        _ => Err(OpenError::Damaged { file, what: "it is a redb file, but not an object store".to_owned() }),
    }
}

/// Makes an empty database a store.
fn begin(database: &Database, reserved: u64) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(OBJECTS)?;
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_FORMAT, FORMAT)?;
    meta.insert(META_RESERVED, reserved)?;
    drop(meta);
    transaction.commit()?;
    Ok(reserved)
}

fn commit(database: &Database, entries: &[Entry], reserved: Option<u64>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let mut objects = transaction.open_table(OBJECTS)?;
    for (key, object) in entries {
        let key = encode_key(key);
        match object {
            Some(object) => objects.insert(&*key, &*encode(object))?,
            None => objects.remove(&*key)?,
        };
    }
    drop(objects);
    if let Some(reserved) = reserved {
        transaction.open_table(META)?.insert(META_RESERVED, reserved)?;
    }
    transaction.commit()?;
    Ok(())
}

fn load(database: &Database, medium: &Medium, index: IndexFn, state: &mut State) -> Result<(), OpenError> {
    let failed = |error: redb::Error| broken(medium, &error);
    let damaged = |what: String| OpenError::Damaged { file: medium.name.clone(), what };
    let transaction = database.begin_read().map_err(|error| failed(error.into()))?;
    let objects = transaction.open_table(OBJECTS).map_err(|error| failed(error.into()))?;
    let mut resources: Vec<Resource> = Vec::new();
    for entry in objects.iter().map_err(|error| failed(error.into()))? {
        let (key, value) = entry.map_err(|error| failed(error.into()))?;
        let key = decode_key(key.value(), &mut resources).map_err(damaged)?;
        let object = decode(key, value.value(), index).map_err(damaged)?;
        if object.revision > state.revision {
            return Err(damaged(format!(
                "{} has revision {}, which was never given",
                object.key, object.revision
            )));
        }
        state.load(Arc::new(object));
    }
    Ok(())
}

fn encode_key(key: &ObjectKey) -> Vec<u8> {
    [key.resource.name(), &key.namespace, &key.name].join("\0").into_bytes()
}

/// Keys come sorted, so the resource is mostly the last one.
fn decode_key(bytes: &[u8], resources: &mut Vec<Resource>) -> Result<ObjectKey, String> {
    let what = || format!("the key {:?} is not one of an object", String::from_utf8_lossy(bytes));
    let text = std::str::from_utf8(bytes).map_err(|_| what())?;
    let mut parts = text.split('\0');
    let (Some(resource), Some(namespace), Some(name), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(what());
    };
    let resource = match resources.last() {
        Some(last) if last.name() == resource => *last,
        _ if resources.len() >= RESOURCES_MAX => {
            return Err(format!("it names more than {RESOURCES_MAX} resources"));
        }
        _ => {
            let resource = Resource::interned(resource);
            resources.push(resource);
            resource
        }
    };
    Ok(ObjectKey::new(resource, namespace, name))
}

fn encode(object: &Object) -> Vec<u8> {
    let mut value = Vec::with_capacity(8 + object.uid.len() + 1 + object.json.len());
    value.extend(object.revision.to_le_bytes());
    value.extend(object.uid.as_bytes());
    value.push(0);
    value.extend_from_slice(&object.json);
    value
}

fn decode(key: ObjectKey, value: &[u8], index: IndexFn) -> Result<Object, String> {
    let cut = || format!("{key} is cut short");
    let (revision, rest) = value.split_first_chunk().ok_or_else(cut)?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
    let (uid, json) = (&rest[..end], &rest[end + 1..]);
    let uid = String::from_utf8(uid.to_vec()).map_err(|_| format!("the uid of {key} is not text"))?;
    let read = index(key.resource, json).map_err(|why| format!("the JSON of {key}: {why}"))?;
    let json = Bytes::copy_from_slice(json);
    let revision = u64::from_le_bytes(*revision);
    Ok(Object { key, uid, revision, labels: read.labels, fields: read.fields, json })
}
