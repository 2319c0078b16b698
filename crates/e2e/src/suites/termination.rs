//! What ends a pod, and what its end says: exit codes of sidecars, deadlines, force, and what goes on meanwhile.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::history::now_s;
use crate::lasting::condition;
use crate::pod::{Pod, both, exec, hooks, probe};
use crate::pods::{Pods, expect_exit, expect_restarts};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::suites::startup_order::under;

pub(crate) const TESTS: &[Test] = tests![
    exit_codes_of_sidecars_do_not_count,
    a_deadline_stops_in_order,
    a_forced_deletion_is_at_once,
    a_shorter_grace_takes_over,
    probes_and_restarts_while_it_ends,
];

const STUBBORN: &str = "trap 'mark term' TERM; mark start; while :; do mark tick; sleep 0.1 & wait $!; done";

/// A pod has succeeded though sidecars failed: by themselves, in their hook, or because they had to be killed. Until the
/// last of them has ended, it runs.
fn exit_codes_of_sidecars_do_not_count(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let fails = hooks(&[("preStop", exec("mark hook; exit 1"))]);
    let until = "mark start; told go; mark end";
    for policy in ["Never", "OnFailure"] {
        let spec = json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 3});
        pods.create(
            &Pod::new(&under(policy, "code"))
                .spec(&spec)
                .sidecar("s1", "live 7")
                .sidecar("s2", "live")
                .app("main", until),
        )?;
        pods.create(
            &Pod::new(&under(policy, "hook"))
                .spec(&spec)
                .sidecar_with("s1", "live", &fails)
                .app("main", until),
        )?;
        pods.create(
            &Pod::new(&under(policy, "killed")).spec(&spec).sidecar("s1", STUBBORN).app("main", until),
        )?;
    }
    pods.create(
        &Pod::new("failed")
            .sidecar("s1", "live")
            .app("main", "mark start; told go; mark end; exit 3")
            .app("other", until),
    )?;
    let names: Vec<String> = ["Never", "OnFailure"]
        .iter()
        .flat_map(|policy| ["code", "hook", "killed"].map(|name| under(policy, name)))
        .collect();
    for name in names.iter().map(String::as_str).chain(["failed"]) {
        pods.wait_ready(name)?;
        pods.wait_mark(name, "s1 start")?;
        pods.tell(name, "go")?;
    }
    let killed = under("Never", "killed");
    pods.wait_mark(&killed, "s1 term")?;
    let status = pods.status(&killed)?;
    ensure!(status["phase"] == "Running", "it has ended before its sidecar: {status:#}");
    for name in &names {
        let status = pods.wait_phase(name, "Succeeded")?;
        expect_exit(&status, "main", 0, "Completed")?;
        let code = match name.split('-').next() {
            Some("code") => 7,
            Some("killed") => 137,
            _ => 0,
        };
        expect_exit(&status, "s1", code, if code == 0 { "Completed" } else { "Error" })?;
        expect_restarts(&status, "s1", 0)?;
        ensure!(condition(&status, "Ready") == "False", "{status:#}");
        let initialized = status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|found| found["type"] == "Initialized");
        ensure!(initialized.is_some_and(|found| found["reason"] == "PodCompleted"), "{status:#}");
    }
    pods.wait_event(&under("Never", "hook"), "FailedPreStopHook ")?;
    let status = pods.wait_phase("failed", "Failed")?;
    expect_exit(&status, "s1", 0, "Completed")?;
    pods.history("failed").expect_order(&["main end", "s1 stop"])?;
    pods.finish()
}

/// Hooks run, sidecars end last, and the time counts from the pod's start.
fn a_deadline_stops_in_order(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hook = hooks(&[("preStop", exec("mark hook; sleep 0.3; mark hook-end"))]);
    let spec = json!({"activeDeadlineSeconds": 8, "restartPolicy": "Always"});
    let asked_s = now_s()?;
    pods.create(
        &Pod::new("runs")
            .spec(&spec)
            .sidecar("s1", "live")
            .sidecar("s2", "live")
            .app_with("main", "live", &hook),
    )?;
    pods.create(
        &Pod::new("waits").spec(&spec).sidecar("s1", "live").init("init", "live").app("main", "live"),
    )?;
    for name in ["runs", "waits"] {
        let status = pods.wait_phase(name, "Failed")?;
        ensure!(
            status["reason"] == "DeadlineExceeded"
                && status["message"] == "Pod was active on the node longer than the specified deadline",
            "{status:#}"
        );
        pods.wait_event(
            name,
            "DeadlineExceeded Pod was active on the node longer than the specified deadline",
        )?;
    }
    pods.wait_ended("runs")?;
    pods.wait_ended("waits")?;
    let history = pods.history("runs");
    history.expect_order(&["main start", "main hook", "main hook-end", "main stop", "s2 stop", "s1 stop"])?;
    let told = history.at("main hook")? - asked_s;
    ensure!((7.9..14.0).contains(&told), "told after {told:.2} s\n{history}");
    pods.history("waits").expect_order(&["init start", "init stop"])?;
    pods.history("waits").expect_order(&["s1 start", "s1 stop"])?;
    pods.history("waits").expect_absent("main start")?;
    pods.finish()
}

/// The object is gone with the answer, the containers within a second of grace and their floor of two.
fn a_forced_deletion_is_at_once(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let spec = json!({"terminationGracePeriodSeconds": 600});
    let hook = hooks(&[("preStop", exec("mark hook; sleep 1000"))]);
    pods.create(
        &Pod::new("stubborn").spec(&spec).sidecar("side", STUBBORN).app_with("main", STUBBORN, &hook),
    )?;
    pods.create(&Pod::new("polite").spec(&spec).sidecar("side", "live").app("main", "live"))?;
    pods.create(&Pod::new("starting").spec(&spec).init("init", STUBBORN).app("main", "live"))?;
    pods.wait_ready("stubborn")?;
    pods.wait_ready("polite")?;
    for (name, mark) in [
        ("stubborn", "side tick"),
        ("stubborn", "main tick"),
        ("polite", "side start"),
        ("polite", "main start"),
        ("starting", "init tick"),
    ] {
        pods.wait_mark(name, mark)?;
    }
    let asked_s = now_s()?;
    for name in ["stubborn", "polite", "starting"] {
        pods.delete(name, Some(0))?;
        ensure!(pods.find(name)?.is_none(), "{name} is still there");
    }
    bed.expect_no_pods(SOON)?;
    let took = now_s()? - asked_s;
    ensure!(took < 10.0, "all containers were gone after {took:.2} s");
    for (name, tick) in [("stubborn", "main tick"), ("stubborn", "side tick"), ("starting", "init tick")] {
        let history = pods.history(name);
        let lived = history.last(tick)? - asked_s;
        ensure!(lived < 3.0 + 2.0, "{tick} after {lived:.2} s\n{history}");
    }
    pods.history("polite").expect_order(&["main stop", "side stop"])?;
    // The name is free at once.
    pods.create(&Pod::new("polite").app("main", "live"))?;
    pods.wait_ready("polite")?;
    pods.finish()
}

/// A second deletion can only shorten the grace.
fn a_shorter_grace_takes_over(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    for name in ["shorter", "longer"] {
        pods.create(&Pod::new(name).kept().app("main", STUBBORN))?;
        pods.wait_ready(name)?;
        pods.wait_mark(name, "main tick")?;
    }
    let asked_s = now_s()?;
    pods.delete("shorter", Some(600))?;
    pods.delete("longer", Some(4))?;
    pods.wait_mark("shorter", "main term")?;
    pods.delete("shorter", Some(3))?;
    pods.delete("longer", Some(600))?;
    for (name, least, most) in [("shorter", 2.8, 8.0), ("longer", 3.8, 8.0)] {
        let status = pods.wait_ended(name)?;
        expect_exit(&status, "main", 137, "Error")?;
        let history = pods.history(name);
        let lived = history.last("main tick")? - asked_s;
        ensure!((least..most).contains(&lived), "{name} lived {lived:.2} s\n{history}");
        history.expect_count("main term", 1)?;
    }
    pods.finish()
}

/// While hooks run, readiness is still asked for; liveness and startup are not, and nothing is restarted.
fn probes_and_restarts_while_it_ends(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hook = hooks(&[("preStop", exec("mark hook; sleep 3.5; mark hook-end"))]);
    let asks = |kind: &str| probe(kind, &exec(&format!("mark {kind}; ! marked '[a-z]* hook' 1")), &json!({}));
    let all = both(&both(&asks("livenessProbe"), &asks("readinessProbe")), &hook);
    let spec = json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30});
    let dies = "mark start; until marked 'main hook' 1; do sleep 0.1; done; mark end; exit 1";
    pods.create(
        &Pod::new("ends")
            .kept()
            .spec(&spec)
            .sidecar_with("side", "live", &all)
            .sidecar("dies", dies)
            .app_with("main", "live", &all)
            .app("dies-too", dies),
    )?;
    // One whose sidecar has not started when it ends.
    let never = probe("startupProbe", &exec("mark startupProbe; false"), &json!({"failureThreshold": 4}));
    pods.create(
        &Pod::new("starts")
            .spec(&spec)
            .sidecar_with("side", "live", &both(&never, &hook))
            .app("main", "live"),
    )?;
    pods.wait_ready("ends")?;
    for probe in ["side livenessProbe", "main livenessProbe", "side readinessProbe", "main readinessProbe"] {
        pods.wait_mark("ends", probe)?;
    }
    pods.wait_mark("starts", "side startupProbe")?;
    pods.delete("ends", None)?;
    pods.delete("starts", None)?;
    pods.wait_mark("ends", "main hook")?;
    pods.wait("ends", "not ready", |status| condition(status, "Ready") == "False")?;
    let status = pods.wait_ended("ends")?;
    let history = pods.history("ends");
    let after = |history: &crate::history::History, line: &str, from: &str| -> Result<usize> {
        let from = history.at(from)?;
        Ok(history.0.iter().filter(|mark| mark.line == line && mark.at_s > from).count())
    };
    for name in ["side", "main"] {
        let hook = format!("{name} hook");
        // One may have been under way.
        let liveness = after(&history, &format!("{name} livenessProbe"), &hook)?;
        ensure!(liveness <= 1, "{name} was asked {liveness} times whether it lives\n{history}");
        let readiness = after(&history, &format!("{name} readinessProbe"), &hook)?;
        ensure!(readiness >= 2, "{name} was asked {readiness} times whether it is ready\n{history}");
        history.expect_count(&hook, 1)?;
    }
    for name in ["side", "main", "dies", "dies-too"] {
        history.expect_count(&format!("{name} start"), 1)?;
        expect_restarts(&status, name, 0)?;
    }
    pods.wait_gone("starts")?;
    let history = pods.history("starts");
    ensure!(after(&history, "side startupProbe", "side hook")? <= 1, "{history}");
    history.expect_count("side start", 1)?;
    history.expect_count("side hook", 1)?;
    let reasons: Vec<Value> = pods.events("ends")?.into_iter().map(Value::from).collect();
    let restarted =
        reasons.iter().filter_map(Value::as_str).any(|event| event.contains("failed liveness probe"));
    ensure!(!restarted, "{reasons:#?}");
    pods.finish()
}
