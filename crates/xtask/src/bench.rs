//! Measuring: the release binary and, built the same way, the program that measures it.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::counts::Counts;
use crate::dist;
use crate::shell::{apt_get, is_root, output, run, run_tests, workspace_root};

const NEEDS_ROOT: &str = "needs root, as monopod does";
const INSTALL_PEERS: &str = "--install-peers";
const REPORT: &str = "--report";
/// Where the last report is, from the workspace.
const REPORT_DIR: &str = "docs/benchmarks";
/// Podman with the parts that its default network and its pods need, and skopeo, by their names in Debian.
const PEERS: [&str; 8] =
    ["podman", "netavark", "aardvark-dns", "crun", "conmon", "catatonit", "iptables", "skopeo"];

/// `flags` are those of the program, but [`INSTALL_PEERS`] and [`REPORT`], which says here where to.
pub(crate) fn measure(flags: &[&str]) -> Result<()> {
    if !is_root()? {
        bail!("bench {NEEDS_ROOT}");
    }
    let (ours, flags): (Vec<&str>, Vec<&str>) =
        flags.iter().partition(|flag| [INSTALL_PEERS, REPORT].contains(flag));
    if ours.contains(&INSTALL_PEERS) {
        apt_get("update", &[])?;
        apt_get("install", &PEERS)?;
    }
    let mut bench = program()?;
    bench.args(flags);
    if ours.contains(&REPORT) {
        bench.arg(REPORT).arg(workspace_root().join(REPORT_DIR));
    }
    run(&mut bench)
}

/// The program that measures, and what it measures.
fn program() -> Result<Command> {
    let monopod = dist::build()?;
    let mut bench = Command::new(dist::build_package("bench")?);
    bench.arg(monopod).args(["--commit", &commit()]);
    Ok(bench)
}

/// What is checked out, and whether that is what was built. A report from before changes nothing.
fn commit() -> String {
    let git = |args: &[&str]| {
        output(Command::new("git").current_dir(workspace_root()).args(args).stdin(Stdio::null()))
    };
    let exclude = format!(":!{REPORT_DIR}");
    let found = git(&["rev-parse", "--short=12", "HEAD"])
        .and_then(|commit| Ok((commit, git(&["status", "--porcelain", "--", ".", &exclude])?)));
    match found {
        Ok((commit, changes)) if changes.trim().is_empty() => commit.trim().to_owned(),
        Ok((commit, _)) => format!("{} and changes", commit.trim()),
        Err(_) => "unknown".to_owned(),
    }
}

/// That it works at all: figures of a machine that does other things too mean nothing.
pub(crate) fn works() -> Result<Counts> {
    if !is_root()? {
        println!("Skipped({NEEDS_ROOT})  bench");
        return Ok(Counts { skipped: 1, ..Counts::default() });
    }
    let mut counts = run_tests(program()?.arg("--quick"))?;
    counts.passed += u32::from(counts.failed == 0);
    Ok(counts)
}
