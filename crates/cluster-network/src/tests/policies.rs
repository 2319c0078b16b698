//! What NetworkPolicies leave.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{pod, policy, shown_policy};
use crate::policy::{Namespaces, PodFacts, Policy, policy_of};

/// `web` and `db` in prod, `probe` in infra (which is labelled so), a pod on the host's network, and one that is over.
fn pods() -> Vec<PodFacts> {
    let mut on_host = pod("prod", "host", "192.0.2.9", json!({"app": "web"}));
    on_host["spec"]["hostNetwork"] = true.into();
    let mut over = pod("prod", "over", "10.200.0.8", json!({"app": "web"}));
    over["status"]["phase"] = "Succeeded".into();
    let all = [
        pod("prod", "web", "10.200.0.1", json!({"app": "web"})),
        pod("prod", "db", "10.200.0.2", json!({"app": "db"})),
        pod("infra", "probe", "10.200.0.3", json!({"app": "probe"})),
        pod("infra", "web", "10.200.0.4", json!({"app": "web"})),
        on_host,
        over,
    ];
    all.iter().map(PodFacts::from_json).collect()
}

fn namespaces() -> Namespaces {
    let labels = |name: &str| BTreeMap::from([("team".to_owned(), name.to_owned())]);
    BTreeMap::from([("prod".to_owned(), labels("a")), ("infra".to_owned(), labels("b"))])
}

/// What these policies leave of `db`.
fn left(specs: &[Value]) -> String {
    let pods = pods();
    let policies: Vec<Policy> =
        specs.iter().map(|spec| Policy::from_json(&policy("p", spec.clone()))).collect();
    let all: Vec<&PodFacts> = pods.iter().collect();
    shown_policy(&policy_of(&pods[1], policies.iter(), &all, &namespaces()))
}

#[test]
fn directions() {
    let all = json!({});
    for (spec, expected) in [
        (json!({"podSelector": all}), "ingress nothing"),
        (json!({"podSelector": all, "policyTypes": ["Ingress"]}), "ingress nothing"),
        (json!({"podSelector": all, "policyTypes": ["Egress"]}), "egress nothing"),
        (
            json!({"podSelector": all, "policyTypes": ["Ingress", "Egress"]}),
            "ingress nothing; egress nothing",
        ),
        (json!({"podSelector": all, "policyTypes": ["Ingress"], "ingress": [{}]}), "ingress any"),
        (json!({"podSelector": all, "policyTypes": ["Egress"], "egress": [{}]}), "egress any"),
        (json!({"podSelector": all, "egress": [{}]}), "ingress nothing; egress any"),
        // What is of a direction that the policy does not have counts for nothing.
        (json!({"podSelector": all, "policyTypes": ["Egress"], "ingress": [{}]}), "egress nothing"),
        (json!({"podSelector": {"matchLabels": {"app": "web"}}}), ""),
        (json!({"podSelector": {"matchLabels": {"app": "db"}}}), "ingress nothing"),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}}),
            "",
        ),
    ] {
        assert_eq!(left(std::slice::from_ref(&spec)), expected, "{spec}");
    }
}

#[test]
fn peers() {
    for (from, expected) in [
        (json!([]), "any"),
        (json!([{"podSelector": {}}]), "10.200.0.1+10.200.0.2"),
        (json!([{"podSelector": {"matchLabels": {"app": "web"}}}]), "10.200.0.1"),
        (json!([{"podSelector": {"matchLabels": {"app": "nobody"}}}]), "nothing"),
        (json!([{"namespaceSelector": {}}]), "10.200.0.1+10.200.0.2+10.200.0.3+10.200.0.4"),
        (json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}}]), "10.200.0.3+10.200.0.4"),
        (json!([{"namespaceSelector": {"matchLabels": {"team": "c"}}}]), "nothing"),
        // Both hold for the same pod; two entries are one or the other.
        (
            json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}, "podSelector": {"matchLabels": {"app": "web"}}}]),
            "10.200.0.4",
        ),
        (
            json!([{"namespaceSelector": {"matchLabels": {"team": "b"}}}, {"podSelector": {"matchLabels": {"app": "web"}}}]),
            "10.200.0.1+10.200.0.3+10.200.0.4",
        ),
        (
            json!([{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.200.0.0/16"]}}]),
            "10.0.0.0/8!10.200.0.0/16",
        ),
        (
            json!([{"ipBlock": {"cidr": "192.0.2.0/24"}}, {"podSelector": {"matchLabels": {"app": "web"}}}]),
            "192.0.2.0/24, 10.200.0.1",
        ),
        (json!([{"ipBlock": {"cidr": "damaged"}}]), "nothing"),
    ] {
        let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": from}]});
        assert_eq!(left(std::slice::from_ref(&spec)), format!("ingress {expected}"), "{spec}");
        let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": spec["ingress"][0]["from"]}]});
        assert_eq!(left(std::slice::from_ref(&spec)), format!("egress {expected}"), "{spec}");
    }
}

#[test]
fn ports() {
    for (ports, ingress, egress) in [
        (json!([{"port": 80}]), "any Tcp 80-80", "any Tcp 80-80"),
        (json!([{"port": 53, "protocol": "UDP"}]), "any Udp 53-53", "any Udp 53-53"),
        (json!([{"port": 8000, "endPort": 8999}]), "any Tcp 8000-8999", "any Tcp 8000-8999"),
        (json!([{"protocol": "SCTP"}]), "any Sctp 1-65535", "any Sctp 1-65535"),
        (json!([{"port": 80}, {"port": 81}]), "any Tcp 80-80 Tcp 81-81", "any Tcp 80-80 Tcp 81-81"),
        // The name of a port of whoever is connected to.
        (
            json!([{"port": "http"}]),
            "any Tcp 8080-8080",
            "10.200.0.1+10.200.0.2+10.200.0.3+10.200.0.4 Tcp 8080-8080",
        ),
        (json!([{"port": "http", "protocol": "UDP"}]), "nothing", "nothing"),
        (json!([{"port": "absent"}]), "nothing", "nothing"),
        (json!([{"port": "absent"}, {"port": 9}]), "any Tcp 9-9", "any Tcp 9-9"),
    ] {
        let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": ports}]});
        assert_eq!(left(std::slice::from_ref(&spec)), format!("ingress {ingress}"), "{spec}");
        let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": ports}]});
        assert_eq!(left(std::slice::from_ref(&spec)), format!("egress {egress}"), "{spec}");
    }
}

#[test]
fn named_ports_of_peers_are_those_peers_own() {
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{
        "to": [{"podSelector": {"matchLabels": {"app": "web"}}}, {"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "ports": [{"port": "http"}, {"port": 443}],
    }]});
    assert_eq!(
        left(&[spec]),
        "egress 192.0.2.0/24 Tcp 443-443, 10.200.0.1 Tcp 443-443, 10.200.0.1 Tcp 8080-8080"
    );
}

#[test]
fn policies_add_up() {
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    let web = json!({
        "podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 5432}]}],
    });
    let dns = json!({
        "podSelector": {}, "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}],
    });
    let expected = "ingress 10.200.0.1 Tcp 5432-5432; egress any Udp 53-53";
    assert_eq!(left(&[deny.clone(), web.clone(), dns.clone()]), expected);
    assert_eq!(left(&[dns, web, deny]), expected, "in any order");
}

#[test]
fn a_policy_is_of_its_namespace() {
    let pods = pods();
    let all: Vec<&PodFacts> = pods.iter().collect();
    let deny = Policy::from_json(&policy("deny", json!({"podSelector": {}})));
    let of_infra = policy_of(&pods[2], [&deny].into_iter(), &all, &namespaces());
    assert_eq!(shown_policy(&of_infra), "");
}
