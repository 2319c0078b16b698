//! What has to be up before another container starts. Sidecars start one after another, each when the one before has started, which is
//! when its process runs or, with a startupProbe, when that has succeeded
//! (<https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#sidecar-containers-and-pod-lifecycle>).

use std::collections::{BTreeMap, BTreeSet};

use podspec::FieldPath;
use podspec::json::fields;
use serde_json::{Map, Value};

use super::volumes::the;
use crate::finding::{Context, Edit, Finding};
use crate::hosts::{Mention, Role, is_loopback};
use crate::listens::Numbers;
use crate::pod::{Container, Kind, Pod};
use crate::rule::{INIT_WAITS_FOR_LATER, READINESS_DOES_NOT_GATE_START, SIDECAR_WITHOUT_STARTUP_PROBE};

/// A minute of tries, one a second: what is up at once costs nothing.
const PERIOD_SECONDS: u64 = 1;
const FAILURES_MAX: u64 = 60;

pub(super) fn check(pod: &Pod<'_>, _: &Context, findings: &mut Vec<Finding>) {
    if pod.uses_host_network() {
        return;
    }
    let mut servers: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
    for (i, own) in pod.listens.iter().enumerate() {
        for listen in own {
            servers.entry(listen.port).or_default().push(i);
        }
    }
    let numbers = Numbers::of(&pod.containers);
    let mut servers_said = BTreeSet::new();
    for (i, client) in pod.containers.iter().enumerate() {
        let mut init_said = false;
        for mention in &pod.mentions[i] {
            let Some(port) = mention.port.filter(|_| is_loopback(&mention.host)) else { continue };
            let servers = servers.get(&port).map_or(&[] as &[usize], Vec::as_slice);
            if servers.contains(&i) {
                continue;
            }
            let earlier = servers.iter().copied().rev().find(|j| *j < i && pod.at_once(*j, i));
            match (client.kind, earlier) {
                (Kind::Init, None) if !init_said => {
                    let later = servers.iter().find(|j| **j > i).map(|j| &pod.containers[*j]);
                    // It may start a server itself.
                    let is_own = numbers.has(port, &[&mention.path])
                        || client.program.calls.iter().any(|call| call.in_background);
                    let later = later.filter(|_| !is_own);
                    if let Some(finding) =
                        later.and_then(|server| waits_for_later(client, server, mention, port))
                    {
                        init_said = true;
                        findings.push(finding);
                    }
                }
                (_, Some(j)) if !servers_said.contains(&j) && needs_at_start(pod, client, mention) => {
                    let finding = not_gated(pod, &pod.containers[j], client, mention, port);
                    if finding.is_some() {
                        servers_said.insert(j);
                    }
                    findings.extend(finding);
                }
                _ => {}
            }
        }
    }
}

/// An init container asks for what starts only when it has ended.
fn waits_for_later(
    client: &Container<'_>,
    server: &Container<'_>,
    mention: &Mention<'_>,
    port: u16,
) -> Option<Finding> {
    if !matches!(mention.role, Role::Command | Role::Patient) {
        return None;
    }
    let message = format!(
        "{} asks localhost:{port}, where {} listens, which starts only when the init container has ended",
        the(client),
        the(server)
    );
    let help = format!(
        "ask from a container that runs beside it, or make {} a sidecar (restartPolicy: Always) before this init container",
        the(server)
    );
    Some(
        Finding::new(&INIT_WAITS_FOR_LATER, mention.path.clone(), message, help)
            .related(server.path.clone(), "starts later"),
    )
}

/// A failure when the container starts is not just tried again by the program itself.
fn needs_at_start(pod: &Pod<'_>, client: &Container<'_>, mention: &Mention<'_>) -> bool {
    match mention.role {
        Role::Command => true,
        Role::Setting => {
            client.kind == Kind::Init || client.kind == Kind::App && pod.restart_policy() == "Never"
        }
        Role::Patient | Role::Optional | Role::Probe => false,
    }
}

fn not_gated(
    pod: &Pod<'_>,
    server: &Container<'_>,
    client: &Container<'_>,
    mention: &Mention<'_>,
    port: u16,
) -> Option<Finding> {
    let has = |name: &str| server.json.get(name).is_some_and(Value::is_object);
    let related = format!("{} speaks to localhost:{port} here", the(client));
    if server.kind == Kind::App {
        // They start together, and a failed one is started again, but where nothing is.
        let is_final =
            pod.restart_policy() == "Never" && mention.role == Role::Command && has("readinessProbe");
        let message = format!(
            "{} asks {} as soon as it starts, but both start together: the readinessProbe makes nobody wait",
            the(client),
            the(server)
        );
        let help = format!(
            "wait for localhost:{port} in a loop, or make {} a sidecar with a startupProbe",
            the(server)
        );
        let path = server.path.child("readinessProbe");
        let finding = Finding::new(&READINESS_DOES_NOT_GATE_START, path, message, help).at_key();
        return is_final.then(|| finding.related(mention.path.clone(), related));
    }
    if has("startupProbe") || server.json["lifecycle"].get("postStart").is_some() {
        return None;
    }
    let path = server.path.child("startupProbe");
    let title = format!("give {} a startupProbe", server.name);
    let fix = |probe: &str| Edit::Set { path: path.clone(), value: startup_probe(&server.json[probe]) };
    let finding = if has("readinessProbe") {
        let message = format!(
            "the readinessProbe of {} does not hold up {}, which needs it on localhost:{port}: only a startupProbe does",
            the(server),
            the(client)
        );
        let help = "give the sidecar a startupProbe that asks the same";
        let at: FieldPath = server.path.child("readinessProbe");
        Finding::new(&READINESS_DOES_NOT_GATE_START, at, message, help)
            .at_key()
            .fix(title, vec![fix("readinessProbe")])
    } else {
        let message = format!(
            "{} needs {} on localhost:{port} when it starts, but nothing waits until that listens",
            the(client),
            the(server)
        );
        let help =
            format!("give {} a startupProbe: what comes after it starts when that succeeds", the(server));
        let finding = Finding::new(&SIDECAR_WITHOUT_STARTUP_PROBE, server.path.clone(), message, help);
        // What it could be asked is not known otherwise: a port may be open on localhost alone, where no probe of the node comes.
        if has("livenessProbe") { finding.fix(title, vec![fix("livenessProbe")]) } else { finding }
    };
    Some(finding.related(mention.path.clone(), related))
}

/// The question of another probe, asked often from the start.
fn startup_probe(probe: &Value) -> Value {
    let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
    let mut startup: Map<String, Value> = fields(probe)
        .iter()
        .filter(|(name, _)| handlers.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    startup.insert("periodSeconds".to_owned(), PERIOD_SECONDS.into());
    startup.insert("failureThreshold".to_owned(), FAILURES_MAX.into());
    Value::Object(startup)
}
