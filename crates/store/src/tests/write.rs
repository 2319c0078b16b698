//! What writes do, and what they refuse.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{NODES, PODS, delete, draft, json, memory, names, pod, put, text_of};
use crate::Durability::{Durable, Lazy};
use crate::{Draft, OBJECT_BYTES_MAX, ObjectKey, Resource, Store, WriteError};

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

#[tokio::test]
async fn a_full_store_takes_less_not_more() {
    let store = memory();
    let fill = store.write(Lazy, |tx| {
        let mut number = 0;
        while number < crate::STORE_BYTES_MAX / OBJECT_BYTES_MAX {
            tx.put(blank(&pod(&number.to_string()), OBJECT_BYTES_MAX));
            number += 1;
        }
        Ok::<_, Infallible>(())
    });
    fill.await.unwrap().unwrap();
    let large = |store: Store, bytes: usize| async move {
        store.write(Durable, move |tx| Ok::<_, Infallible>(tx.put(blank(&pod("more"), bytes)))).await
    };
    assert!(matches!(large(store.clone(), OBJECT_BYTES_MAX).await, Err(WriteError::Full)));
    delete(&store, Durable, &pod("0")).await.unwrap();
    assert!(large(store.clone(), OBJECT_BYTES_MAX).await.is_ok());
    assert!(put(&store, Durable, &pod("1"), "smaller").await.is_ok());
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
