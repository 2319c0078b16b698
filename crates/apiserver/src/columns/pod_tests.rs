use podspec::WallTime;
use serde_json::{Value, json};

use super::PODS;
use crate::kinds::Columns as _;

/// READY, STATUS and RESTARTS at 01:00:00.
fn shown(pod: &Value) -> [String; 3] {
    let now = WallTime::from_unix(3_600, 0);
    let cells = PODS.cells(pod, now);
    [1, 2, 3].map(|index| cells[index].as_str().unwrap_or("").to_owned())
}

fn pod(init: &Value, apps: &Value, conditions: &Value) -> Value {
    json!({
        "metadata": {"name": "p"},
        "spec": {
            "initContainers": [{"name": "a"}, {"name": "s", "restartPolicy": "Always"}, {"name": "b"}],
            "containers": [{"name": "main"}],
        },
        "status": {
            "phase": "Pending", "initContainerStatuses": init, "containerStatuses": apps, "conditions": conditions,
        },
    })
}

fn exited(name: &str, code: i64, reason: &str) -> Value {
    json!({"name": name, "restartCount": 0, "state": {"terminated": {"exitCode": code, "reason": reason}}})
}

fn waiting(name: &str, reason: &str) -> Value {
    json!({"name": name, "restartCount": 0, "state": {"waiting": {"reason": reason}}})
}

fn running(name: &str, up: bool) -> Value {
    json!({"name": name, "restartCount": 0, "ready": up, "started": up, "state": {"running": {}}})
}

/// The sequence of a pod with an init container, a sidecar, another init container and an app.
#[test]
fn a_start_step_by_step() {
    let none = json!([]);
    let idle = json!([waiting("main", "PodInitializing")]);
    let initialized = json!([{"type": "Initialized", "status": "True"}]);
    let wait = |name| waiting(name, "PodInitializing");
    let (done, up) = (exited("a", 0, "Completed"), running("s", true));
    for (init, apps, conditions, expected) in [
        (json!([]), &none, &none, ["0/2", "Pending", "0"]),
        (json!([running("a", false), wait("s"), wait("b")]), &idle, &none, ["0/2", "Init:0/3", "0"]),
        (json!([done, running("s", false), wait("b")]), &idle, &none, ["0/2", "Init:1/3", "0"]),
        (json!([done, up, running("b", false)]), &idle, &none, ["1/2", "Init:2/3", "0"]),
        (json!([done, up, exited("b", 0, "Completed")]), &idle, &none, ["1/2", "PodInitializing", "0"]),
        (
            json!([done, up, exited("b", 0, "Completed")]),
            &json!([running("main", true)]),
            &initialized,
            ["2/2", "Pending", "0"],
        ),
        (json!([exited("a", 1, "Error"), wait("s"), wait("b")]), &idle, &none, ["0/2", "Init:Error", "0"]),
        (json!([exited("a", 3, ""), wait("s"), wait("b")]), &idle, &none, ["0/2", "Init:ExitCode:3", "0"]),
        (
            json!([waiting("a", "CrashLoopBackOff"), wait("s"), wait("b")]),
            &idle,
            &none,
            ["0/2", "Init:CrashLoopBackOff", "0"],
        ),
        // A sidecar that crashes after initialization shows, although the app runs.
        (
            json!([done, waiting("s", "CrashLoopBackOff"), exited("b", 0, "Completed")]),
            &json!([running("main", true)]),
            &initialized,
            ["1/2", "Init:CrashLoopBackOff", "0"],
        ),
        // The app is done, the sidecar is stopping.
        (
            json!([done, up, exited("b", 0, "Completed")]),
            &json!([exited("main", 0, "Completed")]),
            &initialized,
            ["1/2", "Completed", "0"],
        ),
    ] {
        assert_eq!(shown(&pod(&init, apps, conditions)), expected, "{init}");
    }
}

#[test]
fn several_apps() {
    let ready = json!([{"type": "Ready", "status": "True"}]);
    for (apps, conditions, expected) in [
        (json!([running("a", true), exited("b", 0, "Completed")]), json!([]), ["1/2", "NotReady", "0"]),
        (json!([running("a", true), exited("b", 0, "Completed")]), ready, ["1/2", "Running", "0"]),
        (json!([exited("a", 1, "Error"), exited("b", 0, "Completed")]), json!([]), ["0/2", "Error", "0"]),
        (json!([exited("a", 0, "Completed"), exited("b", 1, "Error")]), json!([]), ["0/2", "Error", "0"]),
        (
            json!([waiting("a", "ImagePullBackOff"), waiting("b", "ErrImagePull")]),
            json!([]),
            ["0/2", "ImagePullBackOff", "0"],
        ),
        (
            json!([{"name": "a", "state": {"terminated": {"exitCode": 137, "signal": 9}}}]),
            json!([]),
            ["0/2", "Signal:9", "0"],
        ),
        (
            json!([{
                "name": "a", "restartCount": 3, "ready": true, "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": 1, "finishedAt": "1970-01-01T00:59:48Z"}},
            }]),
            json!([]),
            ["1/2", "Running", "3 (12s ago)"],
        ),
    ] {
        let pod = json!({
            "metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
            "status": {"phase": "Running", "containerStatuses": apps, "conditions": conditions},
        });
        assert_eq!(shown(&pod), expected, "{pod}");
    }
}

#[test]
fn pods_that_end_or_wait_for_something_else() {
    let gated = json!([{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]);
    for (metadata, status, expected) in [
        (json!({"deletionTimestamp": "x"}), json!({"phase": "Running"}), "Terminating"),
        (json!({"deletionTimestamp": "x"}), json!({"phase": "Succeeded"}), "Succeeded"),
        (json!({"deletionTimestamp": "x"}), json!({"phase": "Running", "reason": "NodeLost"}), "Unknown"),
        (json!({}), json!({"phase": "Failed", "reason": "Evicted"}), "Evicted"),
        (json!({}), json!({"phase": "Pending", "conditions": gated}), "SchedulingGated"),
    ] {
        let pod = json!({"metadata": metadata, "spec": {"containers": [{"name": "a"}]}, "status": status});
        assert_eq!(shown(&pod)[1], expected, "{pod}");
    }
}

#[test]
fn wide_cells() {
    let pod = json!({
        "metadata": {"name": "p", "creationTimestamp": "1970-01-01T00:30:00Z"},
        "spec": {
            "nodeName": "n", "containers": [], "readinessGates": [{"conditionType": "x"}, {"conditionType": "y"}],
        },
        "status": {
            "phase": "Running", "podIPs": [{"ip": "10.0.0.1"}], "conditions": [{"type": "x", "status": "True"}],
        },
    });
    let cells = PODS.cells(&pod, WallTime::from_unix(3_600, 0));
    assert_eq!(cells, ["p", "0/0", "Running", "0", "30m", "10.0.0.1", "n", "<none>", "1/2"]);
}
