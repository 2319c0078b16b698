//! A disk that says no: every acknowledged write stays, every refused one is gone, and everything goes on when the disk does.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use super::faulty::{Faulty, Plan, Random};
use super::{PODS, USUAL, delete, names, options, pod, put, text_of};
use crate::Durability::{Durable, Lazy};
use crate::writer::Pace;
use crate::{Place, Store, WriteError};

fn open(disk: &Faulty, collect_ms: u64) -> Store {
    let pace = Pace { collect_ms, ..USUAL };
    Store::open_at(Place::Backend(Box::new(disk.clone())), options(), pace).unwrap()
}

fn content(store: &Store) -> BTreeMap<String, (u64, String)> {
    let objects = store.list(PODS, None, None, None, |_| true).objects;
    objects.iter().map(|object| (object.key.name.clone(), (object.revision, text_of(object)))).collect()
}

/// Writes one after the other; the model is what was acknowledged.
async fn work(store: &Store, random: &mut Random, model: &mut BTreeMap<String, (u64, String)>) -> u64 {
    let mut refused = 0;
    let mut last = 0;
    for number in 0..30 {
        let name = format!("p{}", random.below(5));
        let durability = if random.chance(70) { Durable } else { Lazy };
        if random.chance(25) {
            match delete(store, durability, &pod(&name)).await {
                Ok(_) => drop(model.remove(&name)),
                Err(WriteError::Disk { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        } else {
            let text = format!("{number} {}", "x".repeat(random.below(6_000) as usize));
            match put(store, durability, &pod(&name), &text).await {
                Ok(revision) => {
                    assert!(revision > last, "a revision comes again");
                    last = revision;
                    model.insert(name, (revision, text));
                }
                Err(WriteError::Disk { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(content(store), *model, "what was refused is visible, or what was acknowledged is not");
    }
    refused
}

/// Each operation of the disk in turn is the first of some that fail.
#[tokio::test]
async fn no_failure_loses_or_invents_a_write() {
    let (mut runs, mut refusals) = (0, 0);
    for failures in [1, 2, 7, 40] {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            for fail_at in (0..120).step_by(if failures == 1 { 1 } else { 3 }) {
                let disk = Faulty::default();
                let store = open(&disk, [0, 3_600_000][fail_at as usize % 2]);
                disk.plan(Plan { fail_at, failures, kind: Some(kind) });
                let mut random = Random(fail_at * 1_000 + failures);
                let mut model = BTreeMap::new();
                refusals += work(&store, &mut random, &mut model).await;
                let revision = store.revision();
                // There is room again.
                disk.plan(Plan::default());
                if fail_at % 3 == 0 {
                    let revision = put(&store, Durable, &pod("after"), "x").await.unwrap();
                    model.insert("after".to_owned(), (revision, "x".to_owned()));
                }
                drop(store);
                let store = open(&disk, 0);
                assert_eq!(content(&store), model, "{failures} failures at {fail_at}");
                assert!(store.revision() >= revision);
                runs += 1;
            }
        }
    }
    println!("{runs} runs, {refusals} writes refused");
    assert!(refusals > 100);
}

/// Power goes while the disk is failing: whatever was acknowledged is there.
#[tokio::test]
async fn a_power_cut_after_failures_loses_nothing() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let disk = Faulty::default();
        let store = open(&disk, 0);
        disk.plan(Plan {
            fail_at: random.below(60),
            failures: 1 + random.below(5),
            kind: Some(ErrorKind::StorageFull),
        });
        let mut model = BTreeMap::new();
        work(&store, &mut random, &mut model).await;
        disk.plan(Plan::default());
        // A durable write takes everything lazy before it along, and takes back what failed.
        let revision = put(&store, Durable, &pod("last"), "x").await.unwrap();
        model.insert("last".to_owned(), (revision, "x".to_owned()));
        let image = disk.after_power_cut(&mut random);
        let after = open(&Faulty::of(image), 0);
        assert_eq!(content(&after), model, "seed {seed}");
        assert!(after.revision() >= revision);
    }
}

#[tokio::test]
async fn a_full_disk_says_so_and_lazy_writes_go_on() {
    let disk = Faulty::default();
    let store = open(&disk, 0);
    put(&store, Durable, &pod("a"), "before").await.unwrap();
    disk.plan(Plan { fail_at: 0, failures: u64::MAX, kind: Some(ErrorKind::StorageFull) });
    let error = put(&store, Durable, &pod("a"), "refused").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write to the object store: (given): I/O error: injected; nothing was changed, free some space or check the disk and try again"
    );
    let mut watch = store.watch(PODS, None, store.revision()).unwrap();
    for number in 0..100 {
        put(&store, Lazy, &pod("lazy"), &number.to_string()).await.unwrap();
        assert_eq!(watch.next().await.unwrap().object.key.name, "lazy");
    }
    assert_eq!(text_of(&store.get(&pod("a")).unwrap()), "before");
    // Nobody writes any more: the store tries again by itself, in vain and then not.
    let deadline = Instant::now() + Duration::from_secs(20);
    let tried = disk.operations();
    while disk.operations() == tried {
        assert!(Instant::now() < deadline, "it did not try at all");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    disk.plan(Plan::default());
    loop {
        let now = Faulty::of(disk.after_power_cut(&mut Random(0)));
        if names(&open(&now, 0), PODS) == ["a", "lazy"] {
            break;
        }
        assert!(Instant::now() < deadline, "it did not try again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    put(&store, Durable, &pod("a"), "after").await.unwrap();
}

/// Lazy revisions stop at the end of what is reserved, for a crash would hand out the ones after it again.
#[tokio::test]
async fn a_full_disk_ends_with_the_reserved_revisions() {
    let disk = Faulty::default();
    let pace = Pace { block: 10, collect_ms: 3_600_000 };
    let store = Store::open_at(Place::Backend(Box::new(disk.clone())), options(), pace).unwrap();
    put(&store, Lazy, &pod("a"), "x").await.unwrap();
    disk.plan(Plan { fail_at: 0, failures: u64::MAX, kind: Some(ErrorKind::StorageFull) });
    let mut given = 0;
    while given < 100 && put(&store, Lazy, &pod("a"), "x").await.is_ok() {
        given += 1;
    }
    assert!((1..=10).contains(&given), "{given}");
    let seen = store.revision();
    let crashed = open(&Faulty::of(disk.after_power_cut(&mut Random(1))), 0);
    assert!(crashed.revision() >= seen);
    disk.plan(Plan::default());
    assert!(put(&store, Lazy, &pod("a"), "y").await.unwrap() > seen);
}
