//! podman and skopeo: each in a mount namespace of its own where they leave nothing, with storage below the bench's directory.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::bed::Bed;
use crate::engine::Engine;
use crate::pod::PROGRAM;
use crate::podman;
use crate::report::Report;

const PODMAN: &str = "/usr/bin/podman";
const SKOPEO: &str = "/usr/bin/skopeo";

/// Whether there is one.
pub(super) fn podman(report: &mut Report) -> bool {
    is_there(PODMAN, report)
}

pub(super) fn skopeo(report: &mut Report) -> bool {
    is_there(SKOPEO, report)
}

fn is_there(program: &str, report: &mut Report) -> bool {
    let found = Path::new(program).is_file();
    if !found {
        report.note(&format!(
            "nothing is pulled beside it by {program}, which is not installed (--install-peers)"
        ));
    }
    found
}

/// A container as monopod's, with its storage in `dir`, by overlayfs as monopod does it.
pub(super) fn podman_run(bed: &Bed, dir: &Path, image: &str) -> Command {
    let mut command = podman_command(bed, dir);
    let program = format!("{}:{PROGRAM}:ro", bed.program().display());
    command.args(["run", "--tls-verify=false", "--rm", "--network", "host", "--log-driver", "none"]);
    command.args(["--cgroups", "disabled", "--stop-timeout", "10", "--pull", "always"]).args(podman::LIMITS);
    command.args(["--volume", "/usr:/usr:ro", "--volume", &program, image, PROGRAM, "stamp", "podman"]);
    command
}

/// Unmounts what its storage has left.
pub(super) fn podman_remove(bed: &Bed, dir: &Path) -> Result<()> {
    Engine::start(podman_command(bed, dir).args(["rm", "--all", "--force"]))?.finish()?;
    Ok(())
}

fn podman_command(bed: &Bed, dir: &Path) -> Command {
    let mut command = Command::new(bed.program());
    command.args(["apart", PODMAN]).stdin(Stdio::null());
    for (flag, below) in [("--root", "storage"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
        command.arg(flag).arg(dir.join(below));
    }
    command.args(["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
    command
}

pub(super) fn skopeo_copy(image: &str, dir: &Path) -> Command {
    let mut command = Command::new(SKOPEO);
    command.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
    command.arg(format!("docker://{image}")).arg(format!("dir:{}", dir.display())).stdin(Stdio::null());
    command
}
