//! podman and skopeo: each where it leaves nothing, with storage below the bench's directory.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::bed::Bed;
use crate::engine::Engine;
use crate::pod::PROGRAM;
use crate::podman::Podman;
use crate::report::Report;

const SKOPEO: &str = "/usr/bin/skopeo";

/// Whether there is one.
pub(super) fn skopeo(report: &mut Report) -> bool {
    let found = Path::new(SKOPEO).is_file();
    if !found {
        report.note("skopeo is not installed, so nothing is pulled beside it: `--install-peers`");
    }
    found
}

/// A container as monopod's.
pub(super) fn podman_run(podman: &Podman, bed: &Bed, image: &str) -> Command {
    let program = format!("{}:{PROGRAM}:ro", bed.program().display());
    let mut command = podman.apart(bed, &["run", "--tls-verify=false", "--rm", "--network", "host"]);
    command.args([
        "--log-driver",
        "none",
        "--cgroups",
        "disabled",
        "--stop-timeout",
        "10",
        "--pull",
        "always",
    ]);
    command.args(["--volume", "/usr:/usr:ro", "--volume", &program, image, PROGRAM, "stamp", "podman"]);
    command
}

/// Unmounts what its storage has left.
pub(super) fn podman_remove(podman: &Podman, bed: &Bed) -> Result<()> {
    Engine::start(&mut podman.apart(bed, &["rm", "--all", "--force"]))?.finish().map(drop)
}

pub(super) fn skopeo_copy(bed: &Bed, image: &str, dir: &Path) -> Command {
    let mut command = Command::new(bed.program());
    command.args(["apart", SKOPEO, "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
    command.arg(format!("docker://{image}")).arg(format!("dir:{}", dir.display())).stdin(Stdio::null());
    command
}
