//! Which system calls a container may make.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::lasting::container;
use crate::pod::Pod;
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] =
    tests![a_profile_of_the_node, a_profile_that_is_missing, a_profile_that_is_none, none_and_the_default,];

/// Everything but making directories.
const NO_DIRECTORIES: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}"#;

fn profile(kind: &str, file: Option<&str>) -> Value {
    let mut profile = json!({"type": kind});
    if let Some(file) = file {
        profile["localhostProfile"] = json!(file);
    }
    json!({"securityContext": {"seccompProfile": profile}})
}

fn write(bed: &Bed, name: &str, text: &str) -> Result<()> {
    let path = bed.root().join("var/lib/monopod/seccomp").join(name);
    fs::create_dir_all(path.parent().unwrap_or(&path))?;
    Ok(fs::write(path, text)?)
}

/// The pod's counts for all containers that have none of their own.
fn a_profile_of_the_node(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    write(bed, "profiles/no-directories.json", NO_DIRECTORIES)?;
    let script =
        "mkdir /tmp/made 2> /tmp/error && mark made || mark \"refused $(grep -c 'not supported' /tmp/error)\"
        mark mode $(grep Seccomp: /proc/self/status | cut -f2)";
    let local = profile("Localhost", Some("profiles/no-directories.json"));
    pods.create(&Pod::new("own").app_with("main", script, &local).app("other", script))?;
    let pod = Pod::new("pods").spec(&local).init("first", script).app("main", script);
    pods.create(&pod.app_with("free", script, &profile("RuntimeDefault", None)))?;
    for name in ["own", "pods"] {
        pods.wait_phase(name, "Succeeded")?;
    }
    for (pod, confined, free) in [("own", &["main"][..], "other"), ("pods", &["first", "main"], "free")] {
        let history = pods.history(pod);
        for name in confined {
            history.expect_count(&format!("{name} refused 1"), 1)?;
            history.expect_count(&format!("{name} mode 2"), 1)?;
        }
        history.expect_count(&format!("{free} made"), 1)?;
    }
    pods.finish()
}

/// The container waits for it; the others run.
fn a_profile_that_is_missing(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let local = profile("Localhost", Some("later.json"));
    pods.create(
        &Pod::new("waits")
            .spec(&json!({"restartPolicy": "Always"}))
            .app_with("main", "mark start; mkdir /tmp/made || mark refused; live", &local)
            .app("other", "live"),
    )?;
    pods.wait_mark("waits", "other start")?;
    let status = pods.wait("waits", "one that waits and one that runs", |status| {
        container(status, "main")["state"]["waiting"]["reason"] == "CreateContainerError"
            && !container(status, "other")["state"]["running"].is_null()
    })?;
    let message =
        container(&status, "main")["state"]["waiting"]["message"].as_str().unwrap_or_default().to_owned();
    ensure!(message.starts_with("cannot load seccomp profile \"later.json\": "), "{message}");
    ensure!(
        message.contains("var/lib/monopod/seccomp/later.json") && message.contains("No such file"),
        "{message}"
    );
    write(bed, "later.json", NO_DIRECTORIES)?;
    pods.wait_mark("waits", "main refused")?;
    pods.history("waits").expect_count("other start", 1)?;
    pods.finish()
}

fn a_profile_that_is_none(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    write(bed, "text.json", "not JSON")?;
    write(
        bed,
        "call.json",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["nocall"], "action": "SCMP_ACT_KILL"}]}"#,
    )?;
    for (name, part) in [("text", "text.json"), ("call", "nocall")] {
        let local = profile("Localhost", Some(&format!("{name}.json")));
        pods.create(&Pod::new(name).app_with("main", "live", &local))?;
        let status = pods.wait(name, "CreateContainerError", |status| {
            container(status, "main")["state"]["waiting"]["reason"] == "CreateContainerError"
        })?;
        let message = container(&status, "main")["state"]["waiting"]["message"].to_string();
        ensure!(message.contains("cannot load seccomp profile") && message.contains(part), "{message}");
        pods.history(name).expect_absent("main start")?;
    }
    pods.finish()
}

/// A user namespace is what the default keeps from a container without rights over the machine.
fn none_and_the_default(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let script = "mark mode $(grep Seccomp: /proc/self/status | cut -f2)
        unshare --user true 2> /dev/null && mark made || mark refused";
    let pod = Pod::new("modes").app("main", script).app_with("open", script, &profile("Unconfined", None));
    pods.create(&pod.app_with("closed", script, &profile("RuntimeDefault", None)))?;
    pods.wait_phase("modes", "Succeeded")?;
    let history = pods.history("modes");
    for (name, mode) in [("main", 2), ("closed", 2), ("open", 0)] {
        history.expect_count(&format!("{name} mode {mode}"), 1)?;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    if unshare.status().is_ok_and(|status| status.success()) {
        for (name, outcome) in [("main", "refused"), ("closed", "refused"), ("open", "made")] {
            history.expect_count(&format!("{name} {outcome}"), 1)?;
        }
    }
    pods.finish()
}
