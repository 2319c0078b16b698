//! A machine with cgroup v2 alone and another kernel than this one: Debian's cloud kernel in qemu, with the
//! release binary, the shim's cases, the end-to-end suites and busybox as its whole user land. What it runs is `qemu/init.sh`.

mod archive;
mod guest;
mod modules;
mod packages;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::counts::Counts;
use crate::dist;
use crate::shell::{is_root, target_dir};

/// Runs the guest's tests on `given`, by default the release binary and suites built like it, or says why they cannot run
/// here.
pub(crate) fn run(given: Option<[&Path; 2]>) -> Result<Counts> {
    if let Some(reason) = unavailable()? {
        return Ok(skipped(reason));
    }
    let dir = target_dir()?.join("qemu");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let [monopod, suites] = match given {
        Some(programs) => programs.map(Path::to_owned),
        None => [dist::build()?, dist::build_package("e2e")?],
    };
    let programs = guest::Programs { monopod, suites, cases: dist::build_test("shim", "container")? };
    match packages::fetch(&dir) {
        Ok(parts) => guest::boot(&parts.kernel, &guest::initramfs(&dir, &programs, &parts)?),
        // Debian's mirrors are not ours to fail on.
        Err(error) => Ok(skipped(&format!("{error:#}"))),
    }
}

fn skipped(reason: &str) -> Counts {
    println!("Skipped({reason})  qemu");
    Counts { skipped: 1, ..Counts::default() }
}

fn unavailable() -> Result<Option<&'static str>> {
    if cfg!(not(target_arch = "x86_64")) {
        return Ok(Some("the guest is x86-64"));
    }
    if !crate::shell::exists("apt-get") {
        return Ok(Some("needs apt-get for the kernel and qemu"));
    }
    Ok((!is_root()?).then_some("needs root to install qemu"))
}
