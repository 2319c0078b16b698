//! Where pods go for the sake of other pods, which ones their node does not take, and by what they are run.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::http::Api;
use crate::pod::{Pod, both};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] =
    tests![pods_near_and_apart, pods_that_name_this_node, classes_of_runtimes, secrets_for_pulling];

fn api(bed: &Bed) -> Api {
    Api::new(bed.root().join("run/monopod/api.sock"))
}

fn node(bed: &Bed) -> Result<String> {
    let nodes = api(bed).get("/api/v1/nodes")?.expect(200)?.json()?;
    Ok(nodes["items"][0]["metadata"]["name"].as_str().context("no node")?.to_owned())
}

/// A pod waits for the one that it is to be near to, and for the end of one that it is to be apart from.
fn pods_near_and_apart(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let term = |app: &str| {
        json!({"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"},
        ]})
    };
    let pod = |name: &str, affinity: Value| {
        Pod::new(name).labels(&json!({"app": name})).spec(&json!({"affinity": affinity})).app("main", "live")
    };
    pods.create(&pod("near", json!({"podAffinity": term("web")})))?;
    let event = pods.wait_event("near", "FailedScheduling ")?;
    ensure!(event.contains("0/1 nodes are available: 1 node(s) didn't match pod affinity rules."), "{event}");
    // And who repels others keeps them away, though they say nothing themselves.
    pods.create(&pod("web", json!({"podAntiAffinity": term("shy")})))?;
    for name in ["web", "near"] {
        pods.wait_mark(name, "main start")?;
    }
    pods.create(&pod("apart", json!({"podAntiAffinity": term("web")})))?;
    pods.create(&Pod::new("shy").labels(&json!({"app": "shy"})).app("main", "live"))?;
    for (name, why) in [
        ("apart", "didn't match pod anti-affinity rules."),
        ("shy", "didn't satisfy existing pods anti-affinity rules."),
    ] {
        let event = pods.wait_event(name, "FailedScheduling ")?;
        ensure!(event.contains(&format!("0/1 nodes are available: 1 node(s) {why}")), "{event}");
        pods.history(name).expect_absent("main start")?;
    }
    pods.delete("web", None)?;
    for name in ["apart", "shy"] {
        pods.wait_mark(name, "main start")?;
    }
    pods.finish()
}

/// They fail in the words of a kubelet, and the others run.
fn pods_that_name_this_node(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let here = json!({"nodeName": node(bed)?});
    let pod = |name: &str, spec: &Value| Pod::new(name).spec(&both(&here, spec));
    let asking = |resource: &str| json!({"resources": {"requests": {resource: "1000000"}}});
    pods.create(&pod("fits", &json!({})).app("main", "live"))?;
    pods.wait_mark("fits", "main start")?;
    pods.create(&pod("cpu", &json!({})).app_with("main", "live", &asking("cpu")))?;
    let memory = json!({"resources": {"requests": {"memory": "1Pi"}}});
    pods.create(&pod("memory", &json!({})).app_with("main", "live", &memory))?;
    pods.create(&pod("selects", &json!({"nodeSelector": {"no": "where"}})).app("main", "live"))?;
    pods.create(&pod("windows", &json!({"os": {"name": "windows"}})).app("main", "live"))?;
    for (name, reason, message) in [
        (
            "cpu",
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 1000000000, used: 0, capacity: ",
        ),
        (
            "memory",
            "OutOfmemory",
            "Node didn't have enough resource: memory, requested: 1125899906842624, used: 0, ",
        ),
        (
            "selects",
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        ("windows", "PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"),
    ] {
        let status = pods.wait_phase(name, "Failed")?;
        ensure!(status["reason"] == reason && status["containerStatuses"].is_null(), "{status:#}");
        let said = status["message"].as_str().unwrap_or_default();
        ensure!(said.starts_with(&format!("Pod was rejected: {message}")), "{said}");
        pods.wait_event(name, &format!("{reason} {message}"))?;
        pods.history(name).expect_absent("main start")?;
    }
    ensure!(pods.status("fits")?["phase"] == "Running");
    pods.finish()
}

/// The built-in runtime runs what names it; its overhead is the pod's. Others are not there.
fn classes_of_runtimes(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let api = api(bed);
    let classes = "/apis/node.k8s.io/v1/runtimeclasses";
    let class = |name: &str, handler: &str, overhead: Value| json!({"metadata": {"name": name}, "handler": handler, "overhead": overhead});
    api.post(classes, &class("plain", "runc", Value::Null))?.expect(201)?;
    api.post(classes, &class("heavy", "monopod", json!({"podFixed": {"memory": "16Mi", "cpu": "250m"}})))?
        .expect(201)?;
    api.post(classes, &class("secure", "kata", Value::Null))?.expect(201)?;
    let limits = json!({"resources": {"limits": {"memory": "64Mi", "cpu": "500m"}}});
    for name in ["plain", "heavy", "secure"] {
        let pod = Pod::new(name).spec(&json!({"runtimeClassName": name}));
        pods.create(&pod.app_with("main", "live", &limits))?;
    }
    for name in ["plain", "heavy"] {
        pods.wait_mark(name, "main start")?;
    }
    let heavy = pods.find("heavy")?.context("no pod")?;
    ensure!(heavy["spec"]["overhead"] == json!({"cpu": "250m", "memory": "16Mi"}), "{heavy:#}");
    let uid = heavy["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let files = ["memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max"];
    let found = crate::leaks::cgroup_values(&[uid], &files);
    for value in [" 83886080", " 67108864"] {
        ensure!(found.iter().any(|line| line.ends_with(value)), "no group has {value}: {found:?}");
    }
    let has = |value: &str| found.iter().any(|line| line.ends_with(value));
    ensure!(has(" 75000") || has(" 75000 100000"), "no group has 750m: {found:?}");
    let event = pods.wait_event("secure", "FailedCreatePodSandBox ")?;
    ensure!(event.contains("Failed to create pod sandbox: no runtime for \"kata\" is configured"), "{event}");
    pods.history("secure").expect_absent("main start")?;
    let pod = |spec: &Value| {
        let pod = Pod::new("none").spec(spec).app("main", "live");
        pod.manifest(&bed.dir().join("trace").to_string_lossy())
    };
    for (spec, why) in [
        (json!({"runtimeClassName": "none"}), "pod rejected: RuntimeClass \"none\" not found"),
        (
            json!({"runtimeClassName": "heavy", "overhead": {"cpu": "1"}}),
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
    ] {
        api.post("/api/v1/namespaces/default/pods", &pod(&spec))?.refused(403, &[why])?;
    }
    pods.finish()
}

/// Real manifests name them; an image that is there needs none.
fn secrets_for_pulling(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("pulls").spec(&json!({"imagePullSecrets": [{"name": "registry"}]}));
    bed.run_pod(&pod.clone().app("main", "say start"))?.expect_code(0)?;
    bed.trace.expect_order(&["main start"])?;
    let pods = Pods::start(bed)?;
    pods.create(&pod.app("main", "live"))?;
    pods.wait_ready("pulls")?;
    let why = "Unable to retrieve some image pull secrets (registry); attempting to pull the image may not succeed.";
    pods.wait_event("pulls", &format!("FailedToRetrieveImagePullSecret {why}"))?;
    let secret = json!({"metadata": {"name": "registry"}});
    api(bed).post("/api/v1/namespaces/default/secrets", &secret)?.expect(201)?;
    let spec = json!({"imagePullSecrets": [{"name": "registry"}]});
    pods.create(&Pod::new("has").spec(&spec).app("main", "live"))?;
    pods.wait_ready("has")?;
    let said = pods.events("has")?;
    ensure!(!said.iter().any(|event| event.starts_with("FailedToRetrieve")), "{said:?}");
    pods.finish()
}
