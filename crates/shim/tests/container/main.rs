//! Containers as root, for real: each case in a process of its own, with namespaces, a temporary
//! directory and cgroups of its own, all of which have to be gone afterwards.
//!
//! `cargo test -p shim --test container [-- NAME]`; with `MONOPOD_MEASURE=1` also how long a start takes.

mod bed;
mod cgroups;
mod confinement;
mod files;
mod host;
mod measure;
mod processes;
mod resizing;
mod tracer;
mod users;
mod volumes;

use std::env;
use std::process::{Command, ExitCode};

use linux_sys::remove_tree::remove_tree;

use bed::Bed;

type Case = (&'static str, fn(&Bed));

/// Names the case to run in this process.
const CASE_VARIABLE: &str = "MONOPOD_CONTAINER_CASE";

fn main() -> ExitCode {
    if let Ok(secret) = env::var(tracer::SECRET_VARIABLE) {
        return tracer::look(&secret);
    }
    let cases: Vec<Case> = [
        processes::CASES,
        files::CASES,
        volumes::CASES,
        confinement::CASES,
        host::CASES,
        cgroups::CASES,
        resizing::CASES,
        tracer::CASES,
        users::CASES,
        measure::CASES,
    ]
    .concat();
    if let Ok(name) = env::var(CASE_VARIABLE) {
        return match cases.iter().find(|(case, _)| *case == name) {
            Some((_, case)) => run_here(*case),
            None => ExitCode::FAILURE,
        };
    }
    let filter = env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut failed = 0;
    for (name, _) in cases.iter().filter(|(name, _)| name.contains(&filter)) {
        let outcome = run_apart(name);
        println!("{name}: {}", outcome.as_deref().unwrap_or_else(|reason| reason));
        failed += usize::from(outcome.is_err());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_here(case: fn(&Bed)) -> ExitCode {
    let bed = Bed::new();
    case(&bed);
    let errors = bed.destroy();
    if !errors.is_empty() {
        eprintln!("the sandbox leaves something: {errors:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// `Err` for a failure; what a case leaves is one.
fn run_apart(name: &str) -> Result<String, String> {
    if !rustix::process::geteuid().is_root() {
        return Ok("Skipped(needs root)".to_owned());
    }
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(this).env(CASE_VARIABLE, name).spawn().map_err(|error| error.to_string())?;
    let pid = child.id();
    let status = child.wait().map_err(|error| error.to_string())?;
    let left = bed::groups_of(pid);
    // A failed case may leave anything; none may stay for the next one.
    for error in shim::container::remove_pod_cgroup(&bed::cgroup_of(pid)) {
        eprintln!("{name}: {error}");
    }
    let files = remove_tree(&bed::directory_of(pid));
    if status.code() == Some(bed::EXIT_SKIPPED) {
        return Ok("skipped, for the reason above".to_owned());
    }
    if !status.success() {
        return Err(format!("Failed({status})"));
    }
    if !left.is_empty() || !files.is_empty() {
        return Err(format!("Failed(left {left:?} {files:?})"));
    }
    Ok("Passed".to_owned())
}
