//! The guest: its files, its start, and what it says over its serial line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::counts::Counts;
use crate::qemu::archive::Archive;
use crate::qemu::modules;
use crate::qemu::packages::{LOADER, Parts, Perl};
use crate::shell::{run, workspace_root};

/// The whole guest, emulated, on a busy machine.
const DEADLINE_SECONDS: &str = "750";
/// The guest's lines that are results: `RESULT passed|failed|skipped NAME`.
const RESULT: &str = "RESULT ";
const END: &str = "RESULTS COMPLETE";
const CUT_SHORT: &str = "the guest did not come to its end";

/// What is tried in the guest: static programs.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) monopod: PathBuf,
    /// The cases of the shim.
    pub(super) cases: PathBuf,
    /// The end-to-end suites.
    pub(super) suites: PathBuf,
}

/// Writes the guest's first file system and names its file.
pub(super) fn initramfs(dir: &Path, programs: &Programs, parts: &Parts) -> Result<PathBuf> {
    let mut archive = Archive::default();
    for directory in ["dev", "bin", "examples", "modules", "perl", "perl/bin", "perl/lib", "perl/lib64"] {
        archive.directory(directory);
    }
    archive.device("dev/console", 5, 1);
    archive.program("init", include_bytes!("../../qemu/init.sh"));
    archive.program("bin/busybox", &read(&parts.busybox)?);
    archive.program("bin/monopod", &read(&programs.monopod)?);
    archive.program("bin/container-cases", &read(&programs.cases)?);
    archive.program("bin/e2e", &read(&programs.suites)?);
    for (n, module) in modules::collect(&parts.modules, dir)?.iter().enumerate() {
        // The guest loads them in the order of their names.
        archive.program(&format!("modules/{n:02}-{}.ko", module.name), &module.bytes);
    }
    add_perl(&mut archive, &parts.perl)?;
    for name in ["co-located.yaml", "init.yaml", "sidecar.yaml", "job-with-sidecar.yaml"] {
        archive.program(&format!("examples/{name}"), &read(&workspace_root().join("examples").join(name))?);
    }
    let path = dir.join("initramfs");
    fs::write(&path, archive.finish())?;
    Ok(path)
}

/// As it is to be below `/usr`.
fn add_perl(archive: &mut Archive, perl: &Perl) -> Result<()> {
    const LIBRARIES: &str = "perl/lib/x86_64-linux-gnu";
    archive.directory(LIBRARIES);
    archive.program("perl/bin/perl", &read(&perl.program)?);
    archive.program(&format!("perl/lib64/{LOADER}"), &read(&perl.loader)?);
    for library in &perl.libraries {
        archive.program(&below(LIBRARIES, library)?, &read(library)?);
    }
    add_tree(archive, &perl.modules, LIBRARIES)
}

/// The directory with all that is in it, below another one.
fn add_tree(archive: &mut Archive, tree: &Path, place: &str) -> Result<()> {
    let place = below(place, tree)?;
    archive.directory(&place);
    for entry in fs::read_dir(tree).with_context(|| format!("cannot read {}", tree.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            add_tree(archive, &path, &place)?;
        } else {
            archive.program(&below(&place, &path)?, &read(&path)?);
        }
    }
    Ok(())
}

/// The same file name in another place.
fn below(place: &str, path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(format!("{place}/{}", name.with_context(|| format!("{} has no name", path.display()))?))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Starts the guest and counts what it reports; an end without the last line is a failure.
pub(super) fn boot(kernel: &Path, initramfs: &Path) -> Result<Counts> {
    let console = initramfs.with_file_name("console.log");
    let mut qemu = Command::new("timeout");
    qemu.args(["--kill-after=5", DEADLINE_SECONDS, "qemu-system-x86_64", "-accel", "tcg,thread=multi"]);
    qemu.args(["-cpu", "max", "-smp", "2", "-m", "2048", "-display", "none", "-nodefaults", "-no-reboot"]);
    qemu.args(["-append", "console=ttyS0 panic=-1 quiet cgroup_no_v1=all"]);
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
    qemu.arg("-serial").arg(format!("file:{}", console.display()));
    let ended = run(&mut qemu);
    let text = fs::read(&console).with_context(|| format!("cannot read {}", console.display()))?;
    let text = String::from_utf8_lossy(&text);
    let mut counts = count(&text);
    if ended.is_err() || !text.contains(END) {
        println!("FAILED  qemu: {CUT_SHORT}");
        counts.fail("qemu", CUT_SHORT);
    }
    if counts.failed > 0 {
        println!("--- the guest's console\n{text}");
    }
    Ok(counts)
}

fn count(console: &str) -> Counts {
    let mut counts = Counts::default();
    for result in console.lines().filter_map(|line| line.trim().strip_prefix(RESULT)) {
        let (word, name) = result.split_once(' ').unwrap_or((result, ""));
        match word {
            "passed" => counts.passed += 1,
            "skipped" => counts.skipped += 1,
            _ => counts.fail(&format!("qemu::{name}"), "the guest's console says why"),
        }
        println!("{word}  qemu::{name}");
    }
    counts
}
