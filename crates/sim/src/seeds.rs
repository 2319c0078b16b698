//! Random pods by the thousand, on every processor; and those that break a promise, made short.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::play::Steps;
use crate::quiet::quietly;
use crate::random;
use crate::script::Scenario;

/// Seeds whose scenario is told when they fail.
const SHOWN_MAX: usize = 3;

/// What came of the seeds that were played.
#[derive(Clone, Debug, Default)]
pub struct Seeds {
    pub played: u64,
    pub steps: Steps,
    pub failed: Vec<Failure>,
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    /// The shortest part of it that was found to fail as well; of the first few failures alone.
    pub scenario: Option<String>,
}

/// Plays a range of seeds; `judge` panics when a promise is broken.
#[must_use]
pub fn seeds(range: std::ops::Range<u64>, judge: impl Fn(&Scenario) -> Steps + Sync) -> Seeds {
    let next = AtomicU64::new(range.start);
    let found = Mutex::new(Seeds::default());
    let work = || {
        let mut own = Seeds::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= range.end {
                break;
            }
            own.played += 1;
            match play(&random::scenario(seed), &judge) {
                Some(steps) => own.steps += steps,
                None => own.failed.push(Failure { seed, scenario: None }),
            }
        }
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.played += own.played;
        found.steps += own.steps;
        found.failed.extend(own.failed);
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.failed.sort_by_key(|failure| failure.seed);
    for failure in found.failed.iter_mut().take(SHOWN_MAX) {
        let short = shortened(&random::scenario(failure.seed), |text| play(text, &judge).is_none());
        failure.scenario = Some(format!("# Seed {}.\n{short}", failure.seed));
    }
    found
}

/// `None`: a promise is broken.
fn play(text: &str, judge: &impl Fn(&Scenario) -> Steps) -> Option<Steps> {
    let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    quietly(|| judge(&scenario)).ok()
}

/// Without the lines, and then the words, that do not matter.
fn shortened(text: &str, fails: impl Fn(&str) -> bool) -> String {
    let mut lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let mut index = 0;
    while index < lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(index);
        if still_fails(&fewer, &fails) {
            lines = fewer;
        } else {
            index += 1;
        }
    }
    for line in 0..lines.len() {
        let mut word = first_spare(&lines[line]);
        while word < lines[line].len() {
            let mut fewer = lines.clone();
            fewer[line].remove(word);
            if still_fails(&fewer, &fails) {
                lines = fewer;
            } else {
                word += 1;
            }
        }
    }
    joined(&lines)
}

/// Whose a line is, and what happens when, is no word to leave out.
fn first_spare(line: &[&str]) -> usize {
    match line {
        ["pod", ..] => 1,
        ["at", _, "resize", ..] => 4,
        ["at", ..] => 3,
        _ => 2,
    }
}

fn still_fails(lines: &[Vec<&str>], fails: &impl Fn(&str) -> bool) -> bool {
    let text = joined(lines);
    let is_pod = |scenario: Scenario| !scenario.spec.containers.is_empty() && scenario.names_only_its_own();
    Scenario::parse(&text).is_ok_and(is_pod) && fails(&text)
}

fn joined(lines: &[Vec<&str>]) -> String {
    lines.iter().map(|words| words.join(" ") + "\n").collect()
}
