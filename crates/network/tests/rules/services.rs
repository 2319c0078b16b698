//! Cluster IPs: who reaches which endpoint, and what is refused.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use network::{ServicePort, State};
use podspec::PortProtocol;

use crate::bed::{
    Bed, GATEWAY, GATEWAY6, Space, exchange, line, pod_address, pod_address6, service, service_name,
};

const ADDRESSES: [&str; 2] = ["10.201.0.9", "fd13::9"];
/// The Service's port, by either family.
const WEB: [&str; 2] = ["10.201.0.9:80", "[fd13::9]:80"];

fn udp(pods: &[usize]) -> ServicePort {
    ServicePort { protocol: PortProtocol::Udp, ..service(&ADDRESSES, pods) }
}

/// Which pods answered, and how often.
fn answers(client: &Space, to: &str, times: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..times {
        *counts.entry(client.get(to)).or_insert(0) += 1;
    }
    counts
}

/// What is answered every time.
fn only_answer(client: &Space, to: &str) -> String {
    let mut counts = answers(client, to, 20);
    assert_eq!(counts.len(), 1, "{counts:?}");
    counts.pop_first().unwrap().0
}

#[test]
fn pods_and_the_machine_reach_every_endpoint() {
    let Some(bed) = Bed::new(3) else { return };
    bed.set_service("web", vec![service(&ADDRESSES, &[0, 1])]);
    let pod = [pod_address(2), pod_address6(2)];
    let machine = [GATEWAY.to_owned(), GATEWAY6.to_owned()];
    for (client, from) in [(&bed.pods[2].space, pod), (&bed.machine, machine)] {
        for (to, from) in WEB.into_iter().zip(from) {
            let counts = answers(client, to, 40);
            let expected = [format!("pod0 from {from}"), format!("pod1 from {from}")];
            assert_eq!(counts.keys().cloned().collect::<Vec<_>>(), expected);
            // The chance of less is one in hundreds of millions.
            assert!(counts.values().all(|count| *count >= 3), "{counts:?}");
        }
    }
}

#[test]
fn a_pod_reaches_itself_as_the_gateway() {
    let Some(bed) = Bed::new(1) else { return };
    bed.set_service("web", vec![service(&ADDRESSES, &[0]), udp(&[0])]);
    for (to, gateway) in WEB.into_iter().zip([GATEWAY, GATEWAY6]) {
        assert_eq!(bed.pods[0].space.get(to), format!("pod0 from {gateway}"));
        assert_eq!(bed.pods[0].space.ask(to), format!("pod0 from {gateway}"));
    }
}

#[test]
fn what_nobody_serves_is_refused_at_once() {
    let Some(bed) = Bed::new(1) else { return };
    bed.set_service("web", vec![service(&ADDRESSES, &[0])]);
    bed.set_service("empty", vec![service(&["10.201.0.10", "fd13::a"], &[])]);
    let refused =
        ["10.201.0.9:81", "[fd13::9]:81", "10.201.0.10:80", "[fd13::a]:80", "10.201.77.1:9", "[fd13::77]:9"];
    for client in [&bed.pods[0].space, &bed.machine] {
        for to in refused {
            assert_eq!(client.get(to), "refused", "{to}");
            assert_eq!(client.ask(to), "refused", "{to} by UDP");
        }
    }
    // An endpoint that comes is reached, and one that goes is not.
    bed.set_service("empty", vec![service(&["10.201.0.10"], &[0])]);
    assert_eq!(bed.machine.get("10.201.0.10:80"), format!("pod0 from {GATEWAY}"));
    bed.set_service("empty", vec![]);
    assert_eq!(bed.machine.get("10.201.0.10:80"), "refused");
    assert_eq!(bed.machine.get("10.200.9.9:80"), "No route to host (os error 113)");
}

#[test]
fn addresses_of_services_are_nobodys_outside() {
    let Some(bed) = Bed::new(1) else { return };
    bed.set_service("web", vec![service(&ADDRESSES, &[0])]);
    for to in WEB {
        assert_eq!(bed.outside.get(to), "dropped");
    }
    // While a pod can be reached by who has a route.
    assert_eq!(bed.outside.get("10.200.0.2:8080"), "pod0 from 192.168.7.2");
    assert_eq!(bed.outside.get("[fd12::2]:8080"), "pod0 from fd77::2");
}

#[test]
fn a_client_stays_with_its_endpoint() {
    let Some(bed) = Bed::new(4) else { return };
    let sticky = |pods: &[usize]| {
        vec![ServicePort { affinity: Some(Duration::from_secs(60)), ..service(&ADDRESSES, pods) }]
    };
    bed.set_service("web", sticky(&[0, 1, 2]));
    let client = &bed.pods[3].space;
    for to in WEB {
        let first = only_answer(client, to);
        let chosen: usize = first[3..4].parse().unwrap();

        // One of the others goes: the client stays.
        let others: Vec<usize> = (0..3).filter(|pod| *pod != chosen).collect();
        bed.set_service("web", sticky(&[chosen, others[0]]));
        assert_eq!(only_answer(client, to), first);

        // An engine that starts anew leaves it there, too.
        let services = vec![(service_name("web"), sticky(&[chosen, others[0]]))];
        bed.wait(bed.rules.replace(State { services, ..bed.state() }));
        assert_eq!(only_answer(client, to), first);

        // Its own goes: it is led to another, and stays there when the first one is back.
        bed.set_service("web", sticky(&[others[0]]));
        let second = client.get(to);
        assert_eq!(second[..4], format!("pod{}", others[0]));
        bed.set_service("web", sticky(&[0, 1, 2]));
        assert_eq!(only_answer(client, to), second);
    }
}

#[test]
fn a_client_is_forgotten_after_its_time() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let Some(bed) = Bed::new(3) else { return };
    let port = ServicePort { affinity: Some(TIMEOUT), ..service(&ADDRESSES, &[0, 1]) };
    bed.set_service("web", vec![port]);
    let client = &bed.pods[2].space;
    let remembered = || {
        let listed = bed
            .machine
            .command("nft", &["list", "map", "inet", crate::bed::TABLE, "affinity/default/web/tcp/80/ipv4"]);
        listed.matches("10.200.0.4").count()
    };
    let first = client.get(WEB[0]);
    assert_eq!(remembered(), 1);
    // As long as it comes again in time it stays.
    let begin = Instant::now();
    let mut last = begin;
    while begin.elapsed() < 2 * TIMEOUT {
        thread::sleep(TIMEOUT / 4);
        let answer = client.get(WEB[0]);
        // On a machine that is very busy it may have been too late.
        assert!(answer == first || last.elapsed() > TIMEOUT);
        last = Instant::now();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while remembered() > 0 {
        assert!(Instant::now() < deadline, "still there");
        thread::sleep(TIMEOUT / 20);
    }
}

#[test]
fn udp_leaves_an_endpoint_that_is_gone() {
    let Some(bed) = Bed::new(3) else { return };
    for to in WEB {
        bed.set_service("dns", vec![udp(&[0])]);
        let sockets = [bed.pods[2].space.udp(to), bed.machine.udp(to)];
        for socket in &sockets {
            assert_eq!(exchange(socket)[..4], *"pod0");
        }
        // The flow goes on where it went as long as its endpoint is there.
        bed.set_service("dns", vec![udp(&[0, 1])]);
        for socket in &sockets {
            assert_eq!(exchange(socket)[..4], *"pod0");
        }
        bed.set_service("dns", vec![udp(&[1])]);
        for socket in &sockets {
            assert_eq!(exchange(socket)[..4], *"pod1");
        }
        bed.set_service("dns", vec![]);
        for socket in &sockets {
            assert_eq!(exchange(socket), "refused");
        }
    }
}

#[test]
fn udp_leaves_an_endpoint_that_went_while_there_was_no_engine() {
    let Some(bed) = Bed::new(2) else { return };
    for to in WEB {
        bed.set_service("dns", vec![udp(&[0])]);
        let socket = bed.machine.udp(to);
        assert_eq!(exchange(&socket)[..4], *"pod0");
        let services = vec![(service_name("dns"), vec![udp(&[1])])];
        bed.wait(bed.rules.replace(State { services, ..bed.state() }));
        // Answered before that is looked at, but the next change comes after it.
        bed.set_service("other", vec![service(&["10.201.0.77"], &[0])]);
        assert_eq!(exchange(&socket)[..4], *"pod1");
    }
}

#[test]
fn connections_outlive_a_new_table() {
    let Some(bed) = Bed::new(2) else { return };
    for to in WEB {
        bed.set_service("web", vec![service(&ADDRESSES, &[0])]);
        let mut stream = bed.pods[1].space.connect(to);
        assert_eq!(line(&mut stream).unwrap()[..4], *"pod0");
        for again in ["first\n", "second\n"] {
            let services = vec![(service_name("web"), vec![service(&ADDRESSES, &[0])])];
            bed.wait(bed.rules.replace(State { services, ..bed.state() }));
            stream.write_all(again.as_bytes()).unwrap();
            assert_eq!(line(&mut stream).unwrap(), again.trim());
        }
        // Even when its Service is gone.
        bed.wait(bed.rules.replace(bed.state()));
        stream.write_all(b"third\n").unwrap();
        assert_eq!(line(&mut stream).unwrap(), "third");
    }
}
