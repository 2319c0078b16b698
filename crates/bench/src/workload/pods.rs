//! Many pods under one `monopod serve`, begun at once.

use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use linux_sys::cgroup::Hierarchies;
use linux_sys::process::{pidfd_open, pidfd_send_signal};
use rustix::io::Errno;
use rustix::process::Signal;
use serde_json::{Value, json};
use shim_protocol::{SandboxRecord, read_record};

use super::daemon::Daemon;
use super::processor::wait_quiet;
use crate::bed::Bed;
use crate::engine::Engine;
use crate::pod::{self, EXCHANGE};
use crate::timed::{START, stamps};
use crate::wait::{SOON, readable};

/// The containers of a pod b.
pub(super) const CONTAINERS_B: [&str; 3] = ["one", "two", "three"];
/// A daemon without pods has done what it does after its start.
const QUIET: Duration = Duration::from_millis(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Interfaces of pods on the host.
const INTERFACE_PREFIX: &str = "mp";
/// The second byte of the addresses of pods, of which even ones are taken here. An engine takes those from 200 on by itself, and has
/// not enough for all roots of a bench.
const RANGES: usize = 199 / 2;

/// A pod whose containers say in a file of the exchange directory when they begin, and hold. Nothing is promised of the
/// processors and of memory, so that none of them has to wait for room on the node.
pub(super) fn manifest(bed: &Bed, name: &str, stamps: &str, containers: &[&str]) -> Value {
    let file = format!("{EXCHANGE}/{stamps}");
    let containers: Vec<_> = containers.iter().map(|name| (*name, vec!["timed", "live", &file])).collect();
    let mut pod = pod::manifest(name, &bed.program(), Some(&bed.exchange()), &containers);
    for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
        container["resources"] = json!({});
    }
    pod
}

/// Waits until so many containers have said so in the file, and returns when the last of them began.
pub(super) fn wait_begun(file: &Path, count: usize) -> Result<i64> {
    let (mut bytes, mut deadline) = (0, Instant::now() + SOON);
    loop {
        let length = fs::metadata(file).map_or(0, |metadata| metadata.len());
        if length > bytes {
            let begun = stamps(file, START);
            if begun.len() >= count {
                return begun.into_iter().max().context("no container");
            }
            (bytes, deadline) = (length, Instant::now() + SOON);
        }
        ensure!(
            Instant::now() < deadline,
            "{}: {bytes} bytes, and nothing new for {} s",
            file.display(),
            SOON.as_secs()
        );
        sleep(LOOK_EVERY);
    }
}

/// A daemon of its own root and its pods, which are all begun.
#[derive(Debug)]
pub(super) struct Pods<'a> {
    bed: &'a Bed,
    root: PathBuf,
    daemon: Daemon,
    /// From before the process that applies them was made, until it ended.
    pub(super) applied_ns: i64,
    /// From before that, too, until the last container began.
    pub(super) begun_ns: i64,
}

/// A daemon that idles, without pods.
pub(super) fn daemon(bed: &Bed) -> Result<Daemon> {
    let root = bed.new_cold_root()?;
    let daemon = start(bed, &root)?;
    wait_quiet(&[daemon.pid()], QUIET)?;
    Ok(daemon)
}

fn start(bed: &Bed, root: &Path) -> Result<Daemon> {
    let ranges = ranges(root)?;
    Daemon::start_with(bed, root, &ranges.each_ref().map(String::as_str))
}

/// Flags: each cold root has ranges of addresses of its own, which it leaves as they are.
pub(super) fn ranges(root: &Path) -> Result<[String; 2]> {
    let number: usize =
        root.file_name().and_then(|name| name.to_str()).context("a root without a number")?.parse()?;
    let range = |number: usize| Ok::<_, anyhow::Error>(Ipv4Addr::new(10, u8::try_from(number)?, 0, 0));
    let second = number % RANGES * 2;
    Ok([format!("--pod-cidr={}/16", range(second)?), format!("--service-cidr={}/16", range(second + 1)?)])
}

impl<'a> Pods<'a> {
    /// `stamps`: the file that the pods' containers write to, all of them `count`.
    pub(super) fn apply(
        bed: &'a Bed,
        daemon: Daemon,
        pods: &[Value],
        stamps: &str,
        count: usize,
    ) -> Result<Self> {
        let root = daemon.root().to_owned();
        let file = bed.file(&format!("{stamps}.yaml"), pods)?;
        let applied = Engine::start(&mut bed.apply(&root, &file))?.finish()?;
        let last = wait_begun(&bed.exchange().join(stamps), count)?;
        let (applied_ns, begun_ns) = (applied.ended_ns - applied.began_ns, last - applied.began_ns);
        Ok(Self { bed, root, daemon, applied_ns, begun_ns })
    }

    pub(super) const fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    pub(super) fn dirs(&self) -> Result<Vec<PathBuf>> {
        Bed::pod_dirs(&self.root)
    }

    pub(super) fn shims(&self) -> Result<Vec<u32>> {
        let shim = |record: SandboxRecord| Ok(record.shim_pid.try_into()?);
        records(&self.root)?.into_iter().map(shim).collect()
    }

    /// Kills the daemon and starts another one, which says that it is ready.
    pub(super) fn start_again(self) -> Result<Self> {
        let Self { bed, root, daemon, applied_ns, begun_ns } = self;
        daemon.kill()?;
        let daemon = start(bed, &root)?;
        Ok(Self { bed, root, daemon, applied_ns, begun_ns })
    }

    /// Ends the daemon, and kills the pods behind its back; returns when nothing is left but their files, which stay until the end
    /// of the bench as all of a cold root do.
    pub(super) fn end(self) -> Result<()> {
        end_with_pods(self.daemon)
    }
}

/// As [`Pods::end`], of any daemon: its pods would outlive it.
pub(super) fn end_with_pods(daemon: Daemon) -> Result<()> {
    let root = daemon.root().to_owned();
    let program = executed(daemon.pid())?;
    daemon.stop()?;
    let records = records(&root)?;
    let shims = records.iter().map(|record| shim(record, program)).collect::<Result<Vec<_>>>()?;
    let shims: Vec<OwnedFd> = shims.into_iter().flatten().collect();
    for shim in &shims {
        pidfd_send_signal(shim.as_fd(), Signal::KILL.as_raw())?;
    }
    shims.iter().try_for_each(|shim| readable(shim, "the end of a shim"))?;
    let hierarchies = Hierarchies::detect()?;
    for record in &records {
        if let Some(error) = hierarchies.group(&record.cgroup).remove().into_iter().next() {
            return Err(error.into());
        }
    }
    wait_unlinked()
}

/// `None` when it has ended, as that of a pod that was being stopped may have; its id may be another's since.
fn shim(record: &SandboxRecord, program: (u64, u64)) -> Result<Option<OwnedFd>> {
    let shim = match pidfd_open(record.shim_pid) {
        Ok(shim) => shim,
        Err(error) if Errno::from_io_error(&error) == Some(Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open process {}", record.shim_pid)),
    };
    let is_program = executed(record.shim_pid.cast_unsigned()).is_ok_and(|executed| executed == program);
    Ok(is_program.then_some(shim))
}

/// The file that it executes, by device and number: a shim has it from a mount that no path leads to.
fn executed(pid: u32) -> Result<(u64, u64)> {
    let link = format!("/proc/{pid}/exe");
    let file = fs::metadata(&link).with_context(|| format!("cannot look at {link}"))?;
    Ok((file.dev(), file.ino()))
}

/// Of the pods that have a shim: one that has just been deleted may still have its directory, and nothing in it.
fn records(root: &Path) -> Result<Vec<SandboxRecord>> {
    let paths = Bed::pod_dirs(root)?.into_iter().map(|dir| SandboxRecord::path(&dir));
    paths.filter(|path| path.exists()).map(|path| Ok(read_record(&path)?)).collect()
}

/// Waits until the kernel has removed the interfaces of pods that are gone, which would hold up the next ones.
pub(super) fn wait_unlinked() -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let interfaces = fs::read_to_string("/proc/self/net/dev")?;
        let left = interfaces.lines().filter(|line| line.trim_start().starts_with(INTERFACE_PREFIX)).count();
        if left == 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{left} interfaces of pods that are gone stay");
        }
        sleep(LOOK_EVERY);
    }
}
