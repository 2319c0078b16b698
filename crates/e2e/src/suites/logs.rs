//! Logs lie where log shippers look for them, in CRI format.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::outcome::skip;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    layout_and_format,
    one_file_per_attempt,
    long_and_partial_lines,
    rotated_without_loss,
    a_full_disk_is_told_and_ends_nothing,
    journal_while_it_runs
];

/// The directory `NS_NAME_UID` of the one pod there is.
fn pod_log_dir(bed: &Bed) -> Result<PathBuf> {
    wait::until("the pod's log directory", SOON, || {
        fs::read_dir(bed.pod_logs()).ok()?.flatten().next().map(|entry| entry.path())
    })
}

fn layout_and_format(bed: &Bed) -> Result<()> {
    require_root()?;
    let engine = bed.start_pod(&Pod::new("layout").app("main", "echo to-out; echo to-err >&2; serve"))?;
    bed.trace.wait("main start", SOON)?;
    let dir = pod_log_dir(bed)?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ensure!(name.starts_with("default_layout_") && name.len() > 40, "the directory is {name}");
    let file = dir.join("main/0.log");
    let text = wait::until("two lines in main/0.log", SOON, || {
        fs::read_to_string(&file).ok().filter(|text| text.lines().count() >= 2)
    })?;
    for (stream, content) in [("stdout", "to-out"), ("stderr", "to-err")] {
        let line = text.lines().find(|line| line.ends_with(content)).context("a line is missing")?;
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        ensure!(parts[1..] == [stream, "F", content], "the line is {line:?}");
        ensure!(parts[0].len() == 30 && parts[0].ends_with('Z'), "the time is {:?}", parts[0]);
    }
    bed.interrupt(engine)?.expect_code(0)?;
    Ok(())
}

/// The log's file system takes no more: the pod goes on, and the user learns that output is lost.
fn a_full_disk_is_told_and_ends_nothing(bed: &Bed) -> Result<()> {
    require_root()?;
    if !Path::new("/usr/bin/unshare").exists() {
        return skip("needs unshare for a mount namespace of its own");
    }
    let manifest = bed.manifest(&Pod::new("full").app("main", "seq 1 100000; echo end; say end"))?;
    fs::create_dir_all(bed.pod_logs())?;
    let script = "mount -t tmpfs -o size=128k none \"$1\" && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(bed.pod_logs());
    command.arg(bed.program()).arg("--root").arg(bed.root()).arg("run").arg(manifest);
    let finished = bed.finish(&mut command)?;
    finished.expect_code(0)?.expect_output("output of container main of pod default/full is lost")?;
    ensure!(finished.stderr.lines().count() == 1, "said more than once:\n{}", finished.stderr);
    bed.trace.expect_order(&["main end"])
}

fn one_file_per_attempt(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("attempts").spec(&json!({"restartPolicy": "OnFailure"})).app(
        "main",
        "say start; n=$(grep -c '^main start' /trace/log); echo attempt-$n; [ $n -ge 2 ] || exit 1; serve",
    );
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait_count("main start", 3, SOON)?;
    let dir = pod_log_dir(bed)?.join("main");
    for (file, content) in [("0.log", "attempt-1"), ("1.log", "attempt-2")] {
        wait::until(&format!("{content} in {file}"), SOON, || {
            fs::read_to_string(dir.join(file)).ok()?.contains(content).then_some(())
        })?;
    }
    bed.interrupt(engine)?.expect_output("attempt-1")?.expect_output("attempt-2")?;
    Ok(())
}

/// A line longer than a log buffer is written in parts and shown whole; a last line without its end too.
fn long_and_partial_lines(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("long").app("main", "head -c 50000 /dev/zero | tr '\\0' x; echo; printf unfinished");
    let finished = bed.run_pod(&pod)?;
    finished.expect_code(0)?.expect_line(&["main", "unfinished"])?;
    let xs = finished.output().matches('x').count();
    ensure!(xs >= 50_000, "{xs} of 50000 bytes were shown");
    Ok(())
}

/// 36 MiB in lines go through at least three rotations; the follower sees each line once, in order.
fn rotated_without_loss(bed: &Bed) -> Result<()> {
    require_root()?;
    let lines = 300_000;
    let script = format!("seq -f 'line-%.0f {}' {lines}; echo done; serve", "x".repeat(100));
    let mut engine = bed.start_pod(&Pod::new("rotate").app("main", &script))?;
    bed.trace.wait("main start", SOON * 2)?;
    engine.wait_output(&format!("line-{lines} "), SOON * 2)?;
    let dir = pod_log_dir(bed)?.join("main");
    let files = fs::read_dir(&dir)?.flatten().count();
    ensure!((2..=5).contains(&files), "{files} log files after rotation");
    let finished = bed.interrupt(engine)?;
    let numbers = finished.stdout.lines().filter_map(|line| {
        line.split_once("line-").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u32>().ok())
    });
    for (expected, found) in (1..=lines).zip(numbers) {
        ensure!(expected == found, "line {found} came where {expected} was due");
    }
    Ok(())
}

fn journal_while_it_runs(bed: &Bed) -> Result<()> {
    require_root()?;
    let engine = bed.start_pod(&Pod::new("journal").init("prepare", "true").app("main", "serve"))?;
    bed.trace.wait("main start", SOON)?;
    let uid = bed.uids().first().cloned().context("no pod was made")?;
    let journal = bed.root().join("var/lib/monopod/pods").join(uid).join("journal.jsonl");
    let text = fs::read_to_string(&journal).with_context(|| format!("no {}", journal.display()))?;
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).with_context(|| format!("not JSON: {line}"))?;
    }
    ensure!(text.contains("prepare") && text.contains("main"), "the journal names no containers");
    bed.interrupt(engine)?.expect_code(0)?;
    Ok(())
}
