//! What runs in the measured containers.

pub(crate) mod agent;
mod clients;
pub(crate) mod probed;
mod queries;
pub(crate) mod servers;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result};
use linux_sys::clock::boot_ns;
use linux_sys::signal::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

use crate::wait::until;

/// Begins the line with the time of a container's first instruction.
pub(crate) const STAMP: &str = "stamp";
/// The file in the exchange directory through which a writer is told to begin.
pub(crate) const GO: &str = "go";
/// The file in the exchange directory through which a writer says [`READY`], then how long it took.
pub(crate) const SAID: &str = "said";
pub(crate) const READY: &str = "ready";
/// What is written at once: as much as a fast program would, and more than a pipe takes.
const WRITE_BYTES: usize = 128 << 10;
/// What is written to a connection, and read from it, at once.
const STREAM_BYTES: usize = 128 << 10;

/// Says when this program began. The clock is the same in every namespace that pods have.
pub(crate) fn stamp(name: &str, began: i64) -> Result<()> {
    println!("{STAMP} {name} {began}");
    Ok(())
}

/// [`stamp`], then waits for SIGTERM, which the first process of a namespace has to ask for.
pub(crate) fn hold(name: &str, began: i64) -> Result<()> {
    let signals = SignalFd::new(&[Signal::TERM.as_raw()])?;
    stamp(name, began)?;
    wait_for_end(&signals)
}

/// What the kernel says of this process, a line each: the same for two containers that are the same.
pub(crate) fn describe() -> Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    for line in status.lines().filter(|line| STATUS.iter().any(|key| line.starts_with(key))) {
        println!("{line}");
    }
    for line in fs::read_to_string("/proc/self/mountinfo")?.lines() {
        println!("{}", mount(line).with_context(|| format!("cannot read mount {line:?}"))?);
    }
    for name in NAMESPACES {
        println!("namespace {name} {}", fs::read_link(format!("/proc/self/ns/{name}"))?.display());
    }
    for line in fs::read_to_string("/proc/net/dev")?.lines() {
        if let Some((interface, _)) = line.split_once(':') {
            println!("interface {}", interface.trim());
        }
    }
    println!("routes {}", fs::read_to_string("/proc/net/route")?.lines().count());
    println!("oom_score_adj {}", fs::read_to_string("/proc/self/oom_score_adj")?.trim());
    for line in fs::read_to_string("/proc/self/limits")?.lines().filter(|line| line.contains("open files")) {
        println!("{line}");
    }
    for file in CGROUP_FILES {
        if let Ok(value) = fs::read_to_string(Path::new("/sys/fs/cgroup").join(file)) {
            println!("{file} {}", value.trim());
        }
    }
    let mut devices: Vec<_> = fs::read_dir("/dev")?.flatten().map(|entry| entry.file_name()).collect();
    devices.sort();
    println!("devices {devices:?}");
    println!("directory {}", std::env::current_dir()?.display());
    std::env::vars().for_each(|(name, value)| println!("environment {name}={value}"));
    Ok(())
}

/// [`describe`], then says so to who waits for that file, and waits for SIGTERM.
pub(crate) fn describe_and_tell(file: &Path) -> Result<()> {
    let signals = SignalFd::new(&[Signal::TERM.as_raw()])?;
    describe()?;
    File::create(file)?;
    wait_for_end(&signals)
}

/// [`describe`], once another container has.
pub(crate) fn describe_when_told(file: &Path) -> Result<()> {
    until("the other container", || Ok(file.exists().then_some(())))?;
    describe()
}

fn wait_for_end(signals: &SignalFd) -> Result<()> {
    while signals.next_signal()?.is_none() {
        poll(&mut [PollFd::new(&signals.as_fd(), PollFlags::IN)], None)?;
    }
    Ok(())
}

const STATUS: [&str; 13] = [
    "Umask:",
    "NSpid:",
    "Uid:",
    "Gid:",
    "Groups:",
    "CapInh:",
    "CapPrm:",
    "CapEff:",
    "CapBnd:",
    "CapAmb:",
    "NoNewPrivs:",
    "Seccomp:",
    "Seccomp_filters:",
];
pub(crate) const NAMESPACES: [&str; 6] = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];
const CGROUP_FILES: [&str; 7] = [
    "cpu/cpu.shares",
    "memory/memory.limit_in_bytes",
    "pids/pids.max",
    "cpu.weight",
    "memory.max",
    "memory.oom.group",
    "pids.max",
];

/// Where, what and how of a line of mountinfo: what differs between any two containers is left out.
fn mount(line: &str) -> Option<String> {
    let (head, tail) = line.split_once(" - ")?;
    let mut head = head.split(' ').skip(4);
    let (target, options) = (head.next()?, head.next()?);
    Some(format!("mount {target} {} {options}", tail.split(' ').next()?))
}

/// Writes `bytes` of output in lines of `line_bytes`, when it is told to, and says how many nanoseconds it
/// took.
pub(crate) fn write(exchange: &Path, bytes: &str, line_bytes: &str) -> Result<()> {
    let (mut left, line_bytes): (u64, usize) = (bytes.parse()?, line_bytes.parse()?);
    let mut text = vec![b'x'; WRITE_BYTES / line_bytes * line_bytes];
    text.iter_mut().skip(line_bytes - 1).step_by(line_bytes).for_each(|byte| *byte = b'\n');
    let mut said = OpenOptions::new().write(true).open(exchange.join(SAID))?;
    let mut go = File::open(exchange.join(GO))?;
    said.write_all(READY.as_bytes())?;
    go.read_exact(&mut [0])?;
    let began = boot_ns();
    let mut out = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    while left > 0 {
        let now = usize::try_from(left).map_or(text.len(), |left| left.min(text.len()));
        out.write_all(&text[..now])?;
        left -= now as u64;
    }
    said.write_all((boot_ns() - began).to_string().as_bytes())?;
    Ok(())
}
