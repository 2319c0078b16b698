//! Restart policies, rules, and the backoff between restarts.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::history::History;
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    never_leaves_it,
    on_failure_restarts_until_zero,
    always_restarts_a_success,
    crash_loop_backs_off,
    a_run_for_development_waits_less,
    container_policy_overrides_the_pods,
    rule_restarts_on_its_exit_code,
    deadline_ends_the_pod,
    a_dead_shim_is_a_lost_sandbox,
];

fn never_leaves_it(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("never").app("main", "say start; exit 3").app("other", "say start");
    bed.run_pod(&pod)?
        .expect_code(1)?
        .expect_line(&["main", "Error", "3"])?
        .expect_line(&["other", "Completed"])?;
    ensure!(bed.trace.count("main start") == 1, "restarted");
    Ok(())
}

fn on_failure_restarts_until_zero(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("on-failure")
        .spec(&json!({"restartPolicy": "OnFailure"}))
        .app("main", "say start; [ $(grep -c '^main start' /trace/log) -ge 2 ]");
    bed.run_pod(&pod)?.expect_code(0)?;
    ensure!(bed.trace.count("main start") == 2, "started {} times", bed.trace.count("main start"));
    Ok(())
}

fn always_restarts_a_success(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("always")
        .spec(&json!({"restartPolicy": "Always"}))
        .app("main", "say start; [ $(grep -c '^main start' /trace/log) -ge 2 ] && serve; exit 0");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait_count("main start", 3, SOON)?;
    bed.interrupt(engine)?.expect_code(0)?;
    bed.trace.expect_order(&["main start", "main start", "main stop"])
}

/// The first restart is at once, the second after 10 s.
fn crash_loop_backs_off(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("loop")
        .spec(&json!({"restartPolicy": "Always"}))
        .app("main", "say start $(date +%s%N | cut -c1-13); exit 1");
    let mut engine = bed.start_pod(&pod)?;
    engine.wait_output("CrashLoopBackOff", SOON)?;
    let starts = || -> Vec<u64> {
        bed.trace.lines().iter().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    };
    crate::wait::until("a third start", SOON, || (starts().len() >= 3).then_some(()))?;
    let times = starts();
    ensure!(times[1] - times[0] < 3000, "the first restart came after {} ms", times[1] - times[0]);
    let second = times[2] - times[1];
    ensure!((9_500..15_000).contains(&second), "the second restart came after {second} ms");
    bed.interrupt(engine)?.expect_code(0)?;
    Ok(())
}

fn a_run_for_development_waits_less(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("loop").spec(&json!({"restartPolicy": "Always"})).app(
        "main",
        "trap 'exit 0' TERM; mark start; marked 'main start' 4 && sleep 1000000 & wait $!; mark end; exit 1",
    );
    let engine = bed.start(bed.run_command().arg("--dev").arg(bed.manifest(&pod)?))?;
    let read = || History::read(&bed.dir().join("trace"), "loop");
    crate::wait::until("a fourth start", SOON, || (read().count("main start") == 4).then_some(()))?;
    for (n, due_s) in [(1, 0.0), (2, 1.0), (3, 2.0)] {
        let waited = read().nth("main start", n)? - read().nth("main end", n - 1)?;
        ensure!((due_s - 0.02..due_s + 3.0).contains(&waited), "restart {n} came after {waited:.2} s");
    }
    bed.interrupt(engine)?.expect_code(0)?;
    Ok(())
}

fn container_policy_overrides_the_pods(bed: &Bed) -> Result<()> {
    require_root()?;
    let retry = json!({"restartPolicy": "OnFailure"});
    let pod = Pod::new("own-policy")
        .app_with("retried", "say start; [ $(grep -c '^retried start' /trace/log) -ge 2 ]", &retry)
        .app("left", "say start");
    bed.run_pod(&pod)?.expect_code(0)?;
    ensure!(
        bed.trace.count("retried start") == 2 && bed.trace.count("left start") == 1,
        "{:?}",
        bed.trace.lines()
    );
    Ok(())
}

fn rule_restarts_on_its_exit_code(bed: &Bed) -> Result<()> {
    require_root()?;
    let rules = json!({"restartPolicy": "Never", "restartPolicyRules": [
        {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]});
    let pod = Pod::new("rules").app_with(
        "main",
        "say start; [ $(grep -c '^main start' /trace/log) -ge 2 ] && exit 3; exit 42",
        &rules,
    );
    bed.run_pod(&pod)?.expect_code(1)?;
    ensure!(bed.trace.count("main start") == 2, "{:?}", bed.trace.lines());
    Ok(())
}

fn deadline_ends_the_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("deadline").spec(&json!({"activeDeadlineSeconds": 5})).app("main", "serve");
    let finished = bed.run_pod(&pod)?;
    finished.expect_code(1)?.expect_output("DeadlineExceeded")?;
    ensure!(finished.elapsed >= Duration::from_secs(5), "ended after {:?}", finished.elapsed);
    bed.trace.expect_order(&["main start", "main stop"])
}

/// The pod gets a new sandbox and initialises again; its volumes stay.
fn a_dead_shim_is_a_lost_sandbox(bed: &Bed) -> Result<()> {
    require_root()?;
    let keeps = json!({"volumeMounts": [mount("kept", "/kept")]});
    let pod = Pod::new("lost")
        .spec(&json!({"restartPolicy": "Always"}))
        .volume(json!({"name": "kept", "emptyDir": {}}))
        .init_with("init", "echo run >> /kept/runs; say run $(wc -l < /kept/runs)", &keeps)
        .sidecar("side", "serve")
        .app("main", "serve");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    let shim = bed.shim_pid()?;
    rustix::process::kill_process(shim, Signal::KILL)?;
    bed.trace.wait_count("main start", 2, SOON)?;
    ensure!(bed.shim_pid()? != shim, "the dead shim is still on record");
    bed.interrupt(engine)?.expect_code(0)?;
    bed.trace.expect_order(&[
        "init run 1",
        "main start",
        "init run 2",
        "side start",
        "main start",
        "main stop",
    ])
}
