//! `cargo xtask mutants`: whether the tests of the core notice when one of its rules is broken.
//!
//! Each mutation of `crates/sim/mutations.txt` is applied to a copy of the crates under the target folder;
//! then the tests of `lifecycle` and the test programs of `sim` run, and one of them has to fail.

mod list;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::shell::{target_dir, workspace_root};
use list::{Mutation, RULES};

/// What the tests of `sim` are made of.
const COPIED: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "crates/podspec", "crates/lifecycle", "crates/sim"];
const TESTS: [(&str, &[&str]); 4] = [
    ("scenarios", &["--package", "sim", "--test", "scenarios"]),
    ("seeds", &["--package", "sim", "--test", "seeds"]),
    ("worlds", &["--package", "sim", "--test", "worlds"]),
    ("lifecycle", &["--package", "lifecycle"]),
];
/// Not as far as in CI: a rule that is broken shows soon.
const WORLDS: &str = "5,1,1,3";
const SEEDS: &str = "0..3000";
/// A test that takes longer has noticed something, too. In seconds, as timeout(1) takes it.
const TEST_TIME_MAX: &str = "300";
/// What timeout(1) exits with when it had to end the program.
const TIMED_OUT: i32 = 124;

/// Applies all mutations whose names contain one of `filters`; all, when there is none.
pub(crate) fn run(filters: &[&str]) -> Result<()> {
    let root = workspace_root();
    let all = list::load(&root)?;
    let is_chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let chosen: Vec<&Mutation> = all.iter().filter(|mutation| is_chosen(&mutation.name)).collect();
    ensure!(!chosen.is_empty(), "no mutation's name contains one of {filters:?}");
    let copy = Copied::new(&root, &target_dir()?.join("mutants"))?;
    ensure!(copy.failing_tests()?.is_empty(), "the tests fail although nothing is changed");
    let mut survivors = vec![];
    for (index, mutation) in chosen.iter().enumerate() {
        let begun = Instant::now();
        let caught = copy.try_out(mutation)?;
        let by = if caught.is_empty() { "NOBODY".to_owned() } else { caught.join(", ") };
        let (count, took) = (chosen.len(), begun.elapsed().as_secs());
        println!("{}/{count} {}: caught by {by} ({took} s)", index + 1, mutation.name);
        if caught.is_empty() {
            survivors.push(format!("{} ({}): {}", mutation.name, mutation.file, mutation.rule));
        }
    }
    ensure!(survivors.is_empty(), "nobody noticed:\n  {}", survivors.join("\n  "));
    println!("{} mutations, all caught", chosen.len());
    Ok(())
}

/// A workspace of its own, and where cargo puts what it builds of it.
struct Copied {
    workspace: PathBuf,
    target: PathBuf,
}

impl Copied {
    fn new(root: &Path, folder: &Path) -> Result<Self> {
        let workspace = folder.join("workspace");
        if workspace.exists() {
            fs::remove_dir_all(&workspace)?;
        }
        for path in COPIED {
            copy(&root.join(path), &workspace.join(path)).with_context(|| format!("cannot copy {path}"))?;
        }
        let manifest = workspace.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        // They are not copied.
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("default-members")).collect();
        fs::write(&manifest, kept.join("\n"))?;
        Ok(Self { workspace, target: folder.join("target") })
    }

    /// The tests that notice the mutation. The rule is in force again afterwards.
    fn try_out(&self, mutation: &Mutation) -> Result<Vec<&'static str>> {
        let file = self.workspace.join(RULES).join(&mutation.file);
        let text = fs::read_to_string(&file)?;
        fs::write(&file, mutation.apply(&text)?)?;
        let caught = self.failing_tests().with_context(|| format!("with {}", mutation.name));
        fs::write(&file, text)?;
        caught
    }

    fn failing_tests(&self) -> Result<Vec<&'static str>> {
        let built = self
            .cargo(&["--package", "sim", "--package", "lifecycle", "--no-run"])
            .stderr(Stdio::piped())
            .output()?;
        ensure!(built.status.success(), "it does not compile:\n{}", String::from_utf8_lossy(&built.stderr));
        let mut failing = vec![];
        for (test, args) in TESTS {
            let status = self.cargo(args).stderr(Stdio::null()).status()?;
            let code = status.code().with_context(|| format!("{test} was killed: {status}"))?;
            ensure!(matches!(code, 0 | 101 | TIMED_OUT), "{test} ends with {code}");
            if code != 0 {
                failing.push(test);
            }
        }
        Ok(failing)
    }

    fn cargo(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg(TEST_TIME_MAX).args(["cargo", "test", "--offline"]).args(args);
        command.current_dir(&self.workspace).env("CARGO_TARGET_DIR", &self.target);
        command
            .env("SIM_WORLDS", WORLDS)
            .env("SIM_SEEDS", SEEDS)
            .env("RUST_BACKTRACE", "0")
            .env("RUSTFLAGS", "--cap-lints=allow");
        command.stdout(Stdio::null());
        command
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().context("a file without a folder")?)?;
        fs::copy(from, to)?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
