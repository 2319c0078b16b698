//! Where a Service leads.

use serde_json::{Value, json};

use super::{endpoint, service, shown, slice, with};
use crate::service::{names, ports};

fn lead(spec: Value, slices: &[Value]) -> String {
    let slices: Vec<&Value> = slices.iter().collect();
    shown(&ports(&service("web", spec), &slices, "box"))
}

#[test]
fn ready_endpoints_or_those_that_leave() {
    let ready = json!({"ready": true, "serving": true, "terminating": false});
    let starting = json!({"ready": false, "serving": false, "terminating": false});
    let leaving = json!({"ready": false, "serving": true, "terminating": true});
    let left = json!({"ready": false, "serving": false, "terminating": true});
    let unready_serving = json!({"ready": false, "serving": true, "terminating": false});
    for (conditions, expected) in [
        ([&ready, &ready], " 10.200.0.1:8080 10.200.0.2:8080"),
        ([&ready, &starting], " 10.200.0.1:8080"),
        ([&ready, &leaving], " 10.200.0.1:8080"),
        ([&starting, &leaving], " 10.200.0.2:8080"),
        ([&leaving, &leaving], " 10.200.0.1:8080 10.200.0.2:8080"),
        ([&left, &starting], ""),
        ([&unready_serving, &left], ""),
        ([&json!({}), &starting], " 10.200.0.1:8080"),
    ] {
        let endpoints = json!([
            endpoint("10.200.0.1", conditions[0].clone()),
            endpoint("10.200.0.2", conditions[1].clone())
        ]);
        let text = lead(json!({}), &[slice("a", "web", endpoints)]);
        assert_eq!(text, format!("10.201.0.7 Tcp 80 ->{expected}"), "{conditions:?}");
    }
}

#[test]
fn ports_are_found_by_name_and_protocol() {
    let one = json!([endpoint("10.200.0.1", json!({"ready": true}))]);
    let of_ports = |ports: Value| with(slice("a", "web", one.clone()), json!({"ports": ports}));
    for (ports, expected) in [
        (json!([{"name": "http", "port": 8080, "protocol": "TCP"}]), " 10.200.0.1:8080"),
        (json!([{"name": "other", "port": 1}, {"name": "http", "port": 8080}]), " 10.200.0.1:8080"),
        (json!([{"name": "http", "port": 8080, "protocol": "UDP"}]), ""),
        (json!([{"port": 8080}]), ""),
        (json!([{"name": "http"}]), ""),
        (json!([]), ""),
    ] {
        let text = lead(json!({}), &[of_ports(ports.clone())]);
        assert_eq!(text, format!("10.201.0.7 Tcp 80 ->{expected}"), "{ports}");
    }
    let unnamed = json!({"ports": [{"port": 53, "protocol": "UDP"}]});
    let slices = [of_ports(json!([{"name": "", "port": 5353, "protocol": "UDP"}]))];
    assert_eq!(lead(unnamed, &slices), "10.201.0.7 Udp 53 -> 10.200.0.1:5353");
}

#[test]
fn slices_for_names_alone_lead_nowhere() {
    let one = json!([endpoint("10.200.0.1", json!({"ready": true}))]);
    let mut slice = slice("a", "web", one);
    slice["metadata"]["labels"]["service.kubernetes.io/headless"] = "".into();
    assert_eq!(lead(json!({}), std::slice::from_ref(&slice)), "10.201.0.7 Tcp 80 ->");
    assert_eq!(names(&service("web", json!({})), &[&slice]).endpoints.len(), 1);
}

#[test]
fn slices_of_all_writers_and_families_add_up() {
    let ready = json!({"ready": true});
    let both = json!({"clusterIPs": ["10.201.0.7", "fd00:1::7"]});
    let slices = [
        slice(
            "a",
            "web",
            json!([endpoint("10.200.0.2", ready.clone()), endpoint("10.200.0.1", ready.clone())]),
        ),
        // By hand, with an endpoint that the other slice has, too, and no node.
        slice("b", "web", json!([{"addresses": ["10.200.0.1"]}, {"addresses": ["192.0.2.1", "192.0.2.2"]}])),
        with(slice("c", "web", json!([endpoint("fd00:1::5", ready)])), json!({"addressType": "IPv6"})),
        with(slice("d", "web", json!([{"addresses": ["example.com"]}])), json!({"addressType": "FQDN"})),
    ];
    assert_eq!(
        lead(both, &slices),
        "10.201.0.7 fd00:1::7 Tcp 80 -> 10.200.0.1:8080 10.200.0.2:8080 192.0.2.1:8080 [fd00:1::5]:8080"
    );
}

#[test]
fn an_endpoint_that_moves_between_slices_is_ready_when_one_says_so() {
    let slices = [
        slice("a", "web", json!([endpoint("10.200.0.1", json!({"ready": false, "serving": false}))])),
        slice("b", "web", json!([endpoint("10.200.0.1", json!({"ready": true}))])),
    ];
    assert_eq!(lead(json!({}), &slices), "10.201.0.7 Tcp 80 -> 10.200.0.1:8080");
}

#[test]
fn node_ports_affinity_and_local_traffic() {
    let elsewhere = json!({"addresses": ["192.0.2.1"], "conditions": {"ready": true}});
    let slices = [slice("a", "web", json!([endpoint("10.200.0.1", json!({"ready": true})), elsewhere]))];
    let node_port = json!({"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": 30080}]});
    for (spec, expected) in [
        (json!({}), "10.201.0.7 Tcp 80/30080 -> 10.200.0.1:8080 192.0.2.1:8080"),
        (
            json!({"sessionAffinity": "ClientIP"}),
            "10.201.0.7 Tcp 80/30080 ~10800s -> 10.200.0.1:8080 192.0.2.1:8080",
        ),
        (
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}),
            "10.201.0.7 Tcp 80/30080 ~5s -> 10.200.0.1:8080 192.0.2.1:8080",
        ),
        (
            json!({"externalTrafficPolicy": "Local"}),
            "Tcp 80/30080 -> 10.200.0.1:8080\n10.201.0.7 Tcp 80 -> 10.200.0.1:8080 192.0.2.1:8080",
        ),
        (
            json!({"internalTrafficPolicy": "Local"}),
            "Tcp 80/30080 -> 10.200.0.1:8080 192.0.2.1:8080\n10.201.0.7 Tcp 80 -> 10.200.0.1:8080",
        ),
        (
            json!({"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"}),
            "10.201.0.7 Tcp 80/30080 -> 10.200.0.1:8080",
        ),
    ] {
        assert_eq!(lead(with(node_port.clone(), spec.clone()), &slices), expected, "{spec}");
    }
}

#[test]
fn some_services_have_no_addresses() {
    let slices = [slice("a", "web", json!([endpoint("10.200.0.1", json!({"ready": true}))]))];
    for spec in [
        json!({"clusterIPs": ["None"]}),
        json!({"clusterIPs": []}),
        json!({"type": "ExternalName", "externalName": "example.com"}),
    ] {
        assert_eq!(lead(spec.clone(), &slices), "", "{spec}");
    }
    let others = with(
        service("web", json!({})),
        json!({"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": "mine"}}}),
    );
    assert!(ports(&others, &slices.iter().collect::<Vec<_>>(), "box").is_empty());
}

#[test]
fn names_lead_where_addresses_do_not() {
    use dns::LeadsTo;
    let ready = |ip: &str, hostname: &str| json!({"addresses": [ip], "hostname": hostname, "conditions": {"ready": true}});
    let slices = [
        slice(
            "a",
            "web",
            json!([
                ready("10.200.0.2", "db-1"),
                ready("10.200.0.1", "db-0"),
                endpoint("10.200.0.3", json!({"ready": false, "serving": true, "terminating": true})),
            ]),
        ),
        with(
            slice("b", "web", json!([ready("10.200.0.1", "db-0")])),
            json!({"ports": [{"name": "admin", "port": 9090, "protocol": "TCP"}]}),
        ),
    ];
    let slices: Vec<&Value> = slices.iter().collect();
    let headless = names(&service("web", json!({"clusterIPs": ["None"]})), &slices);
    assert_eq!(headless.leads_to, LeadsTo::Endpoints);
    let texts: Vec<String> = (headless.endpoints.iter())
        .map(|endpoint| {
            let ports: Vec<String> =
                endpoint.ports.iter().map(|port| format!("{}:{}", port.name, port.port)).collect();
            format!(
                "{} {} {}",
                endpoint.address,
                endpoint.hostname.as_deref().unwrap_or("-"),
                ports.join(",")
            )
        })
        .collect();
    assert_eq!(texts, ["10.200.0.1 db-0 admin:9090,http:8080", "10.200.0.2 db-1 http:8080"]);
    let usual = names(&service("web", json!({})), &slices);
    assert_eq!(usual.leads_to, LeadsTo::Addresses(vec!["10.201.0.7".parse().unwrap()]));
    assert_eq!(usual.ports[0].port, 80);
    let external = names(
        &service("web", json!({"type": "ExternalName", "clusterIPs": [], "externalName": "a.example"})),
        &[],
    );
    assert_eq!(external.leads_to, LeadsTo::Elsewhere("a.example".to_owned()));
}
