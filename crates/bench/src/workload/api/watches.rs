//! Many watches at once: what they take, and how long an event takes to all of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use linux_sys::clock::boot_ns;
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};

use super::client::{Client, JSON};
use super::{CONFIG_MAPS, Daemon, Size, config_map, ms};
use crate::report::{Report, Row};
use crate::stats::Stats;
use crate::wait::SOON;

const EVENT_MS_MAX: f64 = 100.0;
const KB_MAX: f64 = 20.0;
/// Between two writes, and before memory is looked at: everybody is back to waiting.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn measure(daemon: &Daemon, size: Size, report: &mut Report) -> Result<()> {
    let (connections, each) = size.watches();
    let count = connections * each;
    let client = Client::connect(&daemon.socket).await?;
    let before_kb = daemon.pss_kb()?;
    let (heard, mut hearing) = channel(count);
    let clients = begin(daemon, connections, each, &heard).await?;
    let what = |text: &str| format!("{count} watches, {connections} connections: {text}");
    let mut rows = [
        Row::new("watch.p50", &what("p50"), "ms"),
        Row::new("watch.p99", "  write until event, p99 of a write", "ms"),
        Row::new("watch.last", "  write until the last one has it", "ms"),
    ];
    for n in 0..size.writes() {
        sleep(PAUSE).await;
        let took = one_write(&client, &format!("watched-{n}"), count, &mut hearing).await?;
        let Stats { median, p99, max, .. } = Stats::of(&took);
        for (row, sample) in rows.iter_mut().zip([median, p99, max]) {
            row.samples.push(sample);
        }
    }
    sleep(PAUSE).await;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let kb = (daemon.pss_kb()? - before_kb) / count as f64;
    drop(clients);
    rows.into_iter().for_each(|row| report.add(row));
    report.at_most("watch.p99", EVENT_MS_MAX);
    report.at_most("watch.last", EVENT_MS_MAX);
    report.add(Row::of("watch.memory", "one of these watches: PSS of the daemon", "kB", vec![kb]));
    report.at_most("watch.memory", KB_MAX);
    Ok(())
}

/// The connections last as long as what is returned.
async fn begin(daemon: &Daemon, connections: usize, each: usize, heard: &Sender<i64>) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = Client::connect(&daemon.socket).await?;
        let list: Value = serde_json::from_slice(&client.get(CONFIG_MAPS, JSON).await?)?;
        let version = list["metadata"]["resourceVersion"].as_str().context("a list without a version")?;
        let path = format!("{CONFIG_MAPS}?watch=true&resourceVersion={version}");
        for _ in 0..each {
            let answer = client.ask(Method::GET, &path, JSON, Vec::new()).await?;
            ensure!(answer.status() == StatusCode::OK, "a watch was answered with {}", answer.status());
            tokio::spawn(hear(answer, heard.clone()));
        }
        clients.push(client);
    }
    Ok(clients)
}

/// Says when each event is here: a line each.
async fn hear(mut answer: Response<Incoming>, heard: Sender<i64>) {
    while let Some(Ok(frame)) = answer.frame().await {
        let lines = frame.data_ref().map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
        for _ in 0..lines {
            // Nobody listens any more at the end.
            let _ = heard.send(boot_ns()).await;
        }
    }
}

async fn one_write(
    client: &Client,
    name: &str,
    count: usize,
    hearing: &mut Receiver<i64>,
) -> Result<Vec<f64>> {
    let began = boot_ns();
    client.create(CONFIG_MAPS, &config_map(name)).await?;
    let mut took = Vec::with_capacity(count);
    while took.len() < count {
        let at = timeout(SOON, hearing.recv()).await;
        let at = at.with_context(|| format!("only {} of {count} watches had the event", took.len()))?;
        took.push(ms(at.context("the watches ended")? - began));
    }
    Ok(took)
}
