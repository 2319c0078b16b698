//! Random pods with random behaviours and mishaps, checked by the fixpoint and by the checker alone.
//! A seed that fails prints its scenario, made as short as it can be, which belongs into `scenarios/` once the
//! bug is found. `SIM_SEEDS=FROM..TO` plays others.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use sim::{Scenario, Seeds, seeds};

const SEEDS: std::ops::Range<u64> = 0..14_000;

#[test]
fn random_pods_keep_every_promise() {
    let range = given().unwrap_or(SEEDS);
    let begun = Instant::now();
    let Seeds { played, steps, failed } = seeds(range, sim::check);
    let took = begun.elapsed().as_secs_f64();
    let _ = writeln!(
        std::io::stderr(),
        "{played} seeds, {} steps, {} actions, {} observations, {} deaths of the engine, {took:.1} s, {:.0} worlds/s",
        steps.steps,
        steps.actions,
        steps.observations,
        steps.crashes,
        played as f64 / took,
    );
    let list: Vec<u64> = failed.iter().map(|failure| failure.seed).collect();
    let shown: String = failed.iter().filter_map(|failure| failure.scenario.clone()).collect();
    for text in failed.iter().filter_map(|failure| failure.scenario.as_ref()) {
        // It says what is broken, and how it came to that.
        let scenario = Scenario::parse(text).expect("what is printed can be read");
        let _ = catch_unwind(AssertUnwindSafe(|| sim::run(&scenario)));
    }
    assert!(failed.is_empty(), "{} seeds failed: {list:?}\n{shown}", failed.len());
}

fn given() -> Option<std::ops::Range<u64>> {
    let range = std::env::var("SIM_SEEDS").ok()?;
    let (from, to) = range.split_once("..").expect("SIM_SEEDS is FROM..TO");
    Some(from.parse().expect("a number")..to.parse().expect("a number"))
}

/// With a promise that does not hold: what is printed is a scenario that breaks it.
#[test]
fn what_a_failing_seed_prints_replays_it() {
    let judge = |scenario: &Scenario| {
        let timeline = sim::run(scenario);
        assert!(!timeline.contains("-> kill "), "nobody is ever killed");
        sim::Steps::default()
    };
    let failed = seeds(0..200, judge).failed;
    let printed: Vec<&String> = failed.iter().filter_map(|failure| failure.scenario.as_ref()).collect();
    assert!(!printed.is_empty() && failed.len() > printed.len());
    for text in printed {
        let scenario = Scenario::parse(text).expect("what is printed can be read");
        assert!(
            catch_unwind(AssertUnwindSafe(|| judge(&scenario))).is_err(),
            "this keeps the promise:\n{text}"
        );
        assert!(text.lines().count() <= 6, "it is not short:\n{text}");
    }
}
