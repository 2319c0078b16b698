//! Ctrl-C stops in order; a second one forces.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::outcome::skip;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    stops_every_pod,
    second_one_forces,
    grace_period_then_kill,
    sigterm_stops_as_well,
    during_start,
    nohup_outlives_its_terminal,
    started_with_signals_ignored_and_blocked,
    a_hanging_shim_does_not_hold_up_a_forced_stop,
    output_pipe_closed,
];

const STUBBORN: &str = "trap 'say term' TERM; say start; while :; do sleep 1000000 & wait $!; done";

fn stops_every_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    let one = bed.manifest(&Pod::new("one").sidecar("one-side", "serve").app("one-main", "serve"))?;
    let two = bed.manifest(&Pod::new("two").app("two-main", "serve"))?;
    let engine = bed.start(bed.run_command().arg(one).arg(two))?;
    for name in ["one-main", "two-main"] {
        bed.trace.wait(&format!("{name} start"), SOON)?;
    }
    bed.interrupt(engine)?.expect_code(0)?;
    bed.trace.expect_order(&["one-main stop", "one-side stop"])?;
    bed.trace.expect_order(&["two-main stop"])
}

fn second_one_forces(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("forced").spec(&json!({"terminationGracePeriodSeconds": 600})).app("main", STUBBORN);
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    engine.signal(Signal::INT)?;
    bed.trace.wait("main term", SOON)?;
    let forced = Instant::now();
    engine.signal(Signal::INT)?;
    engine.wait(SOON)?;
    ensure!(
        forced.elapsed() < Duration::from_secs(10),
        "took {:?} after the second Ctrl-C",
        forced.elapsed()
    );
    Ok(())
}

fn grace_period_then_kill(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("grace").spec(&json!({"terminationGracePeriodSeconds": 3})).app("main", STUBBORN);
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    let asked = Instant::now();
    bed.interrupt(engine)?.expect_code(0)?.expect_line(&["main", "137"])?;
    let took = asked.elapsed();
    ensure!((Duration::from_millis(2900)..Duration::from_secs(10)).contains(&took), "took {took:?}");
    Ok(())
}

fn sigterm_stops_as_well(bed: &Bed) -> Result<()> {
    require_root()?;
    let engine = bed.start_pod(&Pod::new("term").sidecar("side", "serve").app("main", "serve"))?;
    bed.trace.wait("main start", SOON)?;
    bed.trace.wait("side start", SOON)?;
    engine.signal(Signal::TERM)?;
    engine.wait(SOON)?;
    bed.trace.expect_order(&["main stop", "side stop"])
}

/// At many moments of the start: whatever was made is removed.
fn during_start(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("early")
        .init("one", "true")
        .sidecar("side", "trap 'exit 0' TERM; sleep 1000 & wait")
        .init("two", "sleep 0.2")
        .app("main", "trap 'exit 0' TERM; sleep 1000 & wait");
    // First close together, while the engine itself starts and takes the pod.
    let moments_ms = (0..24_u64).map(|step| step * 6).chain((5..12).map(|step| step * 30));
    for moment_ms in moments_ms {
        let engine = bed.start_pod(&pod)?;
        std::thread::sleep(Duration::from_millis(moment_ms));
        engine.signal(Signal::INT)?;
        let finished = engine.wait(SOON)?;
        ensure!(!finished.stderr.contains("error:"), "after {moment_ms} ms: {}", finished.stderr);
        bed.expect_settled().with_context(|| format!("after {moment_ms} ms"))?;
    }
    Ok(())
}

fn nohup_outlives_its_terminal(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&Pod::new("nohup").app("main", "serve"))?;
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(bed.program());
    let engine = bed.start(command.arg("--root").arg(bed.root()).arg("run").arg(manifest))?;
    bed.trace.wait("main start", SOON)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", engine.pid()?.as_raw_nonzero()))?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    let ignored = u64::from_str_radix(ignored.trim(), 16)?;
    ensure!(ignored & 1 == 1, "SIGHUP is not ignored: {ignored:x}");
    bed.interrupt(engine)?.expect_code(0)?;
    Ok(())
}

/// As some supervisors start programs: the ends of containers have to be noticed all the same.
fn started_with_signals_ignored_and_blocked(bed: &Bed) -> Result<()> {
    require_root()?;
    if !Path::new("/usr/bin/perl").exists() {
        return skip("needs perl to start a program with blocked signals");
    }
    let manifest = bed.manifest(&Pod::new("blocked").app("one", "say ended").app("two", "serve"))?;
    let script = "use POSIX; $SIG{CHLD} = 'IGNORE';
        sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGINT, SIGTERM, SIGCHLD)); exec @ARGV";
    let mut command = Command::new("perl");
    command.args(["-e", script]).arg(bed.program()).arg("--root").arg(bed.root());
    let mut engine = bed.start(command.arg("run").arg(manifest))?;
    engine.wait_output("* completed", SOON)?;
    bed.trace.wait("two start", SOON)?;
    bed.interrupt(engine)?.expect_code(0)?;
    bed.trace.expect_order(&["two start", "two stop"])
}

/// The last resort does not depend on the shim.
fn a_hanging_shim_does_not_hold_up_a_forced_stop(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut engine = bed.start_pod(&Pod::new("hang").sidecar("side", "serve").app("main", "serve"))?;
    bed.trace.wait("main start", SOON)?;
    let shim = bed.shim_pid()?;
    kill_process(shim, Signal::STOP)?;
    engine.signal(Signal::INT)?;
    engine.wait_output("* stopping", SOON)?;
    engine.signal(Signal::INT)?;
    engine.wait(SOON)?.expect_code(0)?.expect_output("killing the pod's shim")?;
    Ok(())
}

/// `monopod run ... | head -1`: the reader goes away, the pod is stopped, nothing panics.
fn output_pipe_closed(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(
        &Pod::new("pipe")
            .app("main", "trap 'say stop; exit 0' TERM; say start; while :; do echo tick; sleep 0.05; done"),
    )?;
    let script = format!(
        "{} --root {} run {} | head -n 3; exit 0",
        bed.program().display(),
        bed.root().display(),
        manifest.display()
    );
    let finished = bed.finish(Command::new("sh").arg("-c").arg(script))?;
    finished.expect_no_output("panicked")?;
    Ok(())
}
