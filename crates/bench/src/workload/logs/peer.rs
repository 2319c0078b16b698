//! Podman, whose conmon writes logs in the same format (`k8s-file`) and never rotates them unless told to.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use linux_sys::clock::boot_ns;

use super::pods::CAT;
use crate::bed::Bed;
use crate::engine::Engine;
use crate::pod::{EXCHANGE, PROGRAM};
use crate::podman::Podman;
use crate::report::Report;
use crate::timed::{START, stamps};
use crate::wait::SOON;

const ROOTFS: &str = "rootfs";
/// Where conmon says how a container ended.
const EXITS: &str = "tmp/exits";
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Podman, and the root file system of its containers.
#[derive(Debug)]
pub(super) struct Copier<'b> {
    bed: &'b Bed,
    podman: Podman,
}

impl<'b> Copier<'b> {
    /// `None` where there is no podman.
    pub(super) fn find(bed: &'b Bed, report: &mut Report) -> Result<Option<Self>> {
        let dir = bed.dir().join("podman-logs");
        let Some(podman) = Podman::find(dir, "logs have nothing", report)? else { return Ok(None) };
        let rootfs = podman.dir().join(ROOTFS);
        fs::create_dir_all(&rootfs).context("cannot make a root file system")?;
        for link in ["lib", "lib64"] {
            symlink(format!("usr/{link}"), rootfs.join(link)).context("cannot link libraries")?;
        }
        Ok(Some(Self { bed, podman }))
    }

    /// As `Pods::copy`: nanoseconds from before `cat` begins until its log has everything and its end is recorded.
    pub(super) fn copy(&self, name: &str, file: &str, began: &str) -> Result<u64> {
        let stamp = self.bed.exchange().join(began);
        let [file, began] = [file, began].map(|name| format!("{EXCHANGE}/{name}"));
        let mut run =
            self.command(&["run", "--detach", "--name", name, "--network", "host", "--cgroups", "disabled"]);
        run.args(["--log-driver", "k8s-file"]);
        let program = format!("{}:{PROGRAM}:ro", self.bed.program().display());
        let exchange = format!("{}:{EXCHANGE}", self.bed.exchange().display());
        run.args(["--volume", "/usr:/usr:ro", "--volume", &program, "--volume", &exchange]);
        run.arg("--rootfs").arg(self.podman.dir().join(ROOTFS));
        run.args([PROGRAM, "timed", "becomes", &began, CAT, &file]);
        rustix::fs::sync();
        let id = Engine::start(&mut run)?.finish()?.stdout;
        let ended = self.exit_of(id.trim())?;
        let began = *stamps(&stamp, START).first().context("a container of podman never began")?;
        fs::remove_file(stamp)?;
        Ok(u64::try_from(ended - began)?)
    }

    /// When conmon had recorded the exit, which it does after the last line. `podman wait` looks four times a second.
    fn exit_of(&self, id: &str) -> Result<i64> {
        let exit = self.podman.dir().join(EXITS).join(id);
        let deadline = Instant::now() + SOON;
        loop {
            match fs::read_to_string(&exit) {
                Ok(code) if !code.is_empty() => {
                    ensure!(code.trim() == "0", "a container of podman ended with {code}");
                    return Ok(boot_ns());
                }
                _ => ensure!(Instant::now() < deadline, "podman: no end within {} s", SOON.as_secs()),
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    pub(super) fn logs(&self, name: &str) -> Command {
        self.command(&["logs", name])
    }

    pub(super) fn remove_one(&self, name: &str) -> Result<()> {
        Engine::start(&mut self.command(&["rm", "--force", "--time", "0", name]))?.finish().map(drop)
    }

    pub(super) fn remove(&self) -> Result<()> {
        Engine::start(&mut self.command(&["rm", "--all", "--force", "--time", "0"]))?.finish().map(drop)
    }

    fn command(&self, args: &[&str]) -> Command {
        self.podman.apart(self.bed, args)
    }
}
