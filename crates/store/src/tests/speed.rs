//! What it costs, in numbers to look at: `cargo test --release -p store speed -- --ignored --nocapture`.

use std::convert::Infallible;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::{Directory, PODS, draft, open, pod, put};
use crate::Durability::{Durable, Lazy};
use crate::Store;

fn percentiles(mut samples: Vec<Duration>) -> String {
    samples.sort_unstable();
    let at = |percent: usize| samples[(samples.len() - 1) * percent / 100].as_micros();
    format!("p50 {} us, p90 {} us, p99 {} us", at(50), at(90), at(99))
}

fn timed<T>(mut one: impl FnMut() -> T, times: usize) -> Vec<Duration> {
    let mut samples = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        drop(one());
        samples.push(begun.elapsed());
    }
    samples
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// As large as a pod's JSON with its status and managed fields.
fn pod_json(number: usize) -> Vec<u8> {
    let containers: Vec<_> = (0..8).map(|container| {
        serde_json::json!({"name": format!("c{container}"), "image": "registry.example.com/team/image:1.2.3", "args": vec!["--an-argument=of-some-length"; 20], "env": [{"name": "A", "value": "x".repeat(200)}]})
    }).collect();
    let pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{number}"), "labels": {"app": "x", "n": number.to_string()}}, "spec": {"containers": containers}});
    pod.to_string().into_bytes()
}

async fn create(store: &Store, durability: crate::Durability, number: usize, json: Vec<u8>) {
    let written = store
        .write(durability, move |tx| Ok::<_, Infallible>(tx.put(draft(&pod(&format!("p{number}")), json))));
    written.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints what it measures"]
async fn speed() {
    let directory = Directory::new();
    let bare =
        OpenOptions::new().create(true).truncate(true).write(true).open(directory.0.join("bare")).unwrap();
    bare.write_all_at(&[1; 65_536], 0).unwrap();
    bare.sync_all().unwrap();
    let json = pod_json(0);
    println!("objects of {} bytes", json.len());
    let before = resident_kib();
    let store = open(&directory.file());
    println!("an empty store: {} KiB more resident", resident_kib() - before);
    // They take turns, so that others who use the disk disturb them alike.
    let (mut floor, mut durable, mut lazy) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..1_000 {
        floor.extend(timed(
            || {
                bare.write_all_at(&json, 0).unwrap();
                bare.sync_data().unwrap();
            },
            1,
        ));
        for (durability, samples) in [(Durable, &mut durable), (Lazy, &mut lazy)] {
            let json = pod_json(number);
            let begun = Instant::now();
            create(&store, durability, number, json).await;
            samples.push(begun.elapsed());
        }
    }
    println!("bare write and sync:  {}", percentiles(floor));
    println!("durable, one by one:  {}", percentiles(durable));
    println!("lazy, one by one:     {}", percentiles(lazy));
    let begun = Instant::now();
    let writers: Vec<_> = (0..64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    create(&store, Durable, 1_000 + writer * 50 + number, pod_json(number)).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    println!("64 durable writers: {:.0} writes a second", 3_200.0 / begun.elapsed().as_secs_f64());
    drop(store);

    let directory = Directory::new();
    let store = open(&directory.file());
    for number in 0..1_000 {
        create(&store, Lazy, number, pod_json(number)).await;
    }
    println!("list of 1,000: {}", percentiles(timed(|| store.list(PODS, None, None, None, |_| true), 200)));
    let labelled = || {
        store.list(PODS, Some("default"), None, None, |object| {
            object.labels.get("n").is_some_and(|n| n == "7")
        })
    };
    println!("list of 1,000 by label: {}", percentiles(timed(labelled, 200)));
    let copy = directory.0.join("copy");
    put(&store, Durable, &pod("last"), "x").await.unwrap();
    fs::copy(directory.file(), &copy).unwrap();
    drop(store);
    println!("file with 1,000: {} KiB", fs::metadata(directory.file()).unwrap().len() / 1024);
    println!("open with 1,000: {}", percentiles(timed(|| open(&directory.file()), 10)));
    println!("open with 1,000 after a crash: {}", percentiles(timed(|| open(&copy), 1)));
    let nothing = directory.0.join("nothing");
    println!("create: {}", percentiles(timed(|| open(&nothing), 1)));
    println!("open empty: {}", percentiles(timed(|| open(&nothing), 10)));
}
