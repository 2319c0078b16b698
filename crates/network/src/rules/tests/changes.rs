//! What there is to do when something changes: no more than that.

use std::time::Duration;

use expect_test::expect;
use podspec::PortProtocol;

use super::{change, check, host_port, name, pod, port, ranges, table, uid};
use crate::rules::flows::Flows;
use crate::rules::table::Table;
use crate::{Allowed, Peers, PodPolicy, PodRules, ServicePort};

const ADDRESS: [&str; 1] = ["10.201.0.9"];

/// With a Service that this is about, and others.
fn with_service(port: ServicePort) -> Table {
    let mut table = table(ranges());
    for other in 0..5 {
        let address = format!("10.201.1.{other}");
        table.set_service(name(&format!("other{other}")), &[super::port(&[&address], &["10.200.0.2"])]);
    }
    table.set_service(name("web"), &[port]);
    table.change();
    table
}

#[test]
fn an_endpoint_more_changes_one_chain() {
    let mut table = with_service(port(&ADDRESS, &["10.200.0.2"]));
    table.set_service(name("web"), &[port(&ADDRESS, &["10.200.0.2", "10.200.0.3"])]);
    check(
        &change(&mut table),
        &expect![[r#"
        flush chain service/ns/web/tcp/80/ipv4
        add rule service/ns/web/tcp/80/ipv4 choose numgen random mod 2 map { 0 : 10.200.0.2 . 8080, 1 : 10.200.0.3 . 8080 } dnat ip to chosen
        add element own-ipv4 { 10.200.0.3 . 10.200.0.3 }
    "#]],
    );
}

#[test]
fn the_last_endpoint_takes_the_chain_with_it() {
    let with_node_port =
        |endpoints: &[&str]| ServicePort { node_port: Some(30_080), ..port(&ADDRESS, endpoints) };
    let mut table = with_service(with_node_port(&["10.200.0.7"]));
    table.set_service(name("web"), &[with_node_port(&[])]);
    check(
        &change(&mut table),
        &expect![[r#"
        delete element services-ipv4 { 10.201.0.9 . tcp . 80 : goto service/ns/web/tcp/80/ipv4 }
        delete element node-ports-ipv4 { tcp . 30080 : goto service/ns/web/tcp/80/ipv4 }
        delete element own-ipv4 { 10.200.0.7 . 10.200.0.7 }
        add element refused-ports-ipv4 { tcp . 30080 }
        delete chain service/ns/web/tcp/80/ipv4
    "#]],
    );
    table.set_service(name("web"), &[with_node_port(&["10.200.0.7"])]);
    check(
        &change(&mut table),
        &expect![[r#"
            delete element refused-ports-ipv4 { tcp . 30080 }
            add chain service/ns/web/tcp/80/ipv4
            add rule service/ns/web/tcp/80/ipv4 choose 10.200.0.7 . 8080 dnat ip to chosen
            add element services-ipv4 { 10.201.0.9 . tcp . 80 : goto service/ns/web/tcp/80/ipv4 }
            add element node-ports-ipv4 { tcp . 30080 : goto service/ns/web/tcp/80/ipv4 }
            add element own-ipv4 { 10.200.0.7 . 10.200.0.7 }
        "#]],
    );
}

#[test]
fn what_is_known_of_clients_is_kept_while_it_is_wanted() {
    let sticky = |endpoints: &[&str]| ServicePort {
        affinity: Some(Duration::from_secs(60)),
        ..port(&ADDRESS, endpoints)
    };
    let mut table = with_service(sticky(&["10.200.0.7", "10.200.0.8"]));
    table.set_service(name("web"), &[sticky(&["10.200.0.8"])]);
    check(
        &change(&mut table),
        &expect![[r#"
            delete element own-ipv4 { 10.200.0.7 . 10.200.0.7 }
            flush chain service/ns/web/tcp/80/ipv4
            add rule service/ns/web/tcp/80/ipv4 choose ip saddr map @affinity/ns/web/tcp/80/ipv4 chosen { 10.200.0.8 . 8080 } update @affinity/ns/web/tcp/80/ipv4 { ip saddr timeout 60s : chosen } dnat ip to chosen
            add rule service/ns/web/tcp/80/ipv4 choose 10.200.0.8 . 8080 delete @affinity/ns/web/tcp/80/ipv4 { ip saddr : chosen } update @affinity/ns/web/tcp/80/ipv4 { ip saddr timeout 60s : chosen } dnat ip to chosen
            add rule service/ns/web/tcp/80/ipv4 choose 10.200.0.8 . 8080 dnat ip to chosen
        "#]],
    );
    table.set_service(name("web"), &[port(&ADDRESS, &["10.200.0.8"])]);
    check(
        &change(&mut table),
        &expect![[r#"
            flush chain service/ns/web/tcp/80/ipv4
            add rule service/ns/web/tcp/80/ipv4 choose 10.200.0.8 . 8080 dnat ip to chosen
            delete set affinity/ns/web/tcp/80/ipv4
        "#]],
    );
}

#[test]
fn what_is_as_it_was_is_left_alone() {
    let mut table = with_service(port(&ADDRESS, &["10.200.0.2", "10.200.0.3"]));
    // The order is nobody's business.
    table.set_service(name("web"), &[port(&ADDRESS, &["10.200.0.3", "10.200.0.2"])]);
    check(&change(&mut table), &expect![[""]]);
    // Neither is what was taken back meanwhile.
    table.set_service(name("web"), &[]);
    table.set_service(name("web"), &[port(&ADDRESS, &["10.200.0.2", "10.200.0.3"])]);
    table.set_service(name("new"), &[port(&["10.201.0.77"], &["10.200.0.2"])]);
    table.set_service(name("new"), &[]);
    table.remove_pod(&uid(7));
    check(&change(&mut table), &expect![[""]]);
}

#[test]
fn an_address_goes_from_one_service_to_another() {
    let mut table = with_service(port(&ADDRESS, &["10.200.0.2"]));
    table.set_service(name("web"), &[]);
    table.set_service(name("heir"), &[port(&ADDRESS, &["10.200.0.2"])]);
    check(
        &change(&mut table),
        &expect![[r#"
            delete element services-ipv4 { 10.201.0.9 . tcp . 80 : goto service/ns/web/tcp/80/ipv4 }
            add chain service/ns/heir/tcp/80/ipv4
            add rule service/ns/heir/tcp/80/ipv4 choose 10.200.0.2 . 8080 dnat ip to chosen
            add element services-ipv4 { 10.201.0.9 . tcp . 80 : goto service/ns/heir/tcp/80/ipv4 }
            delete chain service/ns/web/tcp/80/ipv4
        "#]],
    );
}

#[test]
fn a_host_port_is_the_last_pods_that_came() {
    let mut table = table(ranges());
    let with_port = |number| PodRules {
        host_ports: vec![host_port(Some("192.168.7.1"), PortProtocol::Tcp, 80)],
        ..pod(number)
    };
    table.set_pod(with_port(0));
    table.change();
    table.set_pod(with_port(1));
    check(
        &change(&mut table),
        &expect![[r#"
        delete element host-addresses-ipv4 { 192.168.7.1 . tcp . 80 : 10.200.0.2 . 8080 }
        add element host-addresses-ipv4 { 192.168.7.1 . tcp . 80 : 10.200.0.3 . 8080 }
        add element own-ipv4 { 10.200.0.3 . 10.200.0.3 }
        add element own-ipv6 { fd12::3 . fd12::3 }
    "#]],
    );
    table.remove_pod(&uid(0));
    check(
        &change(&mut table),
        &expect![[r#"
        delete element own-ipv4 { 10.200.0.2 . 10.200.0.2 }
        delete element own-ipv6 { fd12::2 . fd12::2 }
    "#]],
    );
    table.set_pod(with_port(0));
    table.remove_pod(&uid(1));
    check(
        &change(&mut table),
        &expect![[r#"
        delete element host-addresses-ipv4 { 192.168.7.1 . tcp . 80 : 10.200.0.3 . 8080 }
        delete element own-ipv4 { 10.200.0.3 . 10.200.0.3 }
        delete element own-ipv6 { fd12::3 . fd12::3 }
        add element host-addresses-ipv4 { 192.168.7.1 . tcp . 80 : 10.200.0.2 . 8080 }
        add element own-ipv4 { 10.200.0.2 . 10.200.0.2 }
        add element own-ipv6 { fd12::2 . fd12::2 }
    "#]],
    );
}

#[test]
fn pods_of_one_policy_share_its_chain() {
    let mut table = table(ranges());
    let isolated = |number, peers: &[&str]| {
        let peers = Peers::Addresses(peers.iter().map(|peer| peer.parse().unwrap()).collect());
        let ingress = Some(vec![Allowed { peers, ports: vec![] }]);
        PodRules { policy: PodPolicy { ingress, egress: None }, ..pod(number) }
    };
    table.set_pod(isolated(0, &["10.200.0.9"]));
    table.change();
    table.set_pod(isolated(1, &["10.200.0.9"]));
    check(
        &change(&mut table),
        &expect![[r#"
        add element ingress-ipv4 { 10.200.0.3 : jump ingress/a3c6f713c151cb9d7f0dcb9a9d6b331b }
        add element ingress-ipv6 { fd12::3 : jump ingress/a3c6f713c151cb9d7f0dcb9a9d6b331b }
    "#]],
    );
    table.set_pod(isolated(0, &["10.200.0.9", "10.200.0.10"]));
    check(
        &change(&mut table),
        &expect![[r#"
        delete element ingress-ipv4 { 10.200.0.2 : jump ingress/a3c6f713c151cb9d7f0dcb9a9d6b331b }
        delete element ingress-ipv6 { fd12::2 : jump ingress/a3c6f713c151cb9d7f0dcb9a9d6b331b }
        add chain ingress/fe7cd787864d4bae6ca0a95cba1cad35
        add rule ingress/fe7cd787864d4bae6ca0a95cba1cad35 meta nfproto ipv4 ip saddr { 10.200.0.9, 10.200.0.10 } return
        add rule ingress/fe7cd787864d4bae6ca0a95cba1cad35 drop
        add element ingress-ipv4 { 10.200.0.2 : jump ingress/fe7cd787864d4bae6ca0a95cba1cad35 }
        add element ingress-ipv6 { fd12::2 : jump ingress/fe7cd787864d4bae6ca0a95cba1cad35 }
    "#]],
    );
    table.set_pod(isolated(1, &["10.200.0.9", "10.200.0.10"]));
    check(
        &change(&mut table),
        &expect![[r#"
        delete element ingress-ipv4 { 10.200.0.3 : jump ingress/a3c6f713c151cb9d7f0dcb9a9d6b331b }
        delete element ingress-ipv6 { fd12::3 : jump ingress/a3c6f713c151cb9d7f0dcb9a9d6b331b }
        add element ingress-ipv4 { 10.200.0.3 : jump ingress/fe7cd787864d4bae6ca0a95cba1cad35 }
        add element ingress-ipv6 { fd12::3 : jump ingress/fe7cd787864d4bae6ca0a95cba1cad35 }
        delete chain ingress/a3c6f713c151cb9d7f0dcb9a9d6b331b
    "#]],
    );
}

#[test]
fn flows_are_looked_at_where_they_may_be_wrong() {
    let udp = |endpoints: &[&str]| ServicePort {
        protocol: PortProtocol::Udp,
        node_port: Some(30_053),
        ..port(&ADDRESS, endpoints)
    };
    let mut table = with_service(udp(&["10.200.0.7"]));
    let cases: [(&str, Option<ServicePort>, bool); 6] = [
        ("one more", Some(udp(&["10.200.0.7", "10.200.0.8"])), false),
        ("the same", Some(udp(&["10.200.0.7", "10.200.0.8"])), false),
        ("one less", Some(udp(&["10.200.0.8"])), true),
        ("none", Some(udp(&[])), true),
        ("the first", Some(udp(&["10.200.0.8"])), true),
        ("no Service", None, true),
    ];
    for (what, port, expected) in cases {
        table.set_service(name("web"), port.as_slice());
        assert_eq!(!table.change().flows.is_empty(), expected, "{what}");
    }
    let host_ports = vec![host_port(None, PortProtocol::Udp, 53)];
    table.set_pod(PodRules { host_ports, ..pod(0) });
    assert!(!table.change().flows.is_empty());
    table.set_pod(PodRules { policy: PodPolicy { ingress: Some(vec![]), egress: None }, ..pod(1) });
    table.set_service(name("tcp"), &[port(&["10.201.0.10"], &["10.200.0.2"])]);
    table.remove_pod(&uid(1));
    assert!(table.change().flows.is_empty());
    table.remove_pod(&uid(0));
    assert!(!table.change().flows.is_empty());
}

#[test]
fn a_new_network_looks_at_no_flows_of_its_own_addresses() {
    let udp =
        |node_port| ServicePort { protocol: PortProtocol::Udp, node_port, ..port(&ADDRESS, &["10.200.0.7"]) };
    let flows = |port| {
        let table = with_service(port);
        Flows::of_new_network(&table.targets(), table.ranges())
    };
    assert!(flows(udp(None)).is_empty());
    assert!(!flows(udp(Some(30_053))).is_empty());
    let outside = ServicePort { addresses: vec!["192.0.2.7".parse().unwrap()], ..udp(None) };
    assert!(!flows(outside).is_empty());
}
