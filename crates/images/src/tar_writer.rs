//! Tar archives of monopod's own: the same bytes for the same content, with no owner and no time.

use std::io::{self, Write};

use tar::{EntryType, Header};

const BLOCK_BYTES: u64 = 512;
/// Two blocks of zeroes.
const END_BYTES: usize = 1024;

#[derive(Debug)]
pub(crate) struct TarWriter<W> {
    out: W,
}

/// Counts what goes through it.
struct Counted<'w, W> {
    out: &'w mut W,
    bytes: u64,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out }
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.header(path, EntryType::Regular, mode, content.len() as u64)?;
        self.out.write_all(content)?;
        self.pad(content.len() as u64)
    }

    /// A file that is written as it goes, which must have `bytes` bytes in the end.
    pub(crate) fn stream<T, E: From<io::Error>>(
        &mut self,
        path: &str,
        mode: u32,
        bytes: u64,
        write: impl FnOnce(&mut dyn Write) -> Result<T, E>,
    ) -> Result<T, E> {
        self.header(path, EntryType::Regular, mode, bytes)?;
        let mut counted = Counted { out: &mut self.out, bytes: 0 };
        let result = write(&mut counted)?;
        if counted.bytes != bytes {
            let text = format!("{path} has {} bytes, and was to have {bytes}", counted.bytes);
            return Err(io::Error::other(text).into());
        }
        self.pad(bytes)?;
        Ok(result)
    }

    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.header(&format!("{path}/"), EntryType::Directory, mode, 0)
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let mut header = header(path, EntryType::Symlink, 0o777, 0)?;
        header.set_link_name(target)?;
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; END_BYTES])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn header(&mut self, path: &str, kind: EntryType, mode: u32, bytes: u64) -> io::Result<()> {
        self.out.write_all(header(path, kind, mode, bytes)?.as_bytes())
    }

    fn pad(&mut self, bytes: u64) -> io::Result<()> {
        let zeroes = [0; BLOCK_BYTES as usize];
        let missing = usize::try_from(bytes.next_multiple_of(BLOCK_BYTES) - bytes).unwrap_or_default();
        self.out.write_all(&zeroes[..missing])
    }
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Of a file that anybody may read, alone in its archive; its content and [`zeroes_after`] it follow. Fails for a path
/// that does not fit.
pub(crate) fn file_header(path: &str, bytes: u64) -> io::Result<Vec<u8>> {
    Ok(header(path, EntryType::Regular, 0o644, bytes)?.as_bytes().to_vec())
}

/// How many zeroes end an archive whose last file has so many bytes.
pub(crate) fn zeroes_after(bytes: u64) -> u64 {
    let missing = (BLOCK_BYTES - bytes % BLOCK_BYTES) % BLOCK_BYTES;
    missing + END_BYTES as u64
}

/// Fails for a path that does not fit.
fn header(path: &str, kind: EntryType, mode: u32, bytes: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(path)?;
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}
