//! Runs tests side by side, each in its own bed, and looks for leavings after each.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::bed::Bed;
use crate::leaks;
use crate::outcome::{Outcome, Skip};

/// One test: a name within its suite and what it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Bed) -> Result<()>,
}

/// Tests of one subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) tests: &'static [Test],
}

/// Names each function as a test.
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        &[$($crate::runner::Test { name: stringify!($test), run: $test }),*]
    };
}
pub(crate) use tests;

#[derive(Debug)]
pub(crate) struct Options {
    /// Only tests whose `suite::test` contains one of these; all when there is none.
    pub(crate) filters: Vec<String>,
    /// Only the slow suites, which else run by a filter alone.
    pub(crate) slow: bool,
    /// How many tests run side by side.
    pub(crate) jobs: usize,
    /// A skip is a failure, but for the tests and suites named in `allowed_skips`.
    pub(crate) no_skips: bool,
    pub(crate) allowed_skips: Vec<String>,
    /// The beds of failed tests stay.
    pub(crate) keep: bool,
}

#[derive(Default, Debug)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

/// Runs what the options select and prints one line per test, and the record of each failure.
pub(crate) fn run(suites: &[Suite], program: &Path, options: &Options) -> Result<Counts> {
    let base = PathBuf::from(format!("/tmp/mp{}", std::process::id()));
    fs::create_dir_all(&base).with_context(|| format!("cannot create {}", base.display()))?;
    // A copy: tests link to it, and its directory may be on another file system or closed to other users.
    let copy = base.join("monopod");
    fs::copy(program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;

    let network_before = leaks::network();
    let queue = Mutex::new(select(suites, &options.filters).into_iter().enumerate());
    let counts = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some((n, (name, test))) = next(&queue) {
                    let started = Instant::now();
                    let bed_dir = base.join(n.to_string());
                    let outcome = run_one(test, &bed_dir, &copy, options.keep);
                    let no_skip = options.no_skips && !may_skip(&name, &options.allowed_skips);
                    report(&name, outcome, started.elapsed(), no_skip, &counts);
                }
            });
        }
    });
    let mut counts = counts.into_inner().map_err(|_| anyhow!("a test thread panicked"))?;
    let network_after = leaks::network();
    if network_before != network_after {
        println!("FAILED  the machine's network changed: {network_before:?} -> {network_after:?}");
        counts.failed += 1;
    }
    if !(options.keep && counts.failed > 0) {
        fs::remove_dir_all(&base).with_context(|| format!("cannot remove {}", base.display()))?;
    }
    Ok(counts)
}

fn select(suites: &[Suite], filters: &[String]) -> Vec<(String, Test)> {
    suites
        .iter()
        .flat_map(|suite| suite.tests.iter().map(|test| (format!("{}::{}", suite.name, test.name), *test)))
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter)))
        .collect()
}

/// `name` is `suite::test`.
fn may_skip(name: &str, allowed: &[String]) -> bool {
    let suite = name.split_once("::").map_or(name, |(suite, _)| suite);
    allowed.iter().any(|allowed| allowed == name || allowed == suite)
}

fn next<T>(queue: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    queue.lock().ok()?.next()
}

fn run_one(test: Test, dir: &Path, program: &Path, keep: bool) -> Outcome {
    let bed = match Bed::new(dir.to_owned(), program) {
        Ok(bed) => bed,
        Err(error) => return Outcome::Failed(format!("{error:#}")),
    };
    let result = catch_unwind(AssertUnwindSafe(|| (test.run)(&bed)))
        .unwrap_or_else(|_| Err(anyhow!("the test panicked")))
        // A failed test is checked too: its engine was killed, and even then nothing may stay.
        .and_then(|()| bed.expect_settled());
    let outcome = match result {
        Ok(()) => Outcome::Passed,
        Err(error) => match error.downcast::<Skip>() {
            Ok(Skip(reason)) => Outcome::Skipped(reason),
            Err(error) => Outcome::Failed(failure(&bed, &error)),
        },
    };
    if !(keep && matches!(outcome, Outcome::Failed(_))) {
        drop(fs::remove_dir_all(dir));
    }
    outcome
}

fn failure(bed: &Bed, error: &anyhow::Error) -> String {
    let mut text = format!("{error:#}\n{}", bed.record());
    if let Err(left) = bed.expect_settled() {
        text.push_str(&format!("--- left behind after the failure\n{left:#}\n"));
    }
    text
}

fn report(name: &str, outcome: Outcome, elapsed: Duration, no_skip: bool, counts: &Mutex<Counts>) {
    let mut counts = counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = elapsed.as_secs_f32();
    match outcome {
        Outcome::Passed => {
            counts.passed += 1;
            println!("passed  {name} ({seconds:.1}s)");
        }
        Outcome::Skipped(reason) if no_skip => {
            counts.failed += 1;
            println!("FAILED  {name}: skipped, but it may not be skipped here: {reason}");
        }
        Outcome::Skipped(reason) => {
            counts.skipped += 1;
            println!("Skipped({reason})  {name}");
        }
        Outcome::Failed(text) => {
            counts.failed += 1;
            println!("FAILED  {name} ({seconds:.1}s)\n{}", indent(&text));
        }
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
