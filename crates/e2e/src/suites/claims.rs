//! Storage that outlives pods: claims, volumes, classes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    data_outlives_pods_and_the_server,
    volumes_that_somebody_else_has_made,
    pods_wait_for_their_claims,
    claims_that_pods_bring,
    files_of_the_group,
    what_is_refused_and_what_is_printed,
    a_run_with_a_claim,
];

fn claim(name: &str, fields: &Value) -> Value {
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    for (field, value) in fields.as_object().into_iter().flatten() {
        claim["spec"][field] = value.clone();
    }
    claim
}

fn claimed(name: &str) -> Value {
    json!({"name": "data", "persistentVolumeClaim": {"claimName": name}})
}

fn data() -> Value {
    json!({"volumeMounts": [mount("data", "/data")]})
}

fn create(bed: &Bed, cluster: &Cluster<'_>, object: &Value) -> Result<()> {
    let file = bed.file("object.json", &object.to_string())?;
    cluster.apply(&file).map(drop)
}

fn wait_field(cluster: &Cluster<'_>, object: &str, path: &str, expected: &str) -> Result<()> {
    cluster.wait_output(&["get", object, "-o", &format!("jsonpath={{{path}}}")], expected, SOON)
}

fn wait_gone(cluster: &Cluster<'_>, object: &str) -> Result<()> {
    wait::until(&format!("the end of {object}"), SOON, || {
        let found = cluster.kubectl(["get", object, "--ignore-not-found", "-o", "name"]).ok()?;
        found.stdout.is_empty().then_some(())
    })
}

fn volume_of(cluster: &Cluster<'_>, claim: &str) -> Result<(String, PathBuf)> {
    let name = cluster.output(&["get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}"])?;
    let path = cluster.output(&["get", "pv", &name, "-o", "jsonpath={.spec.local.path}"])?;
    Ok((name, PathBuf::from(path)))
}

fn data_outlives_pods_and_the_server(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut cluster = Cluster::start(bed)?;
    create(bed, &cluster, &claim("data", &json!({})))?;
    wait_field(&cluster, "pvc/data", ".status.phase", "Pending")?;
    let waits = "waiting for first consumer to be created before binding";
    wait::until("the event", SOON, || {
        cluster.output(&["events", "--for", "pvc/data"]).ok().filter(|said| said.contains(waits))
    })?;
    let pod =
        |name: &str, script: &str| Pod::new(name).volume(claimed("data")).app_with("main", script, &data());
    cluster.apply_pod(&pod("writer", "echo kept > /data/file; say wrote; serve"))?;
    cluster.wait_ready("writer")?;
    wait_field(&cluster, "pvc/data", ".status.phase", "Bound")?;
    let (volume, path) = volume_of(&cluster, "data")?;
    ensure!(fs::read_to_string(path.join("file"))? == "kept\n");
    cluster.output(&["delete", "pod", "writer"])?;
    cluster.kill()?;
    cluster.serve()?;
    cluster.apply_pod(&pod("reader", "say $(cat /data/file); serve"))?;
    bed.trace.wait("main kept", SOON)?;
    // While a pod uses it, it stays.
    cluster.output(&["delete", "pvc", "data", "--wait=false"])?;
    let shown = cluster.output(&["get", "pvc", "data", "--no-headers"])?;
    ensure!(shown.contains("Terminating"), "{shown}");
    cluster.kill()?;
    cluster.serve()?;
    ensure!(fs::read_to_string(path.join("file"))? == "kept\n");
    cluster.output(&["delete", "pod", "reader"])?;
    wait_gone(&cluster, "pvc/data")?;
    wait_gone(&cluster, &format!("pv/{volume}"))?;
    ensure!(!path.exists(), "{} is left", path.display());
    cluster.finish()
}

fn volumes_that_somebody_else_has_made(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let directory = bed.dir().join("made-before");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("file"), "there before")?;
    let volume = |name: &str, storage: &str, path: &str| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": {"of": "test"}},
            "spec": {
                "capacity": {"storage": storage}, "accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
                "hostPath": {"path": path},
            },
        })
    };
    create(bed, &cluster, &volume("large", "5Gi", "/nonexistent"))?;
    create(bed, &cluster, &volume("fits", "1Gi", &directory.to_string_lossy()))?;
    wait_field(&cluster, "pv/fits", ".status.phase", "Available")?;
    let wanted = json!({"storageClassName": "manual", "selector": {"matchLabels": {"of": "test"}}});
    create(bed, &cluster, &claim("data", &wanted))?;
    wait_field(&cluster, "pvc/data", ".spec.volumeName", "fits")?;
    wait_field(&cluster, "pv/fits", ".status.phase", "Bound")?;
    let read_only = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": true}});
    let script = "say $(cat /data/file); echo x 2>/dev/null > /data/file || say refused";
    cluster.apply_pod(&Pod::new("reader").volume(read_only).app_with("main", script, &data()))?;
    bed.trace.wait("main refused", SOON)?;
    bed.trace.expect_order(&["main there before", "main refused"])?;
    cluster.output(&["delete", "pod/reader", "pvc/data"])?;
    wait_field(&cluster, "pv/fits", ".status.phase", "Released")?;
    ensure!(fs::read_to_string(directory.join("file"))? == "there before");
    // One that is released is nobody's before somebody says so.
    create(bed, &cluster, &claim("next", &wanted))?;
    wait_field(&cluster, "pvc/next", ".spec.volumeName", "large")?;
    cluster.finish()
}

fn pods_wait_for_their_claims(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let one_pod = json!({"accessModes": ["ReadWriteOncePod"]});
    let pod =
        |name: &str| Pod::new(name).volume(claimed("later")).app_with("main", "say $POD; serve", &data());
    let says = |pod: &str, why: &str| {
        let path = ".status.conditions[?(@.type==\"PodScheduled\")].message";
        let mut last = String::new();
        wait::until(why, SOON, || {
            last = cluster.output(&["get", "pod", pod, "-o", &format!("jsonpath={{{path}}}")]).ok()?;
            last.contains(why).then_some(())
        })
        .with_context(|| last)
    };
    cluster.apply_pod(&pod("first"))?;
    says("first", "persistentvolumeclaim \"later\" not found")?;
    create(bed, &cluster, &claim("later", &one_pod))?;
    bed.trace.wait("main first", SOON)?;
    cluster.apply_pod(&pod("second"))?;
    says("second", "ReadWriteOncePod access mode")?;
    cluster.output(&["delete", "pod", "first"])?;
    bed.trace.wait("main second", SOON)?;
    create(bed, &cluster, &claim("classless", &json!({"storageClassName": ""})))?;
    cluster.apply_pod(&Pod::new("third").volume(claimed("classless")).app_with(
        "main",
        "say never",
        &data(),
    ))?;
    says("third", "pod has unbound immediate PersistentVolumeClaims")?;
    cluster.finish()
}

fn claims_that_pods_bring(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let spec = claim("", &json!({}))["spec"].clone();
    let volume = json!({"name": "data", "ephemeral": {"volumeClaimTemplate": {
        "metadata": {"labels": {"of": "test"}}, "spec": spec,
    }}});
    let script = "echo x > /data/file; say wrote; serve";
    cluster.apply_pod(&Pod::new("brings").volume(volume).app_with("main", script, &data()))?;
    cluster.wait_ready("brings")?;
    let (volume, path) = volume_of(&cluster, "brings-data")?;
    ensure!(path.join("file").exists());
    wait_field(&cluster, "pvc/brings-data", ".metadata.labels.of", "test")?;
    cluster.output(&["delete", "pod", "brings"])?;
    wait_gone(&cluster, "pvc/brings-data")?;
    wait_gone(&cluster, &format!("pv/{volume}"))?;
    ensure!(!path.exists(), "{} is left", path.display());
    cluster.finish()
}

fn files_of_the_group(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    create(bed, &cluster, &claim("data", &json!({})))?;
    let pod = |name: &str, policy: &str| {
        let context = json!({"securityContext": {"fsGroup": 4242, "fsGroupChangePolicy": policy}});
        Pod::new(name).spec(&context).volume(claimed("data")).app_with("main", "say $POD; serve", &data())
    };
    cluster.apply_pod(&pod("first", "Always"))?;
    cluster.wait_ready("first")?;
    let (_, path) = volume_of(&cluster, "data")?;
    let file = path.join("file");
    let found = fs::metadata(&path)?;
    ensure!((found.gid(), found.mode() & 0o7777) == (4242, 0o2777), "{:o}", found.mode());
    let foreign = || -> Result<()> {
        fs::write(&file, "")?;
        std::os::unix::fs::chown(&file, Some(0), Some(0))?;
        Ok(fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?)
    };
    foreign()?;
    cluster.apply_pod(&pod("trusts", "OnRootMismatch"))?;
    cluster.wait_ready("trusts")?;
    ensure!(fs::metadata(&file)?.gid() == 0, "its group was changed");
    cluster.apply_pod(&pod("always", "Always"))?;
    cluster.wait_ready("always")?;
    let found = fs::metadata(&file)?;
    ensure!((found.gid(), found.mode() & 0o7777) == (4242, 0o660), "{:o}", found.mode());
    cluster.finish()
}

fn what_is_refused_and_what_is_printed(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let refused = |object: &Value, why: &str| -> Result<()> {
        let file = bed.file("refused.json", &object.to_string())?;
        cluster.kubectl(["apply", "-f", &file.to_string_lossy()])?.expect_code(1)?.expect_output(why)?;
        Ok(())
    };
    refused(&claim("a", &json!({"volumeMode": "Block"})), "not supported yet: block volumes")?;
    refused(&claim("a", &json!({"accessModes": []})), "at least 1 access mode is required")?;
    refused(&claim("a", &json!({"resources": {}})), "spec.resources[storage]: Required value")?;
    create(bed, &cluster, &claim("data", &json!({})))?;
    let class = cluster.output(&["get", "sc", "--no-headers"])?;
    let class: Vec<&str> = class.split_whitespace().collect();
    ensure!(
        class[..6] == ["local", "(default)", "monopod.dev/local", "Delete", "WaitForFirstConsumer", "false"],
        "{class:?}"
    );
    let shown = cluster.output(&["get", "pvc", "--no-headers"])?;
    let shown: Vec<&str> = shown.split_whitespace().collect();
    ensure!(shown[..4] == ["data", "Pending", "local", "<unset>"], "{shown:?}");
    let grow = r#"{"spec": {"resources": {"requests": {"storage": "2Gi"}}}}"#;
    let patched = cluster.kubectl(["patch", "pvc", "data", "-p", grow])?;
    patched.expect_code(1)?.expect_output("only dynamically provisioned pvc can be resized")?;
    let described = cluster.output(&["describe", "pvc", "data"])?;
    ensure!(described.contains("kubernetes.io/pvc-protection"), "{described}");
    cluster.finish()
}

/// The claim ends with the run, and so does what is in it.
fn a_run_with_a_claim(bed: &Bed) -> Result<()> {
    require_root()?;
    let script =
        "echo x > /data/$POD; say wrote; until [ -e /data/one ] && [ -e /data/two ]; do sleep 0.1; done";
    let pod = |name: &str| {
        let pod = Pod::new(name).volume(claimed("shared")).app_with("main", script, &data());
        pod.manifest(&bed.dir().join("trace").to_string_lossy())
    };
    let both = [pod("one"), pod("two"), claim("shared", &json!({}))].map(|object| object.to_string());
    let manifest = bed.file("run.yaml", &both.join("\n---\n"))?;
    bed.finish(bed.run_command().arg(manifest))?.expect_code(0)?;
    ensure!(bed.trace.count("main wrote") == 2);
    let claims = bed.root().join("var/lib/monopod/run-claims");
    ensure!(!claims.exists(), "{} is left", claims.display());
    Ok(())
}
