//! What watches see.

use std::convert::Infallible;
use std::time::Duration;

use super::{NODES, PODS, delete, draft, json, memory, pod, put, read_index, text_of};
use crate::ChangeKind::{Added, Deleted, Modified};
use crate::Durability::{Durable, Lazy};
use crate::{
    Change, HISTORY_AT_REST_BYTES_MAX, HISTORY_BYTES_MAX, HISTORY_CHANGES_MAX, ObjectKey, Store, Watch,
    WatchError,
};

/// Far more than any of these takes.
const SOON: Duration = Duration::from_secs(20);

async fn next(watch: &mut Watch) -> Result<Change, WatchError> {
    tokio::time::timeout(SOON, watch.next()).await.unwrap()
}

fn short(change: &Change) -> (u64, crate::ChangeKind, String, Option<u64>) {
    let previous = change.previous.as_ref().map(|object| object.revision);
    (change.revision, change.kind, change.object.key.name.clone(), previous)
}

#[tokio::test]
async fn changes_come_in_order_with_what_was_before() {
    let store = memory();
    let mut watch = store.watch(PODS, None, store.revision()).unwrap();
    put(&store, Durable, &pod("a"), "1").await.unwrap();
    put(&store, Lazy, &pod("a"), "2").await.unwrap();
    put(&store, Lazy, &ObjectKey::new(NODES, "", "n"), "1").await.unwrap();
    let labelled = br#"{"metadata":{"labels":{"app":"x"}}}"#.to_vec();
    store
        .write(Lazy, move |tx| Ok::<_, Infallible>(tx.put(draft(&pod("a"), labelled))))
        .await
        .unwrap()
        .unwrap();
    delete(&store, Durable, &pod("a")).await.unwrap();
    put(&store, Durable, &pod("a"), "3").await.unwrap();
    let a = || "a".to_owned();
    for expected in [
        (2, Added, a(), None),
        (3, Modified, a(), Some(2)),
        (5, Modified, a(), Some(3)),
        (6, Deleted, a(), Some(5)),
        (7, Added, a(), None),
    ] {
        let change = next(&mut watch).await.unwrap();
        assert_eq!(short(&change), expected);
        assert_eq!(change.object.revision, change.revision);
        if change.kind == Deleted {
            // A selector looks at what it was; what it was last told is what it is now.
            assert_eq!(change.object.labels["app"], "x");
            assert_eq!(change.object.json, "{}");
            assert_eq!(
                change.previous.unwrap().labels,
                read_index(PODS, br#"{"metadata":{"labels":{"app":"x"}}}"#).unwrap().labels
            );
        }
    }
    assert!(watch.try_next().unwrap().is_none());
}

#[tokio::test]
async fn a_watch_begins_anywhere_in_the_history() {
    let store = memory();
    for number in 0..10 {
        put(&store, Lazy, &pod("a"), &number.to_string()).await.unwrap();
    }
    for from in 1..=11 {
        let mut watch = store.watch(PODS, None, from).unwrap();
        let mut expected = from;
        while let Some(change) = watch.try_next().unwrap() {
            expected += 1;
            assert_eq!(change.revision, expected);
        }
        assert_eq!(expected, 11);
        // A resource without changes has the same window.
        assert!(store.watch(NODES, None, from).unwrap().try_next().unwrap().is_none());
    }
    for (from, expected) in [(0, WatchError::Expired { oldest: 1 }), (12, WatchError::Future { current: 11 })]
    {
        assert_eq!(store.watch(PODS, None, from).unwrap_err(), expected);
        assert_eq!(store.watch(NODES, None, from).unwrap_err(), expected);
    }
}

#[tokio::test]
async fn a_watch_of_a_namespace_sees_no_other() {
    let store = memory();
    let mut watch = store.watch(PODS, Some("b".to_owned()), 1).unwrap();
    for namespace in ["a", "b", "c", "b"] {
        put(&store, Durable, &ObjectKey::new(PODS, namespace, "x"), namespace).await.unwrap();
    }
    assert_eq!(watch.revision(), 1, "one waits");
    assert_eq!(next(&mut watch).await.unwrap().revision, 3);
    assert_eq!(watch.revision(), 3);
    assert_eq!(next(&mut watch).await.unwrap().revision, 5);
    put(&store, Durable, &pod("x"), "x").await.unwrap();
    assert_eq!(watch.revision(), 6, "a bookmark says that nothing waits up to here");
    let waits = tokio::time::timeout(Duration::from_millis(20), watch.next()).await;
    assert!(waits.is_err());
}

#[tokio::test]
async fn who_lags_behind_is_told() {
    let store = memory();
    let mut slow = store.watch(PODS, None, 1).unwrap();
    let mut elsewhere = store.watch(NODES, None, 1).unwrap();
    let write = |count: usize| {
        store.write(Lazy, move |tx| {
            for number in 0..count {
                tx.put(draft(&pod("a"), json(&number.to_string())));
            }
            Ok::<_, Infallible>(())
        })
    };
    write(HISTORY_CHANGES_MAX).await.unwrap().unwrap();
    assert_eq!(slow.try_next().unwrap().unwrap().revision, 2);
    write(2).await.unwrap().unwrap();
    let expired = WatchError::Expired { oldest: 3 };
    assert_eq!(next(&mut slow).await.unwrap_err(), expired);
    assert_eq!(slow.try_next().unwrap_err(), expired, "it stays so");
    assert_eq!(store.watch(PODS, None, 2).unwrap_err(), expired);
    assert_eq!(store.watch(PODS, None, 3).unwrap().try_next().unwrap().unwrap().revision, 4);
    assert!(elsewhere.try_next().unwrap().is_none(), "others' changes are not its own");
}

#[tokio::test]
async fn the_history_is_bounded_in_bytes() {
    let store = memory();
    put(&store, Lazy, &ObjectKey::new(NODES, "", "n"), "old").await.unwrap();
    let object = 1024 * 1024;
    for _ in 0..HISTORY_BYTES_MAX / object {
        let content = vec![b' '; object];
        store
            .write(Lazy, move |tx| Ok::<_, Infallible>(tx.put(draft(&pod("a"), content))))
            .await
            .unwrap()
            .unwrap();
    }
    // The oldest go first, whose ever they are.
    assert_eq!(store.watch(NODES, None, 1).unwrap_err(), WatchError::Expired { oldest: 2 });
    assert!(store.watch(NODES, None, 2).is_ok());
    let WatchError::Expired { oldest } = store.watch(PODS, None, 2).unwrap_err() else {
        panic!("nothing went")
    };
    assert!(store.watch(PODS, None, oldest).unwrap().try_next().unwrap().is_some());
}

#[tokio::test]
async fn a_store_at_rest_keeps_little_of_its_history() {
    let store = memory();
    put(&store, Lazy, &ObjectKey::new(NODES, "", "n"), "old").await.unwrap();
    let mut seen = store.watch(PODS, None, 2).unwrap();
    let object = HISTORY_AT_REST_BYTES_MAX / 8;
    for _ in 0..8 {
        let content = vec![b' '; object];
        store
            .write(Lazy, move |tx| Ok::<_, Infallible>(tx.put(draft(&pod("a"), content))))
            .await
            .unwrap()
            .unwrap();
        next(&mut seen).await.unwrap();
    }
    assert!(store.watch(PODS, None, 2).is_ok(), "before it rests");
    store.rest().await;
    let WatchError::Expired { oldest } = store.watch(PODS, None, 2).unwrap_err() else {
        panic!("nothing went")
    };
    assert!(store.watch(PODS, None, oldest).unwrap().try_next().unwrap().is_some());
    // Who has seen everything misses nothing, and so does who comes back having done so.
    assert!(store.watch(PODS, None, store.revision()).is_ok());
    put(&store, Lazy, &pod("b"), "new").await.unwrap();
    assert_eq!(next(&mut seen).await.unwrap().object.key, pod("b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_sees_everything_once() {
    const WATCHES: usize = 2_000;
    const CHANGES: u64 = 200;
    let store = memory();
    let watches: Vec<_> = (0..WATCHES)
        .map(|number| tokio::spawn(follow(store.clone(), 2 + number as u64 % 3, CHANGES + 1)))
        .collect();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..CHANGES / 4 {
                    let durability = if number % 2 == 0 { Durable } else { Lazy };
                    put(&store, durability, &pod(&format!("p{writer}")), &number.to_string()).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for watch in watches {
        watch.await.unwrap();
    }
}

/// Waits until `from` is there, then follows until `to`, and expects each revision in turn.
async fn follow(store: Store, from: u64, to: u64) {
    let mut first = store.watch(PODS, None, 1).unwrap();
    while next(&mut first).await.unwrap().revision < from {}
    let mut watch = store.watch(PODS, None, from).unwrap();
    for expected in from + 1..=to {
        let change = next(&mut watch).await.unwrap();
        assert_eq!(change.revision, expected);
        assert!(store.revision() >= expected, "it is published before it is told");
        assert!(!text_of(&change.object).is_empty());
    }
}
