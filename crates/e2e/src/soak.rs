//! Kills the engine with SIGKILL at seeded moments spread over start, run and stop of a pod with init
//! containers, sidecars and apps, and waits each time until nothing of the pod is left: no process, mount or
//! cgroup by itself, and no file at the latest after a sweep. While an engine makes or removes a pod's
//! directories there is no shim that could do it in its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::pod::Pod;
use crate::runner::Counts;
use crate::suites::require_root;

/// The pod's grace period, the floors, and room for a busy machine.
const CLEANED: Duration = Duration::from_secs(60);
/// After the last process has gone, the files follow at once, or only a sweep removes them.
const FILES_CLEANED: Duration = Duration::from_secs(2);
/// How long a running pod may live before its engine is killed.
const RUN_MS_MAX: u64 = 400;

#[derive(Debug)]
pub(crate) struct Options {
    /// Of an engine that comes back, not of `run`.
    pub(crate) lasting: bool,
    pub(crate) kills: u32,
    pub(crate) seed: u64,
    pub(crate) jobs: usize,
}

/// How long start and stop take here without a kill: moments are drawn from a bit more than that.
#[derive(Clone, Copy, Debug)]
struct Timeline {
    start_ms: u64,
    stop_ms: u64,
}

#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the engine was started.
    Starting { after_ms: u64 },
    /// So long after every container was up.
    Running { after_ms: u64 },
    /// So long after SIGINT, sent when every container was up.
    Stopping { after_ms: u64 },
}

pub(crate) fn run(program: &Path, options: &Options) -> Result<Counts> {
    if let Err(skip) = require_root() {
        println!("Skipped({skip})  soak");
        return Ok(Counts { skipped: 1, ..Counts::default() });
    }
    let base = PathBuf::from(format!("/tmp/ms{}", std::process::id()));
    fs::create_dir_all(&base).with_context(|| format!("cannot create {}", base.display()))?;
    let copy = base.join("monopod");
    fs::copy(program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;

    println!("soak: {} kills, --seed {}, {} side by side", options.kills, options.seed, options.jobs);
    let timeline = measure(&base.join("m"), &copy)?;
    println!("soak: without a kill, start takes {} ms and stop {} ms", timeline.start_ms, timeline.stop_ms);

    let next = AtomicU32::new(0);
    let counts = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= options.kills {
                        break;
                    }
                    let moment = draw(options.seed, n, timeline);
                    let result = kill_once(&base.join(n.to_string()), &copy, moment);
                    let mut counts = counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    match result {
                        Ok(()) => counts.passed += 1,
                        Err(text) => {
                            counts.failed += 1;
                            println!("FAILED  kill {n} of seed {}: {moment:?}: {text}", options.seed);
                        }
                    }
                }
            });
        }
    });
    drop(fs::remove_dir_all(&base));
    Ok(counts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Two init containers, two sidecars, two apps, both kinds of emptyDir, a probe and a hook.
fn soak_pod() -> Pod {
    let probe = json!({"startupProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}});
    let hook = json!({"lifecycle": {"preStop": {"exec": {"command": ["sleep", "0.1"]}}}});
    Pod::new("soak")
        .spec(&json!({"terminationGracePeriodSeconds": 3, "restartPolicy": "Always"}))
        .volume(json!({"name": "disk", "emptyDir": {}}))
        .volume(json!({"name": "memory", "emptyDir": {"medium": "Memory"}}))
        .init("first", "say start")
        .sidecar_with("ship", "serve", &probe)
        .init("second", "say start")
        .sidecar("proxy", "serve")
        .app_with("main", "serve", &hook)
        .app("noisy", "trap 'exit 0' TERM; say start; while :; do echo tick; sleep 0.01; done")
}

const UP: [&str; 4] = ["ship start", "proxy start", "main start", "noisy start"];

fn measure(dir: &Path, program: &Path) -> Result<Timeline> {
    let bed = Bed::new(dir.to_owned(), program)?;
    let started = Instant::now();
    let engine = bed.start_pod(&soak_pod())?;
    for line in UP {
        bed.trace.wait(line, SOON).with_context(|| bed.record())?;
    }
    let start_ms = millis(started.elapsed());
    let asked = Instant::now();
    bed.interrupt(engine)?;
    let stop_ms = millis(asked.elapsed());
    bed.expect_settled()?;
    Ok(Timeline { start_ms, stop_ms })
}

fn draw(seed: u64, n: u32, timeline: Timeline) -> Moment {
    let random = mix(seed ^ (u64::from(n) << 32));
    let below = |limit_ms: u64| mix(random) % limit_ms.max(1);
    match random % 3 {
        0 => Moment::Starting { after_ms: below(timeline.start_ms * 5 / 4) },
        1 => Moment::Running { after_ms: below(RUN_MS_MAX) },
        _ => Moment::Stopping { after_ms: below(timeline.stop_ms * 5 / 4) },
    }
}

/// The finaliser of splitmix64.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn kill_once(dir: &Path, program: &Path, moment: Moment) -> Result<(), String> {
    let bed = Bed::new(dir.to_owned(), program).map_err(|error| format!("{error:#}"))?;
    let result = kill_at(&bed, moment).and_then(|()| bed.expect_kernel_clean(CLEANED));
    let result = result.and_then(|()| bed.expect_clean(FILES_CLEANED).or_else(|_| sweep(&bed)));
    let outcome = result.map_err(|error| format!("{error:#}\n{}", bed.record()));
    drop(fs::remove_dir_all(dir));
    outcome
}

fn sweep(bed: &Bed) -> Result<()> {
    bed.reset()?;
    bed.expect_settled()
}

fn kill_at(bed: &Bed, moment: Moment) -> Result<()> {
    let mut engine = bed.start_pod(&soak_pod())?;
    let after_ms = match moment {
        Moment::Starting { after_ms } => after_ms,
        Moment::Running { after_ms } => {
            wait_up(bed)?;
            after_ms
        }
        Moment::Stopping { after_ms } => {
            wait_up(bed)?;
            engine.signal(Signal::INT)?;
            after_ms
        }
    };
    // Not a wait for something to happen: the moment itself is what is tested.
    std::thread::sleep(Duration::from_millis(after_ms));
    if engine.is_running()? {
        engine.signal(Signal::KILL)?;
    }
    engine.wait(SOON)?;
    Ok(())
}

fn wait_up(bed: &Bed) -> Result<()> {
    UP.iter().try_for_each(|line| bed.trace.wait(line, SOON))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
