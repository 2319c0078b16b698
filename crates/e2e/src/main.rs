//! End-to-end suites: the real program, as root, on real processes.
//!
//!     cargo run -p e2e -- [--program FILE] [--jobs N] [--patience N] [--slow] [--no-skips] [--allow-skip TEST]... [--keep] [--list]
//!         [FILTER...]
//!     cargo run -p e2e -- soak [--lasting] [--program FILE] [--jobs N] [--kills N] [--seed N]
//!
//! The last line of output is `N passed, N failed, N skipped`; the exit code is 0 when none failed.

mod answers;
mod archive;
mod attack;
mod bed;
mod cluster;
mod common_causes;
mod compare;
mod engine;
mod golden;
mod history;
mod http;
mod kubectl;
mod lasting;
mod leaks;
mod oci;
mod options;
mod outcome;
mod pod;
mod pods;
mod probe;
mod registry;
mod runner;
mod simulated;
mod soak;
mod soak_lasting;
mod suites;
mod terminal;
mod trace;
mod wait;

use std::path::Path;
use std::process::ExitCode;

use options::{Command, parse};
use rustix::process::Signal;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // The programs of the suites' own take everything as it is.
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["answers"] => return conclude(answers::run()),
        ["probe", file] => return conclude(probe::run(Path::new(file))),
        ["swap", ref paths @ ..] => return conclude(attack::swap(paths)),
        ["eat", mib] => return conclude(attack::eat(mib)),
        ["crowd", most] => return conclude(attack::crowd(most)),
        ["deep", count] => return conclude(attack::deep(count)),
        ["attack", file, target] => return conclude(attack::run(Path::new(file), target)),
        ["oci", file] => return conclude(oci::launch(Path::new(file))),
        ["held", file, program, ref args @ ..] => {
            return conclude(lasting::held::run(Path::new(file), program, args));
        }
        ["engine", root, shim, ref manifests @ ..] => {
            return conclude(lasting::engine::run(Path::new(root), shim, manifests));
        }
        _ => {}
    }
    expect_signals();
    match start(args) {
        Ok(counts) => {
            let runner::Counts { passed, failed, skipped } = counts;
            println!("{passed} passed, {failed} failed, {skipped} skipped");
            if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// A shell's background job ignores SIGINT, and so would an engine started from it until it takes signals:
/// one that is sent at once would be lost and not end it.
fn expect_signals() {
    let signals = [Signal::INT, Signal::TERM, Signal::HUP].map(Signal::as_raw);
    if let Err(error) = linux_sys::signal::restore(&signals) {
        eprintln!("e2e: signals are as the caller left them: {error}");
    }
}

/// The slow suites only where they are asked for: as a whole, or by a filter.
fn chosen(options: &runner::Options) -> Vec<runner::Suite> {
    let daily = if options.slow { &[] } else { suites::ALL };
    let slow = if options.slow || !options.filters.is_empty() { suites::SLOW } else { &[] };
    daily.iter().chain(slow).copied().collect()
}

fn conclude(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Vec<String>) -> anyhow::Result<runner::Counts> {
    let (command, program) = parse(args.into_iter())?;
    match command {
        Command::List => {
            for suite in suites::ALL.iter().chain(suites::SLOW) {
                for test in suite.tests {
                    println!("{}::{}", suite.name, test.name);
                }
            }
            Ok(runner::Counts::default())
        }
        Command::Suites(options) => runner::run(&chosen(&options), &program, &options),
        Command::Soak(options) if options.lasting => soak_lasting::run(&program, &options),
        Command::Soak(options) => soak::run(&program, &options),
    }
}
