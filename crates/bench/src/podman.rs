//! Podman, as monopod is measured beside it: with everything that it keeps below the bench's directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use linux_sys::remove_tree::remove_tree;

use crate::bed::Bed;
use crate::report::Report;

const PODMAN: &str = "/usr/bin/podman";
/// The containers need none of the host's limits, and a machine may not let podman raise them.
const CONFIGURATION: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";

#[derive(Debug)]
pub(crate) struct Podman {
    dir: PathBuf,
}

impl Podman {
    /// `None` where there is no podman, with a note of what has nothing beside it.
    pub(crate) fn find(dir: PathBuf, what: &str, report: &mut Report) -> Result<Option<Self>> {
        if !Path::new(PODMAN).is_file() {
            report.note(&format!("podman is not installed, so {what} beside it: `--install-peers`"));
            return Ok(None);
        }
        let podman = Self { dir };
        podman.make()?;
        Ok(Some(podman))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Without images and all else that it has kept. No container may be left.
    pub(crate) fn empty(&self) -> Result<()> {
        match remove_tree(&self.dir).into_iter().next() {
            Some(error) => Err(error.into()),
            None => self.make(),
        }
    }

    fn make(&self) -> Result<()> {
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot make {}", self.dir.display()))?;
        fs::write(self.configuration(), CONFIGURATION).context("cannot write podman's configuration")
    }

    /// To be run in a [`crate::beside::Place`].
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.completed(Command::new(PODMAN), args)
    }

    /// To be run here, with mounts of its own and the bench's network.
    pub(crate) fn apart(&self, bed: &Bed, args: &[&str]) -> Command {
        let mut command = Command::new(bed.program());
        command.args(["apart", PODMAN]).stdin(Stdio::null());
        self.completed(command, args)
    }

    /// By overlayfs, as monopod does it.
    fn completed(&self, mut command: Command, args: &[&str]) -> Command {
        for (flag, below) in [
            ("--root", "storage"),
            ("--runroot", "run"),
            ("--tmpdir", "tmp"),
            ("--network-config-dir", "networks"),
        ] {
            command.arg(flag).arg(self.dir.join(below));
        }
        command.args([
            "--storage-driver",
            "overlay",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "none",
        ]);
        command.args(args).env("CONTAINERS_CONF", self.configuration());
        command
    }

    fn configuration(&self) -> PathBuf {
        self.dir.join("containers.conf")
    }
}
