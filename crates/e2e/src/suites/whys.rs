//! `monopod why` of pods that are stuck, each in its own way; that `kubectl describe` says so, too; and that what is said mends it.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::common_causes::{load, manifest, wait_why, why};
use crate::kubectl::Kubectl;
use crate::registry::{Tool, require};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    sidecar_as_init,
    wait_for_db,
    volume_not_mounted,
    wrong_mount_path,
    name_instead_of_localhost,
    volume_not_defined,
    probes_that_are_refused,
    what_is_missing,
    a_command_that_is_not_there,
    a_stop_that_takes_its_time,
    a_pod_that_has_ended,
    an_engine_that_was_killed,
    what_is_not_there,
];

/// With short backoffs, so that a crash loop is soon one.
fn start(bed: &Bed) -> Result<Cluster<'_>> {
    require_root()?;
    require(Tool::Netcat)?;
    require(Tool::Wget)?;
    let cluster = Cluster::start_with_args(bed, Kubectl::newest()?, &["--dev"])?;
    load(bed)?;
    Ok(cluster)
}

fn apply(bed: &Bed, cluster: &Cluster<'_>, text: &str) -> Result<()> {
    cluster.apply(&bed.file("pod.yaml", text)?).map(drop)
}

fn replace(text: &str, old: &str, new: &str) -> Result<String> {
    ensure!(text.contains(old), "{old:?} is not in\n{text}");
    Ok(text.replacen(old, new, 1))
}

fn remove(cluster: &Cluster<'_>, pod: &str) -> Result<()> {
    cluster.output(&["delete", "pod", pod, "--grace-period=0", "--force"]).map(drop)
}

fn sidecar_as_init(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    let text = manifest("sidecar-as-init.yaml")?;
    apply(bed, &cluster, &text)?;
    wait_why(
        bed,
        &["sidecar-pod"],
        &["stuck", "log-shipper never ends", "restartPolicy: Always", "[sidecar-as-init]"],
    )?;
    wait_described(&cluster, "sidecar-pod", &["Warning", "Stuck", "log-shipper never ends"])?;
    remove(&cluster, "sidecar-pod")?;
    let fixed = replace(
        &text,
        "    image: localhost/filebeat:latest\n",
        "    image: localhost/filebeat:latest\n    restartPolicy: Always\n",
    )?;
    apply(bed, &cluster, &fixed)?;
    cluster.wait_ready("sidecar-pod")?;
    cluster.finish()
}

fn wait_described(cluster: &Cluster<'_>, pod: &str, parts: &[&str]) -> Result<()> {
    let mut last = String::new();
    crate::wait::until(&format!("describe says {parts:?}"), SOON * 4, || {
        last = cluster.output(&["describe", "pod", pod]).unwrap_or_default();
        let is_it = |line: &str| parts.iter().all(|part| line.contains(part));
        last.lines().any(is_it).then_some(())
    })
    .with_context(|| format!("it said:\n{last}"))
}

fn wait_for_db(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    apply(bed, &cluster, &manifest("wait-for-db.yaml")?)?;
    wait_why(
        bed,
        &["wait-for-db"],
        &["waiting", "waits for db: there is no Service db in namespace default"],
    )?;
    cluster.output(&["create", "service", "clusterip", "db", "--tcp=5432:5432"])?;
    wait_why(bed, &["wait-for-db"], &["Service db has no ready endpoint"])?;
    wait_described(&cluster, "wait-for-db", &["Warning", "Stuck", "waits for db"])?;
    let server = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db", "labels": {"app": "db"}},
        "spec": {"containers": [{"name": "db", "image": "localhost/busybox:1.36",
            "command": ["sh", "-c", "while true; do nc -l -k -p 5432; done"]}]}});
    apply(bed, &cluster, &server.to_string())?;
    cluster.wait_ready("wait-for-db")?;
    wait_why(bed, &["wait-for-db"], &["well", "nothing is wrong"])?;
    cluster.finish()
}

fn volume_not_mounted(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    let text = manifest("volume-not-mounted.yaml")?;
    apply(bed, &cluster, &text)?;
    wait_why(bed, &["sidecar-pod"], &["stuck", "sidecar", "/var/log/app.log", "[volume-not-"])?;
    remove(&cluster, "sidecar-pod")?;
    let mount = "    volumeMounts:\n    - name: shared-logs\n      mountPath: /var/log\n";
    let fixed = replace(
        &text,
        "    image: localhost/filebeat:latest\n",
        &format!("    image: localhost/filebeat:latest\n{mount}"),
    )?;
    apply(bed, &cluster, &fixed)?;
    cluster.wait_ready("sidecar-pod")?;
    cluster.output(&[
        "exec",
        "sidecar-pod",
        "-c",
        "main",
        "--",
        "sh",
        "-c",
        "echo shipped > /var/log/app.log",
    ])?;
    cluster.wait_output(&["logs", "sidecar-pod", "-c", "sidecar", "--tail=1"], "shipped", SOON)?;
    cluster.finish()
}

fn wrong_mount_path(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    let text = manifest("wrong-mount-path.yaml")?;
    apply(bed, &cluster, &text)?;
    wait_why(bed, &["sidecar-pod"], &["stuck", "sidecar-container", "/logs", "[paths-do-not-meet]"])?;
    remove(&cluster, "sidecar-pod")?;
    apply(bed, &cluster, &replace(&text, "mountPath: /logs", "mountPath: /var/log")?)?;
    cluster.wait_ready("sidecar-pod")?;
    wait_why(bed, &["sidecar-pod"], &["well", "nothing is wrong"])?;
    cluster.finish()
}

fn name_instead_of_localhost(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    let text = manifest("name-instead-of-localhost.yaml")?;
    apply(bed, &cluster, &text)?;
    wait_why(bed, &["sidecar-pod"], &["stuck", "sidecar", "localhost:8080", "[container-name-as-host]"])?;
    remove(&cluster, "sidecar-pod")?;
    apply(bed, &cluster, &replace(&text, "http://sidecar:8080", "http://localhost:8080")?)?;
    cluster.wait_output(&["logs", "sidecar-pod", "-c", "main"], "served", SOON)?;
    wait_why(bed, &["sidecar-pod"], &["well", "nothing is wrong"])?;
    cluster.finish()
}

/// The API refuses it, so there is no pod to be asked about.
fn volume_not_defined(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    let file = bed.file("pod.yaml", &manifest("volume-not-defined.yaml")?)?;
    let refused = cluster.kubectl(["apply", "-f", &file.to_string_lossy()])?;
    refused.expect_code(1)?.expect_output("volumeMounts[0].name: Not found: \"shared-logs\"")?;
    cluster.finish()
}

fn one(name: &str, container: &serde_json::Value) -> String {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 30, "containers": [container]}})
    .to_string()
}

fn shell(script: &str, more: &serde_json::Value) -> serde_json::Value {
    let mut container =
        json!({"name": "main", "image": "localhost/busybox:1.36", "command": ["sh", "-c", script]});
    for (field, value) in more.as_object().into_iter().flatten() {
        container[field] = value.clone();
    }
    container
}

fn probes_that_are_refused(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    let probe = json!({"readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}});
    let listen = |socket: &str| format!("while true; do nc -l -k {socket}; done");
    apply(bed, &cluster, &one("other-port", &shell(&listen("-p 8000"), &probe)))?;
    apply(bed, &cluster, &one("nobody", &shell("sleep infinity", &probe)))?;
    wait_why(bed, &["other-port"], &["stuck", "not ready", "main listens on :8000"])?;
    wait_why(bed, &["nobody"], &["stuck", "not ready", "nobody in the pod listens on any port"])?;
    cluster.finish()
}

fn what_is_missing(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    let image = json!({"image": "localhost/no-such-image:1"});
    apply(bed, &cluster, &one("image", &shell("sleep 1", &image)))?;
    let env = json!({"envFrom": [{"configMapRef": {"name": "conf"}}]});
    apply(bed, &cluster, &one("env", &shell("exec sleep infinity", &env)))?;
    wait_why(bed, &["image"], &["stuck", "no-such-image:1 cannot be had", "monopod image load"])?;
    wait_why(bed, &["env"], &["stuck", "configmap \"conf\" not found", "kubectl create configmap conf"])?;
    cluster.output(&["create", "configmap", "conf"])?;
    cluster.wait_ready("env")?;
    cluster.finish()
}

fn a_command_that_is_not_there(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    apply(bed, &cluster, &one("crash", &shell("no-such-program", &json!({}))))?;
    let said =
        wait_why(bed, &["crash"], &["stuck", "exit code 127", "not found", "CrashLoopBackOff", "next at"])?;
    let json = why(bed, &["crash", "-o", "json"])?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    ensure!(json["health"] == "stuck" && json["pod"] == "default/crash", "{json}\n{said}");
    cluster.finish()
}

fn a_stop_that_takes_its_time(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    apply(bed, &cluster, &one("deaf", &shell("while true; do sleep 1; done", &json!({}))))?;
    cluster.wait_ready("deaf")?;
    cluster.output(&["delete", "pod", "deaf", "--wait=false"])?;
    wait_why(bed, &["deaf"], &["being stopped", "main has got its stop signal", "[shell-ignores-term]"])?;
    remove(&cluster, "deaf")?;
    cluster.finish()
}

fn a_pod_that_has_ended(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    let pod = |name: &str, script: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "containers": [shell(script, &json!({}))]}})
        .to_string()
    };
    apply(bed, &cluster, &pod("good", "echo done"))?;
    apply(bed, &cluster, &pod("bad", "echo error: no space; exit 3"))?;
    wait_why(bed, &["good"], &["ended", "has succeeded"])?;
    wait_why(bed, &["bad"], &["failed", "exit code 3", "error: no space"])?;
    cluster.finish()
}

/// The pod runs on, and what is known of it is on the disk. To look changes nothing there.
fn an_engine_that_was_killed(bed: &Bed) -> Result<()> {
    let mut cluster = start(bed)?;
    apply(bed, &cluster, &manifest("sidecar-as-init.yaml")?)?;
    wait_why(bed, &["sidecar-pod"], &["log-shipper never ends"])?;
    cluster.kill()?;
    let before = bed.journal()?;
    let said = why(bed, &["sidecar-pod"])?;
    ensure!(said.contains("log-shipper never ends"), "{said}");
    ensure!(bed.journal()? == before, "the journal is another");
    cluster.serve()?;
    wait_why(bed, &["sidecar-pod"], &["log-shipper never ends"])?;
    cluster.finish()
}

fn what_is_not_there(bed: &Bed) -> Result<()> {
    let cluster = start(bed)?;
    let asked = |arguments: &[&str]| {
        let mut command = Command::new(bed.program());
        bed.finish(command.arg("--root").arg(bed.root()).arg("why").args(arguments))
    };
    asked(&["nope"])?
        .expect_code(1)?
        .expect_output("there is no pod default/nope: the engine has none of this name")?;
    apply(bed, &cluster, &one("there", &shell("exec sleep infinity", &json!({}))))?;
    cluster.wait_ready("there")?;
    asked(&["there", "-c", "mian"])?.expect_code(2)?.expect_output("choose one of: [main]")?;
    asked(&["deployment/there"])?.expect_code(2)?.expect_output("is no pod")?;
    cluster.finish()
}
