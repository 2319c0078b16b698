//! What changes cost, printed: `cargo test -p network --test rules cost -- --ignored --nocapture --test-threads 1`. Figures
//! of a machine that does other things, too, say little; what is asserted is what has to hold there.

use std::time::{Duration, Instant};

use network::{Allowed, Peers, PodPolicy, PodRules, ServicePort, State};

use crate::bed::{Bed, service, service_name};

const SAMPLES: usize = 50;
/// From the change of an endpoint to its being in force, with 50 Services and 250 pods.
const LIVE_WITHIN: Duration = Duration::from_millis(5);

fn address(number: usize) -> String {
    format!("10.201.{}.{}", 1 + number / 250, number % 250 + 1)
}

fn pod(number: usize) -> String {
    format!("10.200.{}.{}", 10 + number / 250, number % 250 + 1)
}

/// With five endpoints, of which the first is `first`.
fn port(number: usize, first: usize) -> ServicePort {
    let endpoints = (first..first + 5).map(|number| format!("{}:8080", pod(number)).parse().unwrap());
    ServicePort { endpoints: endpoints.collect(), ..service(&[&address(number)], &[]) }
}

fn state(services: usize) -> State {
    let all = (0..services).map(|number| (service_name(&format!("s{number}")), vec![port(number, number)]));
    State { services: all.collect(), pods: vec![] }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
#[ignore = "measures"]
fn a_change_costs_the_same_whatever_else_there_is() {
    let Some(bed) = Bed::new(0) else { return };
    for services in [1, 50, 500, 5000] {
        let begin = Instant::now();
        bed.wait(bed.rules.replace(state(services)));
        let replaced = begin.elapsed();
        let times = (0..SAMPLES).map(|sample| {
            let begin = Instant::now();
            bed.set_service("s0", vec![port(0, sample + 1)]);
            begin.elapsed()
        });
        let change = median(times.collect());
        println!("{services} Services: all anew {replaced:?}, endpoints of one changed {change:?}");
        if services == 50 {
            assert!(change < LIVE_WITHIN, "{change:?}");
        }
    }
}

#[test]
#[ignore = "measures"]
fn policies_of_many_pods() {
    let Some(bed) = Bed::new(0) else { return };
    for pods in [50, 250] {
        let told = |allowed: usize| -> Vec<PodRules> {
            let peers = Peers::Addresses((0..allowed).map(|number| pod(number).parse().unwrap()).collect());
            let ingress = Some(vec![Allowed { peers, ports: vec![] }]);
            let of = |number: usize| PodRules {
                uid: format!("pod-{number}").into(),
                addresses: vec![pod(number).parse().unwrap()],
                host_ports: vec![],
                policy: PodPolicy { ingress: ingress.clone(), egress: None },
            };
            (0..pods).map(of).collect()
        };
        bed.wait(bed.rules.replace(State { services: vec![], pods: told(pods) }));
        let begin = Instant::now();
        bed.wait(bed.rules.set_pods(told(pods + 1)));
        println!("{pods} pods of one namespace, and one more that all let in: {:?}", begin.elapsed());
    }
}
