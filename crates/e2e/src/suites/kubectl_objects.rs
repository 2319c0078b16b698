//! Objects by the stock kubectl: everything that is done to them, and every form in which they are shown.

use anyhow::{Result, ensure};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::golden;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    apply_from_the_client,
    apply_from_the_server,
    create_replace_and_conflict,
    label_annotate_and_patch,
    diff_and_dry_run,
    delete_in_all_ways,
    output_formats,
    watch_prints_each_change,
    explain_and_discovery,
    namespaces_are_emptied,
    access_and_tokens,
    events_of_a_pod,
    refusals_name_the_field,
    workloads_are_refused
];

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {tier: a}}\ndata: {a: one, b: two}\n";

fn data(cluster: &Cluster<'_>) -> Result<String> {
    cluster.output(&["get", "configmap", "settings", "-o", "jsonpath={.data}"])
}

fn apply_from_the_client(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let path = bed.file("settings.yaml", CONFIG)?;
    ensure!(cluster.apply(&path)? == "configmap/settings created\n");
    ensure!(cluster.apply(&path)? == "configmap/settings unchanged\n");
    // What is no longer in the file goes; what others added stays.
    cluster.output(&["patch", "configmap", "settings", "-p", r#"{"data":{"c":"three"}}"#])?;
    bed.file("settings.yaml", &CONFIG.replace("a: one, ", ""))?;
    ensure!(cluster.apply(&path)? == "configmap/settings configured\n");
    ensure!(data(&cluster)? == r#"{"b":"two","c":"three"}"#, "{}", data(&cluster)?);
    cluster.finish()
}

fn apply_from_the_server(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let path = bed.file("settings.yaml", CONFIG)?;
    let file = path.to_string_lossy();
    let apply = |more: &[&str]| cluster.kubectl([&["apply", "--server-side", "-f", &*file], more].concat());
    apply(&[])?.expect_code(0)?.expect_output("configmap/settings serverside-applied")?;
    // Another manager's field is a conflict until it is forced.
    cluster.output(&["patch", "configmap", "settings", "-p", r#"{"data":{"a":"mine"}}"#])?;
    let conflict = apply(&[])?;
    conflict
        .expect_code(1)?
        .expect_output("conflict with \"kubectl-patch\" using v1")?
        .expect_output(".data.a")?;
    apply(&["--force-conflicts"])?.expect_code(0)?;
    bed.file("settings.yaml", &CONFIG.replace("a: one, ", ""))?;
    apply(&[])?.expect_code(0)?;
    ensure!(data(&cluster)? == r#"{"b":"two"}"#, "{}", data(&cluster)?);
    cluster.finish()
}

fn create_replace_and_conflict(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let path = bed.file("settings.yaml", CONFIG)?;
    let file = path.to_string_lossy();
    ensure!(cluster.output(&["create", "-f", &file])? == "configmap/settings created\n");
    cluster
        .kubectl(["create", "-f", &file])?
        .expect_code(1)?
        .expect_output("Error from server (AlreadyExists): ")?
        .expect_output("configmaps \"settings\" already exists")?;
    let stale = cluster.output(&["get", "configmap", "settings", "-o", "yaml"])?;
    bed.file("settings.yaml", &CONFIG.replace("one", "eins"))?;
    ensure!(cluster.output(&["replace", "-f", &file])? == "configmap/settings replaced\n");
    let stale = bed.file("stale.yaml", &stale)?;
    cluster
        .kubectl(["replace", "-f", &*stale.to_string_lossy()])?
        .expect_code(1)?
        .expect_output("Error from server (Conflict): ")?
        .expect_output(
            "the object has been modified; please apply your changes to the latest version and try again",
        )?;
    ensure!(data(&cluster)? == r#"{"a":"eins","b":"two"}"#);
    // Typed commands speak protobuf.
    cluster.output(&["create", "configmap", "typed", "--from-literal=k=v"])?;
    cluster.output(&["create", "secret", "generic", "secret", "--from-literal=k=v"])?;
    ensure!(cluster.output(&["get", "secret", "secret", "-o", "jsonpath={.data.k}"])? == "dg==");
    cluster.finish()
}

fn label_annotate_and_patch(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply(&bed.file("settings.yaml", CONFIG)?)?;
    cluster.output(&["label", "configmap", "settings", "tier=b", "--overwrite"])?;
    cluster.output(&["annotate", "configmap", "settings", "note=hello"])?;
    let shown = "jsonpath={.metadata.labels.tier} {.metadata.annotations.note}";
    ensure!(cluster.output(&["get", "configmap", "settings", "-o", shown])? == "b hello");
    let patch = |kind: &str, patch: &str| {
        cluster.output(&["patch", "configmap", "settings", "--type", kind, "-p", patch])
    };
    patch("strategic", r#"{"data":{"c":"three"}}"#)?;
    patch("merge", r#"{"data":{"a":null}}"#)?;
    patch("json", r#"[{"op":"replace","path":"/data/b","value":"zwei"}]"#)?;
    ensure!(data(&cluster)? == r#"{"b":"zwei","c":"three"}"#, "{}", data(&cluster)?);
    cluster.finish()
}

fn diff_and_dry_run(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let path = bed.file("settings.yaml", CONFIG)?;
    let file = path.to_string_lossy();
    cluster.output(&["apply", "-f", &file, "--dry-run=server"])?;
    cluster.kubectl(["get", "configmap", "settings"])?.expect_code(1)?;
    cluster.apply(&path)?;
    cluster.kubectl(["diff", "-f", &*file])?.expect_code(0)?;
    bed.file("settings.yaml", &CONFIG.replace("one", "eins"))?;
    cluster.kubectl(["diff", "-f", &*file])?.expect_code(1)?.expect_output("+  a: eins")?;
    ensure!(data(&cluster)? == r#"{"a":"one","b":"two"}"#);
    cluster.finish()
}

fn delete_in_all_ways(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    for name in ["one", "two", "three"] {
        cluster.apply_pod(&Pod::new(name).app("main", "trap '' TERM; say start; sleep 1000000"))?;
    }
    cluster.output(&["label", "pod", "two", "three", "group=x"])?;
    for name in ["one", "two", "three"] {
        cluster.wait_ready(name)?;
    }
    // It ignores SIGTERM: within its own grace of one second.
    cluster.output(&["delete", "pod", "one", "--grace-period=1"])?;
    // At once, without asking the node.
    let forced = cluster.kubectl(["delete", "pod", "two", "--grace-period=0", "--force"])?;
    forced.expect_code(0)?.expect_output("Immediate deletion does not wait for confirmation")?;
    cluster.output(&["delete", "pods", "-l", "group=x", "--now"])?;
    ensure!(cluster.output(&["get", "pods", "-o", "name"])?.is_empty());
    cluster.output(&["create", "configmap", "a"])?;
    cluster.output(&["delete", "configmaps", "--all"])?;
    cluster.wait_output(&["get", "configmaps", "-o", "name"], "configmap/kube-root-ca.crt", SOON)?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

fn output_formats(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply(&bed.file("settings.yaml", CONFIG)?)?;
    let get = |form: &str| cluster.output(&["get", "configmap", "settings", "-o", form]);
    ensure!(get("name")? == "configmap/settings\n");
    ensure!(get("jsonpath={.data.a}")? == "one");
    golden::expect("NAME  A\nsettings  one", &get("custom-columns=NAME:.metadata.name,A:.data.a")?)?;
    golden::expect("NAME  DATA  AGE\nsettings  2  {}s", &get("wide")?)?;
    let json: serde_json::Value = serde_json::from_str(&get("json")?)?;
    ensure!(json["kind"] == "ConfigMap" && json["metadata"]["uid"].is_string());
    golden::expect(
        "apiVersion: v1\ndata:\n  a: one\n  b: two\nkind: ConfigMap\nmetadata:\n  annotations:\n    {}: |\n      {}\n  \
         creationTimestamp: {}\n  labels:\n    tier: a\n  name: settings\n  namespace: default\n  resourceVersion: {}\n  uid: {}",
        &get("yaml")?,
    )?;
    let selected = cluster.output(&["get", "configmaps", "-l", "tier in (a,b)", "-o", "name"])?;
    ensure!(selected == "configmap/settings\n", "{selected}");
    let by_field =
        cluster.output(&["get", "configmaps", "--field-selector", "metadata.name=settings", "-o", "name"])?;
    ensure!(by_field == "configmap/settings\n", "{by_field}");
    let pages = cluster.output(&["get", "configmaps", "-A", "--chunk-size=1", "-o", "name"])?;
    ensure!(pages.contains("configmap/settings") && pages.lines().count() > 2, "{pages}");
    cluster.finish()
}

fn watch_prints_each_change(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let mut watching = bed.start(cluster.command().args(["get", "pods", "-w", "--no-headers"]))?;
    cluster.apply_pod(&Pod::new("watched").init("before", "true").app("main", "serve"))?;
    watching.wait_output("1/1", SOON)?;
    cluster.output(&["delete", "pod", "watched"])?;
    watching.wait_output("Terminating", SOON)?;
    let lines = watching.stdout();
    let columns: Vec<String> = lines
        .lines()
        .map(|line| line.split_whitespace().skip(1).take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let mut seen = columns.iter();
    for state in ["0/1 Pending", "0/1 Init:0/1", "1/1 Running", "1/1 Terminating"] {
        ensure!(seen.any(|line| line == state), "{state} is not in its place in\n{lines}");
    }
    drop(watching);
    cluster.finish()
}

fn explain_and_discovery(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let explained = cluster.output(&["explain", "pod.spec.initContainers.restartPolicy"])?;
    ensure!(explained.contains("FIELD: restartPolicy <string>"), "{explained}");
    let resources = cluster.output(&["api-resources", "--no-headers"])?;
    for line in ["pods po v1 true Pod", "events ev v1 true Event", "leases coordination.k8s.io/v1 true Lease"]
    {
        let found = resources.lines().any(|l| l.split_whitespace().collect::<Vec<_>>().join(" ") == line);
        ensure!(found, "{line:?} is not in\n{resources}");
    }
    let versions = cluster.output(&["api-versions"])?;
    for version in ["v1", "apps/v1", "coordination.k8s.io/v1", "events.k8s.io/v1"] {
        ensure!(versions.lines().any(|line| line == version), "{versions}");
    }
    let version = cluster.kubectl(["version"])?;
    version.expect_code(0)?.expect_output("Server Version: v1.36.2+monopod.")?;
    cluster.kubectl(["cluster-info"])?.expect_code(0)?.expect_output("is running at")?;
    golden::expect(
        "NAME  STATUS  ROLES  AGE  VERSION\n{}  Ready  <none>  {}s  v1.36.2+monopod.{}",
        &cluster.output(&["get", "nodes"])?,
    )?;
    cluster.finish()
}

fn namespaces_are_emptied(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.output(&["create", "namespace", "team"])?;
    cluster.wait_output(
        &["get", "serviceaccounts", "-n", "team", "-o", "name"],
        "serviceaccount/default",
        SOON,
    )?;
    cluster.wait_output(
        &["get", "configmaps", "-n", "team", "-o", "name"],
        "configmap/kube-root-ca.crt",
        SOON,
    )?;
    let web = bed.manifest(&Pod::new("web").app("main", "serve"))?;
    cluster.output(&["apply", "-n", "team", "-f", &web.to_string_lossy()])?;
    cluster.output(&["wait", "-n", "team", "--for=condition=Ready", "pod/web", "--timeout=30s"])?;
    cluster.output(&["delete", "namespace", "team", "--timeout=60s"])?;
    cluster.kubectl(["get", "namespace", "team"])?.expect_code(1)?;
    bed.expect_no_pods(SOON)?;
    let gone = cluster.kubectl(["run", "late", "-n", "team", "--image=localhost/host"])?;
    gone.expect_code(1)?.expect_output("namespaces \"team\" not found")?;
    cluster.finish()
}

fn access_and_tokens(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    ensure!(cluster.output(&["auth", "can-i", "create", "pods"])? == "yes\n");
    cluster.output(&["create", "serviceaccount", "reader"])?;
    cluster.output(&["create", "role", "read", "--verb=get,list", "--resource=pods"])?;
    let token = cluster.output(&["create", "token", "reader"])?;
    let server = cluster.output(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"])?;
    let ca = cluster.output(&["get", "configmap", "kube-root-ca.crt", "-o", "jsonpath={.data.ca\\.crt}"])?;
    let ca = bed.file("ca.crt", &ca)?;
    let as_reader = |args: &[&str]| {
        let mut command = cluster.command();
        command.env("KUBECONFIG", "/nonexistent").args(["--server", &server, "--token", token.trim()]);
        command.arg("--certificate-authority").arg(&ca).args(args);
        bed.finish(&mut command)
    };
    as_reader(&["get", "pods"])?.expect_code(1)?.expect_output(
        "pods is forbidden: User \"system:serviceaccount:default:reader\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
    )?;
    cluster.output(&["create", "rolebinding", "read", "--role=read", "--serviceaccount=default:reader"])?;
    as_reader(&["get", "pods"])?.expect_code(0)?;
    as_reader(&["get", "secrets"])?.expect_code(1)?.expect_output("cannot list resource \"secrets\"")?;
    let bad = bed.finish(
        cluster
            .command()
            .env("KUBECONFIG", "/nonexistent")
            .args(["--server", &server, "--token", "nonsense", "--certificate-authority"])
            .arg(&ca)
            .args(["get", "pods"]),
    )?;
    bad.expect_code(1)?.expect_output("Unauthorized")?;
    cluster.finish()
}

fn events_of_a_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("told").app("main", "serve"))?;
    cluster.wait_ready("told")?;
    let told = cluster.output(&["events", "--for", "pod/told", "--no-headers"])?;
    let mut reasons: Vec<&str> = told.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    reasons.sort_unstable();
    ensure!(reasons == ["Created", "Pulled", "Scheduled", "Started"], "{told}");
    let listed = cluster.output(&[
        "get",
        "events",
        "--field-selector",
        "reason=Started",
        "-o",
        "jsonpath={.items[0].involvedObject.fieldPath}",
    ])?;
    ensure!(listed == "spec.containers{main}", "{listed}");
    let newer = cluster.output(&["get", "events.events.k8s.io", "-o", "name"])?;
    ensure!(newer.lines().count() >= 4, "{newer}");
    cluster.finish()
}

fn refusals_name_the_field(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let refused = |text: &str, parts: &[&str]| -> Result<()> {
        let path = bed.file("bad.yaml", text)?;
        let finished = cluster.kubectl(["apply", "-f", &*path.to_string_lossy()])?;
        finished.expect_code(1)?;
        parts.iter().try_for_each(|part| finished.expect_output(part).map(drop))
    };
    let pod = |spec: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: bad}}\nspec: {{{spec}}}\n");
    refused(
        &pod("containers: [{name: a, image: localhost/host, comand: [x]}]"),
        &["unknown field \"spec.containers[0].comand\""],
    )?;
    refused(&pod("containers: []"), &["spec.containers: Required value"])?;
    refused(
        &pod("containers: [{name: a, image: localhost/host, volumeMounts: [{name: logs, mountPath: /x}]}]"),
        &["The Pod \"bad\" is invalid: spec.containers[0].volumeMounts[0].name: Not found: \"logs\""],
    )?;
    refused(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: No_Label}\n",
        &["metadata.name: Invalid value: \"No_Label\""],
    )?;
    refused(
        "apiVersion: v2\nkind: Pod\nmetadata: {name: a}\n",
        &["no matches for kind \"Pod\" in version \"v2\""],
    )?;
    let warned = bed.file(
        "trap.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: trap}\nspec:\n  restartPolicy: Always\n  initContainers:\n  - {name: shipper, image: localhost/host, command: [sleep, infinity]}\n  containers:\n  - {name: main, image: localhost/host, command: [sleep, infinity]}\n",
    )?;
    let finished = cluster.kubectl(["apply", "-f", &*warned.to_string_lossy()])?;
    finished.expect_code(0)?.expect_output("Warning: spec.initContainers[0]")?;
    cluster.finish()
}

fn workloads_are_refused(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let refused = cluster.kubectl(["create", "deployment", "web", "--image=localhost/host"])?;
    refused.expect_code(1)?.expect_output("this engine runs Pods")?;
    cluster.kubectl(["get", "deployments"])?.expect_code(0)?.expect_output("No resources found")?;
    cluster.kubectl(["get", "ingresses"])?.expect_code(1)?.expect_output("doesn't have a resource type")?;
    cluster.finish()
}
