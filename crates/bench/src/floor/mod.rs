//! The floor: what a start costs when nothing is done but what the kernel has to do.
//!
//! A program of one process and one thread that makes the namespaces, link, cgroups and mounts of a pod, sets each
//! container's limits, credentials and seccomp filter, and executes its program. All values are those of
//! [`ContainerConfig`]; nothing is supervised, recorded, logged or checked, and paths are taken as they are. It
//! shares no code with the shim, so that what the shim does too much shows. The link alone is the network's own,
//! made while the start waits for it.

mod file_system;
pub(crate) mod many;
mod process;
mod sandbox;

use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use container_config::{ContainerConfig, SandboxConfig, shared_cgroups};
use linux_sys::clock::boot_ns;
use linux_sys::process::{Child, ExitStatus, pidfd_send_signal, wait};
use linux_sys::remove_tree::remove_tree;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::inside::STAMP;
use sandbox::Sandbox;
pub(crate) use sandbox::addresses;

/// One pod.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Made and removed; everything else is below it.
    pub(crate) dir: PathBuf,
    /// Files to make, and what is in them.
    pub(crate) files: Vec<(PathBuf, String)>,
    /// Directories of volumes.
    pub(crate) volumes: Vec<PathBuf>,
    pub(crate) sandbox: SandboxConfig,
    pub(crate) addresses: Vec<IpAddr>,
    /// In the order of their start; each is executed before the next one is begun, as in a pod.
    pub(crate) containers: Vec<Container>,
    /// The containers are killed at the end of standard input; otherwise they end by themselves.
    pub(crate) hold: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Container {
    pub(crate) role: Role,
    pub(crate) config: ContainerConfig,
}

/// In a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Has ended before the next one is begun.
    Init,
    /// Is killed when all others have ended.
    Sidecar,
    App,
}

/// The name in the stamp of the moment before anything is made.
pub(crate) const DECIDED: &str = "decided";

pub(crate) fn main(plan: &Path) -> Result<()> {
    let plan = Plan::read(plan)?;
    println!("{STAMP} {DECIDED} {}", boot_ns());
    let pod = Pod::start(&plan)?;
    if plan.hold {
        io::stdin().read_to_end(&mut Vec::new())?;
    }
    pod.end(&plan)?;
    remove_files(&plan)
}

impl Plan {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// A pod whose containers have been executed. This process has its namespaces.
#[derive(Debug)]
struct Pod {
    sandbox: Sandbox,
    running: Vec<(Role, Child)>,
}

impl Pod {
    fn start(plan: &Plan) -> Result<Self> {
        let sandbox = sandbox::enter(plan)?;
        let mut running = Vec::new();
        for Container { role, config } in &plan.containers {
            let started = process::start(&sandbox, &plan.dir, config);
            let started = started.with_context(|| format!("cannot start container {}", config.name))?;
            match role {
                Role::Init => {
                    complete(&started).with_context(|| format!("init container {}", config.name))?;
                }
                Role::Sidecar | Role::App => running.push((*role, started)),
            }
        }
        Ok(Self { sandbox, running })
    }

    /// Without its files.
    fn end(mut self, plan: &Plan) -> Result<()> {
        // Sidecars last.
        self.running.sort_by_key(|(role, _)| *role == Role::Sidecar);
        for (role, process) in &self.running {
            if plan.hold || *role == Role::Sidecar {
                pidfd_send_signal(process.pidfd.as_fd(), Signal::KILL.as_raw())?;
            }
            wait(process.pidfd.as_fd())?;
        }
        let hierarchies = &self.sandbox.hierarchies;
        if let Some(error) = hierarchies.group(&plan.sandbox.cgroup).remove().into_iter().next() {
            return Err(error.into());
        }
        shared_cgroups(Path::new(&plan.sandbox.cgroup))
            .for_each(|group| hierarchies.group(group).remove_if_empty());
        Ok(())
    }
}

fn complete(process: &Child) -> Result<()> {
    match wait(process.pidfd.as_fd())? {
        ExitStatus::Code(0) => Ok(()),
        status => bail!("it ended with {status:?}"),
    }
}

fn remove_files(plan: &Plan) -> Result<()> {
    for tmpfs in &plan.sandbox.tmpfs {
        unmount(&tmpfs.path, UnmountFlags::DETACH)?;
    }
    match remove_tree(&plan.dir).into_iter().next() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
