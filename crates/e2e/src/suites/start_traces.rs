//! `--trace-start`: what it tells of starts is all of them, and adds up.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    every_action_for_people,
    every_action_adds_up,
    an_applied_pod_is_created_first,
    without_the_flag_nothing
];

/// What is told is in whole microseconds.
const ROUNDING_MS: f64 = 0.002;

fn pod(name: &str) -> Pod {
    Pod::new(name).init("setup", "true").sidecar("side", "serve").app("main", "say start")
}

fn every_action_for_people(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&pod("people"))?;
    let finished = bed.start(bed.run_command().arg("--trace-start").arg(manifest))?.wait(SOON)?;
    finished.expect_code(0)?;
    finished.expect_line(&["start of the engine: ", " ms"])?;
    finished.expect_line(&[
        "start of pod default/people: ",
        " ms from its creation until its last container ran",
    ])?;
    for step in [
        "create",
        "schedule",
        "begin",
        "SetUpVolumes",
        "CreateSandbox",
        "EnsureImage setup",
        "EnsureImage main",
    ] {
        finished.expect_line(&[&format!("  {step}")])?;
    }
    for container in ["setup", "side", "main"] {
        finished.expect_line(&[&format!("  StartContainer {container}")])?;
    }
    // What takes less than can be seen is not shown, and which of them that is a busy machine decides.
    let of_shim = ["make cgroup ", "directories ", "seccomp ", "execve "];
    ensure!(
        of_shim.iter().any(|step| finished.stderr.contains(step)),
        "no step of a shim: {}",
        finished.stderr
    );
    Ok(())
}

fn every_action_adds_up(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&pod("machines"))?;
    let mut command = bed.run_command();
    command.args(["--trace-start", "--log-format", "json"]).arg(manifest);
    let finished = bed.start(&mut command)?.wait(SOON)?;
    finished.expect_code(0)?;
    let reports = finished.stderr.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    let reports = reports.context("a line on standard error is not JSON")?;
    let of = |kind: &str| reports.iter().find(|report| report["type"] == "start" && report["of"] == kind);
    let engine = of("engine").context("the engine's start is not told")?;
    ensure!(!steps(engine).is_empty(), "the engine's start has no steps: {engine}");
    // An engine writes side by side what every cluster has.
    steps(engine).iter().try_for_each(|step| is_within(step).map(drop))?;
    let pod = of("pod").context("the pod's start is not told")?;
    ensure!(pod["pod"] == "default/machines" && pod["complete"] == true, "of another pod: {pod}");
    steps(pod).iter().try_for_each(adds_up)?;
    // One after the other, since each container waits for the one before; the scheduler goes on to tell of what it did.
    let names = ["create", "SetUpVolumes", "CreateSandbox", "StartContainer"];
    let sequence = steps(pod).iter().filter(|step| names.iter().any(|name| step["step"] == *name));
    let mut whole = 0.0;
    let mut reached = 0.0;
    let mut started = Vec::new();
    for step in sequence {
        ensure!(
            number(step, "at_ms")? >= reached - ROUNDING_MS,
            "begins before the one before it ended: {step}"
        );
        reached = number(step, "at_ms")? + number(step, "ms")?;
        whole += number(step, "ms")?;
        started.extend(step["container"].as_str());
    }
    ensure!(started == ["setup", "side", "main"], "started {started:?}");
    let told = number(pod, "ms")?;
    ensure!(
        reached <= told + ROUNDING_MS && whole <= told,
        "{whole} ms, up to {reached}, are more than {told}: {pod}"
    );
    Ok(())
}

/// A server-side apply is a patch.
fn an_applied_pod_is_created_first(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut cluster = Cluster::start_bare_with(bed, &["--trace-start", "--log-format", "json"])?;
    let mut apply = Command::new(bed.program());
    apply.arg("--root").arg(bed.root()).args(["apply", "--wait=started", "-f"]);
    apply.arg(bed.manifest(&pod("applied"))?).stdin(Stdio::null());
    bed.finish(&mut apply)?.expect_code(0)?;
    let told = cluster.stop()?.stderr;
    let mut reports = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let start = reports.find(|report| report["pod"] == "default/applied");
    let start = start.with_context(|| format!("the pod's start is not told:\n{told}"))?;
    ensure!(start["steps"][0]["step"] == "create", "it begins with something else: {start}");
    Ok(())
}

fn without_the_flag_nothing(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&pod("silent"))?;
    let finished = bed.start(bed.run_command().arg("-vv").arg(manifest))?.wait(SOON)?;
    finished.expect_code(0)?.expect_no_output("start of")?.expect_no_output("SetUpVolumes{")?;
    Ok(())
}

fn steps(of: &Value) -> &[Value] {
    of["steps"].as_array().map_or(&[], Vec::as_slice)
}

fn number(of: &Value, name: &str) -> Result<f64> {
    of[name].as_f64().with_context(|| format!("no {name} in {of}"))
}

/// What a step of a pod is made of lies within it and does not take longer, since nothing of it is done side by side.
fn adds_up(step: &Value) -> Result<()> {
    let parts = is_within(step)?;
    let sum: f64 = parts.iter().map(|part| number(part, "ms")).sum::<Result<_>>()?;
    ensure!(sum <= number(step, "ms")? + ROUNDING_MS, "the parts take {sum} ms: {step}");
    parts.iter().try_for_each(adds_up)
}

/// The parts of a step, all of which lie within it.
fn is_within(step: &Value) -> Result<&[Value]> {
    let (at, took) = (number(step, "at_ms")?, number(step, "ms")?);
    ensure!(at >= 0.0 && took >= 0.0, "{step}");
    for part in steps(step) {
        let (part_at, part_took) = (number(part, "at_ms")?, number(part, "ms")?);
        let within = part_at >= at - ROUNDING_MS && part_at + part_took <= at + took + ROUNDING_MS;
        ensure!(within, "{part} is not within {step}");
        is_within(part)?;
    }
    Ok(steps(step))
}
