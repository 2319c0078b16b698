//! Memory of shims and engine while pods idle: of `monopod run`, and what a pod adds to `monopod serve`.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::json;
use shim_protocol::{SandboxRecord, read_record};

use super::Size;
use super::pods::{self, CONTAINERS_B, Pods};
use super::processor::wait_quiet;
use crate::bed::Bed;
use crate::engine::Engine;
use crate::pod;
use crate::report::{Report, Row};
use crate::wait::SOON;

const SHIM_PSS_KB_MAX: f64 = 200.0;
/// Of a pod b, in daemon and shim.
const POD_KB_MAX: f64 = 300.0;
/// Of a processor within a second: the start of the pods is over.
const QUIET: Duration = Duration::from_millis(5);
/// By then a daemon has given back what a start took, its own or that of pods, which it does a second after it.
const GIVES_BACK: Duration = Duration::from_secs(2);

impl Size {
    /// How many pods a daemon has while its memory is looked at.
    const fn served_pods(self) -> &'static [usize] {
        match self {
            Self::Full => &[10, 50, 100],
            Self::Quick => &[4],
        }
    }

    /// How often, with a new daemon each time.
    const fn servings(self) -> usize {
        match self {
            Self::Full => 3,
            Self::Quick => 1,
        }
    }
}

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    for count in size.pods() {
        let pods: Vec<_> = (0..*count)
            .map(|n| {
                let name = format!("idle-{n}");
                let mut pod = pod::manifest(&name, &bed.program(), None, &[("app", vec!["hold", &name])]);
                // None of them has to wait for room on the node.
                pod["spec"]["containers"][0]["resources"] = json!({});
                pod
            })
            .collect();
        let file = bed.file("idle.yaml", &pods)?;
        let mut run = Engine::start(&mut bed.run(&bed.root(), &file))?;
        run.wait_stamps(*count)?;
        let pods = if *count == 1 { "1 pod".to_owned() } else { format!("{count} pods") };
        add_shims(bed, *count, &pods, report)?;
        let engine = rollup(run.pid())?;
        for (name, what, key) in [("pss", "PSS", "Pss:"), ("rss", "RSS", "Rss:")] {
            let name = format!("engine.{name}.{count}");
            report.add(Row::of(&name, &format!("engine, {pods}: {what}"), "kB", vec![kb(&engine, key)?]));
        }
        run.signal(Signal::INT)?;
        run.finish()?;
    }
    for count in size.served_pods() {
        let samples = (0..size.servings()).map(|_| growth(bed, *count)).collect::<Result<Vec<_>>>()?;
        add_growth(*count, &samples, report);
    }
    Ok(())
}

fn add_shims(bed: &Bed, count: usize, pods: &str, report: &mut Report) -> Result<()> {
    let mut rollups = Vec::new();
    for pod_dir in Bed::pod_dirs(&bed.root())? {
        let record: SandboxRecord = read_record(&SandboxRecord::path(&pod_dir))?;
        let pid = record.shim_pid.try_into()?;
        wait_idle(pid)?;
        rollups.push(rollup(pid)?);
    }
    for (name, what, key) in
        [("pss", "PSS", "Pss:"), ("private", "private dirty", "Private_Dirty:"), ("rss", "RSS", "Rss:")]
    {
        let samples = rollups.iter().map(|text| kb(text, key)).collect::<Result<_>>()?;
        let name = format!("shim.{name}.{count}");
        report.add(Row::of(&name, &format!("shim, {pods}: {what}"), "kB", samples));
    }
    // The pages of the program are shared by all shims, and would count as one pod's.
    if count > 1 {
        report.at_most(&format!("shim.pss.{count}"), SHIM_PSS_KB_MAX);
    }
    Ok(())
}

/// What each pod b adds to the daemon's RSS, and the PSS of its shim, in kB. What runs in the containers is left out.
fn growth(bed: &Bed, count: usize) -> Result<[f64; 2]> {
    let daemon = pods::daemon(bed)?;
    let before = rss_at_rest(daemon.pid())?;
    let stamps =
        daemon.root().file_name().map(|name| format!("memory-{}", name.display())).unwrap_or_default();
    let manifests: Vec<_> =
        (0..count).map(|n| pods::manifest(bed, &format!("idle-{n}"), &stamps, &CONTAINERS_B)).collect();
    let pods = Pods::apply(bed, daemon, &manifests, &stamps, count * CONTAINERS_B.len())?;
    let (daemon, shims) = (pods.daemon().pid(), pods.shims()?);
    shims.iter().try_for_each(|shim| wait_idle(*shim))?;
    let grown = rss_at_rest(daemon)? - before;
    let pss = shims.iter().map(|shim| kb(&rollup(*shim)?, "Pss:")).sum::<Result<f64>>()?;
    pods.end()?;
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let pods = count as f64;
    Ok([grown / pods, pss / pods])
}

/// Of a daemon that has given back what its last work took.
fn rss_at_rest(daemon: u32) -> Result<f64> {
    wait_quiet(&[daemon], QUIET)?;
    thread::sleep(GIVES_BACK);
    kb(&rollup(daemon)?, "Rss:")
}

fn add_growth(count: usize, samples: &[[f64; 2]], report: &mut Report) {
    let of = |part: fn(&[f64; 2]) -> f64| samples.iter().map(part).collect();
    for (name, what, kb) in [
        (
            "pod.memory",
            format!("{count} pods b, each: daemon's RSS and shim's PSS"),
            of(|[daemon, shim]| daemon + shim),
        ),
        ("pod.daemon", "  daemon".to_owned(), of(|[daemon, _]| *daemon)),
        ("pod.shim", "  shim".to_owned(), of(|[_, shim]| *shim)),
    ] {
        report.add(Row::of(&format!("{name}.{count}"), &what, "kB", kb));
    }
    report.at_most(&format!("pod.memory.{count}"), POD_KB_MAX);
}

/// Until the shim has given back what the start took. Its container runs, so once it sleeps it has done with
/// the start, and its timer runs for as long as it means to give something back.
fn wait_idle(pid: u32) -> Result<()> {
    let deadline = Instant::now() + SOON;
    while !sleeps(pid)? || timer_runs(pid)? {
        ensure!(Instant::now() < deadline, "shim {pid} is not idle after {} s", SOON.as_secs());
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn sleeps(pid: u32) -> Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')))
}

fn timer_runs(pid: u32) -> Result<bool> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        if fs::read_link(entry.path())?.as_os_str() == "anon_inode:[timerfd]" {
            let number = entry.file_name();
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", number.display()))?;
            return Ok(!info.contains("it_value: (0, 0)"));
        }
    }
    bail!("shim {pid} has no timer")
}

pub(super) fn rollup(pid: u32) -> Result<String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

pub(super) fn kb(rollup: &str, key: &str) -> Result<f64> {
    let value =
        rollup.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("no {key} in smaps_rollup"))
}
