//! Ports of the machine: node ports and host ports.

use network::{Claimed, HostPort, PodRules, ServicePort, State};
use podspec::PortProtocol;

use crate::bed::{Bed, GATEWAY, GATEWAY6, MACHINE, OUTSIDE, OUTSIDE6, exchange, pod_address, service};

const ADDRESSES: [&str; 2] = ["10.201.0.9", "fd13::9"];

fn node_port(pods: &[usize], protocol: PortProtocol) -> ServicePort {
    ServicePort { node_port: Some(30_080), protocol, ..service(&ADDRESSES, pods) }
}

fn host_port(address: Option<&str>, protocol: PortProtocol) -> HostPort {
    let address = address.map(|address| address.parse().unwrap());
    HostPort { address, protocol, host_port: 8088, pod_port: 8080 }
}

/// Clients of a port of the machine, and who they are to the pod.
fn clients(bed: &Bed, port: u16) -> Vec<(&crate::bed::Space, String, String)> {
    let outside = [("192.168.7.1", OUTSIDE), ("[fd77::1]", OUTSIDE6)];
    let machine = [
        ("127.0.0.1", GATEWAY),
        ("127.3.2.1", GATEWAY),
        ("192.168.7.1", MACHINE),
        ("[fd77::1]", "fd77::1"),
        ("10.200.0.1", GATEWAY),
        ("[fd12::1]", GATEWAY6),
    ];
    let pod = [("192.168.7.1", "10.200.0.3"), ("[fd77::1]", "fd12::3"), ("10.200.0.1", "10.200.0.3")];
    let of = |space, list: &[(&str, &str)]| -> Vec<_> {
        list.iter().map(|(to, from)| (space, format!("{to}:{port}"), format!("pod0 from {from}"))).collect()
    };
    [of(&bed.outside, &outside), of(&bed.machine, &machine), of(&bed.pods[1].space, &pod)].concat()
}

#[test]
fn a_node_port_is_at_every_address() {
    let Some(bed) = Bed::new(2) else { return };
    bed.set_service("web", vec![node_port(&[0], PortProtocol::Tcp), node_port(&[0], PortProtocol::Udp)]);
    for (client, to, answer) in clients(&bed, 30_080) {
        assert_eq!(client.get(&to), answer, "{to}");
        assert_eq!(client.ask(&to), answer, "{to} by UDP");
    }
    // The pod itself, by the machine's address.
    assert_eq!(bed.pods[0].space.get("192.168.7.1:30080"), format!("pod0 from {GATEWAY}"));
    // Where it cannot be, it is not held up.
    assert_eq!(bed.machine.get("[::1]:30080"), "refused");
    // A Service's address is not a node's.
    assert_eq!(bed.pods[1].space.get("10.201.0.9:30080"), "refused");
    assert_eq!(bed.machine.get("[fd13::9]:30080"), "refused");
    assert_eq!(bed.outside.get("10.201.0.9:30080"), "dropped");
}

#[test]
fn a_node_port_without_endpoints_is_refused() {
    let Some(bed) = Bed::new(2) else { return };
    bed.set_service("web", vec![node_port(&[], PortProtocol::Tcp), node_port(&[], PortProtocol::Udp)]);
    // Also where the machine itself listens.
    bed.machine.serve("machine", ([0_u16; 8], 30_080).into());
    for (client, to, _) in clients(&bed, 30_080) {
        assert_eq!(client.get(&to), "refused", "{to}");
        assert_eq!(client.ask(&to), "refused", "{to} by UDP");
    }
    bed.set_service("web", vec![]);
    assert_eq!(bed.outside.get("192.168.7.1:30080"), format!("machine from {OUTSIDE}"));
}

#[test]
fn a_host_port_is_the_pods() {
    let Some(bed) = Bed::new(2) else { return };
    let host_ports = vec![host_port(None, PortProtocol::Tcp), host_port(None, PortProtocol::Udp)];
    bed.set_pod(PodRules { host_ports, ..bed.pods[0].rules.clone() });
    for (client, to, answer) in clients(&bed, 8088) {
        assert_eq!(client.get(&to), answer, "{to}");
        assert_eq!(client.ask(&to), answer, "{to} by UDP");
    }
    bed.wait(bed.rules.remove_pod(bed.pods[0].rules.uid.clone()));
    for (client, to, _) in clients(&bed, 8088) {
        assert_eq!(client.get(&to), "refused", "{to}");
    }
}

#[test]
fn a_host_port_may_be_of_one_address() {
    let Some(bed) = Bed::new(2) else { return };
    let with = |address| PodRules {
        host_ports: vec![host_port(Some(address), PortProtocol::Tcp)],
        ..bed.pods[0].rules.clone()
    };
    bed.set_pod(with("127.0.0.1"));
    assert_eq!(bed.machine.get("127.0.0.1:8088"), format!("pod0 from {GATEWAY}"));
    for to in ["127.0.0.2:8088", "192.168.7.1:8088", "[fd77::1]:8088"] {
        assert_eq!(bed.machine.get(to), "refused", "{to}");
    }
    assert_eq!(bed.outside.get("192.168.7.1:8088"), "refused");

    bed.set_pod(with(MACHINE));
    assert_eq!(bed.outside.get("192.168.7.1:8088"), format!("pod0 from {OUTSIDE}"));
    assert_eq!(bed.machine.get("127.0.0.1:8088"), "refused");
    assert_eq!(bed.outside.get("[fd77::1]:8088"), "refused");

    bed.set_pod(with("fd77::1"));
    assert_eq!(bed.outside.get("[fd77::1]:8088"), format!("pod0 from {OUTSIDE6}"));

    bed.set_pod(with("0.0.0.0"));
    assert_eq!(bed.outside.get("192.168.7.1:8088"), format!("pod0 from {OUTSIDE}"));
    assert_eq!(bed.outside.get("[fd77::1]:8088"), "refused");
}

#[test]
fn a_host_port_passes_from_pod_to_pod() {
    let Some(bed) = Bed::new(3) else { return };
    let with = |pod: usize| PodRules {
        host_ports: vec![host_port(None, PortProtocol::Udp)],
        ..bed.pods[pod].rules.clone()
    };
    let to = "192.168.7.1:8088";
    // What was sent when nobody had it was not for a pod; a flow goes on, so it has to be forgotten.
    let socket = bed.outside.udp(to);
    assert_eq!(exchange(&socket), "refused");
    bed.set_pod(with(0));
    assert_eq!(exchange(&socket), format!("pod0 from {OUTSIDE}"));
    // Whoever comes while another is still there has it, and gives it back.
    bed.set_pod(with(1));
    assert_eq!(bed.outside.ask(to), format!("pod1 from {OUTSIDE}"));
    bed.wait(bed.rules.remove_pod(bed.pods[1].rules.uid.clone()));
    assert_eq!(exchange(&socket), format!("pod0 from {OUTSIDE}"));
    bed.wait(bed.rules.remove_pod(bed.pods[0].rules.uid.clone()));
    assert_eq!(exchange(&socket), "refused");
}

/// The first table of a network has no connections of pods to look at, but those of the machine.
#[test]
fn what_was_sent_before_there_was_a_network_goes_to_its_host_ports() {
    for claimed in [Claimed::Now, Claimed::Before] {
        let Some(bed) = Bed::without_table(1, claimed) else { return };
        // Connections are tracked when a rule asks, as another program's may.
        bed.machine.nft(
            "table inet other { chain in { type filter hook input priority 0; ct state new accept; }; }",
        );
        let socket = bed.outside.udp("192.168.7.1:8088");
        assert_eq!(exchange(&socket), "refused");
        let pod =
            PodRules { host_ports: vec![host_port(None, PortProtocol::Udp)], ..bed.pods[0].rules.clone() };
        bed.wait(bed.rules.replace(State { pods: vec![pod], services: vec![] }));
        // Answered before that is looked at, but the next change comes after it.
        bed.set_service("other", vec![service(&["10.201.0.77"], &[0])]);
        assert_eq!(exchange(&socket), format!("pod0 from {OUTSIDE}"), "{claimed:?}");
    }
}

#[test]
fn outside_pods_are_the_machine() {
    let Some(bed) = Bed::new(2) else { return };
    assert_eq!(bed.pods[0].space.get("192.168.7.2:80"), format!("outside from {MACHINE}"));
    assert_eq!(bed.pods[0].space.get("[fd77::2]:80"), "outside from fd77::1");
    assert_eq!(bed.pods[0].space.ask("192.168.7.2:80"), format!("outside from {MACHINE}"));
    // Not to one another, nor to the machine.
    assert_eq!(bed.pods[0].space.get("10.200.0.3:8080"), format!("pod1 from {}", pod_address(0)));
    bed.machine.serve("machine", ([0_u16; 8], 81).into());
    assert_eq!(bed.pods[0].space.get("192.168.7.1:81"), format!("machine from {}", pod_address(0)));
    assert_eq!(bed.pods[0].space.get("[fd77::1]:81"), "machine from fd12::2");
}
