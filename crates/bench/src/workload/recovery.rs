//! A daemon that was killed, and the next one: until it says that it is ready, until it has all pods of the one before, and until
//! it has answered for each of them.
//!
//! The daemon says that it is ready when its API answers, which is before it takes over the pods; what is asked of a pod waits until
//! all of them are taken over. When that was is in the pods' journals: the first plan that the new daemon made of each.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use journal::{Entry, Happening, Occasion};
use linux_sys::clock::boot_ns;
use serde_json::Value;
use tokio::task::JoinSet;

use super::Size;
use super::api::{Client, JSON, PODS, ms};
use super::pods::{self, Pods};
use super::processor::wait_quiet;
use crate::bed::Bed;
use crate::report::{Report, Row};
use crate::wait::SOON;

const ADOPTED_MS_MAX: f64 = 200.0;
const CONTAINER: &str = "one";
/// Of a processor within a second: nothing is going on.
const QUIET: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Size {
    /// How many pods, and how often the daemon is killed.
    const fn recoveries(self) -> (usize, usize) {
        match self {
            Self::Full => (100, 10),
            Self::Quick => (4, 2),
        }
    }
}

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let (count, rounds) = size.recoveries();
    let manifests: Vec<Value> =
        (0..count).map(|n| pods::manifest(bed, &format!("recovery-{n}"), "recovery", &[CONTAINER])).collect();
    let mut pods = Pods::apply(bed, pods::daemon(bed)?, &manifests, "recovery", count)?;
    let mut rows = [
        Row::new("recovery.ready", "daemon killed and started: ready", "ms"),
        Row::new("recovery.adopted", &format!("  all {count} pods adopted"), "ms"),
        Row::new("recovery.answered", "  and the log of each was asked for and read", "ms"),
    ];
    // The first one only fills caches.
    for round in 0..=rounds {
        wait_quiet(&pods.shims()?.into_iter().chain([pods.daemon().pid()]).collect::<Vec<_>>(), QUIET)?;
        pods = pods.start_again()?;
        let began = pods.daemon().began_ns();
        let answered = answered(&pods, count)?;
        let adopted = adopted(&pods, began)?;
        for (row, ns) in rows.iter_mut().zip([pods.daemon().ready_ns, adopted - began, answered - began]) {
            if round > 0 {
                row.samples.push(ms(ns));
            }
        }
    }
    rows.into_iter().for_each(|row| report.add(row));
    report.at_most("recovery.adopted", ADOPTED_MS_MAX);
    pods.end()
}

/// When the daemon has answered a request that needs each of its pods.
fn answered(pods: &Pods<'_>, count: usize) -> Result<i64> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio.block_on(async {
        let client = Client::connect(&pods.daemon().socket).await?;
        let mut requests = JoinSet::new();
        for n in 0..count {
            let client = client.clone();
            let path = format!("{PODS}/recovery-{n}/log?container={CONTAINER}");
            requests.spawn(async move { client.get(&path, JSON).await.map(drop) });
        }
        while let Some(answered) = requests.join_next().await {
            answered??;
        }
        Ok(boot_ns())
    })
}

/// When the last pod was taken over by the daemon that began then.
fn adopted(pods: &Pods<'_>, began: i64) -> Result<i64> {
    let deadline = Instant::now() + SOON;
    let mut last = None;
    for dir in pods.dirs()? {
        let adopted = loop {
            if let Some(at) = first_plan(&journal::read(&dir)?, began) {
                break at;
            }
            ensure!(Instant::now() < deadline, "the pod in {} is not taken over", dir.display());
            sleep(LOOK_EVERY);
        };
        last = last.max(Some(adopted));
    }
    last.context("no pods")
}

/// When the engine that began then had planned for the first time.
fn first_plan(entries: &[Entry], began: i64) -> Option<i64> {
    let is_begin = |entry: &Entry| match &entry.what {
        Happening::Snapshot(snapshot) => snapshot.occasion == Occasion::Engine && entry.at.boot.0 > began,
        _ => false,
    };
    let mut after = entries.iter().skip_while(|entry| !is_begin(entry));
    after.find(|entry| entry.what == Happening::Settled).map(|entry| entry.at.boot.0)
}
