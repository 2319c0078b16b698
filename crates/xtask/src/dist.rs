//! Release artefacts: static, non-PIE executables from the installed toolchain.
//!
//! `--target` is named although it is the host's: only then do the flags spare build scripts and procedural
//! macros, which cannot be static. Not PIE, because relocations would cost every shim private memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::Message;

use crate::shell::{cargo, output, run, target_dir};

const FLAGS: &str = "-C target-feature=+crt-static -C relocation-model=static";

/// ELF: `e_type` of an executable that is not position-independent.
const ET_EXEC: u16 = 2;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

/// Builds and checks the program; its path.
pub(crate) fn build() -> Result<PathBuf> {
    build_package("monopod")
}

/// Builds the package's program like the release's.
pub(crate) fn build_package(package: &str) -> Result<PathBuf> {
    let triple = host_triple()?;
    let mut command =
        cargo(&["build", "--locked", "--profile", "dist", "--package", package, "--target", &triple]);
    run(command.env("RUSTFLAGS", FLAGS))?;
    let path = target_dir()?.join(triple).join("dist").join(package);
    check_static(&path)?;
    let size_kib = fs::metadata(&path)?.len() / 1024;
    println!("{}: static, not position-independent, {size_kib} KiB", path.display());
    Ok(path)
}

/// Builds a test of the package that has a program of its own, to run where there are no libraries.
pub(crate) fn build_test(package: &str, test: &str) -> Result<PathBuf> {
    let triple = host_triple()?;
    let mut command = cargo(&["test", "--locked", "--package", package, "--test", test, "--target", &triple]);
    command.args(["--no-run", "--message-format", "json-render-diagnostics"]).env("RUSTFLAGS", FLAGS);
    let messages = output(&mut command)?;
    let mut artifacts = Message::parse_stream(messages.as_bytes()).filter_map(|message| match message {
        Ok(Message::CompilerArtifact(artifact)) if artifact.target.name == test => artifact.executable,
        _ => None,
    });
    let path = artifacts.next().with_context(|| format!("cargo names no program of test {test}"))?;
    check_static(path.as_std_path())?;
    Ok(path.into_std_path_buf())
}

fn host_triple() -> Result<String> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

fn check_static(path: &Path) -> Result<()> {
    let elf = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (kind, segments) =
        parse(&elf).with_context(|| format!("{} is not a 64-bit ELF file", path.display()))?;
    ensure!(kind == ET_EXEC, "{} is position-independent (ELF type {kind})", path.display());
    let is_static = !segments.contains(&PT_INTERP) && !segments.contains(&PT_DYNAMIC);
    ensure!(is_static, "{} wants a dynamic loader", path.display());
    Ok(())
}

/// `e_type` and each `p_type` of a little-endian 64-bit ELF file.
fn parse(elf: &[u8]) -> Option<(u16, Vec<u32>)> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(elf.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(elf.get(at..at + 8)?.try_into().ok()?));
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64_at(32)?).ok()?;
    let (entry_size, count) = (usize::from(u16_at(54)?), usize::from(u16_at(56)?));
    let segments = (0..count).map(|n| u32_at(table + n * entry_size)).collect::<Option<_>>()?;
    Some((u16_at(16)?, segments))
}
