//! What pods use, as kubectl and others see it; and what becomes of them when the node is short of something.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::{Cluster, EVICTION_HARD};
use crate::kubectl::Kubectl;
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    top_tells_busy_pods_from_idle_ones,
    the_summary_counts_what_a_pod_has,
    a_node_that_is_short_of_memory_evicts
];

/// A whole processor is never to be had on a busy machine; an idle pod uses none to speak of.
const BUSY_MILLI: u64 = 20;

/// The cells of each line below the head.
fn cells(table: &str) -> Vec<Vec<String>> {
    table.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// `250m`, `12Mi`.
fn amount(cell: &str) -> Result<u64> {
    let digits = cell.trim_end_matches(|c: char| !c.is_ascii_digit());
    digits.parse().with_context(|| format!("{cell} is no amount"))
}

fn top_tells_busy_pods_from_idle_ones(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let labels = |app: &str| json!({"app": app});
    let busy = Pod::new("busy")
        .labels(&labels("busy"))
        .app("spin", "say start; while :; do :; done")
        .app("side", "serve");
    let idle = Pod::new("idle").labels(&labels("idle")).app("main", "serve");
    for pod in [&busy, &idle] {
        cluster.apply_pod(pod)?;
    }
    cluster.wait_ready("busy")?;
    cluster.wait_ready("idle")?;
    let pods = cells(&cluster.output(&["top", "pod"])?);
    let [first, second] = &pods[..] else { anyhow::bail!("{pods:?}") };
    ensure!((first[0].as_str(), second[0].as_str()) == ("busy", "idle"), "{pods:?}");
    ensure!(amount(&first[1])? >= BUSY_MILLI && amount(&second[1])? < BUSY_MILLI, "{pods:?}");
    let containers = cells(&cluster.output(&["top", "pod", "busy", "--containers"])?);
    let names: Vec<&str> = containers.iter().map(|line| line[1].as_str()).collect();
    ensure!(names == ["side", "spin"], "{containers:?}");
    ensure!(
        amount(&containers[0][2])? < BUSY_MILLI && amount(&containers[1][2])? >= BUSY_MILLI,
        "{containers:?}"
    );
    let sorted = cells(&cluster.output(&["top", "pod", "-A", "--sort-by", "cpu"])?);
    ensure!(sorted[0][..2] == ["default", "busy"], "{sorted:?}");
    let selected = cells(&cluster.output(&["top", "pod", "-l", "app=idle"])?);
    ensure!(selected.len() == 1 && selected[0][0] == "idle", "{selected:?}");
    let missing = cluster.kubectl(["top", "pod", "none"])?;
    missing.expect_code(1)?.expect_output("pods.metrics.k8s.io \"default/none\" not found")?;
    let node = cells(&cluster.output(&["top", "node"])?);
    ensure!(node.len() == 1 && node[0].len() == 5 && amount(&node[0][1])? >= BUSY_MILLI, "{node:?}");
    let table = cells(&cluster.output(&["get", "pods.metrics.k8s.io"])?);
    ensure!(table.len() == 2 && table[0].len() == 4, "{table:?}");
    // The word alone means the other pods.
    ensure!(cluster.output(&["get", "pods"])?.contains("READY"));
    let own = bed.finish(
        std::process::Command::new(bed.program()).arg("--root").arg(bed.root()).args(["top", "pod"]),
    )?;
    own.expect_code(0)?.expect_line(&["busy"])?.expect_line(&["idle"])?;
    cluster.finish()
}

fn page(cluster: &Cluster<'_>, path: &str) -> Result<String> {
    let node = cluster.output(&["get", "node", "-o", "jsonpath={.items[0].metadata.name}"])?;
    cluster.output(&["get", "--raw", &format!("/api/v1/nodes/{node}/proxy/{path}")])
}

fn the_summary_counts_what_a_pod_has(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let fields = json!({
        "resources": {"limits": {"memory": "64Mi"}}, "volumeMounts": [mount("data", "/data"), mount("cache", "/cache")],
    });
    let script = "head -c 1000000 /dev/zero > /cache/file; head -c 3000000 /dev/zero > /data/file; head -c 2000000 /dev/zero > /own; sync; say start; serve";
    let pod =
        Pod::new("writer").app_with("main", script, &fields).volume(json!({"name": "data", "emptyDir": {}}));
    let cache = json!({"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}});
    let pod = pod.volume(cache);
    cluster.apply_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    let summary: Value = serde_json::from_str(&page(&cluster, "stats/summary")?)?;
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let node = &summary["node"];
    for path in ["/cpu/usageNanoCores", "/memory/workingSetBytes", "/fs/capacityBytes", "/rlimit/curproc"] {
        ensure!(node.pointer(path).is_some_and(|value| number(value) > 0), "{path} of {node}");
    }
    let pods = summary["pods"].as_array().context("no pods")?;
    let stats = pods.iter().find(|pod| pod["podRef"]["name"] == "writer").context("no such pod")?;
    let main = &stats["containers"][0];
    ensure!(main["name"] == "main" && number(&main["cpu"]["usageCoreNanoSeconds"]) > 0, "{main}");
    let available = number(&main["memory"]["availableBytes"]);
    ensure!(available > 0 && available < 64 << 20, "{main}");
    ensure!(number(&main["rootfs"]["usedBytes"]) >= 2_000_000, "{main}");
    ensure!(stats["volume"][0]["name"] == "data", "{stats}");
    ensure!(number(&stats["volume"][0]["usedBytes"]) >= 3_000_000, "{stats}");
    let mut volumes = stats["volume"].as_array().into_iter().flatten();
    let cache = volumes.find(|volume| volume["name"] == "cache").context("no such volume")?;
    ensure!(number(&cache["capacityBytes"]) == 4 << 20, "{cache}");
    ensure!((1_000_000..2_000_000).contains(&number(&cache["usedBytes"])), "{cache}");
    ensure!((5_000_000..6_000_000).contains(&number(&stats["ephemeral-storage"]["usedBytes"])), "{stats}");
    ensure!(number(&stats["process_stats"]["process_count"]) > 0, "{stats}");
    let metrics = page(&cluster, "metrics/resource")?;
    for name in [
        "container_cpu_usage_seconds_total{container=\"main\",namespace=\"default\",pod=\"writer\"}",
        "pod_memory_working_set_bytes{namespace=\"default\",pod=\"writer\"}",
        "node_cpu_usage_seconds_total ",
    ] {
        ensure!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    cluster.finish()
}

/// A threshold that no machine is above.
fn a_node_that_is_short_of_memory_evicts(bed: &Bed) -> Result<()> {
    require_root()?;
    let args = [EVICTION_HARD, "memory.available<1000Ti"];
    let cluster = Cluster::start_with_args(bed, Kubectl::newest()?, &args)?;
    cluster.apply_pod(&Pod::new("victim").app("main", "serve"))?;
    let field = |path: &str| -> Vec<String> {
        ["get", "pod", "victim", "-o", &format!("jsonpath={{.status.{path}}}")].map(str::to_owned).to_vec()
    };
    let phase = field("phase");
    let phase: Vec<&str> = phase.iter().map(String::as_str).collect();
    cluster.wait_output(&phase, "Failed", SOON)?;
    let said = |path: &str| {
        let args = field(path);
        cluster.output(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    ensure!(said("reason")? == "Evicted");
    let message = said("message")?;
    ensure!(
        message.starts_with("The node was low on resource: memory. Threshold quantity: 1000Ti, available: ")
            && message.contains("Container main was using ")
            && message.ends_with(", request is 0, has larger consumption of memory. "),
        "{message:?}"
    );
    let target = said("conditions[?(@.type==\"DisruptionTarget\")].reason")?;
    ensure!(target == "TerminationByKubelet", "{target}");
    let condition = "jsonpath={.items[0].status.conditions[?(@.type==\"MemoryPressure\")].status}";
    cluster.wait_output(&["get", "node", "-o", condition], "True", SOON)?;
    let taints = "jsonpath={.items[0].spec.taints[*].key}";
    cluster.wait_output(&["get", "node", "-o", taints], "node.kubernetes.io/memory-pressure", SOON)?;
    let events = cluster.output(&["get", "events"])?;
    for part in ["EvictionThresholdMet", "NodeHasInsufficientMemory", "Evicted"] {
        ensure!(events.contains(part), "{part} is not in\n{events}");
    }
    // One that comes now waits, and one that goes past the scheduler is refused.
    cluster.apply_pod(&Pod::new("waits").app("main", "serve"))?;
    let node = cluster.output(&["get", "node", "-o", "jsonpath={.items[0].metadata.name}"])?;
    cluster.apply_pod(&Pod::new("bound").spec(&json!({"nodeName": node})).app("main", "serve"))?;
    let refused = ["get", "pod", "bound", "-o", "jsonpath={.status.reason}: {.status.message}"];
    cluster.wait_output(&refused, "Evicted: The node had condition: [MemoryPressure].", SOON)?;
    let mut events = String::new();
    wait::until("a taint in the way", SOON, || {
        events = cluster.output(&["get", "events", "--field-selector", "involvedObject.name=waits"]).ok()?;
        events.contains("1 node(s) had untolerated taint(s)").then_some(())
    })
    .with_context(|| events.clone())?;
    cluster.finish()
}
