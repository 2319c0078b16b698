//! What the daemon and the shims of 100 running pods of one container have of the processors while nothing happens, and while each
//! pod has a readiness probe over HTTP each 10 s.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::Size;
use super::api::{Client, JSON, PODS};
use super::pods::{self, Pods};
use super::processor::{Usage, wait_quiet};
use crate::bed::Bed;
use crate::inside::probed::PORT;
use crate::pod::{self, EXCHANGE};
use crate::report::{Report, Row};
use crate::wait::SOON;

const PERCENT_MAX: f64 = 0.1;
const PROBED_PERCENT_MAX: f64 = 0.5;
const PROBE_PERIOD_S: u64 = 10;
/// Of a processor within a second: what a start takes is far more.
const QUIET: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl Size {
    /// How many pods, and for how long they are looked at.
    const fn idle(self) -> (usize, Duration) {
        match self {
            Self::Full => (100, Duration::from_secs(60)),
            Self::Quick => (4, Duration::from_secs(2)),
        }
    }
}

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    for (name, is_probed, aim) in
        [("idle.cpu", false, PERCENT_MAX), ("idle.cpu.probes", true, PROBED_PERCENT_MAX)]
    {
        one(bed, size, name, is_probed, report)?;
        report.at_most(name, aim);
    }
    Ok(())
}

fn one(bed: &Bed, size: Size, name: &str, is_probed: bool, report: &mut Report) -> Result<()> {
    let (count, time) = size.idle();
    let manifests: Vec<Value> =
        (0..count).map(|n| manifest(bed, &format!("idle-{n}"), name, is_probed)).collect();
    let pods = Pods::apply(bed, pods::daemon(bed)?, &manifests, name, count)?;
    wait_ready(&pods, count)?;
    let daemon = pods.daemon().pid();
    let all: Vec<u32> = pods.shims()?.into_iter().chain([daemon]).collect();
    if !wait_quiet(&all, QUIET)? {
        report.note(&format!("{name}: the pods were not quiet within {} s", SOON.as_secs()));
    }
    let mut usage = Usage::begin(&all)?;
    let time = usage.follow(time)?;
    let percent = |used: Duration| vec![used.as_secs_f64() / time.as_secs_f64() * 100.0];
    let of_daemon = usage.of(daemon);
    let how = if is_probed { "an HTTP probe each 10 s" } else { "no probes" };
    for (suffix, what, used) in [
        ("", format!("{count} pods, {how}: daemon and shims"), usage.of_all()),
        (".daemon", "  daemon".to_owned(), of_daemon),
        (".shims", "  shims".to_owned(), usage.of_all().saturating_sub(of_daemon)),
    ] {
        report.add(Row::of(&format!("{name}{suffix}"), &what, "% of a core", percent(used)));
    }
    pods.end()
}

/// With and without probes, the same is in the container.
fn manifest(bed: &Bed, name: &str, stamps: &str, is_probed: bool) -> Value {
    let file = format!("{EXCHANGE}/{stamps}");
    let container = [("one", vec!["probed", &file])];
    let mut pod = pod::manifest(name, &bed.program(), Some(&bed.exchange()), &container);
    let container = &mut pod["spec"]["containers"][0];
    container["resources"] = json!({});
    if is_probed {
        let request = json!({"path": "/", "port": PORT});
        container["readinessProbe"] = json!({"httpGet": request, "periodSeconds": PROBE_PERIOD_S});
    }
    pod
}

/// Waits until as many pods are ready: each probe has succeeded once.
fn wait_ready(pods: &Pods<'_>, count: usize) -> Result<()> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = tokio.block_on(Client::connect(&pods.daemon().socket))?;
    let deadline = Instant::now() + SOON;
    loop {
        let list: Value = serde_json::from_slice(&tokio.block_on(client.get(PODS, JSON))?)?;
        let ready = list["items"].as_array().into_iter().flatten().filter(|pod| is_ready(pod)).count();
        if ready == count {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{ready} of {count} pods are ready after {} s", SOON.as_secs());
        sleep(LOOK_EVERY);
    }
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
