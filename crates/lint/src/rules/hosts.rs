//! Who speaks to whom in the pod: its containers share one network, and have no names in it
//! (<https://kubernetes.io/docs/concepts/workloads/pods/#pod-networking>).

use std::collections::{BTreeMap, BTreeSet};

use podspec::json::{list, text};

use super::volumes::the;
use crate::finding::{Context, Edit, Finding};
use crate::hosts::{Mention, Role, is_loopback, on_localhost};
use crate::pod::{Kind, Pod};
use crate::rule::{CONTAINER_NAME_AS_HOST, PROBE_HOST_IS_THE_NODE};

pub(super) fn check(pod: &Pod<'_>, context: &Context, findings: &mut Vec<Finding>) {
    if !pod.uses_host_network() {
        probes_of_the_node(pod, findings);
    }
    let known = names_known_otherwise(pod, context);
    let others = pod.containers.iter().enumerate().filter(|(_, container)| container.kind != Kind::Init);
    let names: BTreeMap<&str, usize> = others.map(|(i, container)| (container.name, i)).collect();
    for (i, own) in pod.mentions.iter().enumerate() {
        let mut said = BTreeSet::new();
        for mention in own {
            let host = mention.host.as_str();
            let named = names.get(host).copied().filter(|j| *j != i && !known.contains(host));
            let Some(named) = named.map(|j| &pod.containers[j]) else { continue };
            let fits = mention.port.is_none_or(|port| named.ports.iter().any(|own| own.number == port));
            // `app:1000` may be a user and a group, or a name and a version.
            if mention.is_pair && !fits && !named.ports.is_empty()
                || !said.insert((mention.path.clone(), host))
            {
                continue;
            }
            let message = format!(
                "{} uses the name of {} as a host name, but containers have no names in DNS",
                the(&pod.containers[i]),
                the(named),
            );
            let instead = mention.port.map_or("localhost".to_owned(), |port| format!("localhost:{port}"));
            let service = if context.complete {
                "no Service has this name"
            } else {
                "only a Service of this name would be found"
            };
            let help = format!("use {instead}: the containers of a pod share one network, and {service}");
            let mut finding = Finding::new(&CONTAINER_NAME_AS_HOST, mention.path.clone(), message, help)
                .related(named.path.child("name"), "the container of this name");
            // A probe's host is where the node looks, whose own localhost it is not.
            if let Some(text) = on_localhost(mention.raw, host).filter(|_| !is_handler_host(mention)) {
                let edit = Edit::Set { path: mention.path.clone(), value: text.into() };
                finding = finding.fix(format!("use localhost instead of {host}"), vec![edit]);
            } else if is_handler_host(mention) {
                let edit = Edit::Remove { path: mention.path.clone() };
                finding.help = "leave the host out: a probe asks the pod's own address".to_owned();
                finding = finding.fix("leave the host out", vec![edit]);
            }
            findings.push(finding);
        }
    }
}

/// Probes and hooks with a host are asked by the node, as anybody would ask it.
fn probes_of_the_node(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    for (container, own) in pod.containers.iter().zip(&pod.mentions) {
        for mention in own.iter().filter(|mention| is_handler_host(mention) && is_loopback(&mention.host)) {
            let message = format!(
                "{} is asked on {}, which is the node's own, not the pod's",
                the(container),
                mention.host
            );
            let help = "leave the host out: a probe asks the pod's own address";
            let edit = Edit::Remove { path: mention.path.clone() };
            findings.push(
                Finding::new(&PROBE_HOST_IS_THE_NODE, mention.path.clone(), message, help)
                    .fix("leave the host out", vec![edit]),
            );
        }
    }
}

/// `httpGet.host`
fn is_handler_host(mention: &Mention<'_>) -> bool {
    mention.role == Role::Probe && mention.raw == mention.host && mention.path.to_string().ends_with(".host")
}

/// Names that lead somewhere: Services, the pod itself, and its hostAliases.
fn names_known_otherwise<'a>(pod: &Pod<'a>, context: &'a Context) -> BTreeSet<&'a str> {
    let mut known: BTreeSet<&str> = context.services.iter().map(String::as_str).collect();
    known.insert("localhost");
    known.insert(text(&pod.json["metadata"], "name"));
    known.insert(text(pod.spec, "hostname"));
    // The headless Service of the pod.
    known.insert(text(pod.spec, "subdomain"));
    for alias in list(pod.spec, "hostAliases") {
        known.extend(list(alias, "hostnames").iter().filter_map(serde_json::Value::as_str));
    }
    known
}
