//! Volumes belong to the pod: shared by its containers, made and gone with it.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    shared_at_different_paths,
    changes_are_seen_at_once,
    memory_medium_is_shared_and_limited,
    open_to_every_user,
    survives_a_container_restart,
    read_only_mount,
    host_path_directory,
    host_path_that_is_missing,
];

fn at(path: &str) -> Value {
    json!({"volumeMounts": [mount("shared", path)]})
}

fn empty_dir(name: &str) -> Pod {
    Pod::new(name).volume(json!({"name": "shared", "emptyDir": {}}))
}

fn shared_at_different_paths(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = empty_dir("paths").init_with("writer", "echo hello > /out/file", &at("/out")).app_with(
        "reader",
        "say $(cat /deep/in/here/file)",
        &at("/deep/in/here"),
    );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["reader hello"])
}

fn changes_are_seen_at_once(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = empty_dir("live")
        .app_with(
            "ask",
            "echo question > /data/q; until [ -s /data/a ]; do sleep 0.05; done; say $(cat /data/a)",
            &at("/data"),
        )
        .app_with("reply", "until [ -s /data/q ]; do sleep 0.05; done; echo answer > /data/a", &at("/data"));
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["ask answer"])
}

fn memory_medium_is_shared_and_limited(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("memory")
        .volume(json!({"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}))
        .init_with("writer", "say type $(stat -f -c %T /cache); echo warm > /cache/file", &at("/cache"))
        .app_with(
            "reader",
            "say $(cat /cache/file); head -c 4194304 /dev/zero > /cache/big 2>/dev/null || say full",
            &at("/cache"),
        );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["writer type tmpfs", "reader warm", "reader full"])
}

fn open_to_every_user(bed: &Bed) -> Result<()> {
    require_root()?;
    let user = json!({"securityContext": {"runAsUser": 12345}, "volumeMounts": [mount("shared", "/data"), mount("memory", "/memory")]});
    let pod = empty_dir("mode").volume(json!({"name": "memory", "emptyDir": {"medium": "Memory"}})).app_with(
        "main",
        "say $(stat -c %a /data) $(stat -c %A /memory | cut -c 2-9); touch /data/x /memory/x && say written",
        &user,
    );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main 777 rwxrwxrw", "main written"])
}

fn survives_a_container_restart(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = empty_dir("kept").spec(&json!({"restartPolicy": "OnFailure"})).app_with(
        "main",
        "[ -e /data/x ] && { say found; exit 0; }; touch /data/x /private; exit 1",
        &at("/data"),
    );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main found"])
}

fn read_only_mount(bed: &Bed) -> Result<()> {
    require_root()?;
    let fields = json!({"volumeMounts": [{"name": "shared", "mountPath": "/data", "readOnly": true}]});
    let pod = empty_dir("read-only").app_with("main", "touch /data/x 2>/dev/null || say refused", &fields);
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["main refused"])
}

fn host_path_directory(bed: &Bed) -> Result<()> {
    require_root()?;
    let path = bed.dir().join("host/made");
    let volume = json!({"name": "shared", "hostPath": {"path": path, "type": "DirectoryOrCreate"}});
    let pod = Pod::new("host").volume(volume).app_with("main", "echo kept > /data/file", &at("/data"));
    bed.run_pod(&pod)?.expect_code(0)?;
    let text = fs::read_to_string(path.join("file")).context("the pod's end took a hostPath with it")?;
    ensure!(text == "kept\n", "found {text:?}");
    Ok(())
}

fn host_path_that_is_missing(bed: &Bed) -> Result<()> {
    require_root()?;
    let path = bed.dir().join("absent");
    let volume = json!({"name": "shared", "hostPath": {"path": path, "type": "Directory"}});
    let pod = Pod::new("missing").volume(volume).app_with("main", "say start", &at("/data"));
    let mut engine = bed.start_pod(&pod)?;
    engine.wait_output("absent", SOON)?;
    bed.interrupt(engine)?.expect_line(&["shared"])?;
    bed.trace.expect_absent("main start")
}
