//! `monopod image save`.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use images::{SaveError, SaveFormat, Store};

use super::cli::{ArchiveFormat, Save};
use super::output::with_remedy;

const BUFFER_BYTES: usize = 256 << 10;

pub(super) fn save(store: &Store, options: &Save) -> Result<ExitCode> {
    let format = match options.format {
        ArchiveFormat::Docker => SaveFormat::Docker,
        ArchiveFormat::Oci => SaveFormat::Oci,
    };
    let write = |out: &mut dyn Write| {
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
        store.save(&options.images, format, &mut out)?;
        out.flush().map_err(SaveError::from)
    };
    match &options.output {
        None if io::stdout().is_terminal() => {
            bail!("an archive is nothing for a terminal\nremedy: give a file with -o, or pipe it on");
        }
        None => write(&mut io::stdout().lock())?,
        // A pipe or a device is written to as it is.
        Some(path) if fs::metadata(path).is_ok_and(|found| !found.is_file()) => {
            let mut file = File::create(path).with_context(|| format!("cannot open {}", path.display()))?;
            write(&mut file)?;
        }
        Some(path) => write_whole(path, write).map_err(with_remedy)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The file appears when it is whole.
fn write_whole(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), SaveError>) -> Result<()> {
    let mut name = path.file_name().context("-o names no file")?.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let partial: PathBuf = path.with_file_name(name);
    // Its name can be guessed: a link that somebody put there is not followed.
    let mut file =
        File::create_new(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
    let written = write(&mut file).map_err(anyhow::Error::from).and_then(|()| {
        fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
    });
    if written.is_err() {
        // The error says more than one about this would.
        let _ = fs::remove_file(&partial);
    }
    written
}
