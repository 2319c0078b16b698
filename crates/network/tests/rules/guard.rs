//! Who may send what, and what of others is left as it was.

use network::{Claimed, Rules, RulesError, State, foreign_drops};

use crate::bed::{
    Bed, DROPPED_AFTER, GATEWAY, GATEWAY6, MACHINE, OUTSIDE, Space, TABLE, exchange, pod_address, ranges,
    service, service_name,
};

/// What a firewall and another container engine have, as far as matters.
const FOREIGN: &str = "table ip filter {
  chain DOCKER-USER { counter return; }
  chain FORWARD { type filter hook forward priority filter; policy accept; jump DOCKER-USER; iifname \"docker0\" accept; }
}
table ip nat {
  chain DOCKER { tcp dport 30080 dnat to 172.17.0.2:80; }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump DOCKER; }
  chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade; }
}
table inet firewalld { map zones { type ifname : verdict; elements = { \"eth0\" : drop }; }; }
";

fn send(space: &Space, to: &str) {
    let _ = exchange(&space.udp(to));
}

#[test]
fn a_pod_sends_as_itself_alone() {
    let Some(bed) = Bed::new(2) else { return };
    let pod = &bed.pods[0].space;
    // It takes the other's address, and has a right to by its own namespace.
    pod.ip("address add 10.200.0.3/32 dev eth0\naddress add 10.9.9.9/32 dev eth0\naddress add fd12::3/128 dev eth0 nodad\n");
    bed.machine.nft("table inet seen {\n chain f {\n type filter hook prerouting priority 0;\nip saddr 10.200.0.3 counter\nip saddr 10.9.9.9 counter\nip6 saddr fd12::3 counter\nip saddr 10.200.0.2 counter\n}\n}\n");
    let seen = |source: &str| {
        let listed = bed.machine.command("nft", &["list", "table", "inet", "seen"]);
        let rule = listed.lines().find(|line| line.contains(&format!("saddr {source} "))).unwrap().to_owned();
        let packets = rule.split("packets ").nth(1).unwrap().split(' ').next().unwrap();
        packets.parse::<usize>().unwrap()
    };
    for source in ["10.200.0.3", "10.9.9.9"] {
        pod.ip(&format!("route replace default via 169.254.1.1 dev eth0 src {source}\n"));
        assert_eq!(pod.get(&format!("{OUTSIDE}:80")), "dropped");
        send(pod, &format!("{MACHINE}:9"));
        assert_eq!(seen(source), 0, "{source}");
    }
    pod.ip("route replace ::/0 via fe80::1 dev eth0 src fd12::3\n");
    assert_eq!(pod.get("[fd77::2]:80"), "dropped");
    assert_eq!(seen("fd12::3"), 0);
    // What it sends as itself is seen, so that all this means something.
    pod.ip("route replace default via 169.254.1.1 dev eth0 src 10.200.0.2\n");
    assert_eq!(pod.get(&format!("{OUTSIDE}:80")), format!("outside from {MACHINE}"));
    assert!(seen("10.200.0.2") > 0);
}

#[test]
fn nobody_outside_sends_as_a_pod() {
    let Some(bed) = Bed::new(1) else { return };
    bed.machine.serve("machine", ([0_u16; 8], 81).into());
    bed.machine.set("ipv4/conf/all/rp_filter", "0");
    bed.machine.set("ipv4/conf/up0/rp_filter", "0");
    bed.machine.nft("table inet seen {\n chain f {\n type filter hook prerouting priority 0;\nip saddr 10.200.0.77 counter\n}\n}\n");
    bed.outside
        .ip("address add 10.200.0.77/32 dev eth0\nroute replace 192.168.7.1 dev eth0 src 10.200.0.77\n");
    assert_eq!(bed.outside.get("192.168.7.1:81"), "dropped");
    assert!(bed.machine.command("nft", &["list", "table", "inet", "seen"]).contains("packets 0"));
}

#[test]
fn a_pod_does_not_reach_the_loopback_of_the_machine() {
    let Some(bed) = Bed::new(1) else { return };
    bed.machine.serve("machine", ([127, 0, 0, 1], 81).into());
    let pod = &bed.pods[0].space;
    // It sends to 127.0.0.1 by its link, which takes a route and a setting of its own namespace.
    pod.set("ipv4/conf/all/route_localnet", "1");
    pod.set("ipv4/conf/eth0/route_localnet", "1");
    pod.ip("route del local 127.0.0.1 dev lo table local\nroute del local 127.0.0.0/8 dev lo table local\nroute add 127.0.0.1 via 169.254.1.1 dev eth0 src 10.200.0.2\n");
    let counted = "table inet seen {\n chain f {\n type filter hook HOOK priority 0;\niifname mp0ac80002 ip daddr 127.0.0.1 counter\n}\n}\n";
    bed.machine.nft(
        &counted.replace("seen", "came").replace("HOOK", "prerouting").replace("priority 0", "priority -400"),
    );
    bed.machine.nft(&counted.replace("HOOK", "input"));
    let packets = |table: &str| {
        let listed = bed.machine.command("nft", &["list", "table", "inet", table]);
        listed.split("packets ").nth(1).unwrap().split(' ').next().unwrap().parse::<usize>().unwrap()
    };
    assert_eq!(pod.get("127.0.0.1:81"), "dropped");
    assert!(packets("came") > 0);
    assert_eq!(packets("seen"), 0);
}

#[test]
fn the_gateway_is_for_pods_and_the_machine() {
    let Some(bed) = Bed::new(1) else { return };
    for (at, to) in [(GATEWAY, "10.200.0.1:53"), (GATEWAY6, "[fd12::1]:53")] {
        bed.machine.serve("dns", to.parse().unwrap());
        let from = if at == GATEWAY { pod_address(0) } else { "fd12::2".to_owned() };
        assert_eq!(bed.pods[0].space.get(to), format!("dns from {from}"));
        assert_eq!(bed.pods[0].space.ask(to), format!("dns from {from}"));
        assert_eq!(bed.machine.get(to), format!("dns from {at}"));
        assert_eq!(bed.outside.get(to), "dropped");
        assert_eq!(bed.outside.ask(to), "dropped");
    }
    // A Service leads there.
    let mut port = service(&["10.201.0.10"], &[]);
    port.endpoints = vec!["10.200.0.1:53".parse().unwrap()];
    bed.set_service("dns", vec![port]);
    assert_eq!(bed.pods[0].space.get("10.201.0.10:80"), format!("dns from {}", pod_address(0)));
    assert_eq!(bed.machine.get("10.201.0.10:80"), format!("dns from {GATEWAY}"));
}

#[test]
fn tables_of_others_are_left_as_they_were() {
    let Some(bed) = Bed::new(1) else { return };
    bed.wait(bed.rules.remove());
    bed.machine.nft(FOREIGN);
    let ruleset = || bed.machine.command("nft", &["-s", "list", "ruleset"]);
    let before = ruleset();
    let services = vec![(service_name("web"), vec![service(&["10.201.0.9"], &[0])])];
    bed.wait(bed.rules.replace(State { services, ..bed.state() }));
    let with_ours = ruleset();
    assert!(with_ours.contains(TABLE) && with_ours.len() > before.len());
    assert_eq!(bed.machine.get("10.201.0.9:80"), format!("pod0 from {GATEWAY}"));
    bed.wait(bed.rules.remove());
    assert_eq!(ruleset(), before);
    // And a table that its engine left behind can be deleted by its name.
    bed.machine.nft("table inet monopod-dead { chain c { counter; }; }");
    assert!(bed.machine.run(|| Rules::delete("monopod-dead")).unwrap());
    assert!(!bed.machine.run(|| Rules::delete("monopod-dead")).unwrap());
    assert_eq!(ruleset(), before);
}

#[test]
fn who_may_not_is_told_so_at_once_and_changes_nothing() {
    let Some(bed) = Bed::new(0) else { return };
    bed.wait(bed.rules.remove());
    let before = bed.machine.command("nft", &["list", "ruleset"]);
    let refused = bed.machine.run(|| {
        // A thread of its own: what it gives up it does not get back.
        let opened = std::thread::spawn(|| {
            let none = rustix::thread::CapabilitySet::empty();
            let sets = rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
            rustix::thread::set_capabilities(None, sets).unwrap();
            Rules::open("monopod-other", &ranges(), Claimed::Now).map(|_| ()).unwrap_err()
        });
        opened.join().unwrap()
    });
    assert!(refused.is_lasting(), "{refused}");
    assert!(refused.to_string().ends_with(": it needs CAP_NET_ADMIN"), "{refused}");
    bed.machine.run(|| drop(Rules::open("monopod-other", &ranges(), Claimed::Now).unwrap()));
    assert_eq!(bed.machine.command("nft", &["list", "ruleset"]), before);
}

#[test]
fn a_table_that_is_not_wanted_any_more_stays_away() {
    let Some(bed) = Bed::new(1) else { return };
    let is_there = || bed.machine.command("nft", &["list", "tables"]).contains(TABLE);
    assert!(is_there());
    bed.wait(bed.rules.remove());
    assert!(!is_there());
    // A pod that ends late does not bring it back, while one that begins does.
    bed.wait(bed.rules.remove_pod(bed.pods[0].rules.uid.clone()));
    assert!(!is_there());
    bed.set_pod(bed.pods[0].rules.clone());
    assert!(is_there());
    // When its engine has ended others may delete it, and it does not come back.
    bed.rules.end();
    assert!(bed.machine.run(|| Rules::delete(TABLE)).unwrap());
    let refused = bed.try_wait(bed.rules.set_pod(bed.pods[0].rules.clone()));
    assert!(matches!(refused, Err(RulesError::Ended)), "{refused:?}");
    assert!(!is_there());
}

#[test]
fn a_table_that_others_flush_comes_back() {
    let Some(bed) = Bed::new(1) else { return };
    bed.set_service("web", vec![service(&["10.201.0.9"], &[0])]);
    bed.machine.nft("flush ruleset");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while bed.machine.get("10.201.0.9:80") != format!("pod0 from {GATEWAY}") {
        assert!(std::time::Instant::now() < deadline, "it did not come back");
        std::thread::sleep(DROPPED_AFTER / 10);
    }
    // A part of it that others took away is noticed by the change that meets it.
    bed.machine.nft(&format!("delete element inet {TABLE} own-ipv4 {{ 10.200.0.2 . 10.200.0.2 }}"));
    bed.set_service("web", vec![]);
    bed.set_service("web", vec![service(&["10.201.0.9"], &[0])]);
    assert_eq!(bed.pods[0].space.get("10.201.0.9:80"), format!("pod0 from {GATEWAY}"));
}

#[test]
fn the_refusal_of_another_table_is_final_and_reported() {
    let Some(bed) = Bed::new(1) else { return };
    let reported = || -> Vec<String> {
        let drops = bed.machine.run(|| foreign_drops(&ranges())).unwrap();
        drops
            .iter()
            .map(|drop| format!("{} {} {} {:?}", drop.family, drop.table, drop.chain, drop.way))
            .collect()
    };
    let pod = &bed.pods[0].space;
    assert_eq!(reported(), Vec::<String>::new());
    assert_eq!(pod.get("192.168.7.2:80"), format!("outside from {MACHINE}"));
    bed.machine.nft(
        "table ip filter {
          chain DOCKER-USER { }
          chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; }
        }
        table inet other {
          chain in { type filter hook input priority 10; iifname \"mp*\" tcp dport 81 drop; }
          chain through { type filter hook forward priority 10; ct state established accept; counter reject; }
        }",
    );
    assert_eq!(reported(), ["ip filter FORWARD Through", "inet other through Through"]);
    assert_eq!(pod.get("192.168.7.2:80"), "dropped");
    bed.machine.nft("delete chain inet other through");
    assert_eq!(pod.get("192.168.7.2:80"), "dropped");
    // What the report says.
    bed.machine.nft("add rule ip filter DOCKER-USER ip saddr 10.200.0.0/16 accept\nadd rule ip filter DOCKER-USER ip daddr 10.200.0.0/16 accept");
    assert_eq!(pod.get("192.168.7.2:80"), format!("outside from {MACHINE}"));
}
