//! What the status of a pod says, whole.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::pod::{Pod, both, mount};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![of_a_pod_that_runs_and_ends];

/// What differs from run to run; each is looked at for its form.
fn settle(status: &mut Value) -> Result<()> {
    match status {
        Value::Object(fields) => {
            for (name, value) in fields {
                let text = value.as_str().unwrap_or_default();
                let sound = match name.as_str() {
                    "startTime" | "startedAt" | "finishedAt" | "lastTransitionTime" => {
                        text.len() == 20 && text.ends_with('Z')
                    }
                    "containerID" => text.strip_prefix("monopod://").is_some_and(|id| !id.is_empty()),
                    "imageID" => text.contains("sha256:"),
                    _ => {
                        settle(value)?;
                        continue;
                    }
                };
                ensure!(sound, "{name} is {value}");
                *value = Value::String(name.clone());
            }
        }
        Value::Array(items) => items.iter_mut().try_for_each(settle)?,
        _ => {}
    }
    Ok(())
}

fn whole(status: &Value) -> Result<Value> {
    let mut status = status.clone();
    settle(&mut status)?;
    Ok(status)
}

fn condition(kind: &str) -> Value {
    json!({
        "type": kind, "status": "True", "observedGeneration": 1, "lastProbeTime": null,
        "lastTransitionTime": "lastTransitionTime",
    })
}

fn one(name: &str, more: &Value) -> Value {
    let common = json!({
        "name": name, "image": "localhost/host:latest", "imageID": "imageID", "containerID": "containerID", "lastState": {},
        "restartCount": 0, "ready": true,
    });
    both(&common, more)
}

fn of_a_pod_that_runs_and_ends(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let spec = json!({
        "automountServiceAccountToken": false,
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1001, "supplementalGroups": [1002]},
    });
    let resources = json!({
        "resources": {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "volumeMounts": [both(&mount("data", "/data"), &json!({"readOnly": true}))],
    });
    let pod = Pod::new("whole")
        .kept()
        .spec(&spec)
        .volume(json!({"name": "data", "emptyDir": {}}))
        .init("first", "echo -n done > /dev/termination-log")
        .app_with("main", "mark start; exec sleep 1000000", &resources);
    pods.create(&pod)?;
    let status = pods.wait_ready("whole")?;
    let linux = json!({"linux": {"uid": 1000, "gid": 1001, "supplementalGroups": [1001, 1002]}});
    let trace = json!({"name": "trace", "mountPath": "/trace"});
    let data =
        json!({"name": "data", "mountPath": "/data", "readOnly": true, "recursiveReadOnly": "Disabled"});
    let given = json!({"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}});
    let asked = json!({"cpu": "100m", "memory": "16Mi"});
    let main = json!({
        "started": true, "state": {"running": {"startedAt": "startedAt"}}, "user": linux,
        "volumeMounts": [trace, data], "resources": given, "allocatedResources": asked,
    });
    let first = json!({
        "started": false, "user": linux, "volumeMounts": [trace], "resources": {},
        "state": {"terminated": {
            "exitCode": 0, "reason": "Completed", "message": "done", "containerID": "containerID",
            "startedAt": "startedAt", "finishedAt": "finishedAt",
        }},
    });
    let host = status["hostIP"].clone();
    ensure!(host.as_str().is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_ok()), "{host}");
    let found = whole(&status)?;
    for (field, expected) in [
        ("phase", json!("Running")),
        ("observedGeneration", json!(1)),
        ("startTime", json!("startTime")),
        ("qosClass", json!("Burstable")),
        ("podIP", json!(first_of(&found, "podIPs")?)),
        ("hostIP", json!(first_of(&found, "hostIPs")?)),
        ("allocatedResources", asked.clone()),
        ("resources", json!({"requests": asked})),
        ("initContainerStatuses", json!([one("first", &first)])),
        ("containerStatuses", json!([one("main", &main)])),
    ] {
        ensure!(found[field] == expected, "{field} is {:#}, expected {expected:#}", found[field]);
    }
    ensure!(first_of(&found, "podIPs")?.starts_with("10.200.0."), "{found:#}");
    expect_conditions(&found)?;
    // It has no handler, so that the first process of a namespace does not hear of it.
    pods.delete("whole", Some(1))?;
    let found = whole(&pods.wait_ended("whole")?)?;
    ensure!(found["phase"] == "Failed", "{found:#}");
    let ended = &found["containerStatuses"][0]["state"]["terminated"];
    let expected = json!({
        "exitCode": 137, "signal": 9, "reason": "Error", "containerID": "containerID", "startedAt": "startedAt",
        "finishedAt": "finishedAt",
    });
    ensure!(*ended == expected, "{ended:#}");
    pods.finish()
}

/// Of a pod that is ready: all hold, and nothing more is said.
fn expect_conditions(status: &Value) -> Result<()> {
    let kinds = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    ensure!(conditions.len() == kinds.len(), "{conditions:#?}");
    for kind in kinds {
        ensure!(conditions.contains(&condition(kind)), "no {kind} in {conditions:#?}");
    }
    Ok(())
}

/// One address of each family.
fn first_of<'a>(status: &'a Value, field: &str) -> Result<&'a str> {
    let ips: Vec<&str> =
        status[field].as_array().into_iter().flatten().filter_map(|ip| ip["ip"].as_str()).collect();
    ensure!(matches!(ips[..], [v4, v6] if v4.contains('.') && v6.contains(':')), "{field} is {ips:?}");
    Ok(ips[0])
}
