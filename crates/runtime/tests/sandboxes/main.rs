//! Sandboxes as root, for real: shims, containers, logs, and every way in which one of them can die.
//! Each case has directories and cgroups of its own, all of which have to be gone afterwards.
//!
//! `cargo test -p runtime --test sandboxes [-- NAME]`. The shims are this program again.

mod ahead;
mod bed;
mod clients;
mod containers;
mod endings;
mod execs;
mod logs;
mod resizing;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use bed::Bed;

type Case = (&'static str, fn(&Bed));

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("shim") => return shim::main(),
        Some("http-hook") => return prober::run_hook_process(std::env::args_os().skip(2)),
        Some("listen-http") => {
            clients::answer_one_request();
            return ExitCode::SUCCESS;
        }
        Some("engine") => endings::run_engine(&arguments[1..]),
        Some("listen") => {
            clients::listen();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    if !rustix::process::geteuid().is_root() {
        println!("Skipped(needs root)");
        return ExitCode::SUCCESS;
    }
    let filter = arguments.into_iter().find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let cases: Vec<Case> = [
        ahead::CASES,
        containers::CASES,
        execs::CASES,
        clients::CASES,
        logs::CASES,
        resizing::CASES,
        endings::CASES,
    ]
    .concat();
    let mut failed = 0;
    for (name, case) in cases.into_iter().filter(|(name, _)| name.contains(&filter)) {
        let bed = Bed::new(name);
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&bed)));
        let left = bed.clean_up();
        let passed = outcome.is_ok() && left.is_empty();
        println!("{name}: {}", if passed { "Passed".to_owned() } else { format!("Failed(left {left:?})") });
        failed += u32::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
