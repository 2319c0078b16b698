//! Every order of events in small pods, and every way a termination can take its time.
//! `SIM_WORLDS=EVENTS,ENDS,IRREGULAR,CONTAINERS` searches within other bounds, pods of so many containers; the
//! stops of pods with one less, since they take longer.

use std::io::Write as _;
use std::time::Instant;

use sim::exhaustive::{Bounds, Disturbances, Figures, budgets, every, orders, pods};

/// Pods of up to so many containers are searched further.
const TINY: usize = 2;

#[test]
fn small_pods_left_alone() {
    search("small pods", &pods::small(), Bounds { events: 8, ends: 4, irregular: 0, rests: 2 });
}

#[test]
fn small_pods_and_a_mishap() {
    search("small pods, one mishap", &pods::small(), Bounds { events: 8, ends: 1, irregular: 1, rests: 1 });
}

#[test]
fn tiny_pods_to_the_end() {
    let mut pods = pods::small();
    pods.retain(|pod| containers(pod) <= TINY);
    search("tiny pods", &pods, Bounds { events: 8, ends: 8, irregular: 0, rests: 3 });
    search("tiny pods, two mishaps", &pods, Bounds { events: 8, ends: 2, irregular: 2, rests: 2 });
}

#[test]
fn containers_with_policies_of_their_own() {
    let bounds = Bounds { events: 8, ends: 3, irregular: 0, rests: 1 };
    search("own policies", &pods::with_own_policies(), bounds);
}

#[test]
fn probes_hooks_rules_and_deadlines() {
    search("furnished pods", &pods::furnished(), Bounds { events: 8, ends: 1, irregular: 1, rests: 1 });
}

#[test]
fn liveness_and_readiness() {
    search("probed pods", &pods::probed(), Bounds { events: 6, ends: 1, irregular: 1, rests: 1 });
}

#[test]
fn changes_from_outside() {
    search("changed pods", &pods::changed(), Bounds { events: 6, ends: 1, irregular: 1, rests: 1 });
}

#[test]
fn stops_and_their_budgets() {
    let mut pods = pods::stopped();
    // A deadline is one cause more: it races with the deletion in pods that are soon searched.
    let races = |pod: &str| containers(pod) <= TINY && (pod.contains("grace=2") || pod.contains("grace=5"));
    pods.retain(|pod| !pod.contains("deadline") || races(pod));
    if let Some([.., containers_max]) = given_bounds() {
        pods.retain(|pod| containers(pod) < containers_max);
    }
    stop("stopped pods, deleted again", &pods, Disturbances { deletions: 1, deaths: 0 });
    stop("stopped pods, one death of the engine", &pods, Disturbances { deletions: 0, deaths: 1 });
}

#[test]
#[ignore = "takes some ten minutes"]
fn stops_and_all_that_may_come_in_between() {
    stop("stopped pods, all", &pods::stopped(), Disturbances { deletions: 2, deaths: 1 });
}

fn stop(what: &str, pods: &[String], disturbances: Disturbances) {
    search_each(what, pods, |pod| budgets(pod, disturbances));
}

fn search(what: &str, pods: &[String], bounds: Bounds) {
    let bounds = match given_bounds() {
        Some([events, ends, irregular, _]) => Bounds { events, ends, irregular, rests: bounds.rests },
        None => bounds,
    };
    search_each(what, pods, |pod| orders(pod, bounds));
}

/// The figures are not for `println`: the test harness keeps to itself what a test that passes prints.
fn search_each(what: &str, pods: &[String], one: impl Fn(&str) -> Result<Figures, String> + Sync) {
    let containers_max = given_bounds().map_or(usize::MAX, |[.., containers]| containers);
    let pods: Vec<String> = pods.iter().filter(|pod| containers(pod) <= containers_max).cloned().collect();
    let begun = Instant::now();
    let (Figures { states, transitions, worlds }, failures) = every(&pods, one);
    let (pods, took) = (pods.len(), begun.elapsed().as_secs_f64());
    let _ = writeln!(
        std::io::stderr(),
        "{what}: {pods} pods, {worlds} worlds, {states} states, {transitions} transitions, {took:.1} s"
    );
    assert!(pods > 0 || given_bounds().is_some(), "{what}: there is nothing to search");
    assert!(failures.is_empty(), "{what}: a promise is broken\n{}", failures.concat());
}

fn containers(pod: &str) -> usize {
    pod.lines().skip(1).filter(|line| !line.starts_with("at ")).count()
}

fn given_bounds() -> Option<[usize; 4]> {
    let text = std::env::var("SIM_WORLDS").ok()?;
    let numbers: Vec<usize> = text.split(',').map(|n| n.parse().expect("SIM_WORLDS is numbers")).collect();
    Some(numbers.try_into().expect("SIM_WORLDS is EVENTS,ENDS,IRREGULAR,CONTAINERS"))
}
