//! Disk space that containers ask for and may use, and resources that only the scheduler counts.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::lasting::condition;
use crate::pod::{Pod, both, mount};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] =
    tests![pods_that_have_more_than_they_may, what_a_pod_knows_of_it, more_than_the_node_has];

fn limited(limit: &str) -> Value {
    json!({"resources": {"limits": {"ephemeral-storage": limit}}})
}

fn write(file: &str, kib: u32) -> String {
    format!("head -c {} /dev/zero > {file}; sync; live", kib << 10)
}

/// By one container's layer, by another's log, by the volumes of the pod; and one that has less than it may.
fn pods_that_have_more_than_they_may(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let data = json!({"name": "data", "emptyDir": {}});
    let mounted = json!({"volumeMounts": [mount("data", "/data")]});
    let always = json!({"restartPolicy": "Always"});
    let log = "head -c 2097152 /dev/zero | tr '\\0' 'x' | fold -w 1000; live";
    let layer = Pod::new("layer")
        .spec(&always)
        .app_with("main", &write("/own", 2_048), &limited("1Mi"))
        .app_with("other", "live", &limited("64Mi"));
    let logs = Pod::new("logs").spec(&always).app_with("main", log, &limited("1Mi")).app_with(
        "other",
        "live",
        &limited("64Mi"),
    );
    let volume = Pod::new("volume")
        .spec(&always)
        .volume(data.clone())
        .app_with("main", &write("/data/file", 4_096), &both(&mounted, &limited("1Mi")))
        .app_with("other", "live", &limited("1Mi"));
    let fits = Pod::new("fits").spec(&always).volume(data).app_with(
        "main",
        &write("/data/file", 2_048),
        &both(&mounted, &limited("4Mi")),
    );
    for pod in [&layer, &logs, &volume, &fits] {
        pods.create(pod)?;
    }
    let of_main = "Container main exceeded its local ephemeral storage limit \"1Mi\". ";
    let of_pod = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. ";
    for (pod, message) in [("layer", of_main), ("logs", of_main), ("volume", of_pod)] {
        let status = pods.wait_phase(pod, "Failed")?;
        ensure!(status["reason"] == "Evicted" && status["message"] == message, "{status:#}");
        pods.wait_event(pod, &format!("Evicted {message}"))?;
    }
    let fits = pods.status("fits")?;
    ensure!(fits["phase"] == "Running" && condition(&fits, "Ready") == "True", "{fits:#}");
    pods.finish()
}

fn what_a_pod_knows_of_it(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let variable = |name: &str, resource: &str| {
        json!({"name": name, "valueFrom": {"resourceFieldRef": {
            "resource": resource, "divisor": "1Mi",
        }}})
    };
    let fields = json!({
        "resources": {"requests": {"ephemeral-storage": "3Mi"}, "limits": {"ephemeral-storage": "8Mi"}},
        "env": [variable("L", "limits.ephemeral-storage"), variable("R", "requests.ephemeral-storage")],
    });
    pods.create(&Pod::new("knows").app_with("main", "mark $L $R; live", &fields))?;
    pods.wait_mark("knows", "main 8 3")?;
    let status = pods.wait_ready("knows")?;
    let main = &status["containerStatuses"][0];
    let expected = json!({"limits": {"ephemeral-storage": "8Mi"}, "requests": {"ephemeral-storage": "3Mi"}});
    ensure!(main["resources"] == expected && main["allocatedResources"] == expected["requests"], "{main:#}");
    ensure!(status["qosClass"] == "BestEffort", "{status:#}");
    pods.finish()
}

fn more_than_the_node_has(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    for (pod, resource, amount) in [("storage", "ephemeral-storage", "1Ei"), ("gpu", "example.com/gpu", "1")]
    {
        let fields = json!({"resources": {"limits": {resource: amount}}});
        pods.create(&Pod::new(pod).app_with("main", "live", &fields))?;
        let message = format!(
            "0/1 nodes are available: 1 Insufficient {resource}. preemption: 0/1 nodes are available: \
             1 Preemption is not helpful for scheduling."
        );
        let lacks = |status: &Value| {
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let mut scheduled = conditions.filter(|held| held["type"] == "PodScheduled");
            scheduled.any(|held| held["reason"] == "Unschedulable" && held["message"] == message)
        };
        pods.wait(pod, &message, lacks)?;
        pods.wait_event(pod, &format!("FailedScheduling {message}"))?;
    }
    pods.finish()
}
