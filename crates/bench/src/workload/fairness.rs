//! That the floor does the same work: a container says the same of itself under both.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::bed::Bed;
use crate::engine::Engine;
use crate::inside::NAMESPACES;
use crate::pod;

/// Fails with the differences.
pub(crate) fn check(bed: &Bed) -> Result<()> {
    let pod = pod::manifest("same", &bed.program(), None, &[("app", vec!["describe"])]);
    let file = bed.file("same.yaml", std::slice::from_ref(&pod))?;
    let run = Engine::start(bed.run(&bed.root(), &file).args(["-o", "json"]))?.finish()?;
    let lines = run.stdout.lines().filter_map(|line| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["type"] == "log").then(|| line["line"].as_str().map(str::to_owned))?
    });
    let monopod = normal(lines)?;
    let plan = bed.plan("floor-same", &pod, false)?;
    let floor = Engine::start(&mut bed.floor(&plan))?.finish()?;
    let floor = normal(
        floor.stdout.lines().filter(|line| !line.starts_with(crate::inside::STAMP)).map(str::to_owned),
    )?;
    if monopod.is_empty() || monopod != floor {
        let only = |these: &[String], those: &[String], whose: &str| -> Vec<String> {
            these
                .iter()
                .filter(|line| !those.contains(line))
                .map(|line| format!("only {whose}: {line}"))
                .collect()
        };
        let mut differences = only(&monopod, &floor, "monopod");
        differences.extend(only(&floor, &monopod, "the floor"));
        bail!(
            "the floor's container is not like monopod's, so the two cannot be compared:\n{}",
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
