//! Two containers of podman on its default bridge.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::agent::Agent;
use super::data;
use crate::bed::Bed;
use crate::beside::Place;
use crate::pod::{EXCHANGE, PROGRAM};
use crate::podman::Podman;
use crate::report::Report;

/// The agents' names and the addresses they ask for, which are of the default network.
const AGENTS: [(&str, &str); 2] = [("podman-one", "10.88.0.11"), ("podman-two", "10.88.0.12")];
/// What a pod's container has that requests [`CPU_MILLIS`]: each has as much of a busy machine as the other.
const CPU_SHARES: u32 = 512;
pub(super) const CPU_MILLIS: u32 = 500;

#[derive(Debug)]
pub(super) struct Peers {
    place: Place,
    from: Agent,
    to: &'static str,
}

impl Peers {
    /// `None` where there is no podman.
    pub(super) fn start(bed: &Bed, report: &mut Report) -> Result<Option<Self>> {
        let dir = bed.dir().join("podman");
        let Some(podman) = Podman::find(dir, "the network has nothing", report)? else { return Ok(None) };
        let mut place = Place::start(bed)?;
        // What is wrong with somebody else's program is no failure of what is measured.
        if let Err(error) = start_agents(&podman, &mut place, &bed.exchange(), &bed.program()) {
            let why = format!("podman does not work here, so the network has nothing beside it: {error:#}");
            report.note(&why);
            place.stop()?;
            return Ok(None);
        }
        let [(from, _), (to, address)] = AGENTS;
        for name in [from, to] {
            Agent::new(&bed.exchange(), name).wait()?;
        }
        Ok(Some(Self { place, from: Agent::new(&bed.exchange(), from), to: address }))
    }

    pub(super) fn path(&self) -> data::Path {
        data::Path {
            name: "podman",
            what: "two containers of podman",
            from: self.from.clone(),
            to: self.to.to_owned(),
        }
    }

    pub(super) fn stop(self) -> Result<()> {
        self.place.stop()
    }
}

fn start_agents(podman: &Podman, place: &mut Place, exchange: &Path, program: &Path) -> Result<()> {
    let rootfs = make_rootfs(podman, program)?;
    let exchange = format!("{}:{EXCHANGE}", exchange.display());
    for (name, address) in AGENTS {
        let mut run = podman.command(&["run", "--detach", "--network", "podman", "--ip", address]);
        run.args(["--name", name, "--log-driver", "none", "--cgroups", "no-conmon"]);
        run.args(["--cpu-shares", &CPU_SHARES.to_string()]);
        // With the libraries of a debug build.
        run.args(["--volume", "/usr:/usr:ro", "--volume", &exchange, "--rootfs"]).arg(&rootfs);
        place.run(run.args([PROGRAM, "agent", name, EXCHANGE]))?;
    }
    Ok(())
}

fn make_rootfs(podman: &Podman, program: &Path) -> Result<PathBuf> {
    let rootfs = podman.dir().join("rootfs");
    fs::create_dir_all(&rootfs).context("cannot make a root file system")?;
    fs::copy(program, rootfs.join(PROGRAM.trim_start_matches('/')))?;
    for link in ["lib", "lib64"] {
        symlink(format!("usr/{link}"), rootfs.join(link)).context("cannot link libraries")?;
    }
    Ok(rootfs)
}
