//! Client libraries, each by a small program in `clients/` that does what programs written with it do: list,
//! watch, create, patch, exec, forward a port, follow a log, delete, and be refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bed::Bed;
use crate::cluster::Cluster;
use crate::outcome::skip;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![rust_kube, python_kubernetes, python_kr8s, node_client];

/// How long libraries may take to come from a registry, and a program to be built.
const INSTALL_TIME: Duration = Duration::from_secs(600);
/// How long a program may take; none of its own waits takes longer than half of it.
const PROGRAM_TIME: Duration = Duration::from_secs(120);
/// In its directory, what was installed there.
const INSTALLED: &str = "installed";

fn rust_kube(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut cargo = Command::new("cargo");
    let dir = installed_dir("kube")?;
    cargo.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(sources("kube").join("Cargo.toml"));
    cargo.arg("--target-dir").arg(&dir).stdin(Stdio::null());
    let built = bed.start_outside(&mut cargo)?.wait(INSTALL_TIME)?;
    built.expect_code(0).with_context(|| built.stderr.clone())?;
    speak(bed, &mut Command::new(dir.join("debug/client-kube")))
}

fn python_kubernetes(bed: &Bed) -> Result<()> {
    python(bed, "with_kubernetes.py")
}

fn python_kr8s(bed: &Bed) -> Result<()> {
    python(bed, "with_kr8s.py")
}

fn python(bed: &Bed, script: &str) -> Result<()> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    require_root()?;
    let dir = {
        let _one_at_a_time = INSTALLING.lock();
        let wanted = sources("python").join("requirements.txt");
        install(bed, "python", &wanted, |dir| {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
            pip.args(["--root-user-action=ignore", "--target"]).arg(dir).arg("--requirement").arg(&wanted);
            pip
        })?
    };
    let mut python = Command::new("python3");
    python.arg(sources("python").join(script));
    // The script's own directory stays as it is.
    python.env("PYTHONPATH", dir).env("PYTHONDONTWRITEBYTECODE", "1");
    speak(bed, &mut python)
}

fn node_client(bed: &Bed) -> Result<()> {
    require_root()?;
    let wanted = sources("node").join("package.json");
    let dir = install(bed, "node", &wanted, |dir| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--prefix"]);
        npm.arg(dir);
        npm
    })?;
    // Node looks for libraries beside the script.
    let script = dir.join("client.mjs");
    fs::copy(sources("node").join("client.mjs"), &script)?;
    speak(bed, Command::new("node").arg(script))
}

/// Runs a program against a server of its own.
fn speak(bed: &Bed, program: &mut Command) -> Result<()> {
    let cluster = Cluster::start_bare(bed)?;
    program.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", bed.dir()).current_dir(bed.dir());
    let finished = bed.start(program.stdin(Stdio::null()))?.wait(PROGRAM_TIME)?;
    finished.expect_code(0)?;
    ensure!(finished.stdout.lines().last() == Some("done"), "it did not come to its end");
    cluster.finish()
}

fn sources(client: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(client)
}

/// Beside what cargo builds: what is there stays for the next run.
fn installed_dir(client: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("this program is in no target directory")?;
    Ok(target.join("e2e-clients").join(client))
}

/// Where the libraries are that the file `wanted` names. They are installed unless they are there; where that
/// cannot be done the test is skipped: registries are not ours to fail on.
fn install(
    bed: &Bed,
    client: &str,
    wanted: &Path,
    command: impl FnOnce(&Path) -> Command,
) -> Result<PathBuf> {
    let dir = installed_dir(client)?;
    let text = fs::read_to_string(wanted).with_context(|| wanted.display().to_string())?;
    let mark = dir.join(INSTALLED);
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == text) {
        return Ok(dir);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    fs::copy(wanted, dir.join(wanted.file_name().context("a file has a name")?))?;
    let installing = bed.start_outside(command(&dir).stdin(Stdio::null()));
    let problem = match installing.and_then(|installing| installing.wait(INSTALL_TIME)) {
        Ok(finished) if finished.status.success() => {
            fs::write(&mark, text)?;
            return Ok(dir);
        }
        Ok(finished) => finished.stderr.lines().last().unwrap_or("it says nothing").to_owned(),
        Err(error) => format!("{error:#}"),
    };
    skip(format!("the libraries for {client} cannot be installed: {problem}"))
}
