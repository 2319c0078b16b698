//! `kill -9` of a `run`: its shims stop their pods in order and remove everything by themselves.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::history::History;
use crate::pod::{Pod, exec, hooks};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    while_running,
    while_stopping,
    while_an_init_container_runs,
    several_pods,
    with_a_stubborn_container,
    with_shared_pids,
    the_next_run_sweeps,
    the_next_run_takes_over_the_locks_of_the_dead,
    reset_removes_what_is_left,
    hooks_of_every_kind,
    hooks_are_cut_by_the_grace_period,
];

/// Longer than any grace period here and its floors.
const CLEANED: Duration = Duration::from_secs(40);

fn kill(bed: &Bed, engine: crate::engine::Engine) -> Result<()> {
    engine.signal(Signal::KILL)?;
    engine.wait(SOON)?;
    bed.expect_clean(CLEANED)
}

fn while_running(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("running")
        .volume(json!({"name": "memory", "emptyDir": {"medium": "Memory"}}))
        .sidecar("one", "serve")
        .sidecar("two", "serve")
        .app("main", "serve");
    let engine = bed.start_pod(&pod)?;
    for name in ["one", "two", "main"] {
        bed.trace.wait(&format!("{name} start"), SOON)?;
    }
    kill(bed, engine)?;
    bed.trace.expect_order(&["main stop", "two stop", "one stop"])
}

fn while_stopping(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("stopping")
        .sidecar("side", "serve")
        .app("main", "trap 'say term; sleep 1; say stop; exit 0' TERM; say start; sleep 1000 & wait");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    bed.trace.wait("side start", SOON)?;
    engine.signal(Signal::INT)?;
    bed.trace.wait("main term", SOON)?;
    kill(bed, engine)?;
    bed.trace.expect_order(&["main term", "main stop", "side stop"])
}

fn while_an_init_container_runs(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("init").sidecar("side", "serve").init("slow", "serve").app("main", "say start");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("slow start", SOON)?;
    kill(bed, engine)?;
    bed.trace.expect_order(&["slow stop"])?;
    bed.trace.expect_absent("main start")
}

fn several_pods(bed: &Bed) -> Result<()> {
    require_root()?;
    let one = bed.manifest(&Pod::new("one").app("one-main", "serve"))?;
    let two = bed.manifest(&Pod::new("two").app("two-main", "serve"))?;
    let engine = bed.start(bed.run_command().arg(one).arg(two))?;
    bed.trace.wait("one-main start", SOON)?;
    bed.trace.wait("two-main start", SOON)?;
    kill(bed, engine)?;
    bed.trace.expect_order(&["one-main stop"])?;
    bed.trace.expect_order(&["two-main stop"])
}

fn with_a_stubborn_container(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("stubborn")
        .spec(&json!({"terminationGracePeriodSeconds": 2}))
        .app("main", "trap 'say term' TERM; say start; while :; do sleep 1000000 & wait $!; done");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    kill(bed, engine)?;
    bed.trace.expect_order(&["main start", "main term"])
}

fn with_shared_pids(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("shared")
        .spec(&json!({"shareProcessNamespace": true}))
        .sidecar("side", "serve")
        .app("main", "serve");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("side start", SOON)?;
    bed.trace.wait("main start", SOON)?;
    kill(bed, engine)?;
    bed.trace.expect_order(&["main stop", "side stop"])
}

/// What an engine leaves when it dies before there is a shim: the next one under the same root removes it.
fn the_next_run_sweeps(bed: &Bed) -> Result<()> {
    require_root()?;
    leave_a_pod_directory(bed)?;
    let engine = bed.start_pod(&Pod::new("next").app("main", "serve"))?;
    bed.trace.wait("main start", SOON)?;
    bed.wait_pod_directories(1)?;
    bed.interrupt(engine)?.expect_code(0)?;
    Ok(())
}

/// Engine and shim die at once: the containers with them. Their lock files, records and cgroups stay, and keep
/// nobody from running the same pod again.
fn the_next_run_takes_over_the_locks_of_the_dead(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("again")
        .volume(json!({"name": "data", "emptyDir": {}}))
        .sidecar("side", "serve")
        .app("main", "serve");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    bed.trace.wait("side start", SOON)?;
    let (dead, shim) = (bed.pod_dir()?, bed.shim_pid()?);
    // Stopped first, the shim cannot begin to clean up when its engine is gone.
    kill_process(shim, Signal::STOP)?;
    engine.signal(Signal::KILL)?;
    engine.wait(SOON)?;
    kill_process(shim, Signal::KILL)?;
    for left in ["owner.lock", "shim.lock", "sandbox.json"] {
        ensure!(dead.join(left).exists(), "{left} is gone: nothing is left to be swept");
    }
    let engine = bed.start_pod(&pod)?;
    wait::until("the second start", SOON, || (bed.trace.count("main start") == 2).then_some(()))?;
    wait::until("the end of what was left", SOON, || (!dead.exists()).then_some(()))?;
    bed.interrupt(engine)?.expect_code(0)?;
    bed.expect_settled()
}

fn reset_removes_what_is_left(bed: &Bed) -> Result<()> {
    require_root()?;
    leave_a_pod_directory(bed)?;
    bed.reset()
}

/// The shim runs them itself: all at once, then the apps end, then the sidecars from the last to the first.
fn hooks_of_every_kind(bed: &Bed) -> Result<()> {
    require_root()?;
    let stops = |handler| hooks(&[("preStop", handler)]);
    let web = json!({"httpGet": {"path": "/after/400", "port": 8080}});
    let pod = Pod::new("hooked")
        .spec(&json!({"terminationGracePeriodSeconds": 30}))
        .answers_beside("web")
        .sidecar_with("side", "live", &stops(exec("mark hook; sleep 0.5; mark hook-end")))
        .app_with("asks", "live", &stops(web))
        .app_with("sleeps", "live", &stops(json!({"sleep": {"seconds": 1}})))
        .app_with("fails", "live", &stops(json!({"httpGet": {"path": "/", "port": 8081}})));
    let engine = bed.start_pod(&pod)?;
    let read = || History::read(&bed.dir().join("trace"), "hooked");
    for name in ["web", "side", "asks", "sleeps", "fails"] {
        let line = format!("{name} start");
        wait::until(&line, SOON, || (read().count(&line) == 1).then_some(()))?;
    }
    kill(bed, engine)?;
    let history = read();
    let asked = "web http /after/400 kube-lifecycle/1.36";
    history.expect_order(&[asked, "asks stop"])?;
    history.expect_between(asked, "asks stop", 0.4, 5.0)?;
    history.expect_between("side hook", "sleeps stop", 0.7, 5.0)?;
    history.expect_between("side hook", asked, -1.0, 1.0)?;
    for app in ["asks stop", "sleeps stop", "fails stop"] {
        history.expect_order(&[app, "side stop", "web stop"])?;
    }
    history.expect_order(&["side hook", "side hook-end", "side stop"])
}

/// Until then they are waited for; they go on as long as their container does.
fn hooks_are_cut_by_the_grace_period(bed: &Bed) -> Result<()> {
    require_root()?;
    let slow = "trap 'mark stop; sleep 1; mark end; exit 0' TERM; mark start; sleep 1000000 & wait $!";
    let pod = Pod::new("endless").spec(&json!({"terminationGracePeriodSeconds": 3})).app_with(
        "main",
        slow,
        &hooks(&[("preStop", exec("while :; do mark hook; sleep 0.1; done"))]),
    );
    let engine = bed.start_pod(&pod)?;
    let read = || History::read(&bed.dir().join("trace"), "endless");
    wait::until("its start", SOON, || (read().count("main start") == 1).then_some(()))?;
    kill(bed, engine)?;
    let history = read();
    history.expect_between("main hook", "main stop", 2.2, 6.0)?;
    history.expect_order(&["main stop", "main hook", "main end"])
}

/// The directory of a bound pod of an engine that is no more, with a volume in it.
fn leave_a_pod_directory(bed: &Bed) -> Result<()> {
    let pod_dir = bed.root().join("var/lib/monopod/pods/0a0b0c0d-0000-4000-8000-000000000000");
    std::fs::create_dir_all(pod_dir.join("volumes/data"))?;
    std::fs::write(pod_dir.join("volumes/data/file"), "left")?;
    std::fs::write(pod_dir.join("owner.lock"), "bound\n")?;
    Ok(())
}
