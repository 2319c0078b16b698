//! What writes do, and what they refuse.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{NODES, PODS, delete, draft, json, memory, names, pod, put, text_of};
use crate::Durability::{Durable, Lazy};
use crate::state::State;
use crate::tx::Overlay;
use crate::{
    Draft, OBJECT_BYTES_MAX, OBJECTS_MAX, Object, ObjectKey, Resource, STORE_BYTES_MAX, Store, Tx, WriteError,
};

#[tokio::test]
async fn an_object_has_the_revision_its_closure_was_told() {
    let store = memory();
    assert_eq!(store.revision(), 1);
    for (durability, revision) in [(Durable, 2), (Lazy, 3), (Durable, 4)] {
        let key = pod("a");
        let written = store.write(durability, move |tx| {
            let next = tx.revision_next();
            let given = tx.put(draft(&key, json(&next.to_string())));
            Ok::<_, Infallible>((next, given))
        });
        assert_eq!(written.await.unwrap().unwrap(), (revision, revision));
        let object = store.get(&pod("a")).unwrap();
        assert_eq!((object.revision, text_of(&object)), (revision, revision.to_string()));
        assert_eq!(store.revision(), revision);
    }
    assert_eq!(delete(&store, Durable, &pod("a")).await.unwrap(), Some(5));
    assert_eq!(delete(&store, Durable, &pod("a")).await.unwrap(), None);
    assert_eq!((store.get(&pod("a")), store.revision()), (None, 5));
}

#[test]
fn totals_follow_the_changes() {
    let mut state = State::new(1);
    let mut totals = Vec::new();
    for bytes in [Some(10), Some(30), Some(5), None, Some(7)] {
        let mut overlay = Overlay::new(state.revision);
        let mut tx = Tx::new(&state, &mut overlay);
        match bytes {
            Some(bytes) => _ = tx.put(blank(&pod("a"), bytes)),
            None => _ = tx.delete(&pod("a"), vec![b' '; 100]),
        }
        for change in overlay.changes {
            state.publish(change);
        }
        totals.push((state.objects, state.bytes));
    }
    assert_eq!(totals, [(1, 10), (1, 30), (1, 5), (0, 0), (1, 7)]);
}

#[tokio::test]
async fn a_closure_leaves_everything_or_nothing() {
    let store = memory();
    put(&store, Durable, &pod("kept"), "old").await.unwrap();
    let refused = store.write(Durable, |tx| {
        tx.put(draft(&pod("kept"), json("new")));
        tx.put(draft(&pod("other"), json("new")));
        tx.delete(&pod("kept"), b"{}".to_vec());
        assert_eq!(tx.list(PODS, None).len(), 1);
        Err::<(), _>("no")
    });
    assert_eq!(refused.await.unwrap(), Err("no"));
    let panicked = store.write(Lazy, |tx| {
        tx.delete(&pod("kept"), b"{}".to_vec());
        if tx.revision_next() > 0 {
            panic!("on purpose");
        }
        Ok::<(), ()>(())
    });
    let Err(WriteError::Panicked { what }) = panicked.await else { panic!("not told") };
    assert_eq!(what, "on purpose");
    assert_eq!(text_of(&store.get(&pod("kept")).unwrap()), "old");
    assert_eq!((names(&store, PODS), store.revision()), (vec!["kept".to_owned()], 2));
    assert_eq!(put(&store, Durable, &pod("other"), "new").await.unwrap(), 3);
}

/// Closures of one batch: those after one that failed find nothing of it.
#[test]
fn a_batch_goes_on_without_what_failed() {
    let mut state = State::new(10);
    for name in ["a", "b"] {
        let object = Object {
            key: pod(name),
            uid: "u".into(),
            revision: 5,
            labels: [].into(),
            fields: vec![],
            json: "{}".into(),
        };
        state.load(Arc::new(object));
    }
    let mut overlay = Overlay::new(10);
    let mut tx = Tx::new(&state, &mut overlay);
    tx.put(draft(&pod("a"), json("first")));
    let mut tx = Tx::new(&state, &mut overlay);
    tx.put(draft(&pod("a"), json("failed")));
    tx.delete(&pod("a"), b"{}".to_vec());
    tx.delete(&pod("b"), b"{}".to_vec());
    tx.put(draft(&pod("c"), json("failed")));
    assert_eq!(tx.revision_next(), 16);
    tx.undo();
    let mut tx = Tx::new(&state, &mut overlay);
    assert_eq!(tx.revision_next(), 12);
    assert_eq!(text_of(&tx.get(&pod("a")).unwrap()), "first");
    assert_eq!((tx.get(&pod("b")).unwrap().revision, tx.get(&pod("c"))), (5, None));
    tx.put(draft(&pod("d"), json("last")));
    let touched: Vec<_> = overlay.touched().map(|(key, _)| key.name.as_str()).collect();
    assert_eq!(touched, ["a", "d"], "nothing else reaches the disk");
    assert_eq!(overlay.changes.iter().map(|change| change.revision).collect::<Vec<_>>(), [11, 12]);
}

#[tokio::test]
async fn a_closure_sees_what_it_did() {
    let store = memory();
    for name in ["a", "b", "c"] {
        put(&store, Durable, &pod(name), "old").await.unwrap();
    }
    put(&store, Durable, &ObjectKey::new(PODS, "other", "z"), "old").await.unwrap();
    put(&store, Durable, &ObjectKey::new(Resource::new("podtemplates"), "default", "z"), "old")
        .await
        .unwrap();
    let seen = store.write(Durable, |tx| {
        tx.delete(&pod("b"), b"{}".to_vec());
        tx.put(draft(&pod("d"), json("new")));
        tx.put(draft(&pod("a"), json("new")));
        assert_eq!(tx.get(&pod("b")), None);
        assert_eq!(text_of(&tx.get(&pod("a")).unwrap()), "new");
        let names = |namespace| {
            tx.list(PODS, namespace)
                .iter()
                .map(|object| object.key.name.clone())
                .collect::<Vec<_>>()
                .join(" ")
        };
        Ok::<_, Infallible>([
            names(Some("default")),
            names(None),
            names(Some("nowhere")),
            names(Some("other")),
        ])
    });
    assert_eq!(seen.await.unwrap().unwrap(), ["a c d", "a c d z", "", "z"]);
}

#[tokio::test]
async fn pages_follow_one_another() {
    let store = memory();
    let keys = [("", "n"), ("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("b", "3"), ("c", "1")];
    for (namespace, name) in keys {
        put(&store, Lazy, &ObjectKey::new(PODS, namespace, name), name).await.unwrap();
    }
    for limit in 1..=8 {
        for namespace in [None, Some("b"), Some(""), Some("none")] {
            let expected: Vec<_> =
                keys.iter().filter(|(of, _)| namespace.is_none_or(|only| only == *of)).collect();
            let mut found = Vec::new();
            let mut after: Option<(String, String)> = None;
            loop {
                let last = after.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
                let page = store.list(PODS, namespace, last, Some(limit), |_| true);
                assert_eq!(page.revision, store.revision());
                found.extend(
                    page.objects.iter().map(|object| (object.key.namespace.clone(), object.key.name.clone())),
                );
                assert_eq!(page.remaining, expected.len() - found.len());
                assert_eq!(page.more.is_some(), page.remaining > 0);
                match page.more {
                    Some(more) => after = Some(more),
                    None => break,
                }
            }
            let found: Vec<_> =
                found.iter().map(|(namespace, name)| (namespace.as_str(), name.as_str())).collect();
            assert_eq!(found, expected.into_iter().copied().collect::<Vec<_>>(), "{limit} {namespace:?}");
        }
    }
    let kept = store.list(PODS, None, None, Some(2), |object| object.key.name == "1");
    assert_eq!(kept.objects.len(), 2);
    assert_eq!(kept.more, Some(("b".to_owned(), "1".to_owned())));
    assert_eq!(store.list(PODS, None, None, Some(0), |_| true).objects.len(), keys.len());
    assert_eq!((store.count(PODS), store.count(NODES)), (keys.len(), 0));
    // A key that is gone, or lies outside the namespace, is a place all the same.
    for (namespace, after, expected) in [
        (None, ("a", "15"), 5),
        (Some("b"), ("a", "9"), 3),
        (Some("b"), ("c", "0"), 0),
        (None, ("c", "1"), 0),
    ] {
        assert_eq!(
            store.list(PODS, namespace, Some(after), None, |_| true).objects.len(),
            expected,
            "{after:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_with_the_reason() {
    let store = memory();
    let large =
        |bytes: usize| store.write(Durable, move |tx| Ok::<_, Infallible>(tx.put(blank(&pod("big"), bytes))));
    assert!(large(OBJECT_BYTES_MAX).await.is_ok());
    let error = large(OBJECT_BYTES_MAX + 1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "pods \"default/big\" is too large: 1572865 bytes of JSON, at most 1572864 are stored"
    );
    let error = put(&store, Lazy, &ObjectKey::new(NODES, "", "a\0b"), "x").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key or the uid of nodes \"a\\0b\" contains a NUL byte, which names cannot have"
    );
    assert_eq!((store.revision(), names(&store, NODES).len()), (2, 0));
}

/// An object of so many bytes that nobody reads.
fn blank(key: &ObjectKey, bytes: usize) -> Draft {
    Draft { json: vec![b' '; bytes], ..draft(key, "{}") }
}

#[test]
fn a_full_store_takes_less_not_more() {
    type Case = (&'static str, usize, usize, fn(&mut Tx<'_>), bool);
    fn put(tx: &mut Tx<'_>, name: &str, bytes: usize) {
        tx.put(blank(&pod(name), bytes));
    }
    let cases: [Case; 11] = [
        ("the last bytes", 500, 9, |tx| put(tx, "b", 500), true),
        ("one more", 500, 9, |tx| put(tx, "b", 501), false),
        ("both together", 500, 9, |tx| ["b", "c"].iter().for_each(|name| put(tx, name, 300)), false),
        ("growth", 500, 9, |tx| put(tx, "a", 1_500), true),
        ("one more of it", 500, 9, |tx| put(tx, "a", 1_501), false),
        ("after a deletion", 500, 9, |tx| _ = (tx.delete(&pod("a"), vec![]), put(tx, "b", 1_500)), true),
        ("no growth", 0, 0, |tx| put(tx, "a", 1_000), true),
        ("the last object", 500, 1, |tx| put(tx, "b", 1), true),
        ("one more object", 500, 0, |tx| put(tx, "b", 1), false),
        ("both objects", 500, 1, |tx| ["b", "c"].iter().for_each(|name| put(tx, name, 1)), false),
        ("another object", 500, 0, |tx| _ = (tx.delete(&pod("a"), vec![]), put(tx, "b", 1)), true),
    ];
    for (what, bytes, objects, change, expected) in cases {
        let mut state = State::new(10);
        let Draft { key, uid, labels, fields, json } = blank(&pod("a"), 1_000);
        state.load(Arc::new(Object { key, uid, revision: 5, labels, fields, json: json.into() }));
        // As if others took all but so much.
        (state.bytes, state.objects) = (STORE_BYTES_MAX - bytes, OBJECTS_MAX - objects);
        let mut overlay = Overlay::new(10);
        let mut tx = Tx::new(&state, &mut overlay);
        change(&mut tx);
        assert_eq!(tx.refused().is_none(), expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_count_together() {
    const WRITERS: u64 = 40;
    const EACH: u64 = 50;
    let store = memory();
    put(&store, Durable, &pod("counter"), "0").await.unwrap();
    let conflicts = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(count(store.clone(), writer, EACH, conflicts.clone())))
        .collect();
    let mut revisions = BTreeSet::new();
    for writer in writers {
        let own = writer.await.unwrap();
        assert!(own.is_sorted(), "one writer's own writes come one after the other");
        revisions.extend(own);
    }
    assert_eq!(text_of(&store.get(&pod("counter")).unwrap()), (WRITERS * EACH).to_string());
    assert_eq!(revisions.len() as u64, WRITERS * EACH, "each revision once");
    assert_eq!(revisions.last(), Some(&store.revision()));
}

/// Adds one by reading, and by writing only if nobody was faster: what an update with a resourceVersion does.
async fn count(store: Store, writer: u64, times: u64, conflicts: Arc<AtomicU64>) -> Vec<u64> {
    let mut revisions = Vec::new();
    while (revisions.len() as u64) < times {
        let seen = store.get(&pod("counter")).unwrap();
        let next = text_of(&seen).parse::<u64>().unwrap() + 1;
        let expected = seen.revision;
        let durability = if writer.is_multiple_of(2) { Durable } else { Lazy };
        let written = store.write(durability, move |tx| {
            let current = tx.get(&pod("counter")).ok_or("gone")?;
            if current.revision != expected {
                return Err("conflict");
            }
            Ok(tx.put(draft(&pod("counter"), json(&next.to_string()))))
        });
        match written.await.unwrap() {
            Ok(revision) => revisions.push(revision),
            Err(_) => {
                conflicts.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    revisions
}

#[tokio::test]
async fn a_closed_store_still_reads() {
    let store = memory();
    put(&store, Durable, &pod("a"), "x").await.unwrap();
    store.clone().close();
    assert!(matches!(put(&store, Durable, &pod("b"), "x").await, Err(WriteError::Closed)));
    assert_eq!(names(&store, PODS), ["a"]);
    store.close();
}

#[tokio::test]
async fn the_last_store_may_end_in_a_closure() {
    let store = memory();
    let held = store.clone();
    let write = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .write(Lazy, move |tx| {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    tx.put(draft(&pod("a"), json("x")));
                    drop(held);
                    Ok::<_, Infallible>(())
                })
                .await
        }
    });
    tokio::task::yield_now().await;
    drop(store);
    assert!(write.await.unwrap().is_ok());
}
