//! That the floor does the same work: a container says the same of itself under both.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::engine::Engine;
use crate::inside::NAMESPACES;
use crate::pod;

/// Where the containers of the second pod have a volume of theirs, and the file in it that one waits for and another makes.
const SHARED: &str = "/shared";
const TOLD: &str = "/shared/told";

/// Of a pod of one container, and of one with an init container, a sidecar and an emptyDir. Fails with the differences.
pub(crate) fn check(bed: &Bed) -> Result<()> {
    let pod = pod::manifest("same", &bed.program(), None, &[("app", vec!["describe"])]);
    compare(bed, "same", &pod)?;
    compare(bed, "same-each", &of_each_role(bed))
}

fn of_each_role(bed: &Bed) -> Value {
    let containers = [
        ("init", vec!["describe"]),
        ("side", vec!["describe", "then-tell", TOLD]),
        ("app", vec!["describe", "when-told", TOLD]),
    ];
    let mut pod = pod::manifest("same-each", &bed.program(), None, &containers);
    let spec = &mut pod["spec"];
    let Value::Array(mut init) = spec["containers"].take() else { return pod };
    for container in &mut init {
        if let Value::Array(mounts) = &mut container["volumeMounts"] {
            mounts.push(json!({"name": "shared", "mountPath": SHARED}));
        }
    }
    init[1]["restartPolicy"] = json!("Always");
    let apps = init.split_off(2);
    (spec["initContainers"], spec["containers"]) = (json!(init), json!(apps));
    if let Value::Array(volumes) = &mut spec["volumes"] {
        volumes.push(json!({"name": "shared", "emptyDir": {}}));
    }
    pod
}

fn compare(bed: &Bed, name: &str, pod: &Value) -> Result<()> {
    let file = bed.file(&format!("{name}.yaml"), std::slice::from_ref(pod))?;
    let run = Engine::start(bed.run(&bed.root(), &file).args(["-o", "json"]))?.finish()?;
    let lines = run.stdout.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["type"] == "log").then(|| line["line"].as_str().map(str::to_owned))?
    });
    let monopod = normal(lines)?;
    let plan = bed.plan(&format!("floor-{name}"), pod, false)?;
    let floor = Engine::start(&mut bed.floor(&plan))?.finish()?;
    let floor = normal(
        floor.stdout.lines().filter(|line| !line.starts_with(crate::inside::STAMP)).map(str::to_owned),
    )?;
    if monopod.is_empty() || monopod != floor {
        let count = |lines: &[String], line: &String| lines.iter().filter(|other| *other == line).count();
        let more = |these: &[String], those: &[String], whose: &str| -> Vec<String> {
            let more = these.iter().filter(|line| count(these, line) > count(those, line));
            more.map(|line| format!("more often {whose}: {line}")).collect()
        };
        let mut differences = more(&monopod, &floor, "monopod");
        differences.extend(more(&floor, &monopod, "the floor"));
        bail!(
            "the floor's containers of pod {name} are not like monopod's, so the two cannot be compared:\n{}",
            differences.join("\n")
        );
    }
    Ok(())
}

/// Of the variables that say where the API is.
const ONLY_OF_A_CLUSTER: &str = "environment KUBERNETES_";

/// Sorted, for mounts are made in another order; namespaces are the host's or others. Nobody tells the floor of an API.
fn normal(lines: impl Iterator<Item = String>) -> Result<Vec<String>> {
    let mut own = Vec::new();
    for name in NAMESPACES {
        let namespace = fs::read_link(format!("/proc/self/ns/{name}")).context("cannot read a namespace")?;
        own.push(namespace.display().to_string());
    }
    let lines = lines.filter(|line| !line.starts_with(ONLY_OF_A_CLUSTER));
    let lines = lines.map(|line| match line.strip_prefix("namespace ") {
        Some(namespace) if own.iter().any(|own| namespace.ends_with(own)) => {
            format!("{namespace} is the host's")
        }
        Some(namespace) => namespace.split(' ').next().unwrap_or_default().to_owned(),
        None => line,
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    Ok(lines)
}
