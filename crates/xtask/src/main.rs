//! `cargo xtask COMMAND`: the repository's checks and its release build.

mod bench;
mod ci;
mod counts;
mod dist;
mod mutants;
mod qemu;
mod screenshots;
mod shell;
mod suites;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy         check the crate graph, the purity of the core, sizes, words, links, and that each field has its test
  test         the daily suite: unit tests, then end-to-end suites (as root; else skipped with the reason)
  test --all   the daily suite, then client libraries (they come from registries), a cgroup v2 machine in qemu,
               200 kills of the engine, and `bench --quick`
  ci           formatting, clippy, tidy, rustdoc, all of `test --all`; nothing may be skipped
  dist         the release binary: static, not position-independent
  bench [--quick] [--only PART[,PART...]] [--json FILE] [--install-peers] [--report]
               what starts, shims, logs and the network cost, beside the floor and beside what else is installed (as root);
               --quick to see that it works; --install-peers installs podman, crun and skopeo from Debian;
               --report writes the table, figures and a chart to docs/benchmarks
  mutants [NAME...]
               break each rule of the core that crates/sim/mutations.txt names, and see that a test fails: an hour
  screenshots  the pictures of README.md, from what the commands say now
  qemu [MONOPOD E2E]
               only the cgroup v2 machine; static programs to try instead of those that are built like the release";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["tidy"] => tidy::run(),
        ["test"] => suites::daily(suites::Skips::Allowed)?.conclude(),
        ["test", "--all"] => suites::all(suites::Skips::Allowed)?.conclude(),
        ["ci"] => ci::check(),
        ["dist"] => dist::build().map(drop),
        ["bench", ref flags @ ..] => bench::measure(flags),
        ["mutants", ref filters @ ..] => mutants::run(filters),
        ["screenshots"] => screenshots::take(),
        ["qemu"] => qemu::run(None)?.conclude(),
        ["qemu", monopod, e2e] => qemu::run(Some([Path::new(monopod), Path::new(e2e)]))?.conclude(),
        _ => bail!("{USAGE}"),
    }
}
