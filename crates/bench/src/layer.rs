//! Writing layers of images.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

pub(crate) fn header(kind: tar::EntryType, mode: u32, bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes);
    header
}

pub(crate) fn directory(tar: &mut tar::Builder<impl Write>, path: &str) -> io::Result<()> {
    tar.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), path, io::empty())
}

pub(crate) fn link(tar: &mut tar::Builder<impl Write>, path: &str, to: &str) -> io::Result<()> {
    tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), path, to)
}

/// As images name their platform.
pub(crate) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// What is written, hashed and counted on its way.
pub(crate) struct Hashed<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Hashed<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// What it was written to, the digest and how much it was.
    pub(crate) fn finish(self) -> (W, String, u64) {
        (self.inner, format!("sha256:{:x}", self.hash.finalize()), self.bytes)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
