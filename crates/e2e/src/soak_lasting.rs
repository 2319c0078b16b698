//! Kills an engine that lasts with SIGKILL at seeded moments, also while it takes over what the one before it
//! left, over pods whose every step is known: one that runs on and is ready all the time, one that crashes over and over,
//! one that ends, one whose sidecar takes its time to start, one that falls ill once, and one after another that is begun
//! and deleted. In the end all of them have had the life they would have had.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::lasting::{Lasting, condition, container};
use crate::pod::{Pod, both, probe};
use crate::runner::Counts;
use crate::soak::{Options, mix};
use crate::suites::adoption::{COUNT, expect_counted};
use crate::suites::adoption_probes::expect_always_ready;
use crate::suites::{hook, require_root};
use crate::wait;

/// How long an engine may live that is killed while it takes over, or soon after.
const TAKING_OVER_MS_MAX: u64 = 60;
/// How long one may live that has taken over.
const SERVING_MS_MAX: u64 = 500;
/// The delays between the ends and the starts of a container that crashes.
const BACKOFF_MS: [u64; 4] = [0, 10_000, 20_000, 40_000];

pub(crate) fn run(program: &Path, options: &Options) -> Result<Counts> {
    if let Err(skip) = require_root() {
        println!("Skipped({skip})  soak --lasting");
        return Ok(Counts { skipped: 1, ..Counts::default() });
    }
    let base = PathBuf::from(format!("/tmp/ml{}", std::process::id()));
    std::fs::create_dir_all(&base).with_context(|| format!("cannot create {}", base.display()))?;
    let copy = base.join("monopod");
    std::fs::copy(program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
    println!(
        "soak --lasting: {} kills, --seed {}, {} side by side",
        options.kills, options.seed, options.jobs
    );
    let counts = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        let jobs = u32::try_from(options.jobs.max(1)).unwrap_or(1);
        for job in 0..jobs {
            let kills = options.kills / jobs + u32::from(job < options.kills % jobs);
            let (copy, dir, counts) = (&copy, base.join(job.to_string()), &counts);
            scope.spawn(move || {
                let seed = options.seed ^ (u64::from(job) << 32);
                let result = soak(&dir, copy, seed, kills);
                let mut counts = counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                match result {
                    Ok(()) => counts.passed += kills as usize,
                    Err(text) => {
                        counts.failed += 1;
                        println!("FAILED  job {job} of seed {}: {text}", options.seed);
                    }
                }
            });
        }
    });
    drop(std::fs::remove_dir_all(&base));
    Ok(counts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn soak(dir: &Path, program: &Path, seed: u64, kills: u32) -> Result<(), String> {
    let bed = Bed::new(dir.to_owned(), program).map_err(|error| format!("{error:#}"))?;
    let result = soak_in(&bed, seed, kills).and_then(|()| bed.expect_settled());
    result.map_err(|error| format!("{error:#}\n{}", bed.record()))
}

fn soak_in(bed: &Bed, seed: u64, kills: u32) -> Result<()> {
    let mut lasting = Lasting::start(bed)?;
    for pod in [steady(), crashing(), job(), gated(), ailing()] {
        lasting.add(&pod)?;
    }
    lasting.wait_ready("steady")?;
    // From here on it has to stay so.
    lasting.kill_and_start_again()?;
    for round in 0..kills {
        // What came to nothing with an engine is asked for again, until it is gone.
        for earlier in (round.saturating_sub(4)..round).filter(|earlier| may_be_deleted(bed, *earlier)) {
            lasting.delete(&passing_name(earlier), grace_s(earlier))?;
        }
        lasting.add(&passing(round))?;
        let random = mix(seed ^ u64::from(round));
        if random.is_multiple_of(3) {
            expect_always_ready(&lasting, "steady")?;
            lasting.kill()?;
            lasting.again_at_once()?;
            std::thread::sleep(Duration::from_millis(mix(random) % TAKING_OVER_MS_MAX));
        } else {
            // Not a wait for something to happen: the moment itself is what is tested.
            std::thread::sleep(Duration::from_millis(mix(random) % SERVING_MS_MAX));
        }
        expect_always_ready(&lasting, "steady")?;
        lasting.kill_and_start_again()?;
        let refusals = lasting.refusals();
        ensure!(refusals.is_empty(), "after kill {round}: {refusals:?}");
    }
    lasting.wait_ready("steady")?;
    for round in 0..kills {
        let name = passing_name(round);
        if lasting.status(&name).is_some() {
            wait::until(&format!("{name} to be up"), SOON, || may_be_deleted(bed, round).then_some(()))?;
        }
        lasting.delete(&name, grace_s(round))?;
    }
    expect_right(bed, &lasting, kills)?;
    expect_always_ready(&lasting, "steady")?;
    lasting.end(&["steady", "crashing", "job", "gated", "ailing"])
}

/// Every other one at any time; the rest when they can take their stop signal, to see that they have taken it.
fn may_be_deleted(bed: &Bed, round: u32) -> bool {
    let up = |name| bed.trace.count(&format!("{name}-{round} start")) == 1;
    round.is_multiple_of(2) || (up("side") && up("app"))
}

/// So that the order of the latter is never given up for want of time.
fn grace_s(round: u32) -> u32 {
    if round.is_multiple_of(2) { 1 } else { 60 }
}

/// A probe each second, whose answer is never late for want of a processor.
fn asks(kind: &str, script: &str) -> Value {
    let command = json!({"exec": {"command": ["sh", "-c", script]}});
    probe(kind, &command, &json!({"timeoutSeconds": 30}))
}

fn steady() -> Pod {
    let probes = both(&asks("livenessProbe", "true"), &asks("readinessProbe", "sleep 0.1"));
    let side = both(&probes, &asks("startupProbe", "true"));
    let main = both(&probes, &hook("postStart", "true"));
    Pod::new("steady")
        .spec(&json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 1}))
        .volume(json!({"name": "memory", "emptyDir": {"medium": "Memory"}}))
        .init("steady-init", "say start")
        .sidecar_with("steady-side", "serve", &side)
        .app_with("steady-main", "serve", &main)
        .app("counter", COUNT)
}

/// What follows its sidecar waits for seconds.
fn gated() -> Pod {
    let mut up = asks("startupProbe", "[ -e /tmp/up ]");
    up["startupProbe"]["failureThreshold"] = json!(600);
    Pod::new("gated")
        .spec(&json!({"terminationGracePeriodSeconds": 1}))
        .sidecar_with("gate", "(sleep 4; touch /tmp/up) & serve", &up)
        .init("gated-init", "say start")
        .app_with("gated-main", "serve", &hook("postStart", "sleep 0.2"))
        .app("gated-next", "serve")
}

/// Its liveness probe fails in its first life, after a while.
fn ailing() -> Pod {
    let well = "[ $(grep -c '^ailing-main start' /trace/log) -ge 2 ] || [ ! -e /tmp/ill ]";
    let fields = both(&asks("livenessProbe", well), &hook("preStop", "sleep 0.3"));
    Pod::new("ailing")
        .spec(&json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 60}))
        .sidecar("ailing-side", "serve")
        .app_with("ailing-main", "(sleep 3; touch /tmp/ill) & serve", &fields)
}

/// Says when it starts and when it ends, in milliseconds.
fn crashing() -> Pod {
    let script = "now() { date +%s%N | cut -c1-13; }; say start $(now); echo attempt; sleep 0.2; say end $(now); exit 3";
    Pod::new("crashing").spec(&json!({"restartPolicy": "OnFailure"})).app("crasher", script)
}

fn job() -> Pod {
    let script =
        "say start; n=0; while [ $n -lt 200 ]; do n=$((n+1)); echo line $n; sleep 0.005; done; exit 7";
    Pod::new("job").init("job-init", "say start").app("worker", script)
}

fn passing_name(round: u32) -> String {
    format!("passing-{round}")
}

fn passing(round: u32) -> Pod {
    let hooked = hook("preStop", "sleep 0.05");
    Pod::new(&passing_name(round)).sidecar(&format!("side-{round}"), "serve").app_with(
        &format!("app-{round}"),
        "serve",
        &hooked,
    )
}

fn expect_right(bed: &Bed, lasting: &Lasting<'_>, kills: u32) -> Result<()> {
    let status = lasting.wait_ready("steady")?;
    for name in ["steady-init", "steady-side", "steady-main", "counter"] {
        ensure!(container(&status, name)["restartCount"] == 0, "{name} was restarted: {status:#}");
    }
    let once = [
        "steady-init",
        "steady-side",
        "steady-main",
        "job-init",
        "worker",
        "gate",
        "gated-init",
        "gated-main",
    ];
    let status = lasting.wait_ready("gated")?;
    for name in ["gate", "gated-init", "gated-main", "gated-next"] {
        ensure!(container(&status, name)["restartCount"] == 0, "{name} was restarted: {status:#}");
    }
    bed.trace.expect_order(&["gate start", "gated-init start", "gated-main start", "gated-next start"])?;
    let status = lasting.wait_status("ailing", "restarted", |status| {
        container(status, "ailing-main")["restartCount"] == 1 && condition(status, "Ready") == "True"
    })?;
    ensure!(container(&status, "ailing-side")["restartCount"] == 0, "{status:#}");
    bed.trace.expect_order(&["ailing-main start", "ailing-main stop", "ailing-main start"])?;
    let starts = bed.trace.count("ailing-main start");
    ensure!(
        starts == 2 && bed.trace.count("ailing-main stop") == 1,
        "ailing-main was started {starts} times"
    );
    for name in once {
        let starts = bed.trace.count(&format!("{name} start"));
        ensure!(starts == 1, "{name} was started {starts} times");
    }
    expect_counted(&bed.pod_log("steady", "counter", 0)?)?;
    let ended = lasting.wait_status("job", "Failed", |status| status["phase"] == "Failed")?;
    ensure!(container(&ended, "worker")["state"]["terminated"]["exitCode"] == 7, "{ended:#}");
    let log = bed.pod_log("job", "worker", 0)?;
    expect_counted(&log)?;
    ensure!(log.lines().count() == 200, "the log of the job has {} lines", log.lines().count());
    expect_crashes(bed, lasting)?;
    wait::until("the end of every pod that passes", SOON, || {
        let left = lasting.events().into_iter().filter(|event| event["event"] == "status");
        let mut names: Vec<Value> = left.map(|event| event["name"].clone()).collect();
        names.retain(|name| name.as_str().is_some_and(|name| name.starts_with("passing-")));
        names.iter().all(|name| lasting.is_removed(name)).then_some(())
    })?;
    (0..kills).try_for_each(|round| expect_passed(bed, round))
}

/// Each restart came when it was due and not before, each exit is told, and each attempt has its log.
fn expect_crashes(bed: &Bed, lasting: &Lasting<'_>) -> Result<()> {
    let times = |what: &str| -> Vec<u64> {
        let prefix = format!("crasher {what} ");
        bed.trace.lines().iter().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect()
    };
    // It may have been started and have ended again since the engine said so.
    let status = lasting.wait_status("crashing", "in backoff, with each start counted", |status| {
        let (crasher, starts) = (container(status, "crasher"), times("start").len());
        crasher["state"]["waiting"]["reason"] == "CrashLoopBackOff"
            && starts == times("end").len()
            && crasher["restartCount"] == starts.saturating_sub(1)
    });
    let status = status.with_context(|| format!("{} starts", times("start").len()))?;
    let (starts, ends) = (times("start"), times("end"));
    let crasher = container(&status, "crasher");
    ensure!(crasher["lastState"]["terminated"]["exitCode"] == 3, "{crasher:#}");
    for (n, (start, end)) in starts.iter().skip(1).zip(&ends).enumerate() {
        let due = BACKOFF_MS.get(n).copied().unwrap_or(BACKOFF_MS[3]);
        let waited = start.saturating_sub(*end);
        ensure!(waited >= due, "restart {} came {waited} ms after the end, due after {due}", n + 1);
    }
    for attempt in starts.len().saturating_sub(2)..starts.len() {
        let log = bed.pod_log("crashing", "crasher", u32::try_from(attempt)?)?;
        ensure!(log.lines().count() == 1, "the log of attempt {attempt}: {log:?}");
    }
    Ok(())
}

/// It never was, or was begun once and stopped once, its app first. A shell that has yet to set its trap loses
/// the signal.
fn expect_passed(bed: &Bed, round: u32) -> Result<()> {
    let (app, side) = (format!("app-{round}"), format!("side-{round}"));
    for name in [&app, &side] {
        let (starts, stops) =
            (bed.trace.count(&format!("{name} start")), bed.trace.count(&format!("{name} stop")));
        let lost = round.is_multiple_of(2) && stops == 0;
        ensure!(starts <= 1 && (starts == stops || lost), "{name}: {starts} starts, {stops} stops");
    }
    if !round.is_multiple_of(2) && bed.trace.count(&format!("{app} stop")) == 1 {
        bed.trace.expect_order(&[&format!("{app} stop"), &format!("{side} stop")])?;
    }
    Ok(())
}
