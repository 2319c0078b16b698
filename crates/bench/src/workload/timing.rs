//! How far what happens to a pod is from when it is due: restarts, probes, hooks, signals.
//!
//! Pods of one server, side by side, whose containers, probes and hooks say when they run; that a container was killed is
//! seen by a pipe that it holds. A deviation is positive when something came too late.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use linux_sys::clock::boot_ns;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Size;
use super::api::{Client, JSON, PODS, ms};
use super::daemon::Daemon;
use super::pods::end_with_pods;
use crate::bed::Bed;
use crate::pod::{self, EXCHANGE, PROGRAM};
use crate::report::{Report, Row};
use crate::timed::{ALIVE, END, PROBE, START, TERM, TURN, all, stamps};
use crate::wait::{self, SOON};

/// At the 99th percentile.
const LATE_MS_MAX: f64 = 100.0;
const NANOS: i64 = 1_000_000_000;
/// Of the server, and of every probe.
const BACKOFF_NS: i64 = NANOS;
const PERIOD_NS: i64 = NANOS;
/// Of the liveness probe.
const THRESHOLD: i64 = 3;
const GRACE_S: i64 = 2;
/// Between the stop signal and the kill at the least.
const FLOOR_S: i64 = 2;
/// Between two pods of a kind that ends.
const PAUSE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Deviations, by the names of their rows.
type Late = Vec<(&'static str, i64)>;

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let root = bed.new_cold_root()?;
    let daemon = Daemon::start_with(bed, &root, &["--max-restart-backoff", "1s"])?;
    let late = tokio.block_on(measure_all(bed, &daemon, size))?;
    // The last ones that were deleted are still being stopped.
    end_with_pods(daemon)?;
    let mut rows = rows();
    for (name, ns) in late {
        let row = rows.iter_mut().find(|row| row.name == name).context("a row without a name")?;
        row.samples.push(ms(ns));
    }
    for row in rows {
        let name = row.name.clone();
        ensure!(!row.samples.is_empty(), "{name} was never seen");
        report.add(row);
        report.p99_at_most(&name, LATE_MS_MAX);
    }
    Ok(())
}

fn rows() -> Vec<Row> {
    [
        ("late.probe", "late: a probe, one period after the one before"),
        ("late.liveness", "  stop signal, at the third failed liveness probe"),
        ("late.ready", "  readiness seen by a watch, after its probe began"),
        ("late.restart", "  restart of a crashed container, backoff 0 and 1 s"),
        ("late.cut", "  stop signal, when a hook has used up the grace"),
        ("late.kill", "  SIGKILL, at the end of the grace"),
        ("late.floor", "  SIGKILL, 2 s after that signal"),
        ("late.sidecar", "  a sidecar's stop signal, after the app's end"),
    ]
    .map(|(name, what)| Row::new(name, what, "ms"))
    .into()
}

async fn measure_all(bed: &Bed, daemon: &Daemon, size: Size) -> Result<Late> {
    let client = Client::connect(&daemon.socket).await?;
    let ready = watch_readiness(&client).await?;
    let pods = Arc::new(Pods { client, exchange: bed.exchange(), program: bed.program(), ready });
    let (lasting, time, ending) = size.timings();
    let mut tasks = JoinSet::new();
    for n in 0..lasting {
        tasks.spawn(Arc::clone(&pods).liveness(n, time));
        tasks.spawn(Arc::clone(&pods).readiness(n, time));
        tasks.spawn(Arc::clone(&pods).restarts(n, time));
    }
    for n in 0..ending {
        tasks.spawn(Arc::clone(&pods).cut(n));
        tasks.spawn(Arc::clone(&pods).kill(n));
        tasks.spawn(Arc::clone(&pods).sidecar(n));
        sleep(PAUSE).await;
    }
    let mut late = vec![];
    while let Some(done) = tasks.join_next().await {
        late.extend(done??);
    }
    Ok(late)
}

/// When the condition Ready of each pod was seen to change, and what it was.
type Readiness = Arc<Mutex<BTreeMap<String, Vec<(i64, bool)>>>>;

async fn watch_readiness(client: &Client) -> Result<Readiness> {
    let answer = client.ask(Method::GET, &format!("{PODS}?watch=true"), JSON, Vec::new()).await?;
    ensure!(answer.status() == StatusCode::OK, "a watch was answered with {}", answer.status());
    let seen = Readiness::default();
    let (mut answer, shared) = (answer, Arc::clone(&seen));
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = answer.frame().await {
            let at = boot_ns();
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = bytes.drain(..=end).collect();
                note_readiness(&shared, &line, at);
            }
        }
    });
    Ok(seen)
}

fn note_readiness(seen: &Readiness, line: &[u8], at: i64) {
    let Ok(event) = serde_json::from_slice::<Value>(line) else { return };
    let object = &event["object"];
    let Some(name) = object["metadata"]["name"].as_str() else { return };
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.into_iter().any(|found| found["type"] == "Ready" && found["status"] == "True");
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let changes = seen.entry(name.to_owned()).or_default();
    if changes.last().map_or(ready, |(_, last)| *last != ready) {
        changes.push((at, ready));
    }
}

#[derive(Debug)]
struct Pods {
    client: Client,
    exchange: PathBuf,
    program: PathBuf,
    ready: Readiness,
}

impl Pods {
    /// Each life has its probes and, with the third, its signal.
    async fn liveness(self: Arc<Self>, n: usize, time: Duration) -> Result<Late> {
        let name = format!("liveness-{n}");
        let mut pod = self.pod(&name, &[("main", "live")]);
        let container = &mut pod["spec"]["containers"][0];
        container["livenessProbe"] = self.exec(&name, "fails");
        container["livenessProbe"]["failureThreshold"] = json!(THRESHOLD);
        pod["spec"]["restartPolicy"] = json!("Always");
        self.last(&pod, &name, time).await?;
        let (mut late, mut probes) = (vec![], vec![]);
        for (word, at) in all(&self.exchange.join(&name)) {
            match &*word {
                // A probe may be quicker than the container's first instruction.
                START => {}
                PROBE => probes.push(at),
                TERM => {
                    late.extend(probes.windows(2).map(|pair| ("late.probe", pair[1] - pair[0] - PERIOD_NS)));
                    let first = probes.first().context("stopped before a probe")?;
                    late.push(("late.liveness", at - (first + (THRESHOLD - 1) * PERIOD_NS)));
                    probes.clear();
                }
                _ => bail!("{name} wrote {word}"),
            }
        }
        Ok(late)
    }

    /// Its probe succeeds and fails by turns.
    async fn readiness(self: Arc<Self>, n: usize, time: Duration) -> Result<Late> {
        let name = format!("readiness-{n}");
        let mut pod = self.pod(&name, &[("main", "live")]);
        let container = &mut pod["spec"]["containers"][0];
        container["readinessProbe"] = self.exec(&name, "turns");
        container["readinessProbe"]["failureThreshold"] = json!(1);
        self.last(&pod, &name, time).await?;
        let probes = stamps(&self.exchange.join(&name), PROBE);
        let seen = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = seen.get(&name).map_or(&[][..], |changes| changes);
        let decisive = probes.iter().skip(TURN).step_by(TURN);
        Ok(decisive.zip(changes).map(|(probe, (at, _))| ("late.ready", at - probe)).collect())
    }

    async fn restarts(self: Arc<Self>, n: usize, time: Duration) -> Result<Late> {
        let name = format!("restarts-{n}");
        let mut pod = self.pod(&name, &[("main", "end")]);
        pod["spec"]["restartPolicy"] = json!("Always");
        self.last(&pod, &name, time).await?;
        let file = self.exchange.join(&name);
        let (starts, ends) = (stamps(&file, START), stamps(&file, END));
        let waits = starts.iter().skip(1).zip(&ends).map(|(start, end)| start - end);
        let due = [0].into_iter().chain(std::iter::repeat(BACKOFF_NS));
        Ok(waits.zip(due).map(|(waited, due)| ("late.restart", waited - due)).collect())
    }

    /// Its hook does not end, nor does it after its signal.
    async fn cut(self: Arc<Self>, n: usize) -> Result<Late> {
        let name = format!("cut-{n}");
        let mut pod = self.pod(&name, &[("main", "stubborn")]);
        let hangs = json!({"exec": {"command": [PROGRAM, "timed", "hangs"]}});
        pod["spec"]["containers"][0]["lifecycle"] = json!({"preStop": hangs});
        let (asked, killed) = self.end(&pod, &name).await?;
        let told = *stamps(&self.exchange.join(&name), TERM).first().context("killed without a signal")?;
        let due = asked + GRACE_S * NANOS;
        Ok(vec![("late.cut", told - due), ("late.floor", killed - (due + FLOOR_S * NANOS))])
    }

    async fn kill(self: Arc<Self>, n: usize) -> Result<Late> {
        let name = format!("kill-{n}");
        let pod = self.pod(&name, &[("main", "stubborn")]);
        let (asked, killed) = self.end(&pod, &name).await?;
        Ok(vec![("late.kill", killed - (asked + GRACE_S * NANOS))])
    }

    async fn sidecar(self: Arc<Self>, n: usize) -> Result<Late> {
        let name = format!("sidecar-{n}");
        let mut pod = self.pod(&name, &[("main", "end"), ("side", "live")]);
        let mut side = pod["spec"]["containers"].as_array_mut().and_then(Vec::pop).unwrap_or_default();
        side["restartPolicy"] = json!("Always");
        pod["spec"]["initContainers"] = json!([side]);
        self.create(&pod).await?;
        let file = self.exchange.join(&name);
        wait_for(&name, || stamps(&file, TERM).first().copied()).await?;
        let (ends, terms) = (stamps(&file, END), stamps(&file, TERM));
        let (end, term) = (ends.first().context("no end")?, terms.first().context("no signal")?);
        Ok(vec![("late.sidecar", term - end)])
    }

    /// Containers of this program; each is a name and what it does.
    fn pod(&self, name: &str, containers: &[(&str, &str)]) -> Value {
        let file = format!("{EXCHANGE}/{name}");
        let args = |what| match what {
            "end" => vec!["timed", "end", &file, "0"],
            what => vec!["timed", what, &file],
        };
        let containers: Vec<_> = containers.iter().map(|(name, what)| (*name, args(*what))).collect();
        let mut pod = pod::manifest(name, &self.program, Some(&self.exchange), &containers);
        for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
            // None of them has to wait for room on the node.
            container["resources"] = json!({});
        }
        pod
    }

    fn exec(&self, name: &str, what: &str) -> Value {
        let file = format!("{EXCHANGE}/{name}");
        json!({"exec": {"command": [PROGRAM, "timed", what, file]}, "periodSeconds": 1, "timeoutSeconds": 10})
    }

    async fn create(&self, pod: &Value) -> Result<()> {
        self.client.create(PODS, pod).await.map(drop)
    }

    async fn delete(&self, name: &str, grace_s: i64) -> Result<()> {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace_s});
        let path = format!("{PODS}/{name}");
        let answer = self.client.ask(Method::DELETE, &path, JSON, options.to_string().into_bytes()).await?;
        ensure!(answer.status() == StatusCode::OK, "deleting {name} was answered with {}", answer.status());
        Ok(())
    }

    /// Lets the pod live for a while.
    async fn last(&self, pod: &Value, name: &str, time: Duration) -> Result<()> {
        self.create(pod).await?;
        sleep(time).await;
        self.delete(name, 0).await
    }

    /// Deletes the pod once it runs. When that was asked for, and when its container was gone.
    async fn end(&self, pod: &Value, name: &str) -> Result<(i64, i64)> {
        let alive = self.exchange.join(name).with_extension(ALIVE);
        mknodat(CWD, &alive, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        self.create(pod).await?;
        let file = self.exchange.join(name);
        wait_for(name, || stamps(&file, START).first().copied()).await?;
        let held: OwnedFd = open(&alive, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        let asked = boot_ns();
        self.delete(name, GRACE_S).await?;
        let gone = tokio::task::spawn_blocking(move || {
            wait::readable(&held, "the end of a container").map(|()| boot_ns())
        });
        Ok((asked, gone.await??))
    }
}

async fn wait_for(name: &str, found: impl Fn() -> Option<i64>) -> Result<()> {
    let end = Instant::now() + SOON;
    while found().is_none() {
        ensure!(Instant::now() < end, "{name}: nothing within {} s", SOON.as_secs());
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}
