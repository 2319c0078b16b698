//! The stock kubectls that this machine has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};

use crate::outcome::skip;

/// Where several versions may lie side by side, as `kubectl.1.32`.
const VERSIONS_DIR: &str = "/usr/lib/google-cloud-sdk/bin";
/// A mirror that does not answer is asked again so often.
const RETRIES: &str = "Acquire::Retries=3";
const DEBIAN_PACKAGE: &str = "kubernetes-client";

/// A client: its program and what it is called in reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kubectl {
    pub(crate) version: String,
    pub(crate) program: PathBuf,
}

impl Kubectl {
    /// The newest one; Debian's, unpacked beside this program, where there is no other.
    pub(crate) fn newest() -> Result<Self> {
        match installed().pop() {
            Some(newest) => Ok(newest),
            None => Self::debian(),
        }
    }

    /// 1.`minor`, or the test is skipped.
    pub(crate) fn installed(minor: u32) -> Result<Self> {
        let version = format!("1.{minor}");
        let found = installed().into_iter().find(|kubectl| kubectl.version == version);
        found.map_or_else(|| skip(format!("there is no {VERSIONS_DIR}/kubectl.{version}")), Ok)
    }

    /// Debian's package, which is never installed: it would take the place of another kubectl.
    pub(crate) fn debian() -> Result<Self> {
        static UNPACKING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = UNPACKING.lock();
        let dir = std::env::current_exe()?.with_file_name("kubectl-debian");
        let program = dir.join("usr/bin/kubectl");
        if !program.is_file() && !unpack(&dir)? {
            return skip(format!("there is no kubectl, and apt-get cannot download {DEBIAN_PACKAGE}"));
        }
        ensure!(program.is_file(), "{} is not in Debian's {DEBIAN_PACKAGE}", program.display());
        Ok(Self { version: "debian".to_owned(), program })
    }
}

/// `kubectl.1.N` in the order of N.
fn installed() -> Vec<Kubectl> {
    let entries = fs::read_dir(VERSIONS_DIR).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_prefix("kubectl.1.")?.parse().ok()?, entry.path()))
        })
        .collect();
    found.sort();
    let named = |(minor, program)| Kubectl { version: format!("1.{minor}"), program };
    found.into_iter().map(named).collect()
}

/// Whether it could be downloaded: the mirrors are not ours to fail on.
fn unpack(dir: &Path) -> Result<bool> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let apt_get = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        // Without the sandbox option, apt warns that its own user may not write here.
        command.args(args).args(["-q", "-y", "-o", RETRIES, "-o", "APT::Sandbox::User=root"]);
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let downloaded = apt_get(&["download", DEBIAN_PACKAGE])
        || apt_get(&["update"]) && apt_get(&["download", DEBIAN_PACKAGE]);
    if !downloaded {
        return Ok(false);
    }
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            let status = Command::new("dpkg-deb").arg("-x").arg(entry.path()).arg(dir).status()?;
            ensure!(status.success(), "dpkg-deb cannot unpack {}", entry.path().display());
        }
    }
    Ok(true)
}
