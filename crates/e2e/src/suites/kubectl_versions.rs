//! Each kubectl that a machine may have, old and new, does what people do with it every day.

use std::fs::File;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::golden;
use crate::kubectl::Kubectl;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::kubectl_streams::fetch;
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![debian, v1_27, v1_28, v1_29, v1_30, v1_31, v1_32, v1_33];

/// Of Debian's package.
const DEBIAN_MINOR: u32 = 20;
const EVER: u32 = 0;
const SINCE_TOKENS: u32 = 24;
const SINCE_EVENTS: u32 = 26;

type Step = fn(&Bed, &Cluster<'_>) -> Result<()>;

/// What is done, in this order, and the first minor version of kubectl that can.
const STEPS: &[(u32, &str, Step)] = &[
    (EVER, "version", version),
    (EVER, "api-resources", api_resources),
    (EVER, "explain", explain),
    (EVER, "auth can-i", can_i),
    (EVER, "create namespace, configmap and secret", create_typed),
    (SINCE_TOKENS, "create token", create_token),
    (EVER, "apply", apply),
    (EVER, "apply --server-side", apply_server_side),
    (EVER, "label, annotate and patch", label_annotate_and_patch),
    (EVER, "replace and diff", replace_and_diff),
    (EVER, "create, expose and delete services", services),
    (EVER, "create a pod, watch and wait", create_watch_and_wait),
    (EVER, "get pods", get_pods),
    (EVER, "logs", logs),
    (EVER, "exec", exec),
    (EVER, "cp", copy),
    (EVER, "port-forward", forward),
    (EVER, "describe", describe),
    (SINCE_EVENTS, "events", events),
    (EVER, "logs -f", follow),
    (EVER, "delete", delete),
];

fn debian(bed: &Bed) -> Result<()> {
    all_steps(bed, Kubectl::debian()?, DEBIAN_MINOR)
}

fn v1_27(bed: &Bed) -> Result<()> {
    installed(bed, 27)
}

fn v1_28(bed: &Bed) -> Result<()> {
    installed(bed, 28)
}

fn v1_29(bed: &Bed) -> Result<()> {
    installed(bed, 29)
}

fn v1_30(bed: &Bed) -> Result<()> {
    installed(bed, 30)
}

fn v1_31(bed: &Bed) -> Result<()> {
    installed(bed, 31)
}

fn v1_32(bed: &Bed) -> Result<()> {
    installed(bed, 32)
}

fn v1_33(bed: &Bed) -> Result<()> {
    installed(bed, 33)
}

fn installed(bed: &Bed, minor: u32) -> Result<()> {
    all_steps(bed, Kubectl::installed(minor)?, minor)
}

/// All of them, also after one that failed: the report then says what else does not work.
fn all_steps(bed: &Bed, kubectl: Kubectl, minor: u32) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start_with(bed, kubectl)?;
    let mut failures = vec![];
    for (_, name, step) in STEPS.iter().filter(|(since, ..)| *since <= minor) {
        if let Err(error) = step(bed, &cluster) {
            failures.push(format!("{name}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "kubectl 1.{minor}:\n{}", failures.join("\n"));
    cluster.finish()
}

fn version(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    cluster.kubectl(["version"])?.expect_code(0)?.expect_output("v1.36.2+monopod.").map(drop)
}

fn api_resources(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let resources = cluster.output(&["api-resources", "--no-headers"])?;
    for line in ["pods po v1 true Pod", "namespaces ns v1 false Namespace", "events ev v1 true Event"] {
        let found = resources.lines().any(|l| l.split_whitespace().collect::<Vec<_>>().join(" ") == line);
        ensure!(found, "{line:?} is not in\n{resources}");
    }
    Ok(())
}

fn explain(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let explained = cluster.output(&["explain", "pod.spec.initContainers.restartPolicy"])?;
    ensure!(explained.contains("restartPolicy <string>"), "{explained}");
    let kinds = cluster.output(&["explain", "configmaps"])?;
    ensure!(kinds.contains("ConfigMap") && kinds.contains("binaryData"), "{kinds}");
    Ok(())
}

fn can_i(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    ensure!(cluster.output(&["auth", "can-i", "create", "pods"])? == "yes\n");
    let refused = cluster.kubectl([
        "auth",
        "can-i",
        "list",
        "secrets",
        "--as=system:serviceaccount:default:default",
    ])?;
    refused.expect_code(1)?.expect_output("no").map(drop)
}

fn create_typed(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    ensure!(cluster.output(&["create", "namespace", "team"])? == "namespace/team created\n");
    let created = cluster.output(&["create", "configmap", "typed", "--from-literal=k=v"])?;
    ensure!(created == "configmap/typed created\n", "{created}");
    cluster.output(&["create", "secret", "generic", "hidden", "--from-literal=k=v"])?;
    ensure!(cluster.output(&["get", "secret", "hidden", "-o", "jsonpath={.data.k}"])? == "dg==");
    let again = cluster.kubectl(["create", "configmap", "typed"])?;
    again.expect_code(1)?.expect_output("configmaps \"typed\" already exists").map(drop)
}

fn services(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    cluster.output(&["create", "service", "clusterip", "one", "--tcp=80:8080"])?;
    cluster.output(&["create", "service", "nodeport", "two", "--tcp=80:8080"])?;
    cluster.output(&["expose", "service", "one", "--name=three", "--port=81", "--target-port=8080"])?;
    golden::expect(
        "NAME   TYPE       CLUSTER-IP  EXTERNAL-IP  PORT(S)    AGE\n\
         one    ClusterIP  10.{}       <none>       80/TCP     {}\n\
         two    NodePort   10.{}       <none>       80:{}/TCP  {}\n\
         three  ClusterIP  10.{}       <none>       81/TCP     {}\n",
        &cluster.output(&["get", "service", "one", "two", "three"])?,
    )?;
    let described = cluster.output(&["describe", "service", "two"])?;
    ensure!(described.contains("NodePort:"), "{described}");
    cluster.output(&["delete", "service", "one", "two", "three"]).map(drop)
}

fn create_token(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let token = cluster.output(&["create", "token", "default", "--duration=1h"])?;
    ensure!(token.trim().split('.').count() == 3, "{token}");
    Ok(())
}

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {a: one, b: two}\n";

/// What a config map holds.
fn data(cluster: &Cluster<'_>, name: &str) -> Result<String> {
    cluster.output(&["get", "configmap", name, "-o", "jsonpath={.data}"])
}

fn apply(bed: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let config = CONFIG.replace("NAME", "applied");
    let path = bed.file("applied.yaml", &config)?;
    ensure!(cluster.apply(&path)? == "configmap/applied created\n");
    ensure!(cluster.apply(&path)? == "configmap/applied unchanged\n");
    bed.file("applied.yaml", &config.replace("a: one, ", ""))?;
    ensure!(cluster.apply(&path)? == "configmap/applied configured\n");
    let left = data(cluster, "applied")?;
    ensure!(left.contains("two") && !left.contains("one"), "{left}");
    let bad = bed.file("bad.yaml", &format!("{}stray: 1\n", CONFIG.replace("NAME", "bad")))?;
    let refused = cluster.kubectl(["apply", "-f", &*bad.to_string_lossy()])?;
    refused.expect_code(1)?.expect_output("unknown field \"").map(drop)
}

fn apply_server_side(bed: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let path = bed.file("server-side.yaml", &CONFIG.replace("NAME", "server-side"))?;
    let file = path.to_string_lossy();
    let apply = || cluster.kubectl(["apply", "--server-side", "-f", &*file]);
    apply()?.expect_code(0)?.expect_output("configmap/server-side serverside-applied")?;
    cluster.output(&["patch", "configmap", "server-side", "-p", r#"{"data":{"a":"mine"}}"#])?;
    apply()?.expect_code(1)?.expect_output(".data.a").map(drop)
}

fn label_annotate_and_patch(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    cluster.output(&["label", "configmap", "typed", "tier=b"])?;
    cluster.output(&["annotate", "configmap", "typed", "note=hello"])?;
    for (kind, patch) in [
        ("strategic", r#"{"data":{"a":"one","b":"two"}}"#),
        ("merge", r#"{"data":{"k":null}}"#),
        ("json", r#"[{"op":"replace","path":"/data/b","value":"zwei"}]"#),
    ] {
        cluster.output(&["patch", "configmap", "typed", "--type", kind, "-p", patch])?;
    }
    let shown = "jsonpath={.metadata.labels.tier} {.metadata.annotations.note} {.data.a} {.data.b} {.data.k}";
    let found = cluster.output(&["get", "configmap", "typed", "-o", shown])?;
    ensure!(found.trim_end() == "b hello one zwei", "{found}");
    let selected = cluster.output(&["get", "configmap", "-l", "tier=b", "-o", "name"])?;
    ensure!(selected == "configmap/typed\n", "{selected}");
    Ok(())
}

fn replace_and_diff(bed: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let config = CONFIG.replace("NAME", "replaced");
    let path = bed.file("replaced.yaml", &config)?;
    let file = path.to_string_lossy();
    ensure!(cluster.output(&["create", "-f", &file])? == "configmap/replaced created\n");
    bed.file("replaced.yaml", &config.replace("one", "eins"))?;
    cluster.kubectl(["diff", "-f", &*file])?.expect_code(1)?.expect_output("+  a: eins")?;
    ensure!(cluster.output(&["replace", "-f", &file])? == "configmap/replaced replaced\n");
    cluster.kubectl(["diff", "-f", &*file])?.expect_code(0)?;
    ensure!(data(cluster, "replaced")?.contains("eins"));
    Ok(())
}

/// It answers on port 8080 and writes until a file says that it is enough.
fn pod() -> Pod {
    let script = "mkdir -p /tmp/www; echo forwarded > /tmp/www/page; echo first
        /usr/bin/python3 -m http.server 8080 --bind 127.0.0.1 --directory /tmp/www > /dev/null 2>&1 &
        until [ -e /trace/enough ]; do sleep 0.05; done; echo last; kill $!";
    Pod::new("web").volume(json!({"name": "data", "emptyDir": {}})).app_with(
        "main",
        script,
        &json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}),
    )
}

fn create_watch_and_wait(bed: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let mut watching = bed.start(cluster.command().args(["get", "pods", "-w"]))?;
    let manifest = bed.manifest(&pod())?;
    let created = cluster.output(&["create", "-f", &manifest.to_string_lossy()])?;
    ensure!(created == "pod/web created\n", "{created}");
    cluster.wait_ready("web")?;
    watching.wait_output("1/1", SOON)?;
    let said = watching.stdout();
    golden::expect("NAME READY STATUS RESTARTS AGE", said.lines().next().unwrap_or_default())
}

fn get_pods(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let found = cluster.output(&["get", "pods"])?;
    golden::expect("NAME  READY  STATUS  RESTARTS  AGE\nweb  1/1  Running  0  {}s", &found)?;
    let wide = cluster.output(&["get", "pods", "-o", "wide"])?;
    golden::expect(
        "NAME  READY  STATUS  RESTARTS  AGE  IP  NODE  NOMINATED NODE  READINESS GATES\n\
         web  1/1  Running  0  {}s  {}  {}  <none>  <none>",
        &wide,
    )
}

fn logs(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    ensure!(cluster.output(&["logs", "web"])? == "first\n");
    let stamped = cluster.output(&["logs", "web", "-c", "main", "--timestamps", "--tail=1"])?;
    golden::expect("{}-{}-{}T{}:{}:{}Z first", &stamped)
}

fn exec(bed: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let said = cluster.kubectl(["exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7"])?;
    said.expect_code(7)?;
    ensure!(said.stdout == "out\n" && said.stderr.contains("err\n"), "{said:?}");
    let lines: String = (0..5_000).map(|n| format!("line {n}\n")).collect();
    let path = bed.file("input", &lines)?;
    let mut command = cluster.command();
    command.args(["exec", "-i", "web", "--", "cat"]).stdin(Stdio::from(File::open(path)?));
    let finished = bed.finish(&mut command)?;
    finished.expect_code(0)?;
    ensure!(finished.stdout == lines, "{} bytes of {}", finished.stdout.len(), lines.len());
    Ok(())
}

fn copy(bed: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    std::fs::write(bed.dir().join("large"), &bytes)?;
    cluster.output(&["cp", "large", "web:/data/large"])?;
    cluster.output(&["cp", "web:/data/large", "back"])?;
    ensure!(std::fs::read(bed.dir().join("back"))? == bytes, "what came back is not what went");
    Ok(())
}

fn forward(bed: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    // A connection that is refused ends the whole command.
    wait::until("the server to listen on 8080", SOON, || {
        let listens = cluster.output(&["exec", "web", "--", "grep", "-q", ":1F90 ", "/proc/net/tcp"]);
        listens.is_ok().then_some(())
    })?;
    let mut forwarding = bed.start(cluster.command().args(["port-forward", "pod/web", ":8080"]))?;
    forwarding.wait_output("Forwarding from 127.0.0.1:", SOON)?;
    let said = forwarding.stdout();
    let port = said.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).context("no port")?;
    let page = fetch(port.parse()?)?;
    ensure!(page.contains("forwarded"), "{page}");
    Ok(())
}

fn describe(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let said = cluster.output(&["describe", "pod", "web"])?;
    for part in ["Status:", "Running", "/data from data (rw)", "Conditions:", "QoS Class:", "Started"] {
        ensure!(said.contains(part), "{part:?} is not in\n{said}");
    }
    Ok(())
}

fn events(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let told = cluster.output(&["events", "--for", "pod/web", "--no-headers"])?;
    let mut reasons: Vec<&str> = told.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    reasons.sort_unstable();
    ensure!(reasons == ["Created", "Pulled", "Scheduled", "Started"], "{told}");
    Ok(())
}

fn follow(bed: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let mut following = bed.start(cluster.command().args(["logs", "-f", "web"]))?;
    following.wait_output("first\n", SOON)?;
    bed.file("trace/enough", "")?;
    let finished = following.wait(SOON)?;
    finished.expect_code(0)?;
    ensure!(finished.stdout == "first\nlast\n", "{}", finished.stdout);
    Ok(())
}

fn delete(_: &Bed, cluster: &Cluster<'_>) -> Result<()> {
    let deleted = cluster.output(&["delete", "pod", "web"])?;
    ensure!(deleted.starts_with("pod \"web\" deleted"), "{deleted}");
    let gone = cluster.kubectl(["get", "pod", "web"])?;
    gone.expect_code(1)?.expect_output("Error from server (NotFound): pods \"web\" not found")?;
    cluster.output(&["delete", "configmap", "-l", "tier=b"])?;
    cluster.kubectl(["get", "configmap", "typed"])?.expect_code(1)?;
    Ok(())
}
