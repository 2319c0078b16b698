//! Running programs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::counts::{Counts, Reasons};

/// A mirror that does not answer is asked again so often.
pub(crate) const RETRIES: &str = "Acquire::Retries=3";

/// The folder of the workspace's Cargo.toml.
pub(crate) fn workspace_root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or(here.clone(), PathBuf::from)
}

/// A cargo command in the workspace, with the versions that Cargo.lock names.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root()).args(args);
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(workspace_root()).no_deps().exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// Runs a program whose failure is the caller's.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("+ {}", words(command));
    let status = command.status().with_context(|| format!("cannot start {}", words(command)))?;
    ensure!(status.success(), "{} failed: {status}", words(command));
    Ok(())
}

/// Installs packages, or fetches the lists of them, without questions.
pub(crate) fn apt_get(what: &str, packages: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args([what, "-q", "-y", "--no-install-recommends", "-o", RETRIES]).args(packages);
    run(command.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The standard output of a program that must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", words(command)))?;
    ensure!(output.status.success(), "{} failed: {}", words(command), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// True when a program of this name is found.
pub(crate) fn exists(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|dir| dir.join(program).is_file())
}

pub(crate) fn is_root() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// Runs a test program: shows what it prints but its closing lines, and adds those up. A program that fails
/// without saying so counts as one failure.
pub(crate) fn run_tests(command: &mut Command) -> Result<Counts> {
    println!("+ {}", words(command));
    // One pipe for both streams keeps their order; `sh` joins them.
    let mut joined = Command::new("sh");
    joined.args(["-c", "exec \"$@\" 2>&1", "sh"]).arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        joined.current_dir(dir);
    }
    let mut child = joined.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
    let stdout = child.stdout.take().context("no pipe")?;
    let (mut total, mut reasons) = (Counts::default(), Reasons::default());
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        match Counts::from_closing_line(&line) {
            Some(counts) => total += counts,
            None => {
                reasons.note(&line, &mut total.failures);
                println!("{line}");
            }
        }
    }
    let status = child.wait()?;
    if !status.success() && total.failed == 0 {
        println!("{} failed: {status}", words(command));
        match total.failures.len() {
            0 => total.fail(&words(command), &status.to_string()),
            told => total.failed = u32::try_from(told)?,
        }
    }
    Ok(total)
}

fn words(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}
