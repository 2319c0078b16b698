//! Runs many pods on one server, some at the same time, and reads what their journals have until each is gone.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use journal::Entry;

use super::Case;
use crate::bed::Bed;
use crate::pods::Pods;
use crate::wait::patient;

/// A pod that is not gone by then hangs.
const POD_TAKES: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(15);
const API: &str = "/api/v1/namespaces/default/pods";

/// What really happened.
#[derive(Debug)]
pub(crate) struct Driven {
    pub(crate) case: usize,
    pub(crate) entries: Vec<Entry>,
}

struct Running {
    case: usize,
    dir: PathBuf,
    began: Instant,
    /// It is read when its file is gone.
    journal: Option<File>,
    deleted: bool,
}

/// At most `side_by_side` of them at a time.
pub(crate) fn drive(bed: &Bed, pods: &Pods<'_>, cases: &[Case], side_by_side: usize) -> Result<Vec<Driven>> {
    let mut running: Vec<Running> = Vec::new();
    let mut done = Vec::new();
    let mut next = 0;
    while next < cases.len() || !running.is_empty() {
        if next < cases.len() && running.len() < side_by_side {
            running.push(begin(bed, pods, &cases[next], next)?);
            next += 1;
        }
        for pod in &mut running {
            look(pods, &cases[pod.case], pod)?;
        }
        let (gone, still): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|pod| pod.deleted && !pod.dir.exists());
        running = still;
        for pod in gone {
            done.push(Driven { case: pod.case, entries: read(&cases[pod.case], pod)? });
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(done)
}

fn begin(bed: &Bed, pods: &Pods<'_>, case: &Case, index: usize) -> Result<Running> {
    let created =
        pods.api().post(API, &case.manifest)?.expect(201).with_context(|| case.name.clone())?.json()?;
    let uid = created["metadata"]["uid"].as_str().context("a uid")?;
    let dir = bed.root().join("var/lib/monopod/pods").join(uid);
    Ok(Running { case: index, dir, began: Instant::now(), journal: None, deleted: false })
}

fn look(pods: &Pods<'_>, case: &Case, pod: &mut Running) -> Result<()> {
    if pod.journal.is_none() {
        pod.journal = File::open(pod.dir.join("journal.jsonl")).ok();
    }
    let age = pod.began.elapsed();
    if !pod.deleted && pod.journal.is_some() && age >= case.delete_after {
        pods.delete(&case.name, None)?;
        pod.deleted = true;
    }
    if age > patient(POD_TAKES) {
        let journal = fs::read_to_string(pod.dir.join("journal.jsonl")).unwrap_or_default();
        bail!("{} is still there after {age:?}\n{journal}", case.name);
    }
    Ok(())
}

fn read(case: &Case, pod: Running) -> Result<Vec<Entry>> {
    let mut text = String::new();
    pod.journal.context("it had no journal")?.read_to_string(&mut text)?;
    // The first line is the header.
    let entries: Result<Vec<Entry>, _> = text.lines().skip(1).map(serde_json::from_str).collect();
    entries.with_context(|| format!("the journal of {}:\n{text}", case.name))
}
