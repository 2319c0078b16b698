//! Files and variables that a pod finds of what the API holds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    every_source_of_files,
    modes_and_what_need_not_be_there,
    a_token_for_others,
    every_source_of_variables,
    a_missing_volume_object_that_comes_later,
    missing_variables_in_the_status,
    changes_reach_running_containers,
    a_token_speaks_for_the_pod,
    files_outlive_the_server,
    secrets_are_in_no_record
];

const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Far less than a failure is waited out, were nobody told of changes.
const AT_ONCE: Duration = Duration::from_secs(5);

fn objects(cluster: &Cluster<'_>) -> Result<()> {
    cluster.output(&[
        "create",
        "configmap",
        "settings",
        "--from-literal=a.conf=one",
        "--from-literal=b=bee",
    ])?;
    cluster.output(&["create", "secret", "generic", "creds", "--from-literal=password=s3cret"]).map(drop)
}

/// What a command in the pod's container `main` says.
fn inside(cluster: &Cluster<'_>, pod: &str, script: &str) -> Result<String> {
    cluster.output(&["exec", pod, "-c", "main", "--", "sh", "-c", script])
}

fn files_pod(name: &str) -> Pod {
    let resource = json!({"containerName": "main", "resource": "limits.memory", "divisor": "1Mi"});
    let fields = json!({
        "resources": {"limits": {"memory": "64Mi"}},
        "volumeMounts": [
            mount("settings", "/settings"), mount("creds", "/creds"), mount("self", "/self"), mount("all", "/all"),
        ],
    });
    Pod::new(name)
        .app_with("main", "serve", &fields)
        .volume(json!({"name": "settings", "configMap": {"name": "settings"}}))
        .volume(json!({"name": "creds", "secret": {
            "secretName": "creds", "defaultMode": 0o400, "items": [{"key": "password", "path": "deep/pw"}],
        }}))
        .volume(json!({"name": "self", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "memory", "resourceFieldRef": resource},
        ]}}))
        .volume(json!({"name": "all", "projected": {"sources": [
            {"configMap": {"name": "settings", "items": [{"key": "b", "path": "from/map"}]}},
            {"secret": {"name": "creds"}},
            {"secret": {"name": "nothing", "optional": true}},
            {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": 600}},
        ]}}))
}

fn every_source_of_files(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    objects(&cluster)?;
    cluster.apply_pod(&files_pod("files"))?;
    cluster.output(&["label", "pod", "files", "app=web"])?;
    cluster.wait_ready("files")?;
    let says = |script: &str, expected: &str| -> Result<()> {
        let said = inside(&cluster, "files", script)?;
        ensure!(said.trim_end() == expected, "{script}: {said}");
        Ok(())
    };
    says("cd /settings; echo *; cat a.conf b", "a.conf b\nonebee")?;
    says("cat /creds/deep/pw; stat -L -c ' %a' /creds/deep/pw /settings/b", "s3cret 400\n 644")?;
    says("cat /self/memory", "64")?;
    wait::until("the label", SOON, || says("cat /self/labels", "app=\"web\"").ok())?;
    says("cd /all; echo *; cat from/map password name", "from name password token\nbees3cretfiles")?;
    says(
        &format!("cd {ACCOUNT}; echo *; cat namespace; head -1 ca.crt"),
        "ca.crt namespace token\ndefault-----BEGIN CERTIFICATE-----",
    )?;
    says("readlink /settings/b; readlink /settings/..data | cut -c1-4", "..data/b\n..20")?;
    for file in ["/settings/b", "/creds/new", "/self/labels", &format!("{ACCOUNT}/token")] {
        says(&format!("echo x 2>/dev/null >{file} || echo refused"), "refused")?;
    }
    cluster.output(&["delete", "pod", "files"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

/// Modes of each kind of volume and of single files; keys under other names; what is missing and may be.
fn modes_and_what_need_not_be_there(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    objects(&cluster)?;
    let names = ["map", "part", "secret", "self", "all", "no-map", "no-secret"];
    let mounts: Vec<Value> = names.iter().map(|name| mount(name, &format!("/{name}"))).collect();
    let name = json!({"fieldPath": "metadata.name"});
    let pod = Pod::new("modes")
        .app_with("main", "serve", &json!({"volumeMounts": mounts}))
        .volume(json!({"name": "map", "configMap": {"name": "settings", "defaultMode": 0o440}}))
        .volume(json!({"name": "part", "configMap": {"name": "settings", "items": [
            {"key": "b", "path": "deep/bee"}, {"key": "a.conf", "path": "own", "mode": 0o711},
        ]}}))
        .volume(json!({"name": "secret", "secret": {"secretName": "creds", "items": [
            {"key": "password", "path": "own", "mode": 0o600},
        ]}}))
        .volume(json!({"name": "self", "downwardAPI": {"defaultMode": 0o400, "items": [
            {"path": "name", "fieldRef": name}, {"path": "own", "mode": 0o604, "fieldRef": name},
        ]}}))
        .volume(json!({"name": "all", "projected": {"defaultMode": 0o444, "sources": [
            {"secret": {"name": "creds", "items": [{"key": "password", "path": "pw", "mode": 0o401}]}},
            {"configMap": {"name": "nothing", "optional": true}},
            {"downwardAPI": {"items": [{"path": "name", "fieldRef": name}]}},
        ]}}))
        .volume(json!({"name": "no-map", "configMap": {"name": "nothing", "optional": true}}))
        .volume(json!({"name": "no-secret", "secret": {"secretName": "nothing", "optional": true}}));
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("modes")?;
    let script = format!(
        "for d in {}; do cd /$d; find . -follow -type f -not -path './..*' | sort | while read f; do \
         echo $d/${{f#./}} $(stat -L -c %a $f) $(cat $f); done; done",
        names.join(" ")
    );
    let expected = "map/a.conf 440 one\nmap/b 440 bee\npart/deep/bee 644 bee\npart/own 711 one\nsecret/own 600 s3cret\n\
                    self/name 400 modes\nself/own 604 modes\nall/name 444 modes\nall/pw 401 s3cret\n";
    let said = inside(&cluster, "modes", &script)?;
    ensure!(said == expected, "{said}");
    cluster.finish()
}

/// A token says for whom it is and how long: here the one of a projected volume.
fn a_token_for_others(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let token = json!({"serviceAccountToken": {"path": "deep/token", "audience": "vault", "expirationSeconds": 1234}});
    let pod = Pod::new("bearer")
        .app_with("main", "serve", &json!({"volumeMounts": [mount("token", "/token")]}))
        .volume(json!({"name": "token", "projected": {"sources": [token]}}));
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("bearer")?;
    // The middle of three parts is base64url without its end.
    let script = "part=$(cut -d. -f2 < /token/deep/token | tr '_-' '/+'); \
                  while [ $((${#part} % 4)) != 0 ]; do part=$part=; done; echo $part | base64 -d";
    let claims: Value = serde_json::from_str(&inside(&cluster, "bearer", script)?)?;
    ensure!(claims["aud"] == json!(["vault"]), "{claims}");
    let lasts = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(end, begin)| end - begin);
    ensure!(lasts == Some(1234), "{claims}");
    ensure!(claims["kubernetes.io"]["pod"]["name"] == "bearer", "{claims}");
    cluster.finish()
}

fn variable(name: &str, from: &Value) -> Value {
    json!({"name": name, "valueFrom": from})
}

fn every_source_of_variables(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    objects(&cluster)?;
    let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    let fields = json!({
        "resources": {"limits": {"cpu": "250m"}},
        "envFrom": [
            {"prefix": "MAP_", "configMapRef": {"name": "settings"}},
            {"secretRef": {"name": "creds"}},
            {"configMapRef": {"name": "nothing", "optional": true}},
        ],
        "env": [
            variable("B", &json!({"configMapKeyRef": {"name": "settings", "key": "b"}})),
            variable("PW", &json!({"secretKeyRef": {"name": "creds", "key": "password"}})),
            variable("NONE", &json!({"secretKeyRef": {"name": "creds", "key": "none", "optional": true}})),
            variable("POD", &field("metadata.name")),
            variable("UID_", &field("metadata.uid")),
            variable("NODE", &field("spec.nodeName")),
            variable("ACCOUNT", &field("spec.serviceAccountName")),
            variable("IP", &field("status.podIP")),
            variable("CPU", &json!({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}})),
            {"name": "ALL", "value": "$(MAP_b)-$(PW)-$(POD)-$(NONE)"},
        ],
    });
    let script =
        "say $B $PW ${NONE-unset} $POD $ACCOUNT $IP $CPU $password; say \"$ALL\"; say $UID_ $NODE; serve";
    cluster.apply_pod(&Pod::new("vars").app_with("main", script, &fields))?;
    cluster.wait_ready("vars")?;
    let uid = cluster.output(&["get", "pod", "vars", "-o", "jsonpath={.metadata.uid} {.spec.nodeName}"])?;
    let ip = cluster.output(&["get", "pod", "vars", "-o", "jsonpath={.status.podIP}"])?;
    bed.trace.expect_order(&[
        &format!("main bee s3cret unset vars default {ip} 250 s3cret"),
        "main bee-s3cret-vars-$(NONE)",
        &format!("main {uid}"),
        "main start",
    ])?;
    cluster.finish()
}

fn a_missing_volume_object_that_comes_later(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let pod = Pod::new("waits")
        .app_with(
            "main",
            "cat /later/a >> /trace/log; serve",
            &json!({"volumeMounts": [mount("later", "/later")]}),
        )
        .volume(json!({"name": "later", "configMap": {"name": "later"}}));
    cluster.apply_pod(&pod)?;
    let events = ["events", "--for", "pod/waits", "--types=Warning", "--no-headers"];
    let wanted = "MountVolume.SetUp failed for volume \"later\" : configmap \"later\" not found";
    wait::until("the event", SOON, || {
        let said = cluster.output(&events).ok()?;
        (said.contains("FailedMount") && said.contains(wanted)).then_some(())
    })?;
    let shown = cluster.output(&["get", "pod", "waits", "--no-headers"])?;
    ensure!(shown.contains("0/1") && shown.contains("ContainerCreating"), "{shown}");
    cluster.output(&["create", "configmap", "later", "--from-literal=a=came"])?;
    bed.trace.wait("camemain start", AT_ONCE)?;
    cluster.finish()
}

fn missing_variables_in_the_status(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let fields = json!({"env": [
        variable("A", &json!({"configMapKeyRef": {"name": "later", "key": "a"}})),
    ]});
    cluster.apply_pod(&Pod::new("waits").app_with("main", "say $A; serve", &fields).app("other", "serve"))?;
    let message = "jsonpath={.status.containerStatuses[0].state.waiting.reason}: \
                   {.status.containerStatuses[0].state.waiting.message}";
    let shows = |expected: &str| {
        let text = format!("CreateContainerConfigError: {expected}");
        cluster.wait_output(&["get", "pod", "waits", "-o", message], &text, SOON)
    };
    shows("configmap \"later\" not found")?;
    let shown = cluster.output(&["get", "pod", "waits", "--no-headers"])?;
    ensure!(shown.contains("CreateContainerConfigError"), "{shown}");
    bed.trace.wait("other start", SOON)?;
    cluster.output(&["create", "configmap", "later", "--from-literal=b=x"])?;
    shows("couldn't find key a in ConfigMap default/later")?;
    cluster.output(&["patch", "configmap", "later", "-p", r#"{"data": {"a": "came"}}"#])?;
    bed.trace.wait("main came", AT_ONCE)?;
    cluster.wait_ready("waits")?;
    ensure!(bed.trace.count("other start") == 1);
    cluster.finish()
}

fn changes_reach_running_containers(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    objects(&cluster)?;
    let until = |test: &str| format!("until {test}; do sleep 0.01; done");
    let script = format!(
        "say start; {}; say map; {}; say secret; {}; say label; sleep 1000",
        until("grep -q two /settings/a.conf"),
        until("grep -q new /all/password"),
        until("grep -q web /self/labels"),
    );
    let fields = json!({"volumeMounts": [mount("settings", "/settings"), mount("all", "/all"), mount("self", "/self")]});
    let pod = Pod::new("sees")
        .app_with("main", &script, &fields)
        .volume(json!({"name": "settings", "configMap": {"name": "settings"}}))
        .volume(json!({"name": "all", "projected": {"sources": [{"secret": {"name": "creds"}}]}}))
        .volume(json!({"name": "self", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        ]}}));
    cluster.apply_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    cluster.output(&["patch", "configmap", "settings", "-p", r#"{"data": {"a.conf": "two"}}"#])?;
    bed.trace.wait("main map", AT_ONCE)?;
    cluster.output(&["patch", "secret", "creds", "-p", r#"{"stringData": {"password": "new"}}"#])?;
    bed.trace.wait("main secret", AT_ONCE)?;
    cluster.output(&["label", "pod", "sees", "app=web"])?;
    bed.trace.wait("main label", AT_ONCE)?;
    // What goes from the object goes from the volume; what the pod cannot do without stays.
    cluster.output(&["patch", "configmap", "settings", "-p", r#"{"data": {"b": null}}"#])?;
    wait::until("the key to go", AT_ONCE, || inside(&cluster, "sees", "test ! -e /settings/b").ok())?;
    cluster.output(&["delete", "secret", "creds"])?;
    ensure!(inside(&cluster, "sees", "cat /all/password")? == "new");
    cluster.output(&["delete", "pod", "sees", "--grace-period=1"])?;
    cluster.finish()
}

fn a_token_speaks_for_the_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.output(&["create", "serviceaccount", "robot"])?;
    let pod = Pod::new("speaks").spec(&json!({"serviceAccountName": "robot"})).app("main", "serve");
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("speaks")?;
    let token = inside(&cluster, "speaks", &format!("cat {ACCOUNT}/token"))?;
    let ca = bed.file("pod-ca.crt", &inside(&cluster, "speaks", &format!("cat {ACCOUNT}/ca.crt"))?)?;
    let server = cluster.output(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"])?;
    let as_pod = |args: &[&str]| {
        let mut command = cluster.command();
        command.env("KUBECONFIG", "/nonexistent").args(["--server", &server, "--token", token.trim()]);
        command.arg("--certificate-authority").arg(&ca).args(args);
        bed.finish(&mut command)
    };
    let forbidden = "pods is forbidden: User \"system:serviceaccount:default:robot\" cannot list";
    as_pod(&["get", "pods"])?.expect_code(1)?.expect_output(forbidden)?;
    cluster.output(&["create", "role", "read", "--verb=list,get", "--resource=pods"])?;
    cluster.output(&["create", "rolebinding", "read", "--role=read", "--serviceaccount=default:robot"])?;
    as_pod(&["get", "pods"])?.expect_code(0)?.expect_output("speaks")?;
    // It ends with its pod.
    cluster.output(&["delete", "pod", "speaks"])?;
    as_pod(&["get", "pods"])?.expect_code(1)?.expect_output("Unauthorized")?;

    let without = Pod::new("mute").spec(&json!({"automountServiceAccountToken": false})).app("main", "serve");
    cluster.apply_pod(&without)?;
    cluster.wait_ready("mute")?;
    inside(&cluster, "mute", &format!("test ! -e {ACCOUNT}"))?;
    cluster.finish()
}

fn files_outlive_the_server(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut cluster = Cluster::start(bed)?;
    objects(&cluster)?;
    let fields = json!({"volumeMounts": [mount("settings", "/settings")]});
    let pod = Pod::new("lasting")
        .app_with("main", "serve", &fields)
        .volume(json!({"name": "settings", "configMap": {"name": "settings"}}));
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("lasting")?;
    let token = format!("cat {ACCOUNT}/token");
    let before = inside(&cluster, "lasting", &token)?;
    cluster.kill()?;
    cluster.serve()?;
    // How old the token was, nobody knows any more.
    wait::until("a new token", SOON, || {
        inside(&cluster, "lasting", &token).ok().filter(|now| *now != before && !now.is_empty())
    })?;
    cluster.output(&["patch", "configmap", "settings", "-p", r#"{"data": {"a.conf": "two"}}"#])?;
    wait::until("the change", AT_ONCE, || {
        inside(&cluster, "lasting", "cat /settings/a.conf").ok().filter(|text| text == "two")
    })?;
    ensure!(bed.trace.count("main start") == 1);
    cluster.finish()
}

/// Only the volume's own files hold what is secret, below a directory that only root may enter.
fn secrets_are_in_no_record(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    objects(&cluster)?;
    let fields = json!({
        "env": [variable("PW", &json!({"secretKeyRef": {"name": "creds", "key": "password"}}))],
        "volumeMounts": [mount("creds", "/creds")],
    });
    let pod = Pod::new("keeps")
        .app_with("main", "test ${#PW} = 6 || exit 1; serve", &fields)
        .volume(json!({"name": "creds", "secret": {"secretName": "creds"}}));
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("keeps")?;
    let pod_dir = bed.pod_dir()?;
    let mut holders = Vec::new();
    holding(&pod_dir, "s3cret", &mut holders)?;
    let inner: Vec<&Path> = holders.iter().filter_map(|path| path.strip_prefix(&pod_dir).ok()).collect();
    ensure!(!inner.is_empty() && inner.iter().all(|path| path.starts_with("volumes/creds")), "{inner:?}");
    let mode = fs::metadata(&pod_dir)?.permissions().mode();
    ensure!(mode & 0o007 == 0, "{mode:o}");
    cluster.finish()
}

/// Regular files below `dir` with `text` in them; the container's root is not looked into.
fn holding(dir: &Path, text: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())?.flatten() {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && entry.file_name() != "rootfs" {
            holding(&path, text, found)?;
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path);
            }
        }
    }
    Ok(())
}
