//! What is kept of a log is what the server was told to keep, and all of that is there, whatever happens to the server.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::bed::Bed;
use crate::pod::Pod;
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    small_files_are_rotated_and_large_ones_keep_everything,
    no_line_is_lost_or_torn_when_the_server_is_killed,
];

/// 2 MB of log, with what each record begins with.
const LINES: u32 = 40_000;
/// For the numbers of the first line and the last.
const SEQ: &str = "seq -f 'line-%.0f xxxxxxxxxxxxxxxxxxxx'";
const SMALL: [&str; 4] = ["--container-log-max-size", "64Ki", "--container-log-max-files", "3"];
const SMALL_BYTES: u64 = 64 << 10;
const LARGE: [&str; 2] = ["--container-log-max-size", "1Gi"];

/// The setting is of attempts that start under it: those of servers before keep theirs.
fn small_files_are_rotated_and_large_ones_keep_everything(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut pods = Pods::start_with(bed, &SMALL)?;
    pods.create(&writer("small"))?;
    pods.wait_ended("small")?;
    let files = files(bed, "small")?;
    ensure!(files.len() == 3, "{files:?}");
    for (path, bytes) in &files {
        ensure!(*bytes <= SMALL_BYTES, "{} has {bytes} bytes", path.display());
    }
    let log = pods.log("small", "")?;
    let kept = u32::try_from(log.lines().count())?;
    // Two files that are full, and the one being written.
    let bytes = files.iter().map(|(_, bytes)| bytes).sum::<u64>();
    ensure!(bytes > 2 * (SMALL_BYTES - 100) && kept > 1_700, "{kept} lines are kept in {bytes} bytes");
    expect_lines(&log, LINES - kept + 1, LINES)?;
    expect_configured(&pods, "64Ki", 3)?;
    pods.serve_again_with(&LARGE)?;
    expect_configured(&pods, "1Gi", 5)?;
    pods.create(&writer("large"))?;
    pods.wait_ended("large")?;
    ensure!(self::files(bed, "large")?.len() == 1);
    expect_lines(&pods.log("large", "")?, 1, LINES)?;
    expect_lines(&pods.log("small", "")?, LINES - kept + 1, LINES)?;
    pods.finish()
}

/// The shim writes the log, so it goes on without a server.
fn no_line_is_lost_or_torn_when_the_server_is_killed(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut pods = Pods::start_with(bed, &LARGE)?;
    let script = format!(
        "n=0; mark begun; until [ -e /trace/$POD.stop ]; do {SEQ} $((n+1)) $((n+10000)); n=$((n+10000)); done; \
         echo last-$n"
    );
    pods.create(&Pod::new("killed").app("main", &script))?;
    pods.wait_mark("killed", "main begun")?;
    for _ in 0..2 {
        pods.serve_again()?;
    }
    pods.tell("killed", "stop")?;
    pods.wait_ended("killed")?;
    let log = pods.log("killed", "")?;
    let (lines, last) = log.rsplit_once("last-").context("the last line is missing")?;
    expect_lines(lines, 1, last.trim_end().parse()?)?;
    pods.finish()
}

fn writer(name: &str) -> Pod {
    Pod::new(name).app("main", &format!("{SEQ} 1 {LINES}"))
}

fn expect_lines(log: &str, first: u32, last: u32) -> Result<()> {
    ensure!(log.ends_with('\n'), "the last line is torn");
    let mut lines = log.lines();
    for number in first..=last {
        let line = lines.next().with_context(|| format!("the log ends before line {number}"))?;
        ensure!(
            line == format!("line-{number} xxxxxxxxxxxxxxxxxxxx"),
            "{line:?} came where {number} was due"
        );
    }
    ensure!(lines.next().is_none(), "there is more than was written");
    Ok(())
}

/// Of its container's log, with their sizes.
fn files(bed: &Bed, pod: &str) -> Result<Vec<(PathBuf, u64)>> {
    let prefix = format!("default_{pod}_");
    let mut pods = fs::read_dir(bed.pod_logs())?.flatten();
    let dir = pods.find(|dir| dir.file_name().to_string_lossy().starts_with(&prefix));
    let dir = dir.context("no log directory")?.path().join("main");
    fs::read_dir(dir)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.path(), entry.metadata()?.len()))
        })
        .collect()
}

/// As the node says it of itself.
fn expect_configured(pods: &Pods<'_>, size: &str, files: u32) -> Result<()> {
    let node = pods.get("/api/v1/nodes")?["items"][0]["metadata"]["name"].take();
    let node = node.as_str().context("a node has no name")?;
    let config = pods.get(&format!("/api/v1/nodes/{node}/proxy/configz"))?;
    let found = &config["kubeletconfig"];
    let [found_size, found_files] = ["containerLogMaxSize", "containerLogMaxFiles"].map(|key| &found[key]);
    ensure!(*found_size == json!(size) && *found_files == json!(files), "{config:#}");
    Ok(())
}
