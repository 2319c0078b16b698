//! Pods that this node does not run, or not yet, each with its reason in the words of a kubelet. What is not concerned runs.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::http::Api;
use crate::lasting::container;
use crate::outcome::skip;
use crate::pod::{Pod, both, mount};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    users_that_may_be_root,
    what_the_node_cannot_enforce,
    capabilities_that_are_none,
    limits_below_requests,
    a_device_that_is_gone,
    a_secret_that_comes_later,
    volumes_of_other_machines,
];

/// The message with which a container waits for this reason.
fn waiting(pods: &Pods<'_>, pod: &str, name: &str, reason: &str) -> Result<String> {
    let status = pods.wait(pod, &format!("{reason} of {name}"), |status| {
        container(status, name)["state"]["waiting"]["reason"] == reason
    })?;
    Ok(container(&status, name)["state"]["waiting"]["message"].as_str().unwrap_or_default().to_owned())
}

fn uid(pods: &Pods<'_>, pod: &str) -> Result<String> {
    let object = pods.find(pod)?.unwrap_or_default();
    Ok(object["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
}

/// `runAsNonRoot` with images and numbers that break it, and with what keeps it.
fn users_that_may_be_root(bed: &Bed) -> Result<()> {
    require_root()?;
    super::images::load_with(bed, "localhost/named:1", &json!({"User": "app"}))?;
    let pods = Pods::start(bed)?;
    let usr = json!({"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}});
    let named = json!({"image": "localhost/named:1", "volumeMounts": [mount("usr", "/usr")]});
    let user = |uid: u32| json!({"securityContext": {"runAsUser": uid}});
    let numbered = json!({"securityContext": {"runAsUser": 1000, "runAsGroup": 2000}});
    let own = json!({"securityContext": {"runAsNonRoot": false}});
    pods.create(
        &Pod::new("non-root")
            .spec(&json!({"restartPolicy": "Always", "securityContext": {"runAsNonRoot": true}}))
            .volume(usr)
            .app("root", "live")
            .app_with("named", "live", &named)
            .app_with("zero", "live", &user(0))
            .app_with("good", "mark is $(id -u) $(id -g); live", &numbered)
            .app_with("named-good", "mark is $(id -u); live", &both(&named, &user(1000)))
            .app_with("own", "mark is $(id -u); live", &own),
    )?;
    let of = format!("(pod: \"non-root_default({})\", container: ", uid(&pods, "non-root")?);
    let unknown =
        "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root";
    for (name, why) in [
        ("root", "container has runAsNonRoot and image will run as root"),
        ("named", unknown),
        ("zero", "container's runAsUser breaks non-root policy"),
    ] {
        let message = waiting(&pods, "non-root", name, "CreateContainerConfigError")?;
        ensure!(message == format!("{why} {of}{name})"), "{message}");
    }
    for line in ["good is 1000 2000", "named-good is 1000", "own is 0"] {
        pods.wait_mark("non-root", line)?;
    }
    let history = pods.history("non-root");
    for name in ["root", "named", "zero"] {
        history.expect_absent(&format!("{name} start"))?;
    }
    pods.finish()
}

/// AppArmor, where the kernel has none.
fn what_the_node_cannot_enforce(bed: &Bed) -> Result<()> {
    require_root()?;
    if std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|on| on.starts_with(b"Y")) {
        return skip("this machine has AppArmor");
    }
    let pods = Pods::start(bed)?;
    let profile = |kind: &str| json!({"securityContext": {"appArmorProfile": {"type": kind}}});
    pods.create(&Pod::new("of-pod").spec(&profile("RuntimeDefault")).app("main", "live"))?;
    pods.create(
        &Pod::new("of-one").app_with("main", "live", &profile("RuntimeDefault")).app("other", "live"),
    )?;
    pods.create(&Pod::new("none").spec(&profile("Unconfined")).app("main", "live"))?;
    for name in ["of-pod", "of-one"] {
        let status = pods.wait_phase(name, "Failed")?;
        let why = "Cannot enforce AppArmor: AppArmor is not enabled on the host";
        ensure!(status["reason"] == "AppArmor", "{status:#}");
        ensure!(status["message"] == format!("Pod was rejected: {why}"), "{status:#}");
        pods.wait_event(name, &format!("AppArmor {why}"))?;
        pods.history(name).expect_absent("main start")?;
    }
    pods.wait_mark("none", "main start")?;
    pods.finish()
}

fn capabilities_that_are_none(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let adding = |name: &str| json!({"securityContext": {"capabilities": {"add": [name]}}});
    let dropping = json!({"securityContext": {"capabilities": {"drop": ["FLY"]}}});
    pods.create(
        &Pod::new("caps")
            .spec(&json!({"restartPolicy": "Always"}))
            .app_with("added", "live", &adding("FLY"))
            .app_with("dropped", "live", &dropping)
            .app_with("good", "live", &adding("NET_ADMIN")),
    )?;
    for name in ["added", "dropped"] {
        let message = waiting(&pods, "caps", name, "CreateContainerError")?;
        ensure!(
            message.starts_with("unknown capability \"FLY\" in securityContext.capabilities"),
            "{message}"
        );
    }
    pods.wait_mark("caps", "good start")?;
    pods.history("caps").expect_absent("added start")?;
    pods.finish()
}

/// Says no to the pod and makes nothing.
fn expect_refused(bed: &Bed, pod: &Pod, parts: &[&str]) -> Result<()> {
    let api = Api::new(bed.root().join("run/monopod/api.sock"));
    let manifest = pod.manifest(&bed.dir().join("trace").to_string_lossy());
    api.post("/api/v1/namespaces/default/pods", &manifest)?.refused(422, parts)?;
    // And so does `run`, before it begins anything.
    let finished = bed.run_pod(pod)?;
    finished.expect_code(2)?;
    parts.iter().try_for_each(|part| finished.expect_output(part).map(drop))
}

fn limits_below_requests(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    for (resource, request, limit) in [("memory", "64Mi", "32Mi"), ("cpu", "2", "1500m")] {
        let fields = json!({"resources": {"requests": {resource: request}, "limits": {resource: limit}}});
        let message = format!(
            "spec.containers[0].resources.requests: Invalid value: \"{request}\": must be less than or equal to {resource} \
             limit of {limit}"
        );
        expect_refused(bed, &Pod::new("upside-down").app_with("main", "live", &fields), &[&message])?;
    }
    ensure!(bed.uids().is_empty(), "a refused pod was begun");
    pods.finish()
}

/// The pod waits for it, and goes on by itself when it is there.
fn a_device_that_is_gone(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let path = bed.dir().join("device");
    let fields = json!({"volumeMounts": [mount("device", "/dev/own")]});
    let volume = json!({"name": "device", "hostPath": {"path": path, "type": "CharDevice"}});
    pods.create(&Pod::new("device").volume(volume).app_with(
        "main",
        "head -c 8 /dev/own | grep -c . > /trace/read; mark has $(stat -c %t:%T /dev/own); live",
        &fields,
    ))?;
    let expected = format!(
        "FailedMount MountVolume.SetUp failed for volume \"device\" : hostPath type check failed: {} is not a character device",
        path.display()
    );
    pods.wait_event("device", &expected)?;
    let status = pods.status("device")?;
    ensure!(container(&status, "main")["state"]["waiting"]["reason"] == "ContainerCreating", "{status:#}");
    let mut made = Command::new("mknod");
    made.arg(&path).args(["c", "1", "5"]);
    ensure!(made.status()?.success(), "no device was made");
    pods.wait_mark("device", "main has 1:5")?;
    pods.wait_mark("device", "main start")?;
    pods.finish()
}

/// Each step in the status; the container beside it runs on.
fn a_secret_that_comes_later(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let api = Api::new(bed.root().join("run/monopod/api.sock"));
    let from = json!({"secretKeyRef": {"name": "later", "key": "word"}});
    pods.create(
        &Pod::new("waits")
            .app_with("main", "mark got $WORD; live", &json!({"env": [{"name": "WORD", "valueFrom": from}]}))
            .app("other", "live"),
    )?;
    let message = |expected: &str| {
        pods.wait("waits", expected, |status| {
            let waiting = &container(status, "main")["state"]["waiting"];
            waiting["reason"] == "CreateContainerConfigError" && waiting["message"] == expected
        })
    };
    message("secret \"later\" not found")?;
    pods.wait_mark("waits", "other start")?;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = |data: Value| json!({"metadata": {"name": "later"}, "stringData": data});
    api.post(secrets, &secret(json!({"other": "x"})))?.expect(201)?;
    message("couldn't find key word in Secret default/later")?;
    let patch = json!({"stringData": {"word": "came"}});
    api.send("PATCH", &format!("{secrets}/later"), "merge-patch+json", &patch)?.expect(200)?;
    pods.wait_mark("waits", "main got came")?;
    pods.wait_ready("waits")?;
    pods.history("waits").expect_count("other start", 1)?;
    pods.finish()
}

fn volumes_of_other_machines(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let fields = json!({"volumeMounts": [mount("far", "/far")]});
    for (kind, source, remedy) in [
        ("nfs", json!({"server": "nas", "path": "/"}), "mount it on the host and use hostPath"),
        (
            "gitRepo",
            json!({"repository": "https://example.com"}),
            "clone in an init container into an emptyDir",
        ),
        ("csi", json!({"driver": "disks.example.com"}), "not supported yet"),
    ] {
        let pod =
            Pod::new("far").volume(json!({"name": "far", kind: source})).app_with("main", "live", &fields);
        expect_refused(bed, &pod, &[&format!("spec.volumes[1].{kind}: Forbidden: "), remedy])?;
    }
    ensure!(bed.uids().is_empty(), "a refused pod was begun");
    pods.finish()
}
