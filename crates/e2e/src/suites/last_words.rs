//! Which signal ends a container, and what is kept of its last words.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::lasting::container;
use crate::pod::{Pod, mount};
use crate::pods::{Pods, expect_exit};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![messages_from_file_and_log, stop_signals];

fn messages_from_file_and_log(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let fallback = json!({"terminationMessagePolicy": "FallbackToLogsOnError"});
    let path = json!({"terminationMessagePath": "/tmp/own/message"});
    let cases: [(&str, &str, Value, &str); 7] = [
        ("file", "printf word > /dev/termination-log; echo log; exit 1", json!({}), "word"),
        ("file-first", "printf word > /dev/termination-log; echo log; exit 1", fallback.clone(), "word"),
        ("log", "echo out; echo err >&2; exit 1", fallback.clone(), "out\nerr\n"),
        ("log-of-success", "echo out; exit 0", fallback.clone(), ""),
        ("no-log", "echo out; exit 1", json!({}), ""),
        ("own-path", "printf word > /tmp/own/message; exit 0", path, "word"),
        (
            "killed",
            "echo out; kill -9 $(cut -d' ' -f4 /proc/self/stat); sleep 1; exit 1",
            fallback.clone(),
            "out\n",
        ),
    ];
    for (name, script, fields, _) in &cases {
        pods.create(&Pod::new(name).app_with("main", script, fields))?;
    }
    pods.create(&Pod::new("init").init_with("main", "echo out; exit 1", &fallback).app("other", "live"))?;
    let lines = "n=0; while [ $n -lt 100 ]; do n=$((n+1)); echo line $n; done; exit 1";
    pods.create(&Pod::new("long").app_with("main", lines, &fallback))?;
    let bytes = "head -c 5000 /dev/zero | tr '\\0' x; exit 1";
    pods.create(&Pod::new("broad").app_with("main", bytes, &fallback))?;
    let file = "head -c 5000 /dev/zero | tr '\\0' x > /dev/termination-log; exit 1";
    pods.create(&Pod::new("big").app_with("main", file, &fallback))?;
    let message = |name: &str| -> Result<String> {
        let status =
            pods.wait(name, "its end", |status| !container(status, "main")["state"]["terminated"].is_null())?;
        let ended = &container(&status, "main")["state"]["terminated"];
        Ok(ended["message"].as_str().unwrap_or_default().to_owned())
    };
    for (name, _, _, expected) in &cases {
        let found = message(name)?;
        ensure!(found == *expected, "{name}: {found:?}, expected {expected:?}");
    }
    ensure!(message("init")? == "out\n");
    let long = message("long")?;
    ensure!(
        long.lines().count() == 80 && long.ends_with("line 100\n") && long.starts_with("line 21\n"),
        "{long:?}"
    );
    ensure!(message("broad")?.len() == 2048, "{}", message("broad")?.len());
    ensure!(message("big")?.len() == 4096, "{}", message("big")?.len());
    pods.finish()
}

/// What the container asks for, else what its image does, else SIGTERM.
fn stop_signals(bed: &Bed) -> Result<()> {
    require_root()?;
    super::images::load_with(bed, "localhost/quits:1", &json!({"StopSignal": "SIGQUIT"}))?;
    let pods = Pods::start(bed)?;
    let script =
        "for s in TERM QUIT USR1; do trap \"mark $s; exit 0\" $s; done; mark start; sleep 1000000 & wait $!";
    let own = json!({"lifecycle": {"stopSignal": "SIGUSR1"}});
    let image = json!({"image": "localhost/quits:1", "volumeMounts": [mount("usr", "/usr")]});
    let pod = |name: &str| {
        Pod::new(name)
            .kept()
            .spec(&json!({"os": {"name": "linux"}, "terminationGracePeriodSeconds": 30}))
            .volume(json!({"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}}))
    };
    pods.create(&pod("plain").app("main", script))?;
    pods.create(&pod("own").app_with("main", script, &own).sidecar_with("side", script, &own))?;
    pods.create(&pod("image").app_with("main", script, &image))?;
    pods.create(&pod("both").app_with("main", script, &crate::pod::both(&image, &own)))?;
    for name in ["plain", "own", "image", "both"] {
        pods.wait_mark(name, "main start")?;
        pods.wait_ready(name)?;
    }
    pods.wait_mark("own", "side start")?;
    for name in ["plain", "own", "image", "both"] {
        pods.delete(name, None)?;
    }
    for (name, signal) in [("plain", "TERM"), ("own", "USR1"), ("image", "QUIT"), ("both", "USR1")] {
        let status = pods.wait_ended(name)?;
        expect_exit(&status, "main", 0, "Completed")?;
        let history = pods.history(name);
        history.expect_count(&format!("main {signal}"), 1)?;
        let shown = &container(&status, "main")["stopSignal"];
        ensure!(shown.is_null() || *shown == format!("SIG{signal}"), "{name}: {shown}");
    }
    pods.history("own").expect_order(&["main USR1", "side USR1"])?;
    pods.finish()
}
