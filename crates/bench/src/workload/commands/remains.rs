//! What there is of a running pod on the machine, all of which has to go with it.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use linux_sys::cgroup::Hierarchies;
use linux_sys::clock::boot_ns;
use linux_sys::process::pidfd_open;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use shim_protocol::{SandboxRecord, read_record};

use crate::wait::{self, until, until_every};

/// Finer than what is measured.
const LOOK_EVERY: Duration = Duration::from_micros(200);
const MOUNTS: &str = "/proc/self/mountinfo";
const INTERFACES: &str = "/proc/self/net/dev";

#[derive(Debug)]
pub(super) struct Remains {
    /// The shim, whose mounts end with it, and the containers'.
    processes: Vec<OwnedFd>,
    cgroups: Vec<PathBuf>,
    pod_dir: PathBuf,
    interface: String,
}

impl Remains {
    pub(super) fn of(pod_dir: &Path) -> Result<Self> {
        let record: SandboxRecord = read_record(&SandboxRecord::path(pod_dir))?;
        let group = Hierarchies::detect()?.group(&record.cgroup);
        let cgroups: Vec<PathBuf> = group.directories().map(|(_, directory)| directory).collect();
        let mut pids = vec![record.shim_pid];
        list(cgroups.first().context("no hierarchy of cgroups")?, &mut pids)?;
        ensure!(pids.len() > 1, "no container of {} is in its cgroup", pod_dir.display());
        let processes = pids.into_iter().map(pidfd_open).collect::<Result<_, _>>()?;
        let network: Value = read_record(&pod_dir.join("network.json"))?;
        let interface = network["interface"].as_str().context("a pod without an interface")?.to_owned();
        Ok(Self { processes, cgroups, pod_dir: pod_dir.to_owned(), interface })
    }

    /// But for the interface.
    pub(super) fn are_gone(&self) -> Result<bool> {
        let mut ended: Vec<_> = self.processes.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut ended, Some(&at_once))? < self.processes.len() {
            return Ok(false);
        }
        let has_mounts = fs::read_to_string(MOUNTS)?.contains(&*self.pod_dir.to_string_lossy());
        Ok(!has_mounts && !self.pod_dir.exists() && !self.cgroups.iter().any(|directory| directory.exists()))
    }

    /// When they were gone.
    pub(super) fn wait(&self) -> Result<i64> {
        for process in &self.processes {
            wait::readable(process, "the end of a pod's process")?;
        }
        until_every(LOOK_EVERY, "the end of a pod's cgroups and mounts", || {
            Ok(self.are_gone()?.then(boot_ns))
        })
    }

    pub(super) fn wait_for_link(&self) -> Result<()> {
        let line = format!("{}:", self.interface);
        until(&format!("the end of interface {}", self.interface), || {
            let interfaces = fs::read_to_string(INTERFACES)?;
            Ok((!interfaces.lines().any(|other| other.trim_start().starts_with(&line))).then_some(()))
        })
    }
}

/// The processes of a group and of those below it.
fn list(group: &Path, pids: &mut Vec<i32>) -> Result<()> {
    let text = fs::read_to_string(group.join("cgroup.procs"))?;
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(group)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, pids)?;
        }
    }
    Ok(())
}
