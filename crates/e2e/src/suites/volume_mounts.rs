//! Parts of volumes, images as volumes, and whose volumes are.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::archive::{Layer, docker};
use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::pod::{Pod, mount};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    parts_of_a_volume,
    a_part_of_a_config_map_stays_as_it_was,
    a_link_out_of_the_volume_starts_nobody,
    a_part_without_a_value_starts_nobody,
    all_below_a_read_only_mount,
    what_the_host_mounts_later,
    an_image_as_a_volume,
    an_image_that_comes_later,
    volumes_and_processes_of_a_group,
    groups_of_the_image_and_of_the_pod,
    what_a_sidecar_mounts,
    no_mounts_for_the_host,
];

const IMAGE: &str = "localhost/models:1";

fn below(volume: &str, path: &str, sub_path: &str) -> Value {
    json!({"name": volume, "mountPath": path, "subPath": sub_path})
}

fn empty_dir(name: &str) -> Pod {
    Pod::new(name).volume(json!({"name": "data", "emptyDir": {}}))
}

fn load(bed: &Bed, name: &str, layers: Vec<Layer>) -> Result<()> {
    let archive = bed.dir().join("volume.tar");
    fs::write(&archive, docker(name, &json!({}), layers)?)?;
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).args(["image", "load"]).arg(&archive).stdin(Stdio::null());
    bed.start(&mut command)?.wait(SOON)?.expect_code(0).map(drop)
}

fn waiting(cluster: &Cluster<'_>, pod: &str, container: &str) -> Result<String> {
    let path = format!("jsonpath={{.status.containerStatuses[?(@.name==\"{container}\")].state.waiting}}");
    cluster.output(&["get", "pod", pod, "-o", &path])
}

/// Until the container waits for this reason; then its message.
fn wait_waiting(cluster: &Cluster<'_>, pod: &str, container: &str, reason: &str) -> Result<String> {
    let waiting = wait::until(reason, SOON, || {
        let found: Value = serde_json::from_str(&waiting(cluster, pod, container).ok()?).ok()?;
        (found["reason"] == reason).then_some(found)
    })?;
    Ok(waiting["message"].as_str().unwrap_or_default().to_owned())
}

fn inside(cluster: &Cluster<'_>, pod: &str, script: &str) -> Result<String> {
    cluster.output(&["exec", pod, "-c", "main", "--", "sh", "-c", script])
}

fn parts_of_a_volume(bed: &Bed) -> Result<()> {
    require_root()?;
    let env = json!([{"name": "WHO", "value": "bob"}, {"name": "NAME", "value": "reader"}]);
    let expression = json!({"name": "data", "mountPath": "/mine", "subPathExpr": "users/$(WHO)/$$(WHO)", "readOnly": true});
    let reader = json!({
        "env": env,
        "volumeMounts": [below("data", "/etc/app.conf", "conf/app.conf"), expression],
    });
    let pod = empty_dir("parts")
        .init_with(
            "writer",
            "mkdir /all/conf; echo blue > /all/conf/app.conf; echo deep > /new/file; say $(stat -c %a /new)",
            &json!({"volumeMounts": [mount("data", "/all"), below("data", "/new", "users/bob/$(WHO)")]}),
        )
        .app_with(
            "reader",
            "say $(cat /etc/app.conf /mine/file); touch /mine/x 2>/dev/null || say refused",
            &reader,
        );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["writer 777", "reader blue deep", "reader refused"])
}

fn a_part_of_a_config_map_stays_as_it_was(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.output(&["create", "configmap", "settings", "--from-literal=key=one"])?;
    let volumes = json!({"volumeMounts": [mount("settings", "/all"), below("settings", "/one", "key")]});
    let pod = Pod::new("part")
        .volume(json!({"name": "settings", "configMap": {"name": "settings"}}))
        .app_with("main", "serve", &volumes);
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("part")?;
    cluster.output(&["patch", "configmap", "settings", "-p", r#"{"data":{"key":"two"}}"#])?;
    wait::until("the change", SOON, || {
        inside(&cluster, "part", "cat /all/key").ok().filter(|said| said == "two")
    })?;
    let said = inside(&cluster, "part", "cat /one; echo x 2>/dev/null > /one || echo refused")?;
    ensure!(said == "onerefused\n", "{said}");
    cluster.output(&["delete", "pod", "part"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

/// What a container may write to, the next one mounts.
fn a_link_out_of_the_volume_starts_nobody(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let pod = empty_dir("links")
        .init_with(
            "attacker",
            "ln -s / /data/root; ln -s ../../../../../../.. /data/up",
            &json!({"volumeMounts": [mount("data", "/data")]}),
        )
        .app_with("root", "say in", &json!({"volumeMounts": [below("data", "/v", "root")]}))
        .app_with("etc", "say in", &json!({"volumeMounts": [below("data", "/v", "up/etc")]}))
        .app_with("made", "say in", &json!({"volumeMounts": [below("data", "/v", "up/tmp/made-by-e2e")]}))
        .app_with("main", "say fine; serve", &json!({"volumeMounts": [below("data", "/v", "fine")]}));
    cluster.apply_pod(&pod)?;
    bed.trace.wait("main fine", SOON)?;
    for name in ["root", "etc", "made"] {
        let message = wait_waiting(&cluster, "links", name, "CreateContainerConfigError")?;
        let expected = format!("for volumeMount \"data\" of container \"{name}\"");
        ensure!(message.starts_with("failed to ") && message.contains(&expected), "{message}");
        ensure!(message.ends_with("it leads out of the volume"), "{message}");
        bed.trace.expect_absent(&format!("{name} in"))?;
    }
    ensure!(!std::path::Path::new("/tmp/made-by-e2e").exists(), "a directory was made on the host");
    cluster.output(&["delete", "pod", "links"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

fn a_part_without_a_value_starts_nobody(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let expression = |text: &str| json!({"name": "data", "mountPath": "/v", "subPathExpr": text});
    let out = json!([{"name": "UP", "value": "x/../.."}, {"name": "NAME", "value": "out"}]);
    let pod = empty_dir("values")
        .app_with("none", "say in", &json!({"volumeMounts": [expression("$(NOPE)")]}))
        .app_with("out", "say in", &json!({"volumeMounts": [expression("$(UP)")], "env": out}));
    cluster.apply_pod(&pod)?;
    let message = wait_waiting(&cluster, "values", "none", "CreateContainerConfigError")?;
    ensure!(message == "missing value for NOPE", "{message}");
    let message = wait_waiting(&cluster, "values", "out", "CreateContainerConfigError")?;
    ensure!(message == "unable to provision SubPath `x/../..`: must not contain '..'", "{message}");
    bed.trace.expect_absent("in")?;
    cluster.output(&["delete", "pod", "values"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

fn all_below_a_read_only_mount(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let host = |path: &str, recursive: &str| json!({"name": "dev", "mountPath": path, "readOnly": true, "recursiveReadOnly": recursive});
    // The host's /dev has /dev/shm below it.
    let mounts =
        json!([host("/plain", "Disabled"), host("/all", "Enabled"), host("/possible", "IfPossible")]);
    let pod = Pod::new("recursive")
        .volume(json!({"name": "dev", "hostPath": {"path": "/dev", "type": "Directory"}}))
        .app_with("main", "serve", &json!({"volumeMounts": mounts}));
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("recursive")?;
    let script = "for d in /plain /all /possible; do f=$d/shm/monopod-e2e; \
                  touch $f 2>/dev/null && echo $d && rm $f; done; true";
    let said = inside(&cluster, "recursive", script)?;
    ensure!(said == "/plain\n", "{said}");
    let status = cluster.output(&[
        "get",
        "pod",
        "recursive",
        "-o",
        r#"jsonpath={.status.containerStatuses[0].volumeMounts[?(@.name=="dev")].recursiveReadOnly}"#,
    ])?;
    ensure!(status == "Disabled Enabled Enabled", "{status}");
    cluster.output(&["delete", "pod", "recursive"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

/// Mounts made below `path` before the pod are there at all events; those after only where the host shares its mounts.
fn what_the_host_mounts_later(bed: &Bed) -> Result<()> {
    require_root()?;
    let fields = |propagation: &str| json!({"volumeMounts": [{"name": "host", "mountPath": "/v", "mountPropagation": propagation}]});
    let path = bed.dir().join("host");
    fs::create_dir_all(path.join("mnt"))?;
    let script = "grep ' /v ' /proc/self/mountinfo | grep -c master: | { read n; say $n; }";
    let pod = Pod::new("propagation")
        .volume(json!({"name": "host", "hostPath": {"path": path, "type": "Directory"}}))
        .app_with("private", script, &fields("None"))
        .app_with("slave", script, &fields("HostToContainer"));
    bed.run_pod(&pod)?.expect_code(0)?;
    let shared = fs::read_to_string("/proc/self/mountinfo")?.lines().any(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        fields.get(4) == Some(&"/") && line.contains(" shared:")
    });
    bed.trace.expect_order(&["private 0"])?;
    bed.trace.expect_order(&[if shared { "slave 1" } else { "slave 0" }])
}

fn an_image_as_a_volume(bed: &Bed) -> Result<()> {
    require_root()?;
    let below_all = Layer::new().file("weights/small", "one")?.file("weights/gone", "")?;
    load(bed, IMAGE, vec![below_all, Layer::new().whiteout("weights", "gone")?.file("read.me", "two")?])?;
    let cluster = Cluster::start(bed)?;
    let mounts = json!([
        mount("models", "/models"),
        below("models", "/small", "weights"),
        below("models", "/one", "weights/small"),
    ]);
    let pod = Pod::new("models")
        .volume(json!({"name": "models", "image": {"reference": IMAGE, "pullPolicy": "Never"}}))
        .app_with("main", "serve", &json!({"volumeMounts": mounts}));
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("models")?;
    let script = "cd /models; echo * weights/*; cat read.me /small/small /one; \
                  for f in x weights/x read.me; do echo x 2>/dev/null > $f || echo refused; done";
    let said = inside(&cluster, "models", script)?;
    ensure!(said == "read.me weights weights/small\ntwooneonerefused\nrefused\nrefused\n", "{said}");
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).args(["image", "rm", IMAGE]).stdin(Stdio::null());
    let refused = bed.start(&mut command)?.wait(SOON)?;
    ensure!(refused.expect_code(0).is_err(), "an image that a pod mounts was removed");
    cluster.output(&["delete", "pod", "models"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

fn an_image_that_comes_later(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let image = json!({"name": "models", "image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}});
    let pod = Pod::new("later")
        .volume(image)
        .app_with(
            "main",
            "say $(cat /models/file); serve",
            &json!({"volumeMounts": [mount("models", "/models")]}),
        )
        .app("beside", "say fine; serve");
    cluster.apply_pod(&pod)?;
    bed.trace.wait("beside fine", SOON)?;
    let message = wait_waiting(&cluster, "later", "main", "ImagePullBackOff")?;
    ensure!(message.starts_with(&format!("Back-off pulling image \"{IMAGE}\": ErrImagePull: ")), "{message}");
    load(bed, IMAGE, vec![Layer::new().file("file", "late")?])?;
    bed.trace.wait("main late", SOON)?;
    cluster.output(&["delete", "pod", "later"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

fn volumes_and_processes_of_a_group(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.output(&["create", "secret", "generic", "creds", "--from-literal=password=s3cret"])?;
    let token =
        json!({"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}});
    let pod = Pod::new("group")
        .spec(&json!({"securityContext": {
            "runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 4321, "fsGroupChangePolicy": "OnRootMismatch",
            "supplementalGroups": [5000],
        }}))
        .volume(json!({"name": "disk", "emptyDir": {}}))
        .volume(json!({"name": "memory", "emptyDir": {"medium": "Memory"}}))
        .volume(json!({"name": "creds", "secret": {"secretName": "creds", "defaultMode": 0o400}}))
        .volume(json!({"name": "token", "projected": {"sources": [token]}}))
        .app_with(
            "main",
            "serve",
            &json!({"volumeMounts": [
                mount("disk", "/disk"), mount("memory", "/memory"), mount("creds", "/creds"), mount("token", "/token"),
                below("disk", "/part", "made/here"),
            ]}),
        );
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("group")?;
    let script = "id -u; id -g; id -G; stat -L -c '%a %g' /disk /memory /part /creds/password /token/token; \
                  touch /disk/x /memory/x /part/x; stat -c '%u:%g' /disk/x /memory/x /part/x; cat /creds/password";
    let said = inside(&cluster, "group", script)?;
    let expected = "1000\n3000\n3000 4321 5000\n2777 4321\n3777 4321\n2777 4321\n440 4321\n640 4321\n\
                    1000:4321\n1000:4321\n1000:4321\ns3cret";
    ensure!(said == expected, "{said}");
    let user = cluster.output(&[
        "get",
        "pod",
        "group",
        "-o",
        "jsonpath={.status.containerStatuses[0].user.linux}",
    ])?;
    let user: Value = serde_json::from_str(&user).context("no user in the status")?;
    ensure!(user == json!({"uid": 1000, "gid": 3000, "supplementalGroups": [3000, 4321, 5000]}), "{user}");
    cluster.output(&["delete", "pod", "group"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

fn groups_of_the_image_and_of_the_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    let base = Layer::base()?
        .file("etc/passwd", "app:x:1000:1001::/:/bin/sh\n")?
        .file("etc/group", "app:x:1001:\naudio:x:29:app\n")?;
    load(bed, "localhost/groups:1", vec![base])?;
    let usr = json!({"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}});
    for (policy, name, expected) in [("Merge", "merge", "29 77 1001"), ("Strict", "strict", "77 1001")] {
        let context =
            json!({"runAsUser": 1000, "supplementalGroups": [77], "supplementalGroupsPolicy": policy});
        // The primary group comes first in what `id` says.
        let script = "say $(id -G | tr ' ' '\\n' | sort -n)";
        let fields = json!({"image": "localhost/groups:1", "volumeMounts": [mount("usr", "/usr")]});
        let pod = Pod::new(name).spec(&json!({"securityContext": context})).volume(usr.clone());
        bed.run_pod(&pod.app_with(name, script, &fields))?.expect_code(0)?;
        bed.trace.expect_order(&[&format!("{name} {expected}")])?;
    }
    Ok(())
}

/// As a sidecar that serves a file system: it mounts, is killed and starts again, and the app sees what there is.
fn what_a_sidecar_mounts(bed: &Bed) -> Result<()> {
    require_root()?;
    let at =
        |propagation: &str| json!({"name": "data", "mountPath": "/data", "mountPropagation": propagation});
    let server = json!({"securityContext": {"privileged": true}, "volumeMounts": [at("Bidirectional")]});
    let script = "mkdir -p /data/mnt; mount -t tmpfs served /data/mnt; \
                  grep -c ' /data/mnt ' /proc/self/mountinfo > /data/mnt/times; [ -e /trace/once ] && serve; \
                  echo > /trace/once; until [ -e /trace/seen ]; do sleep 0.02; done; exit 1";
    let reads = "until [ -e /data/mnt/times ]; do sleep 0.02; done; say $(cat /data/mnt/times); echo > /trace/seen; \
                 until [ $(cat /data/mnt/times) = 2 ]; do sleep 0.02; done; say again; serve";
    let pod = empty_dir("served")
        .spec(&json!({"restartPolicy": "Always"}))
        .app_with("reader", reads, &json!({"volumeMounts": [at("HostToContainer")]}))
        .app_with("apart", "serve", &json!({"volumeMounts": [mount("data", "/data")]}))
        .app_with("server", script, &server);
    let pods = Pods::start(bed)?;
    pods.create(&pod)?;
    bed.trace.wait("reader 1", SOON)?;
    bed.trace.wait("reader again", SOON)?;
    let on_host = fs::read_to_string("/proc/self/mountinfo")?;
    ensure!(!on_host.lines().any(|line| line.contains(&*bed.dir().to_string_lossy())), "{on_host}");
    pods.delete("served", None)?;
    pods.wait_gone("served")?;
    pods.finish()
}

fn no_mounts_for_the_host(bed: &Bed) -> Result<()> {
    let fields = json!({"volumeMounts": [
        {"name": "data", "mountPath": "/v", "mountPropagation": "Bidirectional"},
    ]});
    let finished = bed.run_pod(&empty_dir("both-ways").app_with("main", "say in", &fields))?;
    finished.expect_line(&["Bidirectional mount propagation is available only to privileged containers"])?;
    bed.trace.expect_absent("main in")
}
