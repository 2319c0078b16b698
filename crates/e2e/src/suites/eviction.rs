//! Pods that have to go: because a volume holds more than it may, or because somebody evicts them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::lasting::condition;
use crate::pod::{Pod, both, exec, hooks, mount};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] =
    tests![a_volume_that_is_too_full, an_eviction_by_the_api_is_a_deletion_with_its_grace];

fn a_volume_that_is_too_full(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let data = |limit: &str| json!({"name": "data", "emptyDir": {"sizeLimit": limit}});
    let mounted = json!({"volumeMounts": [mount("data", "/data")]});
    let write = |kib: u32| format!("head -c {} /dev/zero > /data/file; sync; live", kib << 10);
    // The critical one is looked at first, if it is.
    let cases = [
        ("critical", "1Mi", 2_048, "system-node-critical"),
        ("full", "1Mi", 2_048, ""),
        ("fits", "4Mi", 2_048, ""),
    ];
    for (name, limit, kib, class) in cases {
        let spec = json!({"restartPolicy": "Always", "priorityClassName": class});
        let pod = Pod::new(name).spec(&spec).volume(data(limit));
        pods.create(&pod.sidecar("side", "live").app_with("main", &write(kib), &mounted))?;
    }
    pods.wait_ready("fits")?;
    let status = pods.wait_phase("full", "Failed")?;
    let message = "Usage of EmptyDir volume \"data\" exceeds the limit \"1Mi\". ";
    ensure!(status["reason"] == "Evicted" && status["message"] == message, "{status:#}");
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let target =
        conditions.into_iter().find(|held| held["type"] == "DisruptionTarget").context("no target")?;
    ensure!(target["reason"] == "TerminationByKubelet" && target["message"] == message, "{target:#}");
    pods.wait_event("full", &format!("Evicted {message}"))?;
    // It was measured before or after the other, in the same seconds.
    for name in ["fits", "critical"] {
        let status = pods.status(name)?;
        ensure!(status["phase"] == "Running" && condition(&status, "Ready") == "True", "{name}: {status:#}");
    }
    pods.finish()
}

fn an_eviction_by_the_api_is_a_deletion_with_its_grace(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hooked = both(&hooks(&[("preStop", exec("mark hook; sleep 1; mark hook-done"))]), &json!({}));
    pods.create(&Pod::new("web").sidecar("side", "live").app_with("main", "live", &hooked))?;
    pods.wait_ready("web")?;
    let eviction: Value = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web", "namespace": "default"}});
    pods.post("web/eviction", &eviction)?.expect(201)?;
    pods.wait_gone("web")?;
    pods.history("web").expect_order(&["main hook", "main hook-done", "main stop", "side stop"])?;
    pods.finish()
}
