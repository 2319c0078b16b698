//! Ports that containers have twice, or nobody has. The containers of a pod share one network, so a port is one container's alone
//! (<https://kubernetes.io/docs/concepts/workloads/pods/#pod-networking>). That a port is declared changes nothing by itself.

use std::collections::{BTreeMap, BTreeSet};

use podspec::FieldPath;
use podspec::json::{fields, text};
use serde_json::{Value, json};

use super::volumes::the;
use crate::files;
use crate::finding::{Context, Edit, Finding};
use crate::hosts::{Mention, Role, is_loopback};
use crate::images;
use crate::listens::{Listen, Numbers, said};
use crate::pod::{Container, Pod};
use crate::rule::{
    LOCALHOST_PORT_NOT_DECLARED, PORT_CONFLICT, PROBE_PORT_NOT_DECLARED, PROBE_PORT_NOT_LISTENED,
};

const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
/// Words in the name of a flag whose value is somebody to speak to, not an address to listen on.
const TARGETS: [&str; 12] = [
    "backend", "connect", "endpoint", "forward", "proxy", "remote", "scrape", "server", "target", "upstream",
    "uri", "url",
];

pub(super) fn check(pod: &Pod<'_>, _: &Context, findings: &mut Vec<Finding>) {
    conflicts(pod, findings);
    let taken: BTreeSet<u16> = pod.listens.iter().flatten().map(|listen| listen.port).collect();
    let numbers = Numbers::of(&pod.containers);
    for container in &pod.containers {
        for field in PROBES {
            probe(container, field, &taken, &numbers, findings);
        }
    }
    if !pod.uses_host_network() && !is_added_to(pod) {
        localhost(pod, &taken, &numbers, findings);
    }
}

fn conflicts(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    let mut owners: BTreeMap<(u16, &str), Vec<(usize, &Listen)>> = BTreeMap::new();
    for (i, own) in pod.listens.iter().enumerate() {
        for listen in own {
            let owners = owners.entry((listen.port, listen.protocol.as_str())).or_default();
            let rival = owners.iter().find(|(j, other)| {
                let apart = matches!((&other.address, &listen.address), (Some(one), Some(two)) if one != two);
                pod.at_once(*j, i) && !apart
            });
            if let Some((j, other)) = rival {
                let message = format!(
                    "{} and {} both have port {}, and the containers of a pod share one network: the second to listen on it fails",
                    the(&pod.containers[*j]),
                    the(&pod.containers[i]),
                    listen.port,
                );
                let help = "let one of them listen on another port, and declare that one; the declaration alone changes nothing";
                findings.push(
                    Finding::new(&PORT_CONFLICT, listen.path.clone(), message, help)
                        .related(other.path.clone(), format!("{} has it here", the(&pod.containers[*j]))),
                );
            }
            owners.push((i, listen));
        }
    }
}

/// The port number of a probe, and where it is.
fn port_of_probe(probe: &Value, path: &FieldPath) -> Option<(u16, FieldPath)> {
    ["httpGet", "tcpSocket", "grpc"].iter().find_map(|action| {
        // Of another host, it is not of this pod.
        let number =
            probe[action].get("port")?.as_u64().filter(|_| text(&probe[action], "host").is_empty())?;
        Some((u16::try_from(number).ok()?, path.child(action).child("port")))
    })
}

fn probe(
    container: &Container<'_>,
    field: &str,
    taken: &BTreeSet<u16>,
    numbers: &Numbers<'_>,
    findings: &mut Vec<Finding>,
) {
    let Some((port, path)) = port_of_probe(&container.json[field], &container.path.child(field)) else {
        return;
    };
    if taken.contains(&port) || numbers.has(port, &[]) {
        return;
    }
    let own: Vec<Listen> = said(container).into_iter().filter(|listen| listen.is_certain).collect();
    // Another program in the script might listen there.
    let is_all =
        files::runs_nothing_but(container, &["busybox", "httpd", "php", "python", "python3", "socat"]);
    if let (true, Some(listen)) = (is_all, own.first()) {
        let message =
            format!("the {field} of {} asks port {port}, but it listens on {}", the(container), listen.port);
        let help = format!("ask the port it listens on: {}", listen.port);
        let finding = Finding::new(&PROBE_PORT_NOT_LISTENED, path.clone(), message, help)
            .related(listen.path.clone(), format!("port {} is here", listen.port));
        let edit = Edit::Set { path, value: listen.port.into() };
        findings.push(if own.len() == 1 {
            finding.fix(format!("ask port {}", listen.port), vec![edit])
        } else {
            finding
        });
        return;
    }
    let message = format!("the {field} of {} asks port {port}, which no container declares", the(container));
    let help =
        "check that something listens there, and declare it under ports, so that readers and tools know it";
    let edit = Edit::Append { path: container.path.child("ports"), value: json!({"containerPort": port}) };
    findings.push(
        Finding::new(&PROBE_PORT_NOT_DECLARED, path, message, help)
            .fix(format!("declare port {port}"), vec![edit]),
    );
}

/// `localhost:PORT` of a port that has to do with nobody.
fn localhost(pod: &Pod<'_>, taken: &BTreeSet<u16>, numbers: &Numbers<'_>, findings: &mut Vec<Finding>) {
    let probes = |c: &Container<'_>| PROBES.map(|field| port_of_probe(&c.json[field], &c.path));
    let asked: BTreeSet<u16> =
        pod.containers.iter().flat_map(probes).flatten().map(|(port, _)| port).collect();
    let annotations = fields(&pod.json["metadata"]["annotations"]).values().filter_map(Value::as_str);
    let annotated: BTreeSet<u16> = annotations.filter_map(|text| text.parse().ok()).collect();
    let usual: BTreeSet<u16> = pod.containers.iter().flat_map(|c| images::ports(c.image)).copied().collect();
    let known = |port| [taken, &asked, &annotated, &usual].iter().any(|ports| ports.contains(&port));
    let mut texts: BTreeMap<u16, Vec<&FieldPath>> = BTreeMap::new();
    for mention in
        pod.mentions.iter().flatten().filter(|mention| is_loopback(&mention.host) && is_target(mention))
    {
        texts.entry(mention.port.unwrap_or(0)).or_default().push(&mention.path);
    }
    let mut said = BTreeSet::new();
    let all = pod.containers.iter().zip(&pod.mentions);
    for (container, mention) in all.flat_map(|(c, own)| own.iter().map(move |mention| (c, mention))) {
        let Some(port) = mention.port.filter(|_| is_loopback(&mention.host)) else { continue };
        let is_host_of_a_probe = mention.role == Role::Probe && mention.raw == mention.host;
        if is_host_of_a_probe || known(port) || !is_target(mention) || !said.insert((&mention.path, port)) {
            continue;
        }
        // The number elsewhere may be that of who listens.
        if numbers.has(port, &texts[&port]) {
            continue;
        }
        let message =
            format!("{} speaks to localhost:{port}, and no container declares port {port}", the(container));
        let declared =
            pod.containers.iter().flat_map(|c| &c.ports).map(|port| port.number).collect::<BTreeSet<_>>();
        let declared: Vec<String> = declared.iter().map(u16::to_string).collect();
        let help = if declared.is_empty() {
            "check that one of the containers listens there, and declare it under its ports".to_owned()
        } else {
            format!("declared are {}; check that one listens there, and declare it", declared.join(", "))
        };
        findings.push(Finding::new(&LOCALHOST_PORT_NOT_DECLARED, mention.path.clone(), message, help));
    }
}

/// Somebody puts containers into the pod when it is created, as service meshes do.
fn is_added_to(pod: &Pod<'_>) -> bool {
    let metadata = &pod.json["metadata"];
    let names = fields(&metadata["annotations"]).keys().chain(fields(&metadata["labels"]).keys());
    names.into_iter().any(|name| name.contains("inject") || name.contains("dapr.io/"))
}

/// Something is spoken to there; an address in a flag may as well be one to listen on.
fn is_target(mention: &Mention<'_>) -> bool {
    if mention.role != Role::Setting {
        return true;
    }
    let Some(flag) = mention.raw.strip_prefix('-') else { return mention.raw.contains("://") };
    let name = flag.split('=').next().unwrap_or("").to_lowercase();
    TARGETS.iter().any(|target| name.contains(target))
}
