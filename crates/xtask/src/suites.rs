//! The tests: unit and golden tests of every crate, then the end-to-end suites.

use std::process::Command;

use anyhow::Result;

use crate::bench;
use crate::counts::Counts;
use crate::qemu;
use crate::shell::{apt_get, cargo, exists, is_root, run, run_tests, target_dir};

/// How often `test --all` and `ci` kill the engine.
const KILLS: &str = "200";
/// And an engine that comes back.
const LASTING_KILLS: &str = "60";
/// What may be skipped where nothing else may, since it needs a mirror that may be down: the guest, what is
/// compared with Debian's packages, what asks with Debian's netcat, Debian's registry and what makes images for it, the libraries for Python and Node; and kubectls that a machine may not have.
const ALLOWED_SKIPS: &[&str] = &[
    QEMU,
    NFT,
    "differential::crun",
    "differential::runc",
    "attacks::beside_crun",
    "examples::wait_for_db",
    "services::a_pod_waits_for_a_service",
    "whys",
    "registries",
    "registries_private",
    "client_libraries::python_kubernetes",
    "client_libraries::python_kr8s",
    "client_libraries::node_client",
    "kubectl_versions",
];
const QEMU: &str = "qemu";
const NFT: &str = "network::rules";
const SOAK: &str = "soak";
const BENCH: &str = "bench";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Skips {
    Allowed,
    /// A skip is a failure, except those of [`ALLOWED_SKIPS`].
    Refused,
}

/// What README names: fast enough for every day.
pub(crate) fn daily(skips: Skips) -> Result<Counts> {
    let mut total = judge(NFT, nft()?, skips);
    total += unit_tests()?;
    run(&mut cargo(&["build", "--locked", "--workspace", "--bins"]))?;
    total += end_to_end(skips, &[])?;
    Ok(total)
}

/// The daily suite and all that takes long.
pub(crate) fn all(skips: Skips) -> Result<Counts> {
    let mut total = daily(skips)?;
    total += end_to_end(skips, &["--slow"])?;
    total += judge(QEMU, qemu::run(None)?, skips);
    total += judge(SOAK, soak()?, skips);
    total += judge(BENCH, bench::works()?, skips);
    Ok(total)
}

/// Turns a skip into a failure where it is refused.
fn judge(name: &str, mut counts: Counts, skips: Skips) -> Counts {
    if skips == Skips::Refused && counts.skipped > 0 && !ALLOWED_SKIPS.contains(&name) {
        println!("FAILED  {name}: skipped, but it may not be skipped here");
        counts.failed += counts.skipped - 1;
        counts.fail(name, "skipped, but it may not be skipped here");
        counts.skipped = 0;
    }
    counts
}

/// Installs what tests of the network read the kernel's rules with; without it they run on nothing.
fn nft() -> Result<Counts> {
    if exists("nft") || !is_root()? {
        return Ok(Counts::default());
    }
    let package = ["nftables"];
    let install = || {
        apt_get("install", &package).or_else(|_| {
            apt_get("update", &[])?;
            apt_get("install", &package)
        })
    };
    if exists("apt-get") && install().is_ok() {
        return Ok(Counts::default());
    }
    println!("Skipped(nft is not installed, and apt-get cannot install it)  {NFT}");
    Ok(Counts { skipped: 1, ..Counts::default() })
}

fn unit_tests() -> Result<Counts> {
    let runner: &[&str] = if exists("cargo-nextest") {
        &["nextest", "run", "--no-fail-fast"]
    } else {
        &["test", "--no-fail-fast"]
    };
    let mut command = cargo(runner);
    run_tests(command.args(["--locked", "--workspace"]))
}

fn end_to_end(skips: Skips, flags: &[&str]) -> Result<Counts> {
    let mut command = Command::new(target_dir()?.join("debug/e2e"));
    command.args(flags);
    if skips == Skips::Refused {
        command.arg("--no-skips");
        for test in ALLOWED_SKIPS {
            command.args(["--allow-skip", test]);
        }
    }
    run_tests(&mut command)
}

fn soak() -> Result<Counts> {
    let e2e = target_dir()?.join("debug/e2e");
    let mut total = run_tests(Command::new(&e2e).args(["soak", "--kills", KILLS]))?;
    total += run_tests(Command::new(&e2e).args(["soak", "--lasting", "--kills", LASTING_KILLS]))?;
    Ok(total)
}
