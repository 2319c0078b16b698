//! `monopod image import`: files made into an image of one layer.
//!
//! The same files and options give the same image ID: nothing of it depends on a clock, a name of the host or
//! the order of a directory.

mod applets;
mod elf;
mod program;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

pub use applets::AppletsError;
pub use elf::ElfError;

use crate::archive::{Loaded, Source};
use crate::config::Platform;
use crate::layer::{self, LayerError};
use crate::store::{Adding, Displaced, LivingPods, NewImage, Store, StoreError};
use registry::Digest;
use registry::Reference;

const BUFFER_BYTES: usize = 256 << 10;

/// What the image is to be like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportOptions {
    pub name: Reference,
    pub applets: Applets,
    pub process: ImportedProcess,
}

/// Of a program: the links to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Applets {
    /// Those it says it has, if it is called busybox or toybox.
    Auto,
    /// Those it says it has.
    Asked,
    Named(Vec<String>),
}

/// How its containers run, unless a pod says otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImportedProcess {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`
    pub env: Vec<String>,
    pub working_dir: Option<String>,
    pub user: Option<String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{name} cannot be the name of an import: {why}")]
    Name { name: Reference, why: &'static str },
    #[error("cannot open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "{} holds the image store, which would be part of the image: import a directory without it, or move \
         the store with --data-dir",
        path.display()
    )]
    HoldsStore { path: PathBuf },
    #[error("cannot make an archive of {}", path.display())]
    Pack { path: PathBuf, source: LayerError },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("it cannot be read as a tar archive")]
    Decompress { source: io::Error },
    #[error("it is empty, not even an archive of no files: has what was to write it failed?")]
    Empty,
    #[error("--applets is for a program, and {} is none", path.display())]
    NoProgram { path: PathBuf },
    #[error("{} cannot be alone in an image", path.display())]
    Elf { path: PathBuf, source: ElfError },
    #[error("cannot tell the applets of {}", path.display())]
    Applets { path: PathBuf, source: AppletsError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An archive of the image's files, in staging or the user's own.
struct Files {
    archive: File,
    /// Where nothing else is asked for.
    process: ImportedProcess,
}

impl Store {
    /// Makes an image of a directory, a tar archive (maybe compressed) or a static program, and names it.
    ///
    /// # Errors
    /// When the source is not one of those; then the store is as it was.
    pub fn import(
        &self,
        source: &Source,
        options: &ImportOptions,
        pods: LivingPods<'_>,
    ) -> Result<Loaded, ImportError> {
        let (loaded, displaced) = self.import_files(source, options)?;
        self.collect_displaced(&displaced, pods);
        Ok(loaded)
    }

    fn import_files(
        &self,
        source: &Source,
        options: &ImportOptions,
    ) -> Result<(Loaded, Displaced), ImportError> {
        check_name(&options.name)?;
        let mut adding = self.add()?;
        let files = open(source, options, &adding)?;
        let archive = BufReader::with_capacity(BUFFER_BYTES, files.archive);
        let plain = layer::decompress(archive).map_err(|source| ImportError::Decompress { source })?;
        let (_, diff_id) = adding.layer(&[], None, plain)?;
        if diff_id == Digest::of(b"") {
            return Err(ImportError::Empty);
        }
        let config = config(&options.process.or(files.process), diff_id).to_string().into_bytes();
        let names = vec![options.name.to_string()];
        let loaded = Loaded { id: Digest::of(&config), names: names.clone() };
        let displaced = adding.publish(&[NewImage { config, names, digests: Vec::new(), pulled: None }])?;
        Ok((loaded, displaced))
    }
}

fn check_name(name: &Reference) -> Result<(), ImportError> {
    let why = if name.is_built_in() {
        "it is built in"
    } else if name.digest.is_some() {
        "it has a digest; give a tag"
    } else {
        return Ok(());
    };
    Err(ImportError::Name { name: name.clone(), why })
}

fn open(source: &Source, options: &ImportOptions, adding: &Adding<'_>) -> Result<Files, ImportError> {
    let path = match source {
        Source::Stdin => Path::new("/dev/stdin"),
        Source::Path(path) => path.as_path(),
    };
    let opened = match source {
        // What sshd gives is a socket, which cannot be opened by a path.
        Source::Stdin => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        Source::Path(path) => File::open(path),
    };
    let mut file = opened.map_err(|source| ImportError::Open { path: path.to_owned(), source })?;
    let failed = |source| ImportError::Read { path: path.to_owned(), source };
    let kind = file.metadata().map_err(failed)?;
    let is_program = kind.is_file() && elf::is_elf(&mut file).map_err(failed)?;
    if !is_program && options.applets != Applets::Auto {
        return Err(ImportError::NoProgram { path: path.to_owned() });
    }
    if is_program {
        return open_program(path, &mut file, options, adding);
    }
    let process = ImportedProcess::default();
    if !kind.is_dir() {
        return Ok(Files { archive: file, process });
    }
    let staging = adding.scratch("archive");
    let staging = staging.parent().map(Path::canonicalize).transpose().map_err(failed)?;
    let directory = path.canonicalize().map_err(failed)?;
    if staging.is_some_and(|staging| staging.starts_with(&directory)) {
        return Err(ImportError::HoldsStore { path: path.to_owned() });
    }
    let archive = scratch(adding, |out| {
        layer::pack(path, out).map(drop).map_err(|source| ImportError::Pack { path: path.to_owned(), source })
    })?;
    Ok(Files { archive, process })
}

fn open_program(
    path: &Path,
    file: &mut File,
    options: &ImportOptions,
    adding: &Adding<'_>,
) -> Result<Files, ImportError> {
    elf::check(file).map_err(|source| ImportError::Elf { path: path.to_owned(), source })?;
    let name = program::name(path);
    let applets = applets::applets(path, &name, &options.applets)
        .map_err(|source| ImportError::Applets { path: path.to_owned(), source })?;
    let archive = scratch(adding, |out| {
        program::write(&name, file, &applets, out)
            .map_err(|source| ImportError::Write { path: adding.scratch("archive"), source })
    })?;
    Ok(Files { archive, process: program::process(&name, &applets) })
}

/// A file in staging, written and ready to be read.
fn scratch(
    adding: &Adding<'_>,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<(), ImportError>,
) -> Result<File, ImportError> {
    let path = adding.scratch("archive");
    let failed = |source| ImportError::Write { path: path.clone(), source };
    let mut file =
        File::options().create(true).truncate(true).read(true).write(true).open(&path).map_err(failed)?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, &file);
    write(&mut out)?;
    out.flush().map_err(failed)?;
    drop(out);
    file.rewind().map_err(failed)?;
    Ok(file)
}

impl ImportedProcess {
    /// What is not said here is as in `other`. Who names an entrypoint does not want another command.
    fn or(&self, other: Self) -> Self {
        let mut process = self.clone();
        if process.entrypoint.is_empty() {
            process.entrypoint = other.entrypoint;
            if process.cmd.is_empty() {
                process.cmd = other.cmd;
            }
        }
        if process.env.is_empty() {
            process.env = other.env;
        }
        process
    }
}

/// The configuration, with what is not empty.
fn config(process: &ImportedProcess, diff_id: Digest) -> Value {
    let platform = Platform::host();
    let ImportedProcess { entrypoint, cmd, env, working_dir, user, labels } = process;
    let fields = [
        ("Entrypoint", json!(entrypoint), entrypoint.is_empty()),
        ("Cmd", json!(cmd), cmd.is_empty()),
        ("Env", json!(env), env.is_empty()),
        ("WorkingDir", json!(working_dir), working_dir.is_none()),
        ("User", json!(user), user.is_none()),
        ("Labels", json!(labels), labels.is_empty()),
    ];
    let fields = fields.into_iter().filter(|(_, _, is_empty)| !is_empty);
    json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "config": fields.map(|(key, value, _)| (key.to_owned(), value)).collect::<Map<_, _>>(),
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    })
}

#[cfg(test)]
mod tests;
