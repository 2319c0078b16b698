//! NetworkPolicies, with connections that are allowed and others.

use network::{Allowed, Peers, PodPolicy, PodRules, PortRange, ServicePort};
use podspec::PortProtocol;

use crate::bed::{Bed, GATEWAY, GATEWAY6, OUTSIDE, OUTSIDE6, line, pod_address, pod_address6, service};

fn ingress(allowed: Vec<Allowed>) -> PodPolicy {
    PodPolicy { ingress: Some(allowed), egress: None }
}

fn egress(allowed: Vec<Allowed>) -> PodPolicy {
    PodPolicy { ingress: None, egress: Some(allowed) }
}

fn pods(numbers: &[usize]) -> Peers {
    let addresses = numbers.iter().flat_map(|number| [pod_address(*number), pod_address6(*number)]);
    Peers::Addresses(addresses.map(|address| address.parse().unwrap()).collect())
}

fn block(within: &str, except: &[&str]) -> Peers {
    let except = except.iter().map(|range| range.parse().unwrap()).collect();
    Peers::Block { within: within.parse().unwrap(), except }
}

fn any_port(peers: Peers) -> Allowed {
    Allowed { peers, ports: vec![] }
}

fn ports(protocol: PortProtocol, first: u16, last: u16) -> Vec<PortRange> {
    vec![PortRange { protocol, first, last }]
}

#[test]
fn who_may_connect_to_a_pod() {
    let Some(bed) = Bed::new(3) else { return };
    let pod = ["10.200.0.2:8080", "[fd12::2]:8080"];
    // Nobody but the machine, and itself.
    bed.policy(0, ingress(vec![]));
    for (to, gateway) in pod.into_iter().zip([GATEWAY, GATEWAY6]) {
        assert_eq!(bed.pods[1].space.get(to), "dropped");
        assert_eq!(bed.pods[1].space.ask(to), "dropped");
        assert_eq!(bed.outside.get(to), "dropped");
        assert_eq!(bed.machine.get(to), format!("pod0 from {gateway}"));
        assert_eq!(bed.pods[0].space.get("[fd77::2]:80"), "outside from fd77::1");
    }
    // One of the pods.
    bed.policy(0, ingress(vec![any_port(pods(&[1]))]));
    for to in pod {
        assert_eq!(bed.pods[1].space.get(to)[..4], *"pod0");
        assert_eq!(bed.pods[1].space.ask(to)[..4], *"pod0");
        assert_eq!(bed.pods[2].space.get(to), "dropped");
    }
    // Any of several entries.
    bed.policy(0, ingress(vec![any_port(pods(&[1])), any_port(pods(&[2]))]));
    for to in pod {
        assert_eq!(bed.pods[1].space.get(to)[..4], *"pod0");
        assert_eq!(bed.pods[2].space.get(to)[..4], *"pod0");
        assert_eq!(bed.outside.get(to), "dropped");
    }
    bed.policy(0, ingress(vec![any_port(Peers::Any)]));
    assert_eq!(bed.outside.get(pod[0]), format!("pod0 from {OUTSIDE}"));
    assert_eq!(bed.outside.get(pod[1]), format!("pod0 from {OUTSIDE6}"));
    bed.policy(0, PodPolicy::default());
    assert_eq!(bed.outside.get(pod[0]), format!("pod0 from {OUTSIDE}"));
}

#[test]
fn through_a_service_the_pods_themselves_are_seen() {
    let Some(bed) = Bed::new(3) else { return };
    let node_port = ServicePort { node_port: Some(30_080), ..service(&["10.201.0.9", "fd13::9"], &[0]) };
    bed.set_service("web", vec![node_port]);
    bed.policy(0, ingress(vec![any_port(pods(&[1])), any_port(block("192.168.7.2/32", &[]))]));
    for to in ["10.201.0.9:80", "[fd13::9]:80"] {
        assert_eq!(bed.pods[1].space.get(to)[..4], *"pod0");
        assert_eq!(bed.pods[2].space.get(to), "dropped");
        // A pod's connection to itself is never held up.
        assert_eq!(bed.pods[0].space.get(to)[..4], *"pod0");
        assert_eq!(bed.machine.get(to)[..4], *"pod0");
    }
    assert_eq!(bed.outside.get("192.168.7.1:30080"), format!("pod0 from {OUTSIDE}"));
    assert_eq!(bed.outside.get("[fd77::1]:30080"), "dropped");
    assert_eq!(bed.machine.get("127.0.0.1:30080"), format!("pod0 from {GATEWAY}"));
}

#[test]
fn blocks_have_exceptions() {
    let Some(bed) = Bed::new(4) else { return };
    let allowed = vec![
        any_port(block("10.200.0.0/29", &["10.200.0.4/32", "10.200.0.5/32"])),
        any_port(block("fd12::/64", &["fd12::3/128"])),
    ];
    bed.policy(0, ingress(allowed));
    let expected = [(1, true, false), (2, false, true), (3, false, true)];
    for (pod, v4, v6) in expected {
        let answers = bed.pods[pod].space.get_all(&["10.200.0.2:8080", "[fd12::2]:8080"]);
        assert_eq!([answers[0] != "dropped", answers[1] != "dropped"], [v4, v6], "pod{pod}: {answers:?}");
    }
}

#[test]
fn ports_are_those_of_the_pod() {
    let Some(bed) = Bed::new(2) else { return };
    for port in [8081, 8082, 9000] {
        bed.pods[0].space.serve("pod0", ([0_u16; 8], port).into());
    }
    let range = [ports(PortProtocol::Tcp, 8081, 8082), ports(PortProtocol::Udp, 9000, 9000)].concat();
    let by_ports = |peers| vec![Allowed { peers, ports: range.clone() }];
    bed.set_service("web", vec![service(&["10.201.0.9"], &[0])]);
    for (allowed, pod) in [(ingress(by_ports(pods(&[1]))), 0), (egress(by_ports(pods(&[0]))), 1)] {
        bed.policy(pod, allowed);
        let client = &bed.pods[1].space;
        for address in ["10.200.0.2", "[fd12::2]"] {
            let to = [8080, 8081, 8082, 9000].map(|port| format!("{address}:{port}"));
            let passes =
                |answers: Vec<String>| answers.iter().map(|answer| answer != "dropped").collect::<Vec<_>>();
            assert_eq!(passes(client.get_all(&to)), [false, true, true, false], "{to:?}");
            assert_eq!(passes(client.ask_all(&to)), [false, false, false, true], "{to:?} by UDP");
        }
        // Of the pod, not of the Service.
        assert_eq!(client.get("10.201.0.9:80"), "dropped");
        bed.policy(pod, PodPolicy::default());
        assert_eq!(client.get("10.201.0.9:80")[..4], *"pod0");
    }
}

#[test]
fn where_a_pod_may_connect_to() {
    let Some(bed) = Bed::new(3) else { return };
    bed.machine.serve("dns", "10.200.0.1:53".parse().unwrap());
    bed.machine.serve("machine", "192.168.7.1:81".parse().unwrap());
    let client = &bed.pods[0].space;
    let all = [
        "10.200.0.3:8080",
        "[fd12::3]:8080",
        "10.200.0.4:8080",
        "192.168.7.2:80",
        "[fd77::2]:80",
        "10.200.0.1:53",
        "192.168.7.1:81",
    ];
    let reached = || -> Vec<&str> {
        let answers = all.into_iter().zip(client.get_all(&all));
        answers.filter(|(_, answer)| answer != "dropped").map(|(to, _)| to).collect()
    };
    assert_eq!(reached(), all);
    bed.policy(0, egress(vec![]));
    assert_eq!(reached(), Vec::<&str>::new());
    // Itself, through a Service, and answers to those who connect to it.
    bed.set_service("web", vec![service(&["10.201.0.9"], &[0])]);
    assert_eq!(client.get("10.201.0.9:80"), format!("pod0 from {GATEWAY}"));
    assert_eq!(bed.machine.get("10.200.0.2:8080"), format!("pod0 from {GATEWAY}"));
    assert_eq!(bed.pods[1].space.get("10.200.0.2:8080"), format!("pod0 from {}", pod_address(1)));
    bed.policy(0, egress(vec![any_port(pods(&[1]))]));
    assert_eq!(reached(), ["10.200.0.3:8080", "[fd12::3]:8080"]);
    let dns = Allowed { peers: block("10.200.0.1/32", &[]), ports: ports(PortProtocol::Tcp, 53, 53) };
    bed.policy(0, egress(vec![dns]));
    assert_eq!(reached(), ["10.200.0.1:53"]);
    bed.policy(0, egress(vec![any_port(block("0.0.0.0/0", &["10.200.0.0/16"]))]));
    assert_eq!(reached(), ["192.168.7.2:80", "192.168.7.1:81"]);
}

#[test]
fn pods_that_are_told_the_same_share_a_chain() {
    let Some(bed) = Bed::new(4) else { return };
    let chains = || {
        let listed = bed.machine.command("nft", &["list", "chains", "inet"]);
        listed.matches("chain ingress/").count()
    };
    let policy = || ingress(vec![any_port(pods(&[0, 1]))]);
    let told = (0..3).map(|pod| PodRules { policy: policy(), ..bed.pods[pod].rules.clone() });
    bed.wait(bed.rules.set_pods(told.collect()));
    assert_eq!(chains(), 1);
    assert_eq!(bed.pods[1].space.get("10.200.0.4:8080"), "pod2 from 10.200.0.3");
    assert_eq!(bed.pods[3].space.get("10.200.0.4:8080"), "dropped");
    bed.policy(0, PodPolicy::default());
    bed.rules.remove_pod_soon(bed.pods[1].rules.uid.clone());
    assert_eq!(chains(), 1);
    bed.set_pod(PodRules { policy: ingress(vec![]), ..bed.pods[2].rules.clone() });
    assert_eq!(chains(), 1);
    assert_eq!(bed.pods[0].space.get("10.200.0.4:8080"), "dropped");
    bed.policy(2, PodPolicy::default());
    assert_eq!(chains(), 0);
    assert_eq!(bed.pods[3].space.get("10.200.0.4:8080"), "pod2 from 10.200.0.5");
}

#[test]
fn connections_that_were_let_through_go_on() {
    let Some(bed) = Bed::new(2) else { return };
    let mut stream = bed.pods[1].space.connect("10.200.0.2:8080");
    assert_eq!(line(&mut stream).unwrap(), "pod0 from 10.200.0.3");
    bed.policy(0, ingress(vec![]));
    std::io::Write::write_all(&mut stream, b"still here\n").unwrap();
    assert_eq!(line(&mut stream).unwrap(), "still here");
    assert_eq!(bed.pods[1].space.get("10.200.0.2:8080"), "dropped");
}
