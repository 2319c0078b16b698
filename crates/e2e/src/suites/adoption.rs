//! An engine that lasts is killed at a chosen moment, and the next one goes on with every pod.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::lasting::{Lasting, condition, container};
use crate::leaks;
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::{hook, require_root};
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    nothing_changes_for_pods_that_run,
    an_exit_that_nobody_saw,
    an_init_container_that_ended_unseen,
    a_start_that_was_not_answered_and_the_backoff_before_it,
    a_post_start_hook_under_way,
    a_stop_under_way_keeps_its_end_and_its_signal,
    a_pre_stop_hook_under_way,
    a_pod_that_is_half_removed,
    pods_at_rest_stay_at_rest,
];

/// Everything a pod can have: the status, the processes and the logs are as if nothing had been.
fn nothing_changes_for_pods_that_run(bed: &Bed) -> Result<()> {
    require_root()?;
    let disk = json!({"volumeMounts": [mount("disk", "/disk"), mount("memory", "/memory")]});
    let probe =
        json!({"startupProbe": {"exec": {"command": ["test", "-e", "/disk/init"]}, "periodSeconds": 1}});
    let full = Pod::new("full")
        .spec(&json!({"restartPolicy": "Always", "shareProcessNamespace": true}))
        .volume(json!({"name": "disk", "emptyDir": {}}))
        .volume(json!({"name": "memory", "emptyDir": {"medium": "Memory"}}))
        .init_with("init", "say start; echo x > /disk/init", &disk)
        .sidecar_with("one", "serve", &merged(&disk, &probe))
        .sidecar("two", "serve")
        .app_with("main", "echo y > /memory/file; serve", &merged(&disk, &hook("postStart", "true")));
    let host = Pod::new("host").spec(&json!({"hostNetwork": true})).app("host-main", "serve");
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&full)?;
    lasting.add(&host)?;
    let before = [lasting.wait_ready("full")?, lasting.wait_ready("host")?];
    let uids = bed.uids();
    // Each container is a shell and what it waits for.
    let found = wait_processes(&uids, 4 * 2)?;
    lasting.add(&Pod::new("counting").app("counter", COUNT))?;
    lasting.wait_ready("counting")?;
    for _ in 0..5 {
        lasting.kill_and_start_again()?;
        let after = [lasting.wait_ready("full")?, lasting.wait_ready("host")?];
        ensure!(before == after, "{before:#?}\nbecame\n{after:#?}");
    }
    ensure!(processes(&uids) == found, "other processes run");
    ensure!(bed.trace.count("init start") == 1 && bed.trace.count("main start") == 1, "started again");
    expect_counted(&bed.pod_log("counting", "counter", 0)?)?;
    lasting.end(&["full", "host", "counting"])?;
    ensure!(bed.trace.count("main stop") == 1 && bed.trace.count("two stop") == 1, "{:?}", bed.trace.lines());
    Ok(())
}

/// Its code, its times and its restart are as they would have been, and the log of each attempt is whole.
fn an_exit_that_nobody_saw(bed: &Bed) -> Result<()> {
    require_root()?;
    let script = "say start; while [ ! -e /trace/go ]; do sleep 0.01; done; [ -e /trace/gone ] && serve; \
                  echo > /trace/gone; say exit; echo last words; exit 3";
    let pod = Pod::new("unseen")
        .spec(&json!({"restartPolicy": "OnFailure"}))
        .app("main", script)
        .app("other", "serve");
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod)?;
    let before = lasting.wait_ready("unseen")?;
    lasting.kill()?;
    fs::write(bed.dir().join("trace/go"), "")?;
    bed.trace.wait("main exit", SOON)?;
    let shims_record = bed.attempt_record("main", 0)?;
    wait::until("the exit on record", SOON, || {
        (!bed.attempt_record("main", 0).ok()?["exit"].is_null()).then_some(())
    })?;
    lasting.again()?;
    let after = lasting.wait_status("unseen", "restarted", |status| {
        container(status, "main")["restartCount"] == 1 && condition(status, "Ready") == "True"
    })?;
    let (old, new) = (container(&before, "main"), container(&after, "main"));
    let ended = &new["lastState"]["terminated"];
    ensure!(ended["exitCode"] == 3 && ended["reason"] == "Error", "{new}");
    ensure!(ended["startedAt"] == old["state"]["running"]["startedAt"], "{old} {new}");
    ensure!(old["containerID"] == format!("monopod://{}", shims_record["id"].as_str().unwrap_or_default()));
    ensure!(container(&before, "other") == container(&after, "other"), "{before:#} {after:#}");
    ensure!(bed.pod_log("unseen", "main", 0)?.contains("last words"), "its log is not whole");
    lasting.end(&["unseen"])
}

fn an_init_container_that_ended_unseen(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("init")
        .sidecar("side", "serve")
        .init("first", "say start; while [ ! -e /trace/go ]; do sleep 0.01; done; say end")
        .init("second", "say start")
        .app("main", "serve");
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod)?;
    bed.trace.wait("first start", SOON)?;
    lasting.kill()?;
    fs::write(bed.dir().join("trace/go"), "")?;
    bed.trace.wait("first end", SOON)?;
    lasting.again()?;
    let status = lasting.wait_ready("init")?;
    for name in ["side", "first", "second", "main"] {
        ensure!(container(&status, name)["restartCount"] == 0, "{status:#}");
        ensure!(bed.trace.count(&format!("{name} start")) == 1, "{:?}", bed.trace.lines());
    }
    lasting.end(&["init"])
}

/// The shim stands still while the next attempt is asked for, so its answer comes when its engine is dead. Before
/// that an engine is killed within the backoff, which goes on where it was.
fn a_start_that_was_not_answered_and_the_backoff_before_it(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("loop")
        .spec(&json!({"restartPolicy": "Always"}))
        .app("main", "say try; [ $(grep -c '^main try' /trace/log) -ge 3 ] && serve; exit 4");
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod)?;
    lasting.wait_status("loop", "CrashLoopBackOff", |status| {
        container(status, "main")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    })?;
    let before = bed.checkpoint()?["containers"]["main"].clone();
    ensure!(before["backoff"]["delay"]["secs"] == 10, "{before}");
    lasting.kill_and_start_again()?;
    let status = lasting.wait_status("loop", "a status", |_| true)?;
    ensure!(container(&status, "main")["state"]["waiting"]["reason"] == "CrashLoopBackOff", "{status:#}");
    let after = bed.checkpoint()?["containers"]["main"].clone();
    ensure!(before == after, "the backoff has moved: {before} {after}");

    let shim = bed.shim_pid()?;
    rustix::process::kill_process(shim, Signal::STOP)?;
    let asked = r#""StartContainer":{"container":"main","attempt":2"#;
    wait::until("the start to be asked for", SOON, || bed.journal().ok()?.contains(asked).then_some(()))?;
    lasting.kill()?;
    rustix::process::kill_process(shim, Signal::CONT)?;
    lasting.again()?;
    let status = lasting.wait_ready("loop")?;
    ensure!(container(&status, "main")["restartCount"] == 2, "{status:#}");
    ensure!(container(&status, "main")["lastState"]["terminated"]["exitCode"] == 4, "{status:#}");
    ensure!(bed.trace.count("main try") == 3, "{:?}", bed.trace.lines());
    lasting.end(&["loop"])
}

/// It is cut off with its engine and runs again, in the same container.
fn a_post_start_hook_under_way(bed: &Bed) -> Result<()> {
    require_root()?;
    let hooked = hook("postStart", "say start; while [ ! -e /trace/go ]; do sleep 0.01; done; say end");
    let pod = Pod::new("hooked").app_with("main", "serve", &hooked).app("next", "serve");
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod)?;
    bed.trace.wait("hook start", SOON)?;
    lasting.kill_and_start_again()?;
    bed.trace.wait_count("hook start", 2, SOON)?;
    bed.trace.expect_absent("next start")?;
    fs::write(bed.dir().join("trace/go"), "")?;
    let status = lasting.wait_ready("hooked")?;
    ensure!(container(&status, "main")["restartCount"] == 0, "{status:#}");
    ensure!(
        bed.trace.count("main start") == 1 && bed.trace.count("hook end") == 1,
        "{:?}",
        bed.trace.lines()
    );
    lasting.end(&["hooked"])
}

fn a_stop_under_way_keeps_its_end_and_its_signal(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("stubborn")
        .sidecar("side", "serve")
        .app("main", "trap 'say term' TERM; say start; while :; do sleep 1000000 & wait $!; done");
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod)?;
    lasting.wait_ready("stubborn")?;
    lasting.delete("stubborn", 6)?;
    bed.trace.wait("main term", SOON)?;
    let kill_at = bed.checkpoint()?["deletion"]["kill_at"].clone();
    ensure!(kill_at.is_i64(), "no deletion on record");
    for _ in 0..2 {
        lasting.kill_and_start_again()?;
        let status = lasting.wait_status("stubborn", "a status", |_| true)?;
        ensure!(!container(&status, "main")["state"]["running"].is_null(), "{status:#}");
        ensure!(bed.checkpoint()?["deletion"]["kill_at"] == kill_at, "the grace has changed");
    }
    lasting.wait_removed("stubborn")?;
    ensure!(bed.trace.count("main term") == 1, "signalled again: {:?}", bed.trace.lines());
    bed.trace.expect_order(&["main term", "side stop"])
}

fn a_pre_stop_hook_under_way(bed: &Bed) -> Result<()> {
    require_root()?;
    let hooked = hook("preStop", "say start; while [ ! -e /trace/go ]; do sleep 0.01; done; say end");
    let pod = Pod::new("hooked").app_with("main", "serve", &hooked);
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod)?;
    lasting.wait_ready("hooked")?;
    lasting.delete("hooked", 60)?;
    bed.trace.wait("hook start", SOON)?;
    lasting.kill_and_start_again()?;
    bed.trace.wait_count("hook start", 2, SOON)?;
    bed.trace.expect_absent("main stop")?;
    fs::write(bed.dir().join("trace/go"), "")?;
    lasting.wait_removed("hooked")?;
    bed.trace.expect_order(&["hook start", "hook start", "hook end", "main stop"])
}

/// Its own record goes first, so what is left is never taken for a pod that has yet to begin.
fn a_pod_that_is_half_removed(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&Pod::new("done").app("main", "say start"))?;
    lasting.wait_status("done", "Succeeded", |status| status["phase"] == "Succeeded")?;
    wait::until("the end of its sandbox", SOON, || {
        lasting.events().iter().any(|event| event["atRest"] == true).then_some(())
    })?;
    lasting.kill()?;
    fs::remove_file(bed.pod_dir()?.join("pod.json"))?;
    fs::remove_file(bed.pod_dir()?.join("checkpoint.json"))?;
    lasting.again()?;
    ensure!(lasting.events().iter().any(|event| event["event"] == "buried"), "{:?}", lasting.events());
    bed.expect_settled()?;
    ensure!(bed.trace.count("main start") == 1, "it began again");
    Ok(())
}

fn pods_at_rest_stay_at_rest(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&Pod::new("failed").init("init", "say start").app("main", "say start; exit 7"))?;
    let rests = |lasting: &Lasting<'_>| {
        let event = lasting.wait_event("at rest", SOON, |event| event["atRest"] == true)?;
        anyhow::Ok(event["status"].clone())
    };
    let before = rests(&lasting)?;
    ensure!(container(&before, "main")["state"]["terminated"]["exitCode"] == 7, "{before:#}");
    for _ in 0..3 {
        lasting.kill_and_start_again()?;
        let after = rests(&lasting)?;
        ensure!(before == after, "{before:#}\nbecame\n{after:#}");
    }
    ensure!(bed.trace.count("main start") == 1 && bed.trace.count("init start") == 1, "started again");
    lasting.end(&["failed"])
}

/// The processes of the pods' containers.
pub(crate) fn processes(uids: &[String]) -> BTreeSet<String> {
    let groups = leaks::cgroup_values(uids, &["cgroup.procs"]);
    let lines = groups.iter().flat_map(|group| group.split_whitespace().skip(1));
    lines.map(str::to_owned).collect()
}

/// Waits until there are that many.
pub(crate) fn wait_processes(uids: &[String], count: usize) -> Result<BTreeSet<String>> {
    let found = || Some(processes(uids)).filter(|found| found.len() == count);
    wait::until(&format!("{count} processes"), SOON, found).with_context(|| format!("{:?}", processes(uids)))
}

fn merged(one: &Value, other: &Value) -> Value {
    let fields = [one, other].into_iter().filter_map(Value::as_object).flatten();
    Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// A script that writes `line 1`, `line 2` and so on.
pub(crate) const COUNT: &str = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.005; done";

/// Fails unless every line of [`COUNT`] is in the log, once.
pub(crate) fn expect_counted(log: &str) -> Result<()> {
    for (number, line) in (1..).zip(log.lines()) {
        ensure!(line.ends_with(&format!(" stdout F line {number}")), "{line:?} in place of line {number}");
    }
    ensure!(!log.is_empty(), "nothing was written");
    Ok(())
}
