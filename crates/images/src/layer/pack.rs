//! An archive of a directory: the same bytes for the same tree.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use tar::Header;

use super::archive::BLOCK_BYTES;
use super::attributes::{Attributes, attributes_of};
use super::error::LayerError;
use super::name::is_reserved;
use super::tree::{DIRECTORY, failed};
use super::{CHUNK_BYTES, DEPTH_MAX, PATH_BYTES_MAX};

const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
/// The largest numbers of the fields of a header, which are octal text.
const ID_MAX: u32 = 0o777_7777;
const SIZE_MAX: u64 = 0o777_7777_7777;
/// The longest name in a header.
const HEADER_NAME_BYTES_MAX: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Packed {
    pub(crate) entries: u64,
    pub(crate) content_bytes: u64,
    /// Sockets and device nodes, which an image has no use for.
    pub(crate) skipped: u64,
}

/// Writes an archive of what is in `directory`, and of its own attributes, as `./`. Below it no links
/// are followed and no directory of another file system is entered; an entry stands for it.
///
/// # Errors
/// Names the file that cannot be read, changed while it was read, or cannot be in an archive.
pub(crate) fn pack(directory: &Path, out: impl Write) -> Result<Packed, LayerError> {
    let root = openat(CWD, directory, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty());
    let root = root.map_err(|error| failed("open", directory.to_owned(), error))?;
    let stat = fstat(&root).map_err(|error| failed("look at", directory.to_owned(), error))?;
    let mut pack = Pack {
        out: BufWriter::with_capacity(CHUNK_BYTES, out),
        directory,
        device: stat.st_dev,
        linked: HashMap::new(),
        packed: Packed::default(),
    };
    let attributes = attributes_of(&root).map_err(|error| failed("look at", directory.to_owned(), error))?;
    pack.header(&Entry { path: b"./", kind: b'5', attributes: &attributes, size: 0, link: b"" })?;
    pack.directory(&root, &mut vec![], 0)?;
    let end = [0; 2 * BLOCK_BYTES];
    pack.out.write_all(&end).and_then(|()| pack.out.flush()).map_err(written)?;
    Ok(pack.packed)
}

struct Pack<'a, W: Write> {
    out: BufWriter<W>,
    directory: &'a Path,
    device: u64,
    /// The first path of a file that has several, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
    packed: Packed,
}

struct Entry<'a> {
    path: &'a [u8],
    kind: u8,
    attributes: &'a Attributes,
    size: u64,
    link: &'a [u8],
}

impl<W: Write> Pack<'_, W> {
    /// `path` is that of the directory in the archive; it is given back as it was.
    fn directory(&mut self, fd: &OwnedFd, path: &mut Vec<u8>, depth: usize) -> Result<(), LayerError> {
        let names = names(fd).map_err(|error| failed("list", self.shown(path), error))?;
        for name in names {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.to_bytes());
            self.entry(fd, &name, path, depth)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), LayerError> {
        if depth > DEPTH_MAX {
            return Err(self.unfit(path, "it lies too deep"));
        }
        if is_reserved(name.to_bytes()) {
            return Err(self.unfit(path, "names that begin with `.wh.` mean that a file is removed"));
        }
        if path.len() > PATH_BYTES_MAX {
            return Err(self.unfit(path, "its path is too long"));
        }
        let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|error| failed("look at", self.shown(path), error))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.subdirectory(parent, name, path, depth),
            FileType::RegularFile => self.file(parent, name, path),
            FileType::Symlink => {
                let target = readlinkat(parent, name, vec![]);
                let target = target.map_err(|error| failed("read the link", self.shown(path), error))?;
                self.plain(path, b'2', &stat, target.to_bytes())
            }
            FileType::Fifo => self.plain(path, b'6', &stat, b""),
            _ => {
                self.packed.skipped += 1;
                Ok(())
            }
        }
    }

    fn plain(&mut self, path: &[u8], kind: u8, stat: &Stat, link: &[u8]) -> Result<(), LayerError> {
        let attributes = Attributes::of(stat);
        self.header(&Entry { path, kind, attributes: &attributes, size: 0, link })
    }

    fn subdirectory(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), LayerError> {
        let opened = openat(parent, name, DIRECTORY, Mode::empty());
        let fd = opened.map_err(|error| failed("open", self.shown(path), error))?;
        let look = |error| failed("look at", self.shown(path), error);
        let attributes = attributes_of(&fd).map_err(look)?;
        let is_mounted = fstat(&fd).map_err(look)?.st_dev != self.device;
        path.push(b'/');
        self.header(&Entry { path, kind: b'5', attributes: &attributes, size: 0, link: b"" })?;
        path.pop();
        if is_mounted { Ok(()) } else { self.directory(&fd, path, depth + 1) }
    }

    fn file(&mut self, parent: &OwnedFd, name: &CStr, path: &[u8]) -> Result<(), LayerError> {
        let opened = openat(parent, name, FILE, Mode::empty());
        let fd = opened.map_err(|error| failed("open", self.shown(path), error))?;
        let look = |error| failed("look at", self.shown(path), error);
        let stat = fstat(&fd).map_err(look)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.unfit(path, "it changed while it was read"));
        }
        let attributes = attributes_of(&fd).map_err(look)?;
        if stat.st_nlink > 1 {
            let first = self.linked.get(&(stat.st_dev, stat.st_ino)).cloned();
            if let Some(link) = first {
                return self.header(&Entry {
                    path,
                    kind: b'1',
                    attributes: &attributes,
                    size: 0,
                    link: &link,
                });
            }
            self.linked.insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        self.header(&Entry { path, kind: b'0', attributes: &attributes, size, link: b"" })?;
        self.packed.content_bytes += size;
        self.content(fd.into(), path, size)
    }

    fn content(&mut self, file: File, path: &[u8], size: u64) -> Result<(), LayerError> {
        let mut content = file.take(size);
        let mut buffer = vec![0; CHUNK_BYTES.min(usize::try_from(size).unwrap_or(CHUNK_BYTES))];
        let mut left = size;
        while left > 0 {
            match content.read(&mut buffer) {
                Ok(0) => return Err(self.unfit(path, "it changed while it was read")),
                Ok(length) => {
                    self.out.write_all(&buffer[..length]).map_err(written)?;
                    left -= length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(LayerError::File { action: "read", path: self.shown(path), source });
                }
            }
        }
        self.pad(size)
    }

    fn header(&mut self, entry: &Entry<'_>) -> Result<(), LayerError> {
        let records = records(entry);
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            let size = records.len() as u64;
            fill(&mut header, &[b"PaxHeaders.0/", entry.path].concat(), b'x', size, b"");
            header.set_mode(0o644);
            self.write_header(&mut header)?;
            self.out.write_all(&records).map_err(written)?;
            self.pad(size)?;
        }
        let Attributes { mode, uid, gid, modified, .. } = entry.attributes;
        let mut header = Header::new_ustar();
        fill(&mut header, entry.path, entry.kind, entry.size.min(SIZE_MAX), entry.link);
        header.set_mode(*mode);
        header.set_uid((*uid).min(ID_MAX).into());
        header.set_gid((*gid).min(ID_MAX).into());
        header.set_mtime(u64::try_from(modified.tv_sec).unwrap_or_default().min(SIZE_MAX));
        self.packed.entries += 1;
        self.write_header(&mut header)
    }

    fn write_header(&mut self, header: &mut Header) -> Result<(), LayerError> {
        header.set_cksum();
        self.out.write_all(header.as_bytes()).map_err(written)
    }

    fn pad(&mut self, size: u64) -> Result<(), LayerError> {
        let padding = size.next_multiple_of(BLOCK_BYTES as u64) - size;
        let padding = usize::try_from(padding).unwrap_or_default();
        self.out.write_all(&[0; BLOCK_BYTES][..padding]).map_err(written)
    }

    fn shown(&self, path: &[u8]) -> PathBuf {
        self.directory.join(std::ffi::OsStr::from_bytes(path))
    }

    fn unfit(&self, path: &[u8], why: &'static str) -> LayerError {
        LayerError::Unfit { path: self.shown(path), why }
    }
}

fn written(source: io::Error) -> LayerError {
    LayerError::Write { source }
}

/// Of a directory, in order.
fn names(fd: impl AsFd) -> Result<Vec<CString>, rustix::io::Errno> {
    let mut names = vec![];
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Names are cut at the size of their fields.
fn fill(header: &mut Header, path: &[u8], kind: u8, size: u64, link: &[u8]) {
    let old = header.as_old_mut();
    let length = path.len().min(old.name.len());
    old.name[..length].copy_from_slice(&path[..length]);
    let length = link.len().min(old.linkname.len());
    old.linkname[..length].copy_from_slice(&link[..length]);
    old.linkflag = [kind];
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
}

/// The extended header of what a plain one cannot say.
fn records(entry: &Entry<'_>) -> Vec<u8> {
    let mut records = vec![];
    let mut add = |keyword: &[u8], value: &[u8]| records.extend(record(keyword, value));
    let Attributes { uid, gid, modified, xattrs, .. } = entry.attributes;
    for (keyword, id) in [(b"gid", *gid), (b"uid", *uid)] {
        if id > ID_MAX {
            add(keyword, id.to_string().as_bytes());
        }
    }
    if entry.link.len() > HEADER_NAME_BYTES_MAX {
        add(b"linkpath", entry.link);
    }
    let is_whole = modified.tv_nsec == 0 && u64::try_from(modified.tv_sec).is_ok_and(|time| time <= SIZE_MAX);
    if !is_whole {
        add(b"mtime", time_text(modified.tv_sec, modified.tv_nsec).as_bytes());
    }
    if entry.path.len() > HEADER_NAME_BYTES_MAX {
        add(b"path", entry.path);
    }
    if entry.size > SIZE_MAX {
        add(b"size", entry.size.to_string().as_bytes());
    }
    for (name, value) in xattrs {
        add(&[b"SCHILY.xattr.", name.to_bytes()].concat(), value);
    }
    records
}

/// `LENGTH KEYWORD=VALUE\n`, where the length counts its own digits.
fn record(keyword: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = keyword.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest > length {
        length += 1;
    }
    [length.to_string().as_bytes(), b" ", keyword, b"=", value, b"\n"].concat()
}

/// Nanoseconds count up from the seconds, also before the epoch.
fn time_text(seconds: i64, nanoseconds: impl Into<i128>) -> String {
    let total = i128::from(seconds) * 1_000_000_000 + nanoseconds.into();
    let sign = if total < 0 { "-" } else { "" };
    let total = total.unsigned_abs();
    let text = format!("{sign}{}.{:09}", total / 1_000_000_000, total % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::{record, time_text};
    use crate::layer::pax;

    #[test]
    fn records_are_read_as_they_are_written() {
        for length in (0..120).chain([985, 986, 987, 990, 991, 992, 9980, 9990]) {
            let value = vec![b'\n'; length];
            let written = record(b"k", &value);
            let read: Vec<_> = pax::records(&written).collect();
            assert_eq!(read, [Some((&b"k"[..], &value[..]))], "{length}");
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for (time, text) in [
            ((0, 0), "0"),
            ((10, 0), "10"),
            ((1, 500_000_000), "1.5"),
            ((1, 1), "1.000000001"),
            ((-1, 0), "-1"),
            ((-1, 500_000_000), "-0.5"),
            ((-2, 750_000_000), "-1.25"),
        ] {
            assert_eq!(time_text(time.0, time.1), text);
            assert_eq!(pax::time(text.as_bytes()), Some(time), "{text}");
        }
    }
}
