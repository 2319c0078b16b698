//! Records that an engine cannot read: each is named, nothing of its pod is touched, and every other pod goes on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use lifecycle::SCHEMA_VERSION;
use serde_json::Value;
use shim_protocol::VERSION;

use crate::bed::Bed;
use crate::lasting::Lasting;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::adoption::{processes, wait_processes};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    records_of_a_newer_version,
    a_journal_of_a_newer_version,
    records_cut_short,
    records_of_something_else,
    records_that_are_empty,
    records_with_a_living_shim_gone,
    a_pods_directory_under_another_name,
    a_directory_that_is_no_pods,
];

const RECORDS: [&str; 4] = ["pod.json", "checkpoint.json", "sandbox.json", "containers/main/0/record.json"];

fn newer(record: &str) -> String {
    newer_than(record, VERSION)
}

fn newer_than(text: &str, version: u32) -> String {
    text.replace(&format!("\"schema\":{version}"), &format!("\"schema\":{}", version + 1))
}

fn refusal(version: u32) -> String {
    format!(
        "has schema version {}, this monopod knows {version}: use the version that wrote it, or `monopod reset`",
        version + 1
    )
}

fn records_of_a_newer_version(bed: &Bed) -> Result<()> {
    expect_refused(bed, &RECORDS, newer, &refusal(VERSION))
}

/// It has a version of its own.
fn a_journal_of_a_newer_version(bed: &Bed) -> Result<()> {
    let newer = |journal: &str| newer_than(journal, SCHEMA_VERSION);
    expect_refused(bed, &["journal.jsonl"], newer, &refusal(SCHEMA_VERSION))
}

fn records_cut_short(bed: &Bed) -> Result<()> {
    expect_refused(bed, &RECORDS, |text| text[..text.len() / 2].to_owned(), NO_RECORD)
}

fn records_of_something_else(bed: &Bed) -> Result<()> {
    expect_refused(bed, &RECORDS, |_| "\u{0}\u{1}garbage".to_owned(), NO_RECORD)
}

fn records_that_are_empty(bed: &Bed) -> Result<()> {
    expect_refused(bed, &RECORDS, |_| String::new(), NO_RECORD)
}

const NO_RECORD: &str = "is not a record of monopod: move it away, or run `monopod reset`";

/// Changes each of the files in turn and puts it back.
fn expect_refused(bed: &Bed, files: &[&str], change: impl Fn(&str) -> String, said: &str) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&Pod::new("bad").app("main", "serve"))?;
    let before = lasting.wait_ready("bad")?;
    let (pod_dir, bad) = (bed.pod_dir()?, bed.uids());
    let found_processes = wait_processes(&bad, 2)?;
    lasting.add(&Pod::new("good").app("other", "serve"))?;
    lasting.wait_ready("good")?;
    for file in files {
        lasting.kill()?;
        let path = pod_dir.join(file);
        let whole = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        fs::write(&path, change(&whole))?;
        let found = tree(&pod_dir)?;
        lasting.again()?;
        lasting.wait_ready("good")?;
        let refusals = lasting.refusals();
        ensure!(refusals.len() == 1, "{file}: {refusals:?}");
        ensure!(refusals[0].contains(&format!("{} {said}", path.display())), "{file}: {refusals:?}");
        ensure!(lasting.status("bad").is_none(), "{file}: it was taken over");
        ensure!(tree(&pod_dir)? == found, "{file}: the pod's directory was changed");
        ensure!(processes(&bad) == found_processes, "{file}: its processes changed");
        fs::write(&path, whole)?;
    }
    lasting.kill_and_start_again()?;
    let after = lasting.wait_ready("bad")?;
    ensure!(before == after, "{before:#}\nbecame\n{after:#}");
    lasting.end(&["bad", "good"])
}

/// Nobody buries what nobody can read: as long as the record says so, the pod is left as it was.
fn records_with_a_living_shim_gone(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&Pod::new("bad").app("main", "serve"))?;
    lasting.wait_ready("bad")?;
    let pod_dir = bed.pod_dir()?;
    lasting.kill()?;
    rustix::process::kill_process(bed.shim_pid()?, rustix::process::Signal::KILL)?;
    for file in &RECORDS[1..] {
        let path = pod_dir.join(file);
        let whole = fs::read_to_string(&path)?;
        fs::write(&path, newer(&whole))?;
        let found = tree(&pod_dir)?;
        lasting.again()?;
        ensure!(lasting.refusals().len() == 1, "{file}: {:?}", lasting.events());
        ensure!(tree(&pod_dir)? == found, "{file}: the pod's directory was changed");
        lasting.kill()?;
        fs::write(&path, whole)?;
    }
    lasting.again()?;
    lasting.wait_status("bad", "Failed", |status: &Value| status["phase"] == "Failed")?;
    lasting.end(&["bad"])
}

/// Its paths would be those of another pod.
fn a_pods_directory_under_another_name(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&Pod::new("one").app("main", "serve"))?;
    lasting.wait_ready("one")?;
    let (pod_dir, copy) = (bed.pod_dir()?, bed.root().join("var/lib/monopod/pods/copy"));
    fs::create_dir(&copy)?;
    for file in ["pod.json", "checkpoint.json", "owner.lock"] {
        fs::copy(pod_dir.join(file), copy.join(file))?;
    }
    lasting.kill_and_start_again()?;
    lasting.wait_ready("one")?;
    let refusals = lasting.refusals();
    ensure!(refusals.len() == 1 && refusals[0].contains("move the directory away"), "{refusals:?}");
    fs::remove_dir_all(copy)?;
    lasting.end(&["one"])
}

fn a_directory_that_is_no_pods(bed: &Bed) -> Result<()> {
    require_root()?;
    let dir = bed.root().join("var/lib/monopod/pods/mine");
    fs::create_dir(&dir)?;
    fs::write(dir.join("file"), "dear to somebody")?;
    let lasting = Lasting::start(bed)?;
    let refusals = lasting.refusals();
    ensure!(refusals.len() == 1 && refusals[0].contains("never locked"), "{refusals:?}");
    ensure!(fs::read_dir(&dir)?.count() == 1, "it was touched");
    fs::remove_dir_all(dir)?;
    lasting.end(&[])
}

/// Every file below `dir` but what the shim writes of its own accord, and what is in it.
fn tree(dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut to_visit = vec![dir.to_owned()];
    while let Some(dir) = to_visit.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                found.insert(path.clone(), Vec::new());
                to_visit.push(path);
            } else if path.file_name().is_some_and(|name| name != "shim.log") {
                found.insert(path.clone(), fs::read(&path).unwrap_or_default());
            }
        }
    }
    Ok(found)
}
