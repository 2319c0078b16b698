//! Power cuts at every kind of moment. What is found afterwards has to be a state the store went through, at or after the last one it
//! acknowledged, and no revision may come again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use super::faulty::{Faulty, Plan, Random};
use super::{NODES, draft, json, options, pod};
use crate::writer::Pace;
use crate::{Durability, ObjectKey, Place, Store};

const SEEDS: u64 = 2_000;
const KEYS: u64 = 6;

/// Every object by its key: revision and content.
type Objects = BTreeMap<ObjectKey, (u64, Vec<u8>)>;

/// One closure's changes, as it made them on the writer's thread.
#[derive(Clone, Debug)]
struct Attempt {
    durability: Durability,
    changes: Vec<(u64, ObjectKey, Option<Vec<u8>>)>,
}

impl Attempt {
    fn last(&self) -> u64 {
        self.changes.last().map_or(0, |(revision, _, _)| *revision)
    }
}

fn objects_of(store: &Store) -> Objects {
    let mut objects = Objects::new();
    for resource in [super::PODS, NODES] {
        for object in store.list(resource, None, None, None, |_| true).objects {
            objects.insert(object.key.clone(), (object.revision, object.json.to_vec()));
        }
    }
    objects
}

fn apply(objects: &mut Objects, attempt: &Attempt) {
    for (revision, key, content) in &attempt.changes {
        match content {
            Some(content) => objects.insert(key.clone(), (*revision, content.clone())),
            None => objects.remove(key),
        };
    }
}

/// Several objects changed together, some deleted.
async fn one_write(
    store: &Store,
    durability: Durability,
    plan: Vec<(ObjectKey, u64)>,
    log: Arc<Mutex<Vec<Attempt>>>,
) -> Option<u64> {
    let written = store.write(durability, move |tx| {
        let mut changes = Vec::new();
        for (key, dice) in plan {
            if dice % 4 == 0 {
                if let Some(revision) = tx.delete(&key, b"{}".to_vec()) {
                    changes.push((revision, key, None));
                }
            } else {
                let text = "x".repeat((dice % 3_000) as usize);
                let content = json(&format!("{} {text}", tx.revision_next())).into_bytes();
                changes.push((tx.put(draft(&key, content.clone())), key, Some(content)));
            }
        }
        let attempt = Attempt { durability, changes };
        let last = attempt.last();
        log.lock().unwrap().push(attempt);
        Ok::<_, Infallible>(last)
    });
    written.await.ok().map(|last| last.unwrap())
}

fn draw(random: &mut Random) -> (Durability, Vec<(ObjectKey, u64)>) {
    let durability = if random.chance(60) { Durability::Durable } else { Durability::Lazy };
    let plan = (0..=random.below(3)).map(|_| {
        let number = random.below(KEYS);
        let key = if number == 0 { ObjectKey::new(NODES, "", "n") } else { pod(&format!("p{number}")) };
        (key, random.next())
    });
    (durability, plan.collect())
}

/// Writes until the power goes. Returns the attempts in the order they were made, and the last revision that is safe.
async fn live(store: &Store, disk: &Faulty, random: &mut Random) -> (Vec<Attempt>, u64) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut safe = 0;
    for _ in 0..random.below(12) + 1 {
        let group: Vec<_> = (0..=random.below(5)).map(|_| draw(random)).collect();
        let durabilities: Vec<_> = group.iter().map(|(durability, _)| *durability).collect();
        let writes: Vec<_> = group
            .into_iter()
            .map(|(durability, plan)| {
                tokio::spawn({
                    let (store, log) = (store.clone(), log.clone());
                    async move { one_write(&store, durability, plan, log).await }
                })
            })
            .collect();
        for (write, durability) in writes.into_iter().zip(durabilities) {
            if let (Some(last), Durability::Durable) = (write.await.unwrap(), durability) {
                safe = safe.max(last);
            }
        }
        if disk.has_failed() {
            break;
        }
    }
    let log = log.lock().unwrap().clone();
    (log, safe)
}

/// Whether what was found is a state between the last safe one and the last one made, with no closure in halves.
fn is_a_state(before: &Objects, attempts: &[Attempt], safe: u64, found: &Objects) -> bool {
    let mut objects = before.clone();
    let mut reached = 0;
    if safe == 0 && objects == *found {
        return true;
    }
    for attempt in attempts {
        apply(&mut objects, attempt);
        reached = reached.max(attempt.last());
        if reached >= safe && objects == *found {
            return true;
        }
    }
    false
}

async fn one_seed(seed: u64) -> u64 {
    let mut random = Random(seed);
    let pace = Pace {
        block: [4, 20, 65_536][random.below(3) as usize],
        collect_ms: [0, 0, 3_600_000][random.below(3) as usize],
    };
    let mut image = Vec::new();
    let mut before = Objects::new();
    let mut published = 0;
    let mut cuts = 0;
    for round in 0..3 {
        let disk = Faulty::of(image);
        // The power may go while the store is opened.
        let while_opening = random.chance(20);
        if while_opening {
            disk.plan(Plan {
                fail_at: random.below(12),
                failures: u64::MAX,
                kind: Some(io::ErrorKind::Other),
            });
        }
        let opened = Store::open_at(Place::Backend(Box::new(disk.clone())), options(), pace);
        let Ok(store) = opened else {
            assert!(while_opening, "seed {seed}, round {round}: {}", opened.unwrap_err());
            image = disk.after_power_cut(&mut random);
            cuts += 1;
            continue;
        };
        let found = objects_of(&store);
        assert_eq!(found, before, "seed {seed}, round {round}: not what it was");
        assert!(store.revision() >= published, "seed {seed}, round {round}: revisions come again");
        if !disk.has_failed() {
            disk.plan(Plan {
                fail_at: random.below(60),
                failures: u64::MAX,
                kind: Some(io::ErrorKind::Other),
            });
        }
        let (attempts, safe) = live(&store, &disk, &mut random).await;
        published = store.revision();
        if random.chance(50) {
            store.close();
        }
        // Before the writer's thread does more.
        image = disk.after_power_cut(&mut random);
        cuts += 1;
        drop(store);
        // What is there now, read by a store that changes nothing more.
        let reader = Store::open_at(Place::Backend(Box::new(Faulty::of(image.clone()))), options(), pace)
            .unwrap_or_else(|error| panic!("seed {seed}, round {round}: {error}"));
        let found = objects_of(&reader);
        assert!(reader.revision() >= published, "seed {seed}, round {round}: revisions come again");
        assert!(
            is_a_state(&before, &attempts, safe, &found),
            "seed {seed}, round {round}: {found:?} is none of\n{before:?}\n{attempts:?}\nfrom {safe}"
        );
        let lazy = attempts.iter().filter(|attempt| attempt.durability == Durability::Lazy).count();
        assert!(lazy <= attempts.len());
        before = found;
    }
    cuts
}

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let seeds = std::env::var("STORE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let first = std::env::var("STORE_FIRST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut cuts = 0;
    for seed in first..first + seeds {
        cuts += runtime.block_on(one_seed(seed));
    }
    println!("{seeds} seeds, {cuts} power cuts");
}
