//! What the API of `monopod serve` costs: until it is ready, in memory, and for each kind of request.
//!
//! Requests are HTTP/2 over the engine's socket, from one thread of this program, whose own work counts.

mod client;
mod create;
mod list;
mod ready;
mod watches;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Size;
use super::daemon::{self, Daemon};
use crate::bed::Bed;
use crate::report::Report;
pub(super) use client::{Client, JSON};

pub(super) const PODS: &str = "/api/v1/namespaces/default/pods";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const NANOS_PER_MS: f64 = 1e6;

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let root = bed.new_cold_root()?;
    ready::measure(bed, &root, size, report)?;
    let daemon = Daemon::start(bed, &root)?;
    daemon.add_memory("0", "no pods", report)?;
    report.at_most("daemon.rss.0", daemon::RSS_KB_MAX);
    tokio.block_on(async {
        let client = Client::connect(&daemon.socket).await?;
        create::measure(&client, bed, size, report).await?;
        create::fill(&client, size.stored_pods()).await
    })?;
    daemon.stop()?;
    ready::measure_full(bed, &root, size, report)?;
    // Anew: what 1,000 creates have left in memory is not what their pods take.
    let daemon = Daemon::start(bed, &root)?;
    let pods = size.stored_pods();
    daemon.add_memory(&pods.to_string(), &format!("{pods} pods"), report)?;
    tokio.block_on(async {
        list::measure(&Client::connect(&daemon.socket).await?, size, report).await?;
        watches::measure(&daemon, size, report).await
    })?;
    daemon.stop().context("after the watches")
}

/// A pod that stays Pending: no node has such a label.
fn pending_pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": "bench", "part": name } },
        "spec": {
            "nodeSelector": { "bench.example/nowhere": "true" },
            "containers": [{
                "name": "main",
                "image": "localhost/host",
                "command": ["sleep", "1000"],
                "env": [{ "name": "ONE", "value": "1" }, { "name": "TWO", "value": "2" }],
                "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
            }],
        },
    })
}

fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "key": "value" } })
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53: a hundred days")]
pub(super) fn ms(ns: i64) -> f64 {
    ns as f64 / NANOS_PER_MS
}
