//! Ephemeral containers: in whatever state the pod is, and counting for nothing.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::lasting::condition;
use crate::pod::{Pod, exec, hooks};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![in_every_phase, they_count_for_nothing];

fn doctor(name: &str, script: &str) -> Value {
    json!({"name": name, "image": "localhost/host", "command": ["sh", "-c", script]})
}

fn state<'s>(status: &'s Value, name: &str) -> &'s Value {
    let all = status["ephemeralContainerStatuses"].as_array().into_iter().flatten();
    all.into_iter().find(|found| found["name"] == name).map_or(&Value::Null, |found| &found["state"])
}

/// While an init container runs, while a sidecar does not start, while an app crashes, while a hook holds back the pod's end.
fn in_every_phase(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let never = crate::pod::probe("startupProbe", &exec("false"), &json!({"failureThreshold": 1000}));
    let hook = hooks(&[("preStop", exec("mark hook; told go"))]);
    pods.create(&Pod::new("init").init("init", "live").app("main", "live"))?;
    pods.create(&Pod::new("gate").sidecar_with("side", "live", &never).app("main", "live"))?;
    pods.create(
        &Pod::new("crash").spec(&json!({"restartPolicy": "Always"})).app("main", "mark start; exit 1"),
    )?;
    pods.create(&Pod::new("no-image").app_with("main", "live", &json!({"image": "localhost/nowhere:1"})))?;
    pods.create(&Pod::new("runs").app("main", "live"))?;
    pods.create(
        &Pod::new("ends").spec(&json!({"terminationGracePeriodSeconds": 60})).app_with("main", "live", &hook),
    )?;
    for (name, mark) in
        [("init", "init start"), ("gate", "side start"), ("crash", "main start"), ("runs", "main start")]
    {
        pods.wait_mark(name, mark)?;
    }
    pods.wait_ready("ends")?;
    for name in ["init", "gate", "crash", "no-image", "runs", "ends"] {
        pods.debug(name, &doctor("doctor", "echo examined; sleep 1000000"))?;
    }
    for name in ["init", "gate", "crash", "no-image", "runs", "ends"] {
        let status = pods.wait(name, "the doctor", |status| !state(status, "doctor")["running"].is_null())?;
        let phase = match name {
            "runs" | "ends" => "Running",
            "crash" => continue,
            _ => "Pending",
        };
        ensure!(status["phase"] == phase, "{status:#}");
    }
    for name in ["init", "gate", "runs"] {
        let log = crate::wait::until("the doctor's log", crate::bed::SOON, || {
            pods.log(name, "container=doctor").ok().filter(|log| !log.is_empty())
        })?;
        ensure!(log == "examined\n", "{log:?}");
    }
    // It ends with the pod's end, without a hook and without a restart.
    pods.delete("ends", None)?;
    pods.wait_mark("ends", "main hook")?;
    pods.tell("ends", "go")?;
    for name in ["init", "gate", "crash", "no-image", "runs"] {
        pods.delete(name, Some(2))?;
    }
    for name in ["init", "gate", "crash", "no-image", "runs"] {
        pods.wait_gone(name)?;
    }
    pods.finish()
}

/// Not for phase and readiness, not for the pod's end, and none is started twice.
fn they_count_for_nothing(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    pods.create(&Pod::new("done").app("main", "mark start; told go; mark end"))?;
    pods.create(&Pod::new("always").spec(&json!({"restartPolicy": "Always"})).app("main", "live"))?;
    for name in ["done", "always"] {
        pods.wait_ready(name)?;
        pods.debug(name, &doctor("fails", "echo once; exit 3"))?;
        pods.debug(name, &doctor("stays", "sleep 1000000"))?;
        let status = pods.wait(name, "both doctors", |status| {
            state(status, "fails")["terminated"]["exitCode"] == 3
                && !state(status, "stays")["running"].is_null()
        })?;
        ensure!(condition(&status, "Ready") == "True" && status["phase"] == "Running", "{status:#}");
    }
    pods.tell("done", "go")?;
    let status = pods.wait_phase("done", "Succeeded")?;
    ensure!(state(&status, "stays")["running"].is_null(), "{status:#}");
    let status = pods.status("always")?;
    let fails = status["ephemeralContainerStatuses"].as_array().into_iter().flatten();
    let restarts: Vec<&Value> = fails.map(|found| &found["restartCount"]).collect();
    ensure!(restarts == [0, 0], "{status:#}");
    // A pod that has ended starts no more.
    pods.debug("done", &doctor("late", "sleep 1000000"))?;
    pods.finish()
}
