//! The programs, from Debian.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::outcome::skip;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    DockerRegistry,
    Skopeo,
    Umoci,
    Buildah,
    Netcat,
    Wget,
}

const DIRECTORIES: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin"];
/// A mirror that does not answer is asked again so often.
const RETRIES: &str = "Acquire::Retries=3";

impl Tool {
    /// Of the program.
    fn name(self) -> &'static str {
        match self {
            Self::DockerRegistry => "docker-registry",
            Self::Skopeo => "skopeo",
            Self::Umoci => "umoci",
            Self::Buildah => "buildah",
            Self::Netcat => "nc",
            Self::Wget => "wget",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Netcat => "netcat-openbsd",
            _ => self.name(),
        }
    }
}

/// The program, or the test is skipped. The registry is unpacked beside this program and never installed: its package
/// would run it as a service.
pub(crate) fn require(tool: Tool) -> Result<PathBuf> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALLING.lock();
    let name = tool.name();
    if let Some(path) = installed(name) {
        return Ok(path);
    }
    let got = match tool {
        Tool::DockerRegistry => return unpacked(name),
        _ => apt_get(Path::new("/"), &["install", "--no-install-recommends", tool.package()]),
    };
    let installed = installed(name);
    match installed {
        Some(path) if got => Ok(path),
        _ => skip(format!("{name} is not installed, and apt-get cannot install it")),
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    DIRECTORIES.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())
}

fn unpacked(name: &str) -> Result<PathBuf> {
    let dir = std::env::current_exe()?.with_file_name(format!("{name}-debian"));
    let program = dir.join("usr/bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    // Without the sandbox option, apt warns that its own user may not write here.
    if !apt_get(&dir, &["download", "-o", "APT::Sandbox::User=root", name]) {
        return skip(format!("{name} is not installed, and apt-get cannot download it"));
    }
    for entry in fs::read_dir(&dir)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            let status = Command::new("dpkg-deb").arg("-x").arg(entry.path()).arg(&dir).status()?;
            ensure!(status.success(), "dpkg-deb cannot unpack {}", entry.path().display());
        }
    }
    ensure!(program.is_file(), "{} is not in Debian's {name}", program.display());
    Ok(program)
}

/// In the machine's own network namespace, which this program's first thread is in. The lists of packages are
/// fetched when it does not work without.
fn apt_get(dir: &Path, args: &[&str]) -> bool {
    let call = |args: &[&str]| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", std::process::id())).arg("apt-get");
        command.args(args).args(["-q", "-y", "-o", RETRIES]).env("DEBIAN_FRONTEND", "noninteractive");
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    call(args) || call(&["update"]) && call(args)
}

/// Runs a program of [`require`], which has to succeed; what it printed. It finds nothing of the machine's own
/// configuration, credentials and storage.
pub(crate) fn call(bed: &Bed, tool: Tool, args: &[&str]) -> Result<String> {
    let home = bed.dir().join("tools");
    fs::create_dir_all(&home)?;
    let mut command = Command::new(require(tool)?);
    match tool {
        Tool::Skopeo => _ = command.args(["--insecure-policy", "--tmpdir"]).arg(&home),
        Tool::Buildah => {
            command.arg("--root").arg(home.join("storage")).arg("--runroot").arg(home.join("run"));
            command.args(["--storage-driver", "vfs"]);
        }
        Tool::DockerRegistry | Tool::Umoci | Tool::Netcat | Tool::Wget => {}
    }
    command.args(args).current_dir(&home).stdin(Stdio::null());
    for (name, value) in [("HOME", &home), ("XDG_RUNTIME_DIR", &home), ("TMPDIR", &home)] {
        command.env(name, value);
    }
    let output = command.output().with_context(|| format!("cannot start {}", tool.name()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {}: {}\n{said}", tool.name(), args.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
