//! Two containers of podman on its default bridge, in namespaces of their own: what the pod network is measured beside.
//!
//! A process of this program makes the namespaces, runs podman in them, and lasts as long as its standard input. Podman has its
//! storage below the bench's directory, and the network, `/run` and mounts of nobody else.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use linux_sys::cgroup::Hierarchies;
use linux_sys::namespace::{self, Namespaces};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use crate::pod::{EXCHANGE, PROGRAM};

const PODMAN: &str = "/usr/bin/podman";
/// The agents' names and the addresses they ask for, which are of the default network.
pub(crate) const AGENTS: [(&str, &str); 2] = [("podman-one", "10.88.0.11"), ("podman-two", "10.88.0.12")];
/// Printed when both agents can be told what to do.
pub(crate) const READY: &str = "podman is ready";
/// crun refuses a hybrid layout of cgroups whose v2 half has controllers.
const V2_HALF: &str = "/sys/fs/cgroup/unified";
const CGROUPS: &str = "/sys/fs/cgroup";
/// `linux/magic.h`
const CGROUP_SUPER_MAGIC: i64 = 0x27_e0eb;
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
/// Of the containers, beside that of monopod.
const CGROUP: &str = "monopod-bench";
/// What a pod's container has that requests [`CPU_MILLIS`]: each has as much of a busy machine as the other.
const CPU_SHARES: u32 = 512;
pub(crate) const CPU_MILLIS: u32 = 500;
/// The containers need none of the host's limits, and this machine may not raise them.
pub(crate) const LIMITS: [&str; 4] = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

/// Podman, if there is one.
pub(crate) fn is_installed() -> bool {
    Path::new(PODMAN).is_file()
}

/// `dir` is the bench's directory.
pub(crate) fn main(dir: &Path) -> Result<()> {
    enter()?;
    let podman = Podman::new(dir)?;
    let served = podman.start().and_then(|()| {
        println!("{READY}");
        Ok(io::stdin().read_to_end(&mut Vec::new())?)
    });
    podman.remove().and(served.map(drop))
}

/// Ends what a bench that was killed has left.
pub(crate) fn clear() -> Result<()> {
    if let Some(error) = Hierarchies::detect()?.group(CGROUP).remove().into_iter().next() {
        return Err(error.into());
    }
    // Podman makes it in hierarchies that monopod has nothing to do with, too.
    for hierarchy in fs::read_dir(CGROUPS).with_context(|| format!("cannot read {CGROUPS}"))? {
        let group = hierarchy?.path().join(CGROUP);
        if group.is_dir() && is_of_cgroups(&group)? {
            remove_groups(&group)?;
        }
    }
    Ok(())
}

/// Not below what covers [`V2_HALF`], where crun makes directories and files that go with the namespace.
fn is_of_cgroups(path: &Path) -> Result<bool> {
    let kind = rustix::fs::statfs(path).with_context(|| format!("cannot look at {}", path.display()))?.f_type;
    Ok([CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC].contains(&kind))
}

/// With the groups in it, which are empty. Their files are the kernel's, and go with them.
fn remove_groups(group: &Path) -> Result<()> {
    for entry in fs::read_dir(group).with_context(|| format!("cannot read {}", group.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            remove_groups(&path)?;
        }
    }
    fs::remove_dir(group).with_context(|| format!("cannot remove {}", group.display()))
}

fn enter() -> Result<()> {
    namespace::unshare(Namespaces::MOUNT | Namespaces::NET).context("cannot make namespaces")?;
    namespace::set_loopback_up()?;
    cover()
}

/// What is of the machine, and would be changed.
fn cover() -> Result<()> {
    mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount(c"tmpfs", c"/run", c"tmpfs", MountFlags::empty(), c"mode=755").context("cannot cover /run")?;
    if Path::new(V2_HALF).is_dir() {
        mount(c"tmpfs", V2_HALF, c"tmpfs", MountFlags::empty(), c"mode=755")
            .with_context(|| format!("cannot cover {V2_HALF}"))?;
    }
    Ok(())
}

/// Becomes a program with mounts and a `/run` of its own, but the network that this one is in.
pub(crate) fn apart(program: &str, args: &[&str]) -> Result<()> {
    namespace::unshare(Namespaces::MOUNT).context("cannot make a namespace")?;
    cover()?;
    Err(Command::new(program).args(args).exec()).with_context(|| format!("cannot become {program}"))
}

#[derive(Debug)]
struct Podman {
    bench: PathBuf,
    dir: PathBuf,
}

impl Podman {
    fn new(bench: &Path) -> Result<Self> {
        let podman = Self { bench: bench.to_owned(), dir: bench.join("podman") };
        fs::create_dir_all(podman.rootfs()).context("cannot make a root file system")?;
        fs::copy(bench.join("bench"), podman.rootfs().join(PROGRAM.trim_start_matches('/')))?;
        for link in ["lib", "lib64"] {
            symlink(format!("usr/{link}"), podman.rootfs().join(link)).context("cannot link libraries")?;
        }
        Ok(podman)
    }

    fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    fn start(&self) -> Result<()> {
        let exchange = format!("{}:{EXCHANGE}", self.bench.join("exchange").display());
        for (name, address) in AGENTS {
            let mut run = self.command(&["run", "--detach", "--network", "podman", "--ip", address]);
            run.args(["--name", name, "--log-driver", "none", "--cgroups", "no-conmon"]).args(LIMITS);
            run.args(["--cgroup-parent", CGROUP, "--cpu-shares", &CPU_SHARES.to_string()]);
            // With the libraries of a debug build.
            run.args(["--volume", "/usr:/usr:ro", "--volume", &exchange, "--rootfs"]).arg(self.rootfs());
            call(run.args([PROGRAM, "agent", name, EXCHANGE]))?;
        }
        Ok(())
    }

    /// With the group, which podman leaves.
    fn remove(&self) -> Result<()> {
        call(&mut self.command(&["rm", "--all", "--force", "--time", "0"])).and(clear())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut podman = Command::new(PODMAN);
        for (flag, below) in [
            ("--root", "storage"),
            ("--runroot", "run"),
            ("--tmpdir", "tmp"),
            ("--network-config-dir", "networks"),
        ] {
            podman.arg(flag).arg(self.dir.join(below));
        }
        podman.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        podman.args(args);
        podman
    }
}

/// What it prints is for people when it fails.
fn call(command: &mut Command) -> Result<()> {
    let output = command.stdin(std::process::Stdio::null()).output().context("cannot start podman")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "podman failed ({}): {}", output.status, said.trim());
    Ok(())
}
