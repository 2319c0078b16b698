//! What the guest is made of: qemu is installed, kernel and busybox are only unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{RETRIES, apt_get, exists, output, run};

const QEMU: &str = "qemu-system-x86";
const QEMU_PROGRAM: &str = "qemu-system-x86_64";
/// Names the package of the newest kernel in its dependencies.
const KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";
/// What containers of the suites are written in, and the libraries that it needs.
const PERL: [&str; 3] = ["perl-base", "libc6", "libcrypt1"];

pub(super) const LOADER: &str = "ld-linux-x86-64.so.2";

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) kernel: PathBuf,
    pub(super) busybox: PathBuf,
    /// The tree of the kernel's modules.
    pub(super) modules: PathBuf,
    pub(super) perl: Perl,
}

#[derive(Debug)]
pub(super) struct Perl {
    pub(super) program: PathBuf,
    /// The tree of its own modules.
    pub(super) modules: PathBuf,
    /// The program that loads it and its libraries, by the names that it knows.
    pub(super) loader: PathBuf,
    pub(super) libraries: Vec<PathBuf>,
}

/// Fetches what is not in `dir` yet.
pub(super) fn fetch(dir: &Path) -> Result<Parts> {
    let unpacked = dir.join("unpacked");
    if !exists(QEMU_PROGRAM) || !unpacked.is_dir() {
        apt_get("update", &[])?;
    }
    if !exists(QEMU_PROGRAM) {
        apt_get("install", &[QEMU])?;
    }
    if !unpacked.is_dir() {
        unpack(dir, &unpacked)?;
    }
    let missing =
        |what: &str| format!("no {what} in {}: remove the folder and try again", unpacked.display());
    let kernel = find(&unpacked.join("boot"), "vmlinuz").with_context(|| missing("kernel"))?;
    let busybox = find(&unpacked, "busybox").with_context(|| missing("busybox"))?;
    let perl = perl(&unpacked).with_context(|| missing("perl"))?;
    Ok(Parts { kernel, busybox, modules: unpacked.join("lib/modules"), perl })
}

fn perl(unpacked: &Path) -> Option<Perl> {
    let libraries = ["libc.so.6", "libm.so.6", "libcrypt.so.1"];
    let modules = unpacked.join("usr/lib/x86_64-linux-gnu/perl-base");
    Some(Perl {
        program: find(&unpacked.join("usr/bin"), "perl")?,
        modules: modules.is_dir().then_some(modules)?,
        loader: find(unpacked, LOADER)?,
        libraries: libraries.iter().map(|name| find(unpacked, name)).collect::<Option<_>>()?,
    })
}

fn unpack(dir: &Path, unpacked: &Path) -> Result<()> {
    let depends = output(Command::new("apt-cache").args(["depends", KERNEL]))?;
    let kernel = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let kernel = format!("linux-image-{}", kernel.with_context(|| format!("{KERNEL} names no kernel"))?);
    let debs = dir.join("debs");
    fs::create_dir_all(&debs)?;
    let mut download = Command::new("apt-get");
    download.current_dir(&debs).args(["download", "-q", "-o", RETRIES, &kernel, BUSYBOX]).args(PERL);
    // Without this, apt warns that its own user may not write here.
    run(download.args(["-o", "APT::Sandbox::User=root"]))?;
    // Under another name until it is whole.
    let partial = dir.join("unpacked.new");
    fs::create_dir_all(&partial)?;
    for deb in fs::read_dir(&debs)? {
        run(Command::new("dpkg").arg("-x").arg(deb?.path()).arg(&partial))?;
    }
    fs::rename(&partial, unpacked)?;
    Ok(())
}

/// The first file below `dir` whose name starts with `prefix`.
fn find(dir: &Path, prefix: &str) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let is_match = |path: &&PathBuf| {
        path.is_file() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    let here = entries.iter().find(is_match).cloned();
    here.or_else(|| {
        entries.iter().filter(|path| path.is_dir() && !path.is_symlink()).find_map(|path| find(path, prefix))
    })
}
