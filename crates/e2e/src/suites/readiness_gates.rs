//! Pods that are ready only when somebody else says so, too.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::golden;
use crate::lasting::condition;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![a_gate_opens_and_closes];

const GATE: &str = "example.com/lb";
/// Far less than a failure is waited out, were nobody told.
const AT_ONCE: Duration = Duration::from_secs(5);

fn status(cluster: &Cluster<'_>) -> Result<Value> {
    let text = cluster.output(&["get", "pod", "web", "-o", "json"])?;
    Ok(serde_json::from_str::<Value>(&text)?["status"].take())
}

fn ready(status: &Value) -> Result<Value> {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|held| held["type"] == "Ready").cloned().context("it is always there")
}

fn set_gate(cluster: &Cluster<'_>, open: &str) -> Result<()> {
    let patch = json!({"status": {"conditions": [{"type": GATE, "status": open}]}}).to_string();
    cluster.output(&["patch", "pod", "web", "--subresource", "status", "-p", &patch]).map(drop)
}

fn wait_ready(cluster: &Cluster<'_>, wanted: &str) -> Result<Value> {
    let found = wait::until(&format!("Ready {wanted}"), AT_ONCE, || {
        status(cluster).ok().filter(|status| condition(status, "Ready") == wanted)
    })?;
    ready(&found)
}

fn expect_column(cluster: &Cluster<'_>, ready: &str) -> Result<()> {
    let wide = cluster.output(&["get", "pods", "-o", "wide"])?;
    golden::expect(
        &format!(
            "NAME  READY  STATUS  RESTARTS  AGE  IP  NODE  NOMINATED NODE  READINESS GATES\n\
             web  1/1  Running  {{}}  {{}}  10.200.0.{{}}  {{}}  <none>  {ready}"
        ),
        &wide,
    )
}

fn a_gate_opens_and_closes(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut cluster = Cluster::start(bed)?;
    let gates = json!({"readinessGates": [{"conditionType": GATE}]});
    cluster.apply_pod(&Pod::new("web").spec(&gates).app("main", "serve"))?;
    wait::until("ready containers", SOON, || {
        status(&cluster).ok().filter(|status| condition(status, "ContainersReady") == "True")
    })?;
    let closed = wait_ready(&cluster, "False")?;
    ensure!(closed["reason"] == "ReadinessGatesNotReady", "{closed:#}");
    let message = format!("corresponding condition of pod readiness gate \"{GATE}\" does not exist.");
    ensure!(closed["message"] == message, "{closed:#}");
    expect_column(&cluster, "0/1")?;
    set_gate(&cluster, "True")?;
    let open = wait_ready(&cluster, "True")?;
    ensure!(open["message"].is_null(), "{open:#}");
    expect_column(&cluster, "1/1")?;
    // What another engine finds is no news.
    cluster.kill()?;
    cluster.serve()?;
    let again = wait_ready(&cluster, "True")?;
    ensure!(again["lastTransitionTime"] == open["lastTransitionTime"], "{again:#}");
    ensure!(condition(&status(&cluster)?, GATE) == "True", "the condition of others stays");
    set_gate(&cluster, "False")?;
    let closed = wait_ready(&cluster, "False")?;
    let message = format!("the status of pod readiness gate \"{GATE}\" is not \"True\", but False");
    ensure!(closed["message"] == message, "{closed:#}");
    cluster.finish()
}
