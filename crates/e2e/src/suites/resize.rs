//! Other cpu and memory for pods that run.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::lasting::{condition, container};
use crate::leaks::cgroup_values;
use crate::pod::{Pod, both};
use crate::pods::{Pods, expect_restarts};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    in_place_by_kubectl,
    the_pod_as_a_whole,
    a_policy_that_restarts,
    more_than_the_node_has,
    room_that_comes_later,
    memory_that_is_in_use,
];

const MIB: u64 = 1 << 20;

fn resources(requests: &Value, limits: &Value) -> Value {
    json!({"resources": {"requests": requests, "limits": limits}})
}

/// The body of a patch that gives `main` resources.
fn resize(requests: &Value, limits: &Value) -> Value {
    json!({"spec": {"containers": [both(&json!({"name": "main"}), &resources(requests, limits))]}})
}

/// What clients wait for: the newest pod, and no word of a resize.
fn is_resized(pod: &Value) -> bool {
    let status = &pod["status"];
    let no = |kind| condition(status, kind).is_empty();
    status["observedGeneration"] == pod["metadata"]["generation"]
        && no("PodResizePending")
        && no("PodResizeInProgress")
        && condition(status, "Ready") == "True"
}

fn wait_resized(pods: &Pods<'_>, name: &str) -> Result<Value> {
    let mut last = Value::Null;
    let resized = wait::until(&format!("{name} is resized"), SOON, || {
        last = pods.find(name).ok()??;
        is_resized(&last).then(|| last["status"].clone())
    });
    resized.with_context(|| format!("{last:#}"))
}

/// The reason and message of a condition that is true.
fn wait_condition(pods: &Pods<'_>, name: &str, kind: &str) -> Result<Value> {
    let status = pods.wait(name, kind, |status| condition(status, kind) == "True")?;
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|held| held["type"] == kind).cloned().context("it is there")
}

fn expect_given(status: &Value, requests: &Value, limits: &Value) -> Result<()> {
    let main = container(status, "main");
    ensure!(main["allocatedResources"] == *requests, "{main:#}");
    ensure!(main["resources"] == resources(requests, limits)["resources"], "{main:#}");
    Ok(())
}

/// Fails unless some cgroup of the test's pods has one of the values.
fn expect_in_cgroup(bed: &Bed, values: &[&str]) -> Result<()> {
    expect_in_cgroups(bed, 1, values)
}

/// Fails unless at least so many have.
fn expect_in_cgroups(bed: &Bed, count: usize, values: &[&str]) -> Result<()> {
    let files =
        ["memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max", "cpu.shares", "cpu.weight"];
    let found = cgroup_values(&bed.uids(), &files);
    let have = found.iter().filter(|line| values.contains(&line.as_str())).count();
    ensure!(have >= count, "{have} of {count} have {values:?} in {found:?}");
    Ok(())
}

fn in_place_by_kubectl(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let (requests, limits) =
        (json!({"cpu": "100m", "memory": "32Mi"}), json!({"cpu": "200m", "memory": "64Mi"}));
    let of_side = resources(&json!({"cpu": "10m"}), &json!({"memory": "16Mi"}));
    let pod = Pod::new("web").sidecar_with("side", "serve", &of_side).app_with(
        "main",
        "serve",
        &resources(&requests, &limits),
    );
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("web")?;
    let object = || -> Result<Value> {
        Ok(serde_json::from_str(&cluster.output(&["get", "pod", "web", "-o", "json"])?)?)
    };
    expect_given(&object()?["status"], &requests, &limits)?;
    let (requests, limits) =
        (json!({"cpu": "150m", "memory": "16Mi"}), json!({"cpu": "300m", "memory": "96Mi"}));
    let mut patch = resize(&requests, &limits);
    let of_side = resources(&json!({"cpu": "10m", "memory": "24Mi"}), &json!({"memory": "24Mi"}));
    patch["spec"]["initContainers"] = json!([both(&json!({"name": "side"}), &of_side)]);
    cluster.output(&["patch", "pod", "web", "--subresource", "resize", "-p", &patch.to_string()])?;
    wait::until("the resized pod", SOON, || object().ok().filter(is_resized))?;
    let resized = object()?;
    ensure!(resized["metadata"]["generation"] == 2, "{resized:#}");
    let status = &resized["status"];
    expect_given(status, &requests, &limits)?;
    ensure!(container(status, "side")["resources"] == of_side["resources"], "{status:#}");
    for name in ["main", "side"] {
        expect_restarts(status, name, 0)?;
    }
    let bytes = |mib: u64, file: &str| format!("{file} {}", mib * MIB);
    for mib in [96, 24] {
        expect_in_cgroup(bed, &[&bytes(mib, "memory.limit_in_bytes"), &bytes(mib, "memory.max")])?;
    }
    expect_in_cgroup(bed, &["cpu.cfs_quota_us 30000", "cpu.max 30000 100000"])?;
    expect_in_cgroup(bed, &["cpu.shares 153", "cpu.weight 6"])?;
    // The app was told nothing.
    bed.trace.expect_order(&["main start"])?;
    for (reason, what) in [("ResizeStarted", "started"), ("ResizeCompleted", "completed")] {
        let selector = format!("--field-selector=reason={reason}");
        let expected = format!(
            "Pod resize {what}: {{\"initContainers\":[{{\"name\":\"side\",\"resources\":{}}}],\"containers\":[{{\"name\":\
             \"main\",\"resources\":{}}}],\"generation\":2}}",
            of_side["resources"],
            resources(&requests, &limits)["resources"],
        );
        cluster.wait_output(
            &["get", "events", &selector, "-o", "jsonpath={.items[*].message}"],
            &expected,
            SOON,
        )?;
    }
    cluster.finish()
}

/// A container whose memory needs a restart is restarted for it, and for its cpu it is not.
fn a_policy_that_restarts(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let fields = both(
        &resources(&json!({"cpu": "50m", "memory": "32Mi"}), &json!({})),
        &json!({"resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]}),
    );
    let spec = json!({"restartPolicy": "Always"});
    pods.create(&Pod::new("web").spec(&spec).app_with("main", "live", &fields).app("other", "live"))?;
    pods.wait_ready("web")?;
    let requests = json!({"cpu": "60m", "memory": "32Mi"});
    pods.resize("web", &resize(&requests, &json!({})))?.expect(200)?;
    let status = wait_resized(&pods, "web")?;
    expect_restarts(&status, "main", 0)?;
    expect_given_requests(&status, &requests)?;
    let requests = json!({"cpu": "60m", "memory": "48Mi"});
    pods.resize("web", &resize(&requests, &json!({})))?.expect(200)?;
    let status = wait_resized(&pods, "web")?;
    expect_restarts(&status, "main", 1)?;
    expect_restarts(&status, "other", 0)?;
    expect_given_requests(&status, &requests)?;
    pods.wait_event("web", "Killing Container main resize requires restart")?;
    pods.wait_event("web", "ResizeCompleted Pod resize completed: ")?;
    pods.finish()
}

fn expect_given_requests(status: &Value, requests: &Value) -> Result<()> {
    let main = container(status, "main");
    ensure!(main["allocatedResources"] == *requests, "{main:#}");
    ensure!(main["resources"] == json!({"requests": requests}), "{main:#}");
    Ok(())
}

fn more_than_the_node_has(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let requests = json!({"cpu": "50m"});
    pods.create(&Pod::new("web").app_with("main", "live", &resources(&requests, &json!({}))))?;
    pods.wait_ready("web")?;
    let refused = pods.resize("web", &resize(&json!({"cpu": "9000"}), &json!({})))?.expect(403)?;
    let said = "pods \\\"web\\\" is forbidden: node didn't have enough allocatable resources: cpu, requested: 9000000, ";
    ensure!(refused.body.contains(said), "{}", refused.body);
    expect_given_requests(&pods.status("web")?, &requests)?;
    pods.finish()
}

/// One that waits for room has it when another pod goes; until then it keeps what it has, whatever becomes of the
/// engine.
fn room_that_comes_later(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut pods = Pods::start(bed)?;
    let cpus = std::thread::available_parallelism()?.get() * 1_000;
    let cpu = |milli: usize| json!({"cpu": format!("{milli}m")});
    let of = |milli: usize| resources(&cpu(milli), &json!({}));
    pods.create(&Pod::new("large").app_with("main", "live", &of(cpus - 501)))?;
    pods.create(&Pod::new("small").app_with("main", "live", &of(250)))?;
    pods.wait_ready("large")?;
    pods.wait_ready("small")?;
    pods.resize("small", &resize(&cpu(cpus - 1), &json!({})))?.expect(200)?;
    let expected = format!(
        "Node didn't have enough resource: cpu, requested: {}, used: {}, capacity: {cpus}",
        cpus - 1,
        cpus - 501,
    );
    for again in [false, true] {
        if again {
            pods.serve_again()?;
            pods.wait("small", "the new engine's status", |status| condition(status, "Ready") == "True")?;
        }
        let pending = wait_condition(&pods, "small", "PodResizePending")?;
        ensure!(pending["reason"] == "Deferred" && pending["message"] == expected, "{pending:#}");
        ensure!(pending["observedGeneration"] == 2, "{pending:#}");
        let status = pods.status("small")?;
        ensure!(container(&status, "main")["allocatedResources"] == cpu(250), "{status:#}");
    }
    let deferred = pods.wait_event("small", "ResizeDeferred Pod resize Deferred: ")?;
    ensure!(deferred.contains(&format!("\"error\":\"{expected}\"")), "{deferred}");
    pods.delete("large", Some(1))?;
    let status = wait_resized(&pods, "small")?;
    ensure!(container(&status, "main")["allocatedResources"] == cpu(cpus - 1), "{status:#}");
    expect_restarts(&status, "main", 0)?;
    pods.wait_event("small", "ResizeCompleted Pod resize completed: ")?;
    pods.finish()
}

/// A limit below what is in use is not set, and said to be tried again; one that is wanted instead is.
/// Its own group changes, and that of a container that has no limit of its own.
fn the_pod_as_a_whole(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let amounts = |cpu: &str, mib: u64| {
        let limits = json!({"cpu": cpu, "memory": format!("{mib}Mi")});
        resources(&json!({"cpu": "50m", "memory": "32Mi"}), &limits)
    };
    pods.create(&Pod::new("web").app("main", "serve").spec(&amounts("100m", 64)))?;
    pods.wait_ready("web")?;
    pods.resize("web", &json!({"spec": amounts("200m", 96)}))?.expect(200)?;
    let status = wait_resized(&pods, "web")?;
    ensure!(status["resources"] == amounts("200m", 96)["resources"], "{status:#}");
    let memory = 96 * MIB;
    let memory = [format!("memory.limit_in_bytes {memory}"), format!("memory.max {memory}")];
    expect_in_cgroups(bed, 2, &[&memory[0], &memory[1]])?;
    expect_in_cgroups(bed, 2, &["cpu.cfs_quota_us 20000", "cpu.max 20000 100000"])?;
    expect_restarts(&status, "main", 0)?;
    pods.finish()
}

fn memory_that_is_in_use(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let limit = |mib: u64| {
        let amount = json!({"memory": format!("{mib}Mi")});
        (amount.clone(), amount)
    };
    let (requests, limits) = limit(128);
    let hungry = "head -c 40000000 /dev/zero > /dev/shm/held; live";
    pods.create(&Pod::new("web").app_with("main", hungry, &resources(&requests, &limits)))?;
    pods.wait_mark("web", "main start")?;
    pods.wait_ready("web")?;
    let (low, low_limits) = limit(8);
    pods.resize("web", &resize(&low, &low_limits))?.expect(200)?;
    let status = pods.wait("web", "the failure", |status| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|held| held["type"] == "PodResizeInProgress" && held["reason"] == "Error")
    })?;
    let failed = wait_condition(&pods, "web", "PodResizeInProgress")?;
    let message = failed["message"].as_str().unwrap_or_default();
    ensure!(message.contains("memory limit (8388608) below current usage"), "{failed:#}");
    let main = container(&status, "main");
    ensure!(main["allocatedResources"] == low && main["resources"]["limits"] == limits, "{main:#}");
    pods.wait_event("web", "ResizeError Pod resize error: ")?;
    let (requests, limits) = limit(64);
    pods.resize("web", &resize(&requests, &limits))?.expect(200)?;
    let status = wait_resized(&pods, "web")?;
    expect_given(&status, &requests, &limits)?;
    expect_restarts(&status, "main", 0)?;
    pods.finish()
}
