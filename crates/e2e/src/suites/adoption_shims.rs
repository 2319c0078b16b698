//! What becomes of pods whose shim is in the making, dead, hung or of another boot when an engine starts; and
//! what an engine that lasts makes of the pods of others.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::lasting::{Lasting, container};
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    a_sandbox_that_was_being_made,
    a_shim_that_died_meanwhile,
    a_shim_that_died_under_never,
    a_shim_that_hangs_is_killed,
    a_second_engine_refuses_what_the_first_has,
    after_a_boot,
    bound_pods_of_a_dead_run,
    reset_ends_pods_without_an_engine,
];

/// How long an engine may be busy with a shim that hangs, and more.
const HUNG: Duration = Duration::from_secs(60);

/// Its shim stands still before it executes, and makes the sandbox when its engine is dead.
fn a_sandbox_that_was_being_made(bed: &Bed) -> Result<()> {
    require_root()?;
    let held = bed.dir().join("held");
    let mut lasting = Lasting::with_held_shim(bed, &held)?;
    lasting.add(&Pod::new("early").app("main", "serve"))?;
    let pid = wait::until("the shim to stand still", SOON, || stopped(&held))?;
    lasting.kill()?;
    kill_process(pid, Signal::CONT)?;
    // Its engine may have died before it could ask for anything.
    let proc = format!("/proc/{}", pid.as_raw_nonzero());
    wait::until("the sandbox, or the end of the shim", SOON, || {
        (bed.shim_pid().is_ok() || !Path::new(&proc).exists()).then_some(())
    })?;
    let made = bed.shim_pid();
    lasting.again()?;
    lasting.wait_ready("early")?;
    ensure!(made.is_err() || bed.shim_pid()? == made?, "the sandbox was made a second time");
    bed.trace.wait("main start", SOON)?;
    ensure!(bed.trace.count("main start") == 1, "{:?}", bed.trace.lines());
    lasting.end(&["early"])
}

/// The process whose number is in the file, once it is stopped.
fn stopped(file: &Path) -> Option<Pid> {
    let pid: i32 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.contains("State:\tT").then(|| Pid::from_raw(pid)).flatten()
}

fn kept() -> Pod {
    let keeps = json!({"volumeMounts": [mount("kept", "/kept")]});
    Pod::new("kept")
        .spec(&json!({"restartPolicy": "Always"}))
        .volume(json!({"name": "kept", "emptyDir": {}}))
        .init_with("init", "echo run >> /kept/runs; say run $(wc -l < /kept/runs)", &keeps)
        .sidecar("side", "serve")
        .app("main", "serve")
}

/// As if it had died before the engine's eyes: a new sandbox, initialised anew, with the volumes there were.
fn a_shim_that_died_meanwhile(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&kept())?;
    lasting.wait_ready("kept")?;
    lasting.kill()?;
    kill_process(bed.shim_pid()?, Signal::KILL)?;
    lasting.again()?;
    restarted_in_a_new_sandbox(&lasting)?;
    bed.trace.wait_count("main start", 2, SOON)?;
    bed.trace.expect_order(&["init run 1", "main start", "init run 2", "side start", "main start"])?;
    lasting.end(&["kept"])
}

fn restarted_in_a_new_sandbox(lasting: &Lasting<'_>) -> Result<()> {
    let status = lasting.wait_status("kept", "running again", |status| {
        container(status, "main")["restartCount"] == 1 && container(status, "main")["ready"] == true
    })?;
    let last = &container(&status, "main")["lastState"]["terminated"];
    ensure!(last["exitCode"] == 137, "{status:#}");
    ensure!(container(&status, "init")["restartCount"] == 1, "{status:#}");
    Ok(())
}

fn a_shim_that_died_under_never(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&Pod::new("once").app("main", "serve"))?;
    lasting.wait_ready("once")?;
    lasting.kill()?;
    kill_process(bed.shim_pid()?, Signal::KILL)?;
    lasting.again()?;
    let status = lasting.wait_status("once", "Failed", |status| status["phase"] == "Failed")?;
    ensure!(container(&status, "main")["state"]["terminated"]["exitCode"] == 137, "{status:#}");
    ensure!(bed.trace.count("main start") == 1, "{:?}", bed.trace.lines());
    lasting.end(&["once"])
}

/// It holds up no other pod.
fn a_shim_that_hangs_is_killed(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&kept())?;
    lasting.wait_ready("kept")?;
    let hung = bed.shim_pid()?;
    lasting.add(&Pod::new("well").app("other", "serve"))?;
    lasting.wait_ready("well")?;
    lasting.kill()?;
    kill_process(hung, Signal::STOP)?;
    lasting.again_at_once()?;
    lasting.wait_ready("well")?;
    ensure!(
        !lasting.events().iter().any(|event| event["event"] == "inherited"),
        "the hung shim was not waited for"
    );
    lasting.wait_inherited(HUNG)?;
    ensure!(lasting.log().contains("hangs"), "nothing is said of it");
    restarted_in_a_new_sandbox(&lasting)?;
    lasting.end(&["kept", "well"])
}

fn a_second_engine_refuses_what_the_first_has(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&Pod::new("one").app("main", "serve"))?;
    let before = lasting.wait_ready("one")?;
    let second = lasting.begin()?;
    wait::until("the second engine", SOON, || second.stdout().contains("inherited").then_some(()))?;
    let said = second.stdout();
    ensure!(said.contains("refused") && said.contains("belongs to another engine that is running"), "{said}");
    ensure!(!said.contains("adopted"), "{said}");
    drop(second);
    ensure!(lasting.status("one") == Some(before), "the first engine was disturbed");
    lasting.end(&["one"])
}

/// The boot clock begins anew: what is on record is from days after it. Volumes on disk are there, memory is not.
fn after_a_boot(bed: &Bed) -> Result<()> {
    require_root()?;
    // Its second end is seen by its engine, or by its shim alone.
    let seen = "say try; [ -e /trace/booted ] && serve; exit 4";
    let unseen = "say try; [ -e /trace/booted ] && serve; [ -e /trace/first ] || { echo > /trace/first; exit 5; }; \
                  while [ ! -e /trace/go ]; do sleep 0.01; done; exit 5";
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&kept().app("seen", seen).app("unseen", unseen))?;
    let before = lasting.wait_status("kept", "running, with a backoff under way", |status| {
        container(status, "main")["ready"] == true
            && container(status, "seen")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            && container(status, "unseen")["restartCount"] == 1
    })?;
    lasting.kill()?;
    fs::write(bed.dir().join("trace/go"), "")?;
    wait::until("the exit on record", SOON, || {
        (!bed.attempt_record("unseen", 1).ok()?["exit"].is_null()).then_some(())
    })?;
    fs::write(bed.dir().join("trace/booted"), "")?;
    kill_process(bed.shim_pid()?, Signal::KILL)?;
    let pod_dir = bed.pod_dir()?;
    date_back(&pod_dir.join("checkpoint.json"))?;
    date_back(&pod_dir.join("sandbox.json"))?;
    for attempt in ["init/0", "main/0", "seen/0", "seen/1", "unseen/0", "unseen/1"] {
        date_back(&pod_dir.join("containers").join(attempt).join("record.json"))?;
    }
    fs::remove_dir_all(bed.root().join("run/monopod"))?;
    lasting.again()?;
    restarted_in_a_new_sandbox(&lasting)?;
    // Each at the end of its backoff, not days after it.
    let after = lasting.wait_ready("kept")?;
    for name in ["seen", "unseen"] {
        ensure!(container(&after, name)["restartCount"] == 2, "{after:#}");
    }
    ensure!(container(&after, "unseen")["lastState"]["terminated"]["exitCode"] == 5, "{after:#}");
    let checkpoint = bed.checkpoint()?;
    let ended = |name: &str| {
        checkpoint["containers"][name]["previous"]["state"]["Exited"]["finished"]["boot"].as_i64()
    };
    let (seen, unseen) = (ended("seen").unwrap_or(0), ended("unseen").unwrap_or(i64::MAX));
    ensure!(unseen.abs_diff(seen) < 3_600_000_000_000, "the exits are {seen} and {unseen} on the boot clock");
    ensure!(before["startTime"] == after["startTime"], "{after:#}");
    bed.trace.wait_count("main start", 2, SOON)?;
    bed.trace.expect_order(&["init run 1", "main start", "init run 2", "main start"])?;
    lasting.end(&["kept"])
}

/// As if it were of an earlier boot, in which the machine had run for long.
fn date_back(record: &Path) -> Result<()> {
    const TEN_DAYS_NS: i64 = 10 * 86_400 * 1_000_000_000;
    fn later(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let time = matches!(key.as_str(), "boot" | "decided" | "last_started");
                    match value.as_i64().filter(|_| time) {
                        Some(time) => *value = json!(time + TEN_DAYS_NS),
                        None => later(value),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(later),
            _ => {}
        }
    }
    let text = fs::read_to_string(record).with_context(|| record.display().to_string())?;
    let mut value: Value = serde_json::from_str(&text)?;
    value["boot_id"] = json!("00000000-0000-4000-8000-000000000000");
    later(&mut value["record"]);
    Ok(fs::write(record, value.to_string())?)
}

/// Those that a shim is stopping are left to it; of those without, nothing stays.
fn bound_pods_of_a_dead_run(bed: &Bed) -> Result<()> {
    require_root()?;
    let engine = bed.start_pod(
        &Pod::new("slow")
            .app("main", "trap 'say term; sleep 2; say stop; exit 0' TERM; say start; sleep 1000 & wait"),
    )?;
    bed.trace.wait("main start", SOON)?;
    let left = bed.root().join("var/lib/monopod/pods/0a0b0c0d-0000-4000-8000-000000000000");
    fs::create_dir_all(left.join("volumes/data"))?;
    fs::write(left.join("owner.lock"), "bound\n")?;
    engine.signal(Signal::KILL)?;
    engine.wait(SOON)?;
    bed.trace.wait("main term", SOON)?;
    let lasting = Lasting::start(bed)?;
    let said = |what: &str| lasting.events().iter().filter(|event| event["event"] == what).count();
    ensure!((said("buried"), said("ending")) == (1, 1), "{:?}", lasting.events());
    bed.trace.wait("main stop", SOON)?;
    lasting.end(&[])
}

fn reset_ends_pods_without_an_engine(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&Pod::new("one").app("main", "serve"))?;
    lasting.wait_ready("one")?;
    lasting.kill()?;
    // Also what cannot be read: it is what `monopod reset` is named for as a remedy.
    fs::write(bed.pod_dir()?.join("sandbox.json"), "{\"schema\":9}")?;
    bed.reset()?;
    bed.expect_settled()
}
