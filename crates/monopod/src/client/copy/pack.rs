//! Files of this machine as an archive.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tar::Builder;

/// A file or directory that is there.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    name: String,
}

impl Source {
    pub(super) fn find(path: &Path) -> io::Result<Self> {
        let whole = fs::canonicalize(path)?;
        // What a link is called counts, not what it leads to.
        let name = path.file_name().or(whole.file_name());
        let name = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| ".".to_owned());
        Ok(Self { path: whole, name })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Writes it under `name`, with all that is in it. Links stay links.
    pub(super) fn write(self, name: &str, to: impl Write) -> io::Result<()> {
        let mut archive = Builder::new(to);
        archive.follow_symlinks(false);
        if self.path.is_dir() {
            archive.append_dir_all(name, &self.path)?;
        } else {
            archive.append_path_with_name(&self.path, name)?;
        }
        archive.into_inner()?.flush()
    }
}
