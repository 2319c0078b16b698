//! Measuring: the release binary and, built the same way, the program that measures it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::counts::Counts;
use crate::dist;
use crate::shell::{apt_get, is_root, run};

const NEEDS_ROOT: &str = "needs root, as monopod does";
const INSTALL_PEERS: &str = "--install-peers";
/// Podman with the parts that its default network needs, and skopeo, by their names in Debian.
const PEERS: [&str; 7] = ["podman", "netavark", "aardvark-dns", "crun", "conmon", "iptables", "skopeo"];

/// `flags` are those of the program, and [`INSTALL_PEERS`].
pub(crate) fn measure(flags: &[&str]) -> Result<()> {
    if !is_root()? {
        bail!("bench {NEEDS_ROOT}");
    }
    let (ours, flags): (Vec<&str>, Vec<&str>) = flags.iter().partition(|flag| **flag == INSTALL_PEERS);
    if !ours.is_empty() {
        apt_get("update", &[])?;
        apt_get("install", &PEERS)?;
    }
    let monopod = dist::build()?;
    run(Command::new(dist::build_package("bench")?).arg(monopod).args(flags))
}

/// That it works at all: figures of a machine that does other things too mean nothing.
pub(crate) fn works() -> Result<Counts> {
    if !is_root()? {
        println!("Skipped({NEEDS_ROOT})  bench");
        return Ok(Counts { skipped: 1, ..Counts::default() });
    }
    match measure(&["--quick"]) {
        Ok(()) => Ok(Counts { passed: 1, ..Counts::default() }),
        Err(error) => {
            println!("FAILED  bench: {error:#}");
            Ok(Counts { failed: 1, names: ["bench".to_owned()].into(), ..Counts::default() })
        }
    }
}
