//! Archives, header by header.

use std::os::unix::fs::MetadataExt as _;

use tar::Header;

/// An archive in the making. Everything belongs to who runs the test, so that it needs no privilege.
#[derive(Clone, Debug, Default)]
pub(super) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// With its end mark, padded as GNU tar does.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes.resize(self.bytes.len().next_multiple_of(10240), 0);
        self.bytes
    }

    /// Without an end mark.
    pub(super) fn cut(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let header = header(b'0', name.as_ref(), 0o644);
        self.entry(header, content.as_ref())
    }

    pub(super) fn directory(self, name: impl AsRef<[u8]>) -> Self {
        self.entry(header(b'5', name.as_ref(), 0o755), b"")
    }

    pub(super) fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(linked(b'2', name.as_ref(), target.as_ref()), b"")
    }

    /// A hard link.
    pub(super) fn link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(linked(b'1', name.as_ref(), target.as_ref()), b"")
    }

    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let data: Vec<u8> = records.iter().flat_map(|(keyword, value)| record(keyword, value)).collect();
        self.entry(header(b'x', b"PaxHeaders/x", 0o644), &data)
    }

    /// The size and the checksum are set here.
    pub(super) fn entry(self, mut header: Header, data: &[u8]) -> Self {
        header.set_size(data.len() as u64);
        self.claiming(header, data)
    }

    /// The size is as in `header`.
    pub(super) fn claiming(mut self, mut header: Header, data: &[u8]) -> Self {
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.raw(data)
    }

    /// Bytes, padded.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }
}

/// A ustar header; a longer name is cut.
pub(super) fn header(kind: u8, name: &[u8], mode: u32) -> Header {
    linked_header(Header::new_ustar(), kind, name, b"", mode)
}

fn linked(kind: u8, name: &[u8], target: &[u8]) -> Header {
    linked_header(Header::new_ustar(), kind, name, target, 0o777)
}

fn linked_header(mut header: Header, kind: u8, name: &[u8], target: &[u8], mode: u32) -> Header {
    let own = std::fs::metadata("/proc/self").expect("a process");
    let old = header.as_old_mut();
    old.name[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    old.linkname[..target.len().min(100)].copy_from_slice(&target[..target.len().min(100)]);
    old.linkflag = [kind];
    header.set_mode(mode);
    header.set_uid(own.uid().into());
    header.set_gid(own.gid().into());
    header.set_mtime(1_000_000_000);
    header.set_size(0);
    header
}

pub(super) fn record(keyword: &str, value: &[u8]) -> Vec<u8> {
    let rest = keyword.len() + value.len() + 3;
    let length = (rest..).find(|length| length.to_string().len() + rest == *length).expect("a length");
    [length.to_string().as_bytes(), b" ", keyword.as_bytes(), b"=", value, b"\n"].concat()
}
