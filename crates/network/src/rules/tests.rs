//! What is compiled, as text. `UPDATE_EXPECT=1 cargo test -p network` writes the texts.

mod changes;
mod model;

use std::net::SocketAddr;
use std::time::Duration;

use expect_test::{Expect, expect};
use podspec::{PodUid, PortProtocol};

use super::table::Table;
use super::{flows::Targets, frame};
use crate::{Allowed, HostPort, Peers, PodPolicy, PodRules, PortRange, Ranges, ServiceName, ServicePort};

fn ranges() -> Ranges {
    let range = |text: &str| text.parse().unwrap();
    Ranges {
        pods: vec![range("10.200.0.0/16"), range("fd12::/64")],
        services: vec![range("10.201.0.0/16"), range("fd13::/112")],
    }
}

fn ipv4() -> Ranges {
    let Ranges { pods, services } = ranges();
    Ranges { pods: pods[..1].to_vec(), services: services[..1].to_vec() }
}

fn name(name: &str) -> ServiceName {
    ServiceName { namespace: "ns".to_owned(), name: name.to_owned() }
}

fn uid(number: usize) -> PodUid {
    format!("uid-{number}").into()
}

/// TCP port 80, at port 8080 of these.
fn port(addresses: &[&str], endpoints: &[&str]) -> ServicePort {
    ServicePort {
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        protocol: PortProtocol::Tcp,
        port: 80,
        node_port: None,
        affinity: None,
        endpoints: endpoints.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 8080)).collect(),
    }
}

fn pod(number: usize) -> PodRules {
    PodRules {
        uid: uid(number),
        addresses: vec![
            format!("10.200.0.{}", number + 2).parse().unwrap(),
            format!("fd12::{:x}", number + 2).parse().unwrap(),
        ],
        host_ports: vec![],
        policy: PodPolicy::default(),
    }
}

fn host_port(address: Option<&str>, protocol: PortProtocol, host_port: u16) -> HostPort {
    let address = address.map(|address| address.parse().unwrap());
    HostPort { address, protocol, host_port, pod_port: 8080 }
}

/// A table in force.
fn table(ranges: Ranges) -> Table {
    let mut table = Table::new(ranges);
    table.everything();
    table
}

/// What there is to do, a line for each operation.
fn change(table: &mut Table) -> String {
    table.change().operations.iter().map(|operation| format!("{operation}\n")).collect()
}

fn of_service(ports: &[ServicePort]) -> String {
    let mut table = table(ranges());
    table.set_service(name("web"), ports);
    change(&mut table)
}

fn of_pod(pod: PodRules) -> String {
    let mut table = table(ranges());
    table.set_pod(pod);
    change(&mut table)
}

fn check(found: &str, expected: &Expect) {
    expected.assert_eq(found);
}

#[test]
fn what_is_always_there() {
    let of = |ranges: &Ranges| -> String {
        frame::operations(ranges).iter().map(|operation| format!("{operation}\n")).collect()
    };
    check(
        &of(&ipv4()),
        &expect![[r#"
            add map services-ipv4 { type ipv4_addr . inet_proto . inet_service : verdict; }
            add map node-ports-ipv4 { type inet_proto . inet_service : verdict; }
            add set refused-ports-ipv4 { type inet_proto . inet_service; }
            add map host-ports-ipv4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
            add map host-addresses-ipv4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
            add set own-ipv4 { type ipv4_addr . ipv4_addr; }
            add map egress-ipv4 { type ipv4_addr : verdict; }
            add map ingress-ipv4 { type ipv4_addr : verdict; }
            add chain guard { type filter hook prerouting priority -305; policy accept; }
            add chain prerouting { type nat hook prerouting priority -105; policy accept; }
            add chain output { type nat hook output priority -105; policy accept; }
            add chain postrouting { type nat hook postrouting priority 95; policy accept; }
            add chain input { type filter hook input priority -5; policy accept; }
            add chain forward { type filter hook forward priority -5; policy accept; }
            add chain from-pods
            add chain services
            add chain ports
            add chain gateway
            add chain unserved
            add chain refuse
            add rule guard iifname "lo" accept
            add rule guard iifname "mp0ac8*" goto from-pods
            add rule guard meta nfproto ipv4 ip saddr 10.200.0.0/16 drop
            add rule from-pods meta nfproto ipv4 ip daddr 127.0.0.0/8 drop
            add rule from-pods fib saddr . iif oif missing drop
            add rule prerouting meta nfproto ipv4 ip daddr 10.201.0.0/16 iifname "mp0ac8*" goto services
            add rule prerouting meta nfproto ipv4 ip daddr 10.201.0.0/16 accept
            add rule output meta nfproto ipv4 ip daddr 10.201.0.0/16 goto services
            add rule prerouting fib daddr type local goto ports
            add rule output fib daddr type local goto ports
            add rule services meta nfproto ipv4 ip daddr . meta l4proto . th dport vmap @services-ipv4
            add rule ports meta nfproto ipv4 choose ip daddr . meta l4proto . th dport map @host-addresses-ipv4 dnat ip to chosen
            add rule ports meta nfproto ipv4 choose meta l4proto . th dport map @host-ports-ipv4 dnat ip to chosen
            add rule ports meta nfproto ipv4 meta l4proto . th dport vmap @node-ports-ipv4
            add rule postrouting meta nfproto ipv4 oifname "mp0ac8*" ip saddr 127.0.0.0/8 snat ip to 10.200.0.1
            add rule postrouting meta nfproto ipv4 oifname "mp0ac8*" ip saddr . ip daddr @own-ipv4 snat ip to 10.200.0.1
            add rule postrouting meta nfproto ipv4 ip saddr 10.200.0.0/16 oifname != "mp*" oifname != "lo" masquerade fully-random
            add rule input ct state established,related accept
            add rule input meta nfproto ipv4 ip daddr 10.200.0.1 jump gateway
            add rule input meta nfproto ipv4 ip daddr 10.201.0.0/16 goto unserved
            add rule input meta nfproto ipv4 meta l4proto . th dport @refused-ports-ipv4 goto refuse
            add rule input meta nfproto ipv4 ip saddr vmap @egress-ipv4
            add rule gateway iifname "lo" return
            add rule gateway iifname "mp0ac8*" return
            add rule gateway drop
            add rule unserved iifname "lo" goto refuse
            add rule unserved iifname "mp0ac8*" goto refuse
            add rule unserved drop
            add rule forward ct state established,related accept
            add rule forward meta nfproto ipv4 ip saddr . ip daddr @own-ipv4 accept
            add rule forward meta nfproto ipv4 ip saddr vmap @egress-ipv4
            add rule forward meta nfproto ipv4 ip daddr vmap @ingress-ipv4
            add rule refuse meta l4proto tcp reject with tcp reset
            add rule refuse reject
        "#]],
    );
    // The second family adds, and changes nothing.
    let (one, both) = (of(&ipv4()), of(&ranges()));
    assert!(one.lines().all(|line| both.lines().any(|other| other == line)));
    let more: Vec<&str> = both.lines().filter(|line| !one.lines().any(|other| other == *line)).collect();
    check(
        &more.join("\n"),
        &expect![[r#"
            add map services-ipv6 { type ipv6_addr . inet_proto . inet_service : verdict; }
            add map node-ports-ipv6 { type inet_proto . inet_service : verdict; }
            add set refused-ports-ipv6 { type inet_proto . inet_service; }
            add map host-ports-ipv6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
            add map host-addresses-ipv6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
            add set own-ipv6 { type ipv6_addr . ipv6_addr; }
            add map egress-ipv6 { type ipv6_addr : verdict; }
            add map ingress-ipv6 { type ipv6_addr : verdict; }
            add rule guard meta nfproto ipv6 ip6 saddr fd12::/64 drop
            add rule prerouting meta nfproto ipv6 ip6 daddr fd13::/112 iifname "mp0ac8*" goto services
            add rule prerouting meta nfproto ipv6 ip6 daddr fd13::/112 accept
            add rule output meta nfproto ipv6 ip6 daddr fd13::/112 goto services
            add rule services meta nfproto ipv6 ip6 daddr . meta l4proto . th dport vmap @services-ipv6
            add rule ports meta nfproto ipv6 ip6 daddr ::1 accept
            add rule ports meta nfproto ipv6 choose ip6 daddr . meta l4proto . th dport map @host-addresses-ipv6 dnat ip6 to chosen
            add rule ports meta nfproto ipv6 choose meta l4proto . th dport map @host-ports-ipv6 dnat ip6 to chosen
            add rule ports meta nfproto ipv6 meta l4proto . th dport vmap @node-ports-ipv6
            add rule postrouting meta nfproto ipv6 oifname "mp0ac8*" ip6 saddr . ip6 daddr @own-ipv6 snat ip6 to fd12::1
            add rule postrouting meta nfproto ipv6 ip6 saddr fd12::/64 oifname != "mp*" oifname != "lo" masquerade fully-random
            add rule input meta nfproto ipv6 ip6 daddr fd12::1 jump gateway
            add rule input meta nfproto ipv6 ip6 daddr fd13::/112 goto unserved
            add rule input meta nfproto ipv6 meta l4proto . th dport @refused-ports-ipv6 goto refuse
            add rule input meta nfproto ipv6 ip6 saddr vmap @egress-ipv6
            add rule forward meta nfproto ipv6 ip6 saddr . ip6 daddr @own-ipv6 accept
            add rule forward meta nfproto ipv6 ip6 saddr vmap @egress-ipv6
            add rule forward meta nfproto ipv6 ip6 daddr vmap @ingress-ipv6"#]],
    );
}

#[test]
fn a_service_of_one_family() {
    check(
        &of_service(&[port(&["10.201.0.9"], &["10.200.0.2", "10.200.0.3"])]),
        &expect![[r#"
        add chain service/ns/web/tcp/80/ipv4
        add rule service/ns/web/tcp/80/ipv4 choose numgen random mod 2 map { 0 : 10.200.0.2 . 8080, 1 : 10.200.0.3 . 8080 } dnat ip to chosen
        add element services-ipv4 { 10.201.0.9 . tcp . 80 : goto service/ns/web/tcp/80/ipv4 }
        add element own-ipv4 { 10.200.0.2 . 10.200.0.2, 10.200.0.3 . 10.200.0.3 }
    "#]],
    );
}

#[test]
fn a_service_of_both_families_has_two_chains() {
    let both = port(&["10.201.0.9", "fd13::9"], &["10.200.0.2", "fd12::2"]);
    check(
        &of_service(&[both]),
        &expect![[r#"
            add chain service/ns/web/tcp/80/ipv4
            add chain service/ns/web/tcp/80/ipv6
            add rule service/ns/web/tcp/80/ipv4 choose 10.200.0.2 . 8080 dnat ip to chosen
            add rule service/ns/web/tcp/80/ipv6 choose fd12::2 . 8080 dnat ip6 to chosen
            add element services-ipv4 { 10.201.0.9 . tcp . 80 : goto service/ns/web/tcp/80/ipv4 }
            add element services-ipv6 { fd13::9 . tcp . 80 : goto service/ns/web/tcp/80/ipv6 }
            add element own-ipv4 { 10.200.0.2 . 10.200.0.2 }
            add element own-ipv6 { fd12::2 . fd12::2 }
        "#]],
    );
}

#[test]
fn endpoints_of_a_family_without_an_address_are_nobodys() {
    check(
        &of_service(&[port(&["10.201.0.9"], &["10.200.0.2", "fd12::2"])]),
        &expect![[r#"
            add chain service/ns/web/tcp/80/ipv4
            add rule service/ns/web/tcp/80/ipv4 choose 10.200.0.2 . 8080 dnat ip to chosen
            add element services-ipv4 { 10.201.0.9 . tcp . 80 : goto service/ns/web/tcp/80/ipv4 }
            add element own-ipv4 { 10.200.0.2 . 10.200.0.2 }
        "#]],
    );
}

#[test]
fn a_service_without_endpoints_needs_no_rule() {
    check(&of_service(&[port(&["10.201.0.9"], &[])]), &expect![[r""]]);
}

#[test]
fn node_ports_lead_to_the_same_chain_or_are_refused() {
    let ports = ServicePort { node_port: Some(30_080), ..port(&["10.201.0.9"], &["10.200.0.2"]) };
    let udp =
        ServicePort { protocol: PortProtocol::Udp, node_port: Some(30_053), ..port(&["10.201.0.9"], &[]) };
    check(
        &of_service(&[ports, udp]),
        &expect![[r#"
            add chain service/ns/web/tcp/80/ipv4
            add rule service/ns/web/tcp/80/ipv4 choose 10.200.0.2 . 8080 dnat ip to chosen
            add element services-ipv4 { 10.201.0.9 . tcp . 80 : goto service/ns/web/tcp/80/ipv4 }
            add element node-ports-ipv4 { tcp . 30080 : goto service/ns/web/tcp/80/ipv4 }
            add element refused-ports-ipv4 { udp . 30053 }
            add element own-ipv4 { 10.200.0.2 . 10.200.0.2 }
        "#]],
    );
    // By its node port alone, it is of every family.
    check(
        &of_service(&[ServicePort { node_port: Some(30_080), ..port(&[], &[]) }]),
        &expect![[r#"
        add element refused-ports-ipv4 { tcp . 30080 }
        add element refused-ports-ipv6 { tcp . 30080 }
    "#]],
    );
}

#[test]
fn affinity_asks_first_where_the_client_was() {
    let affinity = Some(Duration::from_secs(10_800));
    check(
        &of_service(&[ServicePort { affinity, ..port(&["fd13::9"], &["fd12::2", "fd12::3"]) }]),
        &expect![[r#"
            add map affinity/ns/web/tcp/80/ipv6 { type ipv6_addr : ipv6_addr . inet_service; size 65536; flags dynamic,timeout; }
            add chain service/ns/web/tcp/80/ipv6
            add rule service/ns/web/tcp/80/ipv6 choose ip6 saddr map @affinity/ns/web/tcp/80/ipv6 chosen { fd12::2 . 8080, fd12::3 . 8080 } update @affinity/ns/web/tcp/80/ipv6 { ip6 saddr timeout 10800s : chosen } dnat ip6 to chosen
            add rule service/ns/web/tcp/80/ipv6 choose numgen random mod 2 map { 0 : fd12::2 . 8080, 1 : fd12::3 . 8080 } delete @affinity/ns/web/tcp/80/ipv6 { ip6 saddr : chosen } update @affinity/ns/web/tcp/80/ipv6 { ip6 saddr timeout 10800s : chosen } dnat ip6 to chosen
            add rule service/ns/web/tcp/80/ipv6 choose numgen random mod 2 map { 0 : fd12::2 . 8080, 1 : fd12::3 . 8080 } dnat ip6 to chosen
            add element services-ipv6 { fd13::9 . tcp . 80 : goto service/ns/web/tcp/80/ipv6 }
            add element own-ipv6 { fd12::2 . fd12::2, fd12::3 . fd12::3 }
        "#]],
    );
}

#[test]
fn ports_of_a_service_are_apart_by_protocol_and_number() {
    let other =
        |protocol, number| ServicePort { protocol, port: number, ..port(&["10.201.0.9"], &["10.200.0.2"]) };
    let ports = [other(PortProtocol::Tcp, 53), other(PortProtocol::Udp, 53), other(PortProtocol::Sctp, 54)];
    check(
        &of_service(&ports),
        &expect![[r#"
            add chain service/ns/web/sctp/54/ipv4
            add chain service/ns/web/tcp/53/ipv4
            add chain service/ns/web/udp/53/ipv4
            add rule service/ns/web/sctp/54/ipv4 choose 10.200.0.2 . 8080 dnat ip to chosen
            add rule service/ns/web/tcp/53/ipv4 choose 10.200.0.2 . 8080 dnat ip to chosen
            add rule service/ns/web/udp/53/ipv4 choose 10.200.0.2 . 8080 dnat ip to chosen
            add element services-ipv4 { 10.201.0.9 . tcp . 53 : goto service/ns/web/tcp/53/ipv4, 10.201.0.9 . udp . 53 : goto service/ns/web/udp/53/ipv4, 10.201.0.9 . sctp . 54 : goto service/ns/web/sctp/54/ipv4 }
            add element own-ipv4 { 10.200.0.2 . 10.200.0.2 }
        "#]],
    );
}

#[test]
fn a_pod_of_which_nothing_is_said_needs_nothing() {
    check(&of_pod(pod(0)), &expect![[r""]]);
}

#[test]
fn host_ports_are_of_one_address_or_of_all() {
    let host_ports = vec![
        host_port(None, PortProtocol::Tcp, 80),
        host_port(Some("192.168.7.1"), PortProtocol::Udp, 53),
        host_port(Some("::1"), PortProtocol::Tcp, 81),
        host_port(Some("0.0.0.0"), PortProtocol::Sctp, 82),
    ];
    check(
        &of_pod(PodRules { host_ports, ..pod(0) }),
        &expect![[r#"
        add element host-ports-ipv4 { tcp . 80 : 10.200.0.2 . 8080, sctp . 82 : 10.200.0.2 . 8080 }
        add element host-ports-ipv6 { tcp . 80 : fd12::2 . 8080 }
        add element host-addresses-ipv4 { 192.168.7.1 . udp . 53 : 10.200.0.2 . 8080 }
        add element host-addresses-ipv6 { ::1 . tcp . 81 : fd12::2 . 8080 }
        add element own-ipv4 { 10.200.0.2 . 10.200.0.2 }
        add element own-ipv6 { fd12::2 . fd12::2 }
    "#]],
    );
}

#[test]
fn a_pod_that_nobody_may_connect_to() {
    let policy = PodPolicy { ingress: Some(vec![]), egress: None };
    check(
        &of_pod(PodRules { policy, ..pod(0) }),
        &expect![[r#"
        add chain ingress/35e4dbbcbd8d282b765d794239597078
        add rule ingress/35e4dbbcbd8d282b765d794239597078 drop
        add element ingress-ipv4 { 10.200.0.2 : jump ingress/35e4dbbcbd8d282b765d794239597078 }
        add element ingress-ipv6 { fd12::2 : jump ingress/35e4dbbcbd8d282b765d794239597078 }
    "#]],
    );
}

#[test]
fn a_pod_that_may_connect_to_a_few() {
    let range = |protocol, first, last| PortRange { protocol, first, last };
    let allowed = vec![
        Allowed { peers: Peers::Any, ports: vec![range(PortProtocol::Udp, 53, 53)] },
        Allowed {
            peers: Peers::Addresses(
                ["10.200.0.9", "fd12::9", "10.200.0.8", "10.200.0.9"].map(|a| a.parse().unwrap()).to_vec(),
            ),
            ports: vec![],
        },
        Allowed {
            peers: Peers::Block {
                within: "10.0.0.0/8".parse().unwrap(),
                except: ["10.3.0.0/16", "10.2.0.0/16", "10.200.0.0/15", "10.200.7.0/24", "fd00::/8"]
                    .map(|a| a.parse().unwrap())
                    .to_vec(),
            },
            ports: vec![
                range(PortProtocol::Tcp, 443, 443),
                range(PortProtocol::Tcp, 1000, 2000),
                range(PortProtocol::Tcp, 1500, 2001),
                range(PortProtocol::Tcp, 2002, 2002),
                range(PortProtocol::Sctp, 1, 65_535),
                range(PortProtocol::Udp, 9, 8),
            ],
        },
        Allowed {
            peers: Peers::Block { within: "fd00::/8".parse().unwrap(), except: vec![] },
            ports: vec![],
        },
        // Of nobody, nothing.
        Allowed { peers: Peers::Addresses(vec![]), ports: vec![] },
    ];
    let policy = PodPolicy { ingress: None, egress: Some(allowed) };
    check(
        &of_pod(PodRules { policy, ..pod(0) }),
        &expect![[r#"
        add chain egress/e4966f500413f48b62eccae1d66c96fb
        add rule egress/e4966f500413f48b62eccae1d66c96fb meta l4proto udp th dport { 53 } return
        add rule egress/e4966f500413f48b62eccae1d66c96fb meta nfproto ipv4 ip daddr { 10.200.0.8, 10.200.0.9 } return
        add rule egress/e4966f500413f48b62eccae1d66c96fb meta nfproto ipv6 ip6 daddr { fd12::9 } return
        add rule egress/e4966f500413f48b62eccae1d66c96fb meta nfproto ipv4 ip daddr 10.0.0.0/8 ip daddr != { 10.2.0.0-10.3.255.255, 10.200.0.0-10.201.255.255 } meta l4proto tcp th dport { 443, 1000-2002 } return
        add rule egress/e4966f500413f48b62eccae1d66c96fb meta nfproto ipv4 ip daddr 10.0.0.0/8 ip daddr != { 10.2.0.0-10.3.255.255, 10.200.0.0-10.201.255.255 } meta l4proto sctp th dport { 1-65535 } return
        add rule egress/e4966f500413f48b62eccae1d66c96fb meta nfproto ipv6 ip6 daddr fd00::/8 return
        add rule egress/e4966f500413f48b62eccae1d66c96fb drop
        add element egress-ipv4 { 10.200.0.2 : jump egress/e4966f500413f48b62eccae1d66c96fb }
        add element egress-ipv6 { fd12::2 : jump egress/e4966f500413f48b62eccae1d66c96fb }
    "#]],
    );
}

#[test]
fn only_protocols_without_an_end_have_flows_to_look_at() {
    let targets = |port: ServicePort| {
        let mut table = table(ranges());
        table.set_service(name("web"), &[port]);
        table.targets()
    };
    let tcp = port(&["10.201.0.9"], &["10.200.0.2"]);
    assert_eq!(targets(tcp.clone()), Targets::default());
    for protocol in [PortProtocol::Udp, PortProtocol::Sctp] {
        assert_ne!(targets(ServicePort { protocol, ..tcp.clone() }), Targets::default());
    }
}
