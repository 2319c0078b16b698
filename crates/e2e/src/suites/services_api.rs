//! Services as objects, by the stock kubectl: what they are given, what changes, and where they are said to lead.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::golden;
use crate::pod::{Pod, exec, probe};
use crate::runner::{Test, tests};
use crate::suites::kubectl_streams::fetch;
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    created_in_every_way,
    types_change_both_ways,
    addresses_are_given_once,
    endpoints_follow_their_pods,
    endpoints_of_ones_own_are_mirrored,
    the_engines_own_come_back,
    reached_through_the_server,
    containers_are_told_of_services,
    policies_are_shown
];

/// Whoever follows Services is told of a change by the next moment, not by the next round.
const AT_ONCE: Duration = Duration::from_secs(5);

fn get(cluster: &Cluster<'_>, args: &[&str]) -> Result<Value> {
    let text = cluster.output(&[&["get", "-o", "json"], args].concat())?;
    serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
}

fn created_in_every_way(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("web").labels(&json!({"app": "web"})).app("main", "serve"))?;
    cluster.output(&["create", "service", "clusterip", "one", "--tcp=80:8080"])?;
    cluster.output(&["create", "service", "clusterip", "headless", "--clusterip=None"])?;
    cluster.output(&["create", "service", "nodeport", "two", "--tcp=80:8080", "--node-port=30080"])?;
    cluster.output(&["create", "service", "externalname", "three", "--external-name=example.com"])?;
    cluster.output(&["expose", "pod", "web", "--name=four", "--port=80", "--target-port=8080"])?;
    let warned = cluster.kubectl(["create", "service", "loadbalancer", "five", "--tcp=80:8080"])?;
    warned.expect_code(0)?.expect_output("Warning: no load balancer is here")?;
    golden::expect(
        "NAME        TYPE          CLUSTER-IP  EXTERNAL-IP  PORT(S)       AGE  SELECTOR\n\
         five        LoadBalancer  10.{}       <pending>    80:{}/TCP     {}   app=five\n\
         four        ClusterIP     10.{}       <none>       80/TCP        {}   app=web\n\
         headless    ClusterIP     None        <none>       <none>        {}   app=headless\n\
         kubernetes  ClusterIP     10.{}       <none>       443/TCP       {}   <none>\n\
         one         ClusterIP     10.{}       <none>       80/TCP        {}   app=one\n\
         three       ExternalName  <none>      example.com  <none>        {}   app=three\n\
         two         NodePort      10.{}       <none>       80:30080/TCP  {}   app=two\n",
        &cluster.output(&["get", "services", "-o", "wide"])?,
    )?;
    let described = cluster.output(&["describe", "service", "two"])?;
    for line in
        ["Type: NodePort", "NodePort: 80-8080 30080/TCP", "IP Families: IPv4", "Session Affinity: None"]
    {
        let found =
            described.lines().any(|held| held.split_whitespace().collect::<Vec<_>>().join(" ") == line);
        ensure!(found, "no {line:?} in\n{described}");
    }
    let six = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "six"},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    let path = bed.file("six.json", &six.to_string())?;
    ensure!(cluster.apply(&path)? == "service/six created\n");
    // What was given is not the file's to take away.
    ensure!(cluster.apply(&path)? == "service/six unchanged\n");
    cluster.output(&["replace", "-f", &path.to_string_lossy()])?;
    let port = get(&cluster, &["service", "six"])?["spec"]["ports"][0]["nodePort"].clone();
    ensure!(port.is_i64(), "{port}");
    cluster.output(&["delete", "service", "one", "two", "three", "four", "five", "six", "headless"])?;
    cluster.finish()
}

fn types_change_both_ways(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.output(&[
        "create",
        "service",
        "externalname",
        "web",
        "--external-name=example.com",
        "--tcp=80:8080",
    ])?;
    let edit = |script: &str| -> Result<Value> {
        let editor = bed.file("edit.sh", &format!("sed -i '{script}' \"$1\"\n"))?;
        let mut command = cluster.command();
        command.env("KUBE_EDITOR", format!("sh {}", editor.display())).args(["edit", "service", "web"]);
        bed.finish(&mut command)?.expect_code(0)?.expect_output("service/web edited")?;
        get(&cluster, &["service", "web"])
    };
    let exposed = edit("s/type: ExternalName/type: NodePort/; /externalName:/d")?;
    let spec = &exposed["spec"];
    ensure!(spec["clusterIP"].as_str().is_some_and(|ip| ip.starts_with("10.")), "{spec}");
    ensure!(spec["ports"][0]["nodePort"].as_i64().is_some_and(|port| port >= 30_000), "{spec}");
    let inside = edit("s/type: NodePort/type: ClusterIP/")?;
    ensure!(inside["spec"]["clusterIP"] == spec["clusterIP"], "{inside}");
    ensure!(inside["spec"]["ports"][0].get("nodePort").is_none(), "{inside}");
    let named = edit("s/type: ClusterIP/type: ExternalName\\n  externalName: example.org/")?;
    ensure!(named["spec"].get("clusterIP").is_none() && named["spec"].get("ipFamilies").is_none(), "{named}");
    cluster.finish()
}

fn addresses_are_given_once(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut cluster = Cluster::start(bed)?;
    cluster.output(&["create", "service", "clusterip", "one", "--tcp=80:80"])?;
    let given = get(&cluster, &["service", "one"])?["spec"]["clusterIP"].clone();
    let given = given.as_str().context("no address")?.to_owned();
    let asked = |cluster: &Cluster<'_>| {
        cluster.kubectl([
            "create",
            "service",
            "clusterip",
            "two",
            "--tcp=80:80",
            &format!("--clusterip={given}"),
        ])
    };
    let taken = format!("failed to allocate IP {given}: provided IP is already allocated");
    asked(&cluster)?.expect_code(1)?.expect_output(&taken)?;
    // The next engine knows what has been given.
    cluster.kill()?;
    cluster.serve()?;
    asked(&cluster)?.expect_code(1)?.expect_output(&taken)?;
    cluster.output(&["delete", "service", "one"])?;
    asked(&cluster)?.expect_code(0)?;
    cluster.finish()
}

/// Ready and other addresses, as the Endpoints have them, by the pods' names.
fn endpoints(cluster: &Cluster<'_>) -> Option<(Vec<String>, Vec<String>)> {
    let endpoints = get(cluster, &["endpoints", "web"]).ok()?;
    let of = |name: &str| {
        let subsets = endpoints["subsets"].as_array().into_iter().flatten();
        let addresses = subsets.flat_map(|subset| subset[name].as_array().into_iter().flatten());
        let mut names: Vec<String> =
            addresses.filter_map(|address| Some(address["targetRef"]["name"].as_str()?.to_owned())).collect();
        names.sort();
        names
    };
    Some((of("addresses"), of("notReadyAddresses")))
}

fn wait_endpoints(cluster: &Cluster<'_>, ready: &[&str], others: &[&str]) -> Result<()> {
    let mut last = None;
    let what = format!("ready endpoints {ready:?}, others {others:?}");
    wait::until(&what, SOON, || {
        last = endpoints(cluster);
        last.as_ref().filter(|(is, is_not)| is == ready && is_not == others).map(drop)
    })
    .with_context(|| format!("last {last:?}"))
}

/// Ready, serving and terminating of one pod, as the slices have them.
fn conditions(cluster: &Cluster<'_>, pod: &str) -> Option<[bool; 3]> {
    let slices = get(cluster, &["endpointslices", "-l", "kubernetes.io/service-name=web"]).ok()?;
    let endpoints =
        slices["items"].as_array()?.iter().flat_map(|s| s["endpoints"].as_array().into_iter().flatten());
    let found = endpoints.into_iter().find(|endpoint| endpoint["targetRef"]["name"] == pod)?;
    let condition = |name: &str| found["conditions"][name].as_bool();
    Some([condition("ready")?, condition("serving")?, condition("terminating")?])
}

fn endpoints_follow_their_pods(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    });
    cluster.apply(&bed.file("web.yaml", &service.to_string())?)?;
    wait_endpoints(&cluster, &[], &[])?;
    // Ready until the test says otherwise; ends when the test says so.
    let ready = probe("readinessProbe", &exec("[ ! -e /trace/$POD.sick ]"), &json!({}));
    let ports = json!({"ports": [{"name": "http", "containerPort": 8080}]});
    let script = "trap 'say stopping; told go; exit 0' TERM; sleep 1000000 & wait $!";
    for name in ["a", "b"] {
        let pod =
            Pod::new(name).labels(&json!({"app": "web"})).spec(&json!({"terminationGracePeriodSeconds": 60}));
        cluster.apply_pod(&pod.app_with("main", script, &crate::pod::both(&ready, &ports)))?;
    }
    wait_endpoints(&cluster, &["a", "b"], &[])?;
    let slice =
        get(&cluster, &["endpointslices", "-l", "kubernetes.io/service-name=web"])?["items"][0].clone();
    ensure!(slice["ports"][0]["port"] == 8080, "{slice}");
    ensure!(
        slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"]
            == "endpointslice-controller.k8s.io"
    );
    std::fs::write(bed.dir().join("trace").join("a.sick"), "")?;
    wait_endpoints(&cluster, &["b"], &["a"])?;
    ensure!(conditions(&cluster, "a") == Some([false, false, false]));
    // One that is being stopped takes no more, and serves what it has.
    cluster.output(&["delete", "pod", "b", "--wait=false"])?;
    bed.trace.wait("main stopping", SOON)?;
    wait_endpoints(&cluster, &[], &["a"])?;
    let what = "b to be on its way out";
    wait::until(what, AT_ONCE, || (conditions(&cluster, "b") == Some([false, true, true])).then_some(()))?;
    std::fs::write(bed.dir().join("trace").join("b.go"), "")?;
    wait::until("b to be gone", SOON, || conditions(&cluster, "b").is_none().then_some(()))?;
    cluster.output(&["label", "pod", "a", "app=other", "--overwrite"])?;
    wait_endpoints(&cluster, &[], &[])?;
    cluster.output(&["delete", "service", "web"])?;
    let all = ["get", "endpoints,endpointslices", "-l", "kubernetes.io/service-name=web", "-o", "name"];
    cluster.wait_output(&all, "", AT_ONCE)?;
    cluster.finish()
}

fn endpoints_of_ones_own_are_mirrored(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let objects = "\
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {ports: [{port: 5432}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: db}
subsets: [{addresses: [{ip: 192.0.2.1}, {ip: 192.0.2.2}], ports: [{port: 5432}]}]
";
    let path = bed.file("db.yaml", objects)?;
    cluster.apply(&path)?;
    let slices = [
        "get",
        "endpointslices",
        "-l",
        "kubernetes.io/service-name=db",
        "--no-headers",
        "-o",
        "custom-columns=A:.endpoints[*].addresses[*],M:.metadata.labels.endpointslice\\.kubernetes\\.io/managed-by",
    ];
    let manager = "endpointslicemirroring-controller.k8s.io";
    cluster.wait_output(&slices, &format!("192.0.2.1,192.0.2.2   {manager}"), AT_ONCE)?;
    bed.file("db.yaml", &objects.replace("{ip: 192.0.2.1}, ", ""))?;
    cluster.apply(&path)?;
    cluster.wait_output(&slices, &format!("192.0.2.2   {manager}"), AT_ONCE)?;
    cluster.output(&["delete", "endpoints", "db"])?;
    cluster.wait_output(
        &["get", "endpointslices", "-l", "kubernetes.io/service-name=db", "-o", "name"],
        "",
        AT_ONCE,
    )?;
    cluster.finish()
}

fn the_engines_own_come_back(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let address = ["get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}", "--ignore-not-found"];
    let before = cluster.output(&address)?;
    cluster.output(&["delete", "service", "--all"])?;
    cluster.wait_output(&address, &before, AT_ONCE)?;
    let endpoints = ["get", "endpoints", "kubernetes", "-o", "jsonpath={.subsets[*].ports[*].name}"];
    cluster.wait_output(&endpoints, "https", AT_ONCE)?;
    cluster.finish()
}

/// By the proxy subresource, and by ports that are forwarded to a pod behind the service.
fn reached_through_the_server(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.output(&["create", "service", "clusterip", "web", "--tcp=80:8080"])?;
    let page = "/api/v1/namespaces/default/services/http:web:80/proxy/200";
    let none = cluster.kubectl(["get", "--raw", page])?;
    none.expect_code(1)?.expect_output("no endpoints available for service")?;
    cluster.apply_pod(&Pod::new("web").labels(&json!({"app": "web"})).answers_with("main", &json!({})))?;
    cluster.wait_ready("web")?;
    wait_endpoints(&cluster, &["web"], &[])?;
    cluster.output(&["get", "--raw", page])?;
    let mut own = Command::new(bed.program());
    own.arg("--root").arg(bed.root()).stdin(Stdio::null());
    for mut program in [cluster.command(), own] {
        let mut forwarding = bed.start(program.args(["port-forward", "service/web", ":80"]))?;
        forwarding.wait_output("Forwarding from 127.0.0.1:", SOON)?;
        let said = forwarding.stdout();
        let port = said.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next());
        let page = fetch(port.context("no port")?.parse()?)?;
        ensure!(page.starts_with("HTTP/1."), "{page}");
    }
    cluster.finish()
}

fn containers_are_told_of_services(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.output(&["create", "service", "clusterip", "my-db", "--tcp=5432:5432"])?;
    let script = "say api $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT; say db ${MY_DB_PORT_5432_TCP:-none}; serve";
    let pod = |name: &str, links: bool| {
        Pod::new(name).spec(&json!({"enableServiceLinks": links})).app(name, script)
    };
    cluster.apply_pod(&pod("with", true))?;
    cluster.apply_pod(&pod("without", false))?;
    let address =
        |name: &str| get(&cluster, &["service", name]).map(|service| service["spec"]["clusterIP"].clone());
    let (api, db) = (address("kubernetes")?, address("my-db")?);
    let (api, db) = (api.as_str().unwrap_or_default(), db.as_str().unwrap_or_default());
    bed.trace.wait(&format!("with api {api}:443"), SOON)?;
    bed.trace.wait(&format!("with db tcp://{db}:5432"), SOON)?;
    bed.trace.wait(&format!("without api {api}:443"), SOON)?;
    bed.trace.wait("without db none", SOON)?;
    cluster.finish()
}

fn policies_are_shown(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let policy = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {}}], ports: [{protocol: TCP, port: 80}]}]
";
    let path = bed.file("policy.yaml", policy)?;
    cluster.apply(&path)?;
    ensure!(cluster.apply(&path)? == "networkpolicy.networking.k8s.io/closed unchanged\n");
    golden::expect("NAME POD-SELECTOR AGE\nclosed app=web {}\n", &cluster.output(&["get", "netpol"])?)?;
    let described = cluster.output(&["describe", "netpol", "closed"])?;
    ensure!(
        described.contains("To Port: 80/TCP") && described.contains("Policy Types: Ingress"),
        "{described}"
    );
    bed.file("policy.yaml", &policy.replace("port: 80", "port: 0"))?;
    let refused = cluster.kubectl(["apply", "-f", &*path.to_string_lossy()])?;
    refused.expect_code(1)?.expect_output("spec.ingress[0].ports[0].port: Invalid value: 0")?;
    cluster.finish()
}
