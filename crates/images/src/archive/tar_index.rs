//! Where the files of a tar archive are: reads its headers and passes over the rest.
//!
//! Takes what the field's tools write: ustar, GNU's long names, and pax headers with path, link path and
//! size (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use tar::{EntryType, Header};

use super::error::ArchiveError;

/// Of a header, and what files are padded to.
pub(super) const BLOCK_BYTES: u64 = 512;
/// Of a long name or an extended header. Names that images use are short.
const EXTENSION_BYTES_MAX: u64 = 64 << 10;

pub(super) enum Kind {
    File { offset: u64, bytes: u64 },
    HardLink(String),
    SymbolicLink(String),
}

/// What the headers before an entry's own say of it.
#[derive(Default)]
struct Extension {
    path: Option<String>,
    link: Option<String>,
    bytes: Option<u64>,
}

/// Calls `found` for each file and link, in order. Names that are no text are passed over: nothing in an
/// image has such a name.
pub(super) fn read(
    file: &File,
    mut found: impl FnMut(&str, Kind) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let length = file.metadata().map_err(|source| ArchiveError::Read { source })?.len();
    let mut at = 0;
    let mut extension = Extension::default();
    while let Some(header) = read_header(file, at, length)? {
        let kind = header.entry_type();
        let own_bytes = header.entry_size().map_err(|_| not_tar("a file's size is no number"))?;
        let is_extension = kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions();
        let bytes = match kind {
            _ if is_extension => own_bytes,
            // Whatever their size says, nothing follows these.
            EntryType::Link | EntryType::Symlink | EntryType::Directory => 0,
            EntryType::Char | EntryType::Block | EntryType::Fifo => 0,
            _ => extension.bytes.unwrap_or(own_bytes),
        };
        let offset = at + BLOCK_BYTES;
        let end = offset.checked_add(bytes).filter(|end| *end <= length);
        let end = end.ok_or_else(|| not_tar("it is cut off within a file"))?;
        at = end.next_multiple_of(BLOCK_BYTES);
        if is_extension {
            extension.add(kind, &read_extension(file, offset, bytes)?)?;
            continue;
        }
        let extension = std::mem::take(&mut extension);
        let path = extension.path.or_else(|| text(&header.path_bytes()));
        let link = || extension.link.or_else(|| text(&header.link_name_bytes()?));
        let member = match kind {
            EntryType::Regular | EntryType::Continuous => Some(Kind::File { offset, bytes }),
            EntryType::Link => link().map(Kind::HardLink),
            EntryType::Symlink => link().map(Kind::SymbolicLink),
            _ => None,
        };
        if let (Some(path), Some(member)) = (path, member) {
            found(&path, member)?;
        }
    }
    Ok(())
}

/// Whether a file begins with a header; not when it begins with the end of an archive.
///
/// # Errors
/// When it begins with neither.
pub(super) fn is_header(file: &File) -> Result<bool, ArchiveError> {
    let length = file.metadata().map_err(|source| ArchiveError::Read { source })?.len();
    Ok(read_header(file, 0, length)?.is_some())
}

/// `None` at the end of the archive.
fn read_header(file: &File, at: u64, length: u64) -> Result<Option<Header>, ArchiveError> {
    if at >= length {
        return if at == 0 { Err(not_tar("it is empty")) } else { Ok(None) };
    }
    let mut header = Header::new_old();
    match file.read_exact_at(header.as_mut_bytes(), at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(not_tar("it is cut off within a header"));
        }
        read => read.map_err(|source| ArchiveError::Read { source })?,
    }
    let bytes = header.as_bytes();
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let without_sum = bytes[..148].iter().chain(&bytes[156..]);
    let sum = without_sum.fold(8 * u32::from(b' '), |sum, byte| sum + u32::from(*byte));
    if header.cksum().ok() != Some(sum) {
        return Err(not_tar("a header has a wrong checksum"));
    }
    Ok(Some(header))
}

fn read_extension(file: &File, offset: u64, bytes: u64) -> Result<Vec<u8>, ArchiveError> {
    let length = usize::try_from(bytes.min(EXTENSION_BYTES_MAX + 1)).unwrap_or_default();
    if length as u64 > EXTENSION_BYTES_MAX {
        return Err(not_tar("an extended header is too long"));
    }
    let mut content = vec![0; length];
    file.read_exact_at(&mut content, offset).map_err(|source| ArchiveError::Read { source })?;
    Ok(content)
}

impl Extension {
    fn add(&mut self, kind: EntryType, content: &[u8]) -> Result<(), ArchiveError> {
        let long = || text(content.split(|byte| *byte == 0).next().unwrap_or_default());
        if kind.is_gnu_longname() {
            self.path = long();
        } else if kind.is_gnu_longlink() {
            self.link = long();
        } else {
            for record in tar::PaxExtensions::new(content) {
                let record = record.map_err(|_| not_tar("an extended header is malformed"))?;
                match record.key_bytes() {
                    b"path" => self.path = text(record.value_bytes()),
                    b"linkpath" => self.link = text(record.value_bytes()),
                    b"size" => {
                        let bytes = record.value().ok().and_then(|value| value.parse().ok());
                        let malformed = || not_tar("an extended header has a size that is no number");
                        self.bytes = Some(bytes.ok_or_else(malformed)?);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn not_tar(why: &'static str) -> ArchiveError {
    ArchiveError::NotTar { why }
}
