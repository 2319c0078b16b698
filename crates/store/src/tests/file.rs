//! The file: what comes back, who may open it, and what is wrong with it.

use std::convert::Infallible;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::{Duration, Instant};

use redb::{Database, TableDefinition};

use super::{
    Directory, NODES, PODS, USUAL, delete, draft, json, names, open, options, pod, put, read_index, text_of,
};
use crate::Durability::{Durable, Lazy};
use crate::disk::Disk;
use crate::medium::Medium;
use crate::{LAZY_MS, ObjectKey, OpenError, Place, Resource, Store, WatchError};

#[tokio::test]
async fn everything_comes_back() {
    let directory = Directory::new();
    let store = open(&directory.file());
    let labelled = br#"{"metadata":{"labels":{"app":"x"}}}"#.to_vec();
    store
        .write(Durable, move |tx| Ok::<_, Infallible>(tx.put(draft(&pod("a"), labelled))))
        .await
        .unwrap()
        .unwrap();
    put(&store, Lazy, &ObjectKey::new(NODES, "", "n"), "node").await.unwrap();
    put(&store, Durable, &pod("gone"), "x").await.unwrap();
    delete(&store, Durable, &pod("gone")).await.unwrap();
    let unknown = ObjectKey::new(Resource::new("widgets.example.com"), "ns", "w");
    put(&store, Lazy, &unknown, "\u{f6}").await.unwrap();
    let (before, revision) = (store.get(&pod("a")), store.revision());
    drop(store);

    let store = open(&directory.file());
    assert_eq!(store.get(&pod("a")), before);
    assert_eq!(before.unwrap().labels["app"], "x");
    assert_eq!(text_of(&store.get(&unknown).unwrap()), "\u{f6}");
    assert_eq!((names(&store, PODS), names(&store, NODES)), (vec!["a".to_owned()], vec!["n".to_owned()]));
    // It was closed in order: no revision is skipped, and one who saw the last one goes on from there.
    assert_eq!(store.revision(), revision);
    assert_eq!(store.watch(PODS, None, revision - 1).unwrap_err(), WatchError::Expired { oldest: revision });
    let mut watch = store.watch(PODS, None, revision).unwrap();
    assert_eq!(put(&store, Durable, &pod("b"), "x").await.unwrap(), revision + 1);
    assert_eq!(watch.next().await.unwrap().revision, revision + 1);
}

#[tokio::test]
async fn lazy_writes_reach_the_disk_in_time() {
    let directory = Directory::new();
    let store = open(&directory.file());
    put(&store, Durable, &pod("first"), "x").await.unwrap();
    for round in 0..5 {
        let name = format!("lazy{round}");
        let written = Instant::now();
        put(&store, Lazy, &pod(&name), "x").await.unwrap();
        // What a power cut would leave, but for the file system's own cache.
        let copy = directory.0.join("copy");
        loop {
            let late = written.elapsed() >= Duration::from_millis(LAZY_MS);
            fs::copy(directory.file(), &copy).unwrap();
            // A copy that was made while the file was written may not open.
            if let Ok(store) = Store::open(Place::File(copy.clone()), options())
                && store.get(&pod(&name)).is_some()
            {
                break;
            }
            // Half a second more: others use this machine, too.
            assert!(!late || written.elapsed() < Duration::from_millis(LAZY_MS + 500), "round {round}");
        }
    }
}

#[test]
fn one_process_at_a_time() {
    let directory = Directory::new();
    let store = open(&directory.file());
    let error = Store::open(Place::File(directory.file()), options()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "cannot open the object store {}: another process has it open; stop that process, or choose another --data-dir",
            directory.file().display()
        )
    );
    store.close();
    open(&directory.file());
}

#[test]
fn nobody_else_reads_it() {
    let directory = Directory::new();
    let mode = || fs::metadata(directory.file()).unwrap().permissions().mode() & 0o777;
    drop(open(&directory.file()));
    assert_eq!(mode(), 0o600);
    fs::set_permissions(directory.file(), Permissions::from_mode(0o644)).unwrap();
    drop(open(&directory.file()));
    assert_eq!(mode(), 0o600);
}

fn error_of(directory: &Directory) -> (String, OpenError) {
    let error = Store::open(Place::File(directory.file()), options()).unwrap_err();
    (error.to_string().replace(&directory.0.display().to_string(), "DIR"), error)
}

#[test]
fn what_cannot_be_read_is_named_with_the_remedy() {
    const META: TableDefinition<'_, u8, u64> = TableDefinition::new("meta");
    const OBJECTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("objects");
    let damaged = |what: &str| {
        format!(
            "the object store DIR/store.redb is damaged: {what}; restore it from a backup, or move it away to begin with an empty store"
        )
    };
    let object = |key: &'static [u8], value: &'static [u8]| {
        move |database: &Database| {
            let transaction = database.begin_write().unwrap();
            transaction.open_table(OBJECTS).unwrap().insert(key, value).unwrap();
            transaction.commit().unwrap();
        }
    };
    type Break<'a> = Box<dyn Fn(&Database) + 'a>;
    let cases: Vec<(Break<'_>, String)> = vec![
        (
            Box::new(|database| {
                let transaction = database.begin_write().unwrap();
                transaction.open_table(META).unwrap().insert(0, 7).unwrap();
                transaction.commit().unwrap();
            }),
            "the object store DIR/store.redb has format version 7, this program knows version 1; use the program that wrote it, or move the file away to begin with an empty store".to_owned(),
        ),
        (
            Box::new(|database| {
                let transaction = database.begin_write().unwrap();
                transaction.delete_table(META).unwrap();
                transaction.commit().unwrap();
            }),
            damaged("it is a redb file, but not an object store"),
        ),
        (Box::new(object(b"pods\0a", b"")), damaged("the key \"pods\\0a\" is not one of an object")),
        (Box::new(object(b"pods\0\xff\0a", b"")), damaged("the key \"pods\\0\u{fffd}\\0a\" is not one of an object")),
        (Box::new(object(b"pods\0ns\0a", b"short")), damaged("pods \"ns/a\" is cut short")),
        (Box::new(object(b"pods\0ns\0a", b"12345678uid{}")), damaged("pods \"ns/a\" is cut short")),
        (
            Box::new(object(b"pods\0ns\0a", b"\x01\0\0\0\0\0\0\0uid\0{")),
            damaged("the JSON of pods \"ns/a\": EOF while parsing an object at line 1 column 1"),
        ),
        (
            Box::new(object(b"pods\0ns\0a", b"\0\x01\0\0\0\0\0\0uid\0{}")),
            damaged("pods \"ns/a\" has revision 256, which was never given"),
        ),
    ];
    for (break_it, expected) in cases {
        let directory = Directory::new();
        drop(open(&directory.file()));
        let database = Database::create(directory.file()).unwrap();
        break_it(&database);
        drop(database);
        assert_eq!(error_of(&directory).0, expected);
    }
    let directory = Directory::new();
    fs::write(directory.file(), "a text\n".repeat(100_000)).unwrap();
    assert_eq!(error_of(&directory).0, damaged("I/O error: Not a redb database: magic number mismatch"));
    fs::write(directory.file(), "short").unwrap();
    assert!(matches!(error_of(&directory).1, OpenError::Damaged { .. }));
    let nowhere = Place::File(directory.0.join("no/such/directory"));
    assert!(matches!(Store::open(nowhere, options()), Err(OpenError::Io { .. })));
}

/// Every page of the file in turn is overwritten: an error or the whole content, never a panic and never something else.
#[tokio::test]
async fn damage_anywhere_is_an_error() {
    let directory = Directory::new();
    let store = open(&directory.file());
    for number in 0..40 {
        put(&store, Durable, &pod(&format!("p{number}")), &"x".repeat(number * 20)).await.unwrap();
    }
    let expected = names(&store, PODS);
    drop(store);
    let whole = fs::read(directory.file()).unwrap();
    let mut refused = 0;
    for (at, pattern) in (0..whole.len()).step_by(1_024).flat_map(|at| [(at, [0xa5; 64]), (at, [0; 64])]) {
        fs::write(directory.file(), &whole).unwrap();
        let file = OpenOptions::new().write(true).open(directory.file()).unwrap();
        file.write_all_at(&pattern, at as u64).unwrap();
        match Store::open(Place::File(directory.file()), options()) {
            Ok(store) => assert_eq!(names(&store, PODS), expected, "at {at}"),
            Err(OpenError::Damaged { .. }) => refused += 1,
            Err(error) => panic!("at {at}: {error}"),
        }
    }
    assert!(refused > 5, "{refused}");
    for bytes in (0..whole.len()).step_by(4_096).skip(1) {
        fs::write(directory.file(), &whole[..bytes]).unwrap();
        if let Ok(store) = Store::open(Place::File(directory.file()), options()) {
            assert_eq!(names(&store, PODS), expected, "{bytes} bytes");
        }
    }
}

#[tokio::test]
async fn the_file_does_not_grow_without_bound() {
    let directory = Directory::new();
    let store = open(&directory.file());
    let bytes = || fs::metadata(directory.file()).unwrap().len();
    let mut after_some = 0;
    for number in 0..10_000 {
        // Many in a commit would be quicker; one each is what makes most garbage.
        let text = "x".repeat(8_000 - number % 50);
        put(&store, if number % 5 == 0 { Durable } else { Lazy }, &pod("a"), &text).await.unwrap();
        if number == 1_000 {
            after_some = bytes();
        }
    }
    assert!(after_some < 2 * 1024 * 1024, "{after_some}");
    assert!(bytes() <= after_some * 2, "{} after {after_some}", bytes());
    // What was large once is used again.
    for round in 0..20 {
        for number in 0..20 {
            put(&store, Durable, &pod(&format!("{round}-{number}")), &"x".repeat(100_000)).await.unwrap();
        }
        for number in 0..20 {
            delete(&store, Durable, &pod(&format!("{round}-{number}"))).await.unwrap();
        }
    }
    assert!(bytes() < 12 * 1024 * 1024, "{}", bytes());
}

/// After a failed sync the file is not trusted: a new one with everything in it takes its place.
#[tokio::test]
async fn a_file_that_lost_writes_is_replaced() {
    let directory = Directory::new();
    let store = open(&directory.file());
    for number in 0..10 {
        put(&store, Durable, &pod(&format!("p{number}")), "x").await.unwrap();
    }
    drop(store);
    let (mut disk, state) = Disk::open(Medium::file(&directory.file()).unwrap(), read_index).unwrap();
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(directory.file()).unwrap());
    let before = inode();
    fs::write(directory.0.join("store.redb.new"), "left by a crash").unwrap();
    disk.pretend_a_sync_failed();
    assert!(disk.is_broken());
    let all = || state.all().map(|object| (object.key.clone(), Some(object.clone()))).collect();
    disk.recover(all, state.revision).unwrap();
    assert_ne!(inode(), before);
    assert!(!directory.0.join("store.redb.new").exists());
    assert!(matches!(error_of(&directory).1, OpenError::Locked { .. }));
    disk.commit(&[(pod("p0"), None)], None).unwrap();
    drop(disk);
    let store = open(&directory.file());
    assert_eq!((names(&store, PODS).len(), store.revision()), (9, state.revision));
    assert_eq!(fs::metadata(directory.file()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_crash_skips_what_was_reserved() {
    let directory = Directory::new();
    let copy = directory.0.join("copy");
    let store = open(&directory.file());
    let revision = put(&store, Lazy, &pod("a"), &json("x")).await.unwrap();
    fs::copy(directory.file(), &copy).unwrap();
    let crashed = Store::open(Place::File(copy), options()).unwrap();
    assert!(crashed.revision() >= revision, "{} {revision}", crashed.revision());
    assert!(crashed.revision() <= revision + USUAL.block);
    assert!(crashed.get(&pod("a")).is_none());
}
