//! A container of crun's that waits to be executed in: the same program, in a bundle with what containers usually have. It has no
//! seccomp filter, which crun would compile for every exec.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::pod::PROGRAM;
use crate::report::Report;

const CRUN: &str = "/usr/bin/crun";
const NAME: &str = "bench";
const CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

#[derive(Debug)]
pub(super) struct Crun {
    dir: PathBuf,
}

impl Crun {
    /// `None` where there is none. `layer`: the files of the image.
    pub(super) fn find(dir: PathBuf, layer: &Path, report: &mut Report) -> Result<Option<Self>> {
        if !Path::new(CRUN).is_file() {
            report.note("crun is not installed, so an exec is not measured beside it: `--install-peers`");
            return Ok(None);
        }
        let crun = Self { dir };
        fs::create_dir_all(crun.bundle()).context("cannot make a bundle")?;
        let layer = fs::File::open(layer).with_context(|| format!("cannot open {}", layer.display()))?;
        tar::Archive::new(layer).unpack(crun.bundle().join("rootfs")).context("cannot unpack the image")?;
        fs::write(crun.bundle().join("config.json"), configuration().to_string())?;
        Ok(Some(crun))
    }

    /// Returns when the container has been started.
    pub(super) fn run(&self) -> Command {
        let mut command = self.command("run");
        command.args(["--detach", "--bundle"]).arg(self.bundle()).arg(NAME);
        command
    }

    /// What is to be executed is still to be added.
    pub(super) fn exec(&self) -> Command {
        let mut command = self.command("exec");
        command.arg(NAME);
        command
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(CRUN);
        command.arg("--root").arg(self.dir.join("state")).args(["--cgroup-manager", "cgroupfs", what]);
        command
    }

    fn bundle(&self) -> PathBuf {
        self.dir.join("bundle")
    }
}

fn configuration() -> Value {
    let mount = |kind: &str, target: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": kind, "options": options});
    let inert = ["nosuid", "noexec", "nodev"];
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "args": [PROGRAM, "hold", NAME], "cwd": "/", "env": ["PATH=/usr/bin"], "user": {"uid": 0, "gid": 0},
            "capabilities": {
                "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES,
            },
        },
        "root": {"path": "rootfs"},
        "hostname": NAME,
        "mounts": [
            mount("proc", "/proc", &inert),
            mount("tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("tmpfs", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("mqueue", "/dev/mqueue", &inert),
            mount("sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
            mount("cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {
            "cgroupsPath": format!("/{NAME}"),
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}
