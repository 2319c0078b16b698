//! Checks of the repository that the compiler and clippy do not make.

mod allowances;
mod fields;
mod graph;
mod links;
mod manifests;
mod purity;
mod sizes;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{output, workspace_root};

/// A text file of the repository.
#[derive(Debug)]
struct Source {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

pub(crate) fn run() -> Result<()> {
    let root = workspace_root();
    let sources = sources(&root)?;
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(&root).no_deps().exec()?;
    let mut complaints = graph::check(&metadata.packages)?;
    complaints.extend(manifests::check(&sources));
    complaints.extend(purity::check(&metadata.packages, &sources));
    complaints.extend(sizes::check(&sources)?);
    complaints.extend(words::check(&sources, &root));
    complaints.extend(links::check(&sources, &root));
    complaints.extend(fields::check(&sources));
    for complaint in &complaints {
        println!("tidy: {complaint}");
    }
    if !complaints.is_empty() {
        bail!("tidy: {} complaints", complaints.len());
    }
    println!("tidy: {} files, no complaint", sources.len());
    Ok(())
}

/// Every file that git tracks or would track and that is text.
fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let mut sources = vec![];
    for path in output(&mut git)?.split_terminator('\0') {
        let file: PathBuf = root.join(path);
        if !file.is_file() {
            continue;
        }
        let bytes = fs::read(&file).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(sources)
}

/// The lines of a Rust file before its tests.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]")
}
