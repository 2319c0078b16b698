//! The members of a tar archive: headers of V7, ustar, pax and GNU, and what extends them.
//!
//! Where tar programs differ this reads as Go's `archive/tar`, on which the other engines are built, so
//! that an archive means the same here: only regular files have content, whatever the size says.

use std::ffi::{CString, OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use rustix::fs::Timespec;
use tar::{GnuExtSparseHeader, Header};

use super::archive::{Archive, BLOCK_BYTES};
use super::attributes::{Attributes, MODE_BITS, is_kept};
use super::error::{LayerError, Refusal};
use super::number::number;
use super::pax;
use super::recipe::RecipeWriter;
use super::sparse::{self, Sparse};

/// Of one extended header.
const EXTENSION_BYTES_MAX: u64 = 1024 * 1024;
/// Of a name in an error.
const SHOWN_BYTES_MAX: usize = 512;

#[derive(Debug)]
pub(super) struct Member {
    /// As it stands in the archive.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) attributes: Attributes,
    /// Of content, which follows in the archive, with padding.
    pub(super) bytes: u64,
}

#[derive(PartialEq, Eq, Debug)]
pub(super) enum Kind {
    File,
    Sparse(Sparse),
    Directory,
    Symlink(Vec<u8>),
    /// A hard link.
    Link(Vec<u8>),
    Fifo,
    Device,
}

impl Member {
    pub(super) fn shown(&self) -> PathBuf {
        shown(&self.name)
    }

    pub(super) fn refused(&self, why: Refusal) -> LayerError {
        LayerError::Refused { entry: self.shown(), why }
    }
}

/// Reads the headers of members, and writes them into the recipe.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) read: u64,
    pub(super) max: u64,
}

impl Headers {
    /// The next member; `None` at the end mark or the end of the archive.
    pub(super) fn next<R: Read>(
        &mut self,
        archive: &mut Archive<R>,
        recipe: &mut RecipeWriter,
    ) -> Result<Option<Member>, LayerError> {
        let mut extension = Extension::default();
        loop {
            let offset = archive.offset();
            let Some(block) = archive.block()? else {
                return if extension.is_empty() {
                    Ok(None)
                } else {
                    Err(LayerError::Truncated { within: "an extended header" })
                };
            };
            recipe.literal(&block)?;
            if block == [0; BLOCK_BYTES] {
                return Ok(None);
            }
            self.read += 1;
            if self.read > self.max {
                return Err(LayerError::TooManyEntries { max: self.max });
            }
            let header = Header::from_byte_slice(&block);
            check_sum(header, &block).map_err(|why| LayerError::Header { offset, why })?;
            match header.as_old().linkflag[0] {
                b'x' => extension.pax(&extension_data(header, archive, recipe)?, header)?,
                // Nothing for a layer in them: comments of `git archive`.
                b'g' => drop(extension_data(header, archive, recipe)?),
                b'L' => extension.name = Some(until_nul(extension_data(header, archive, recipe)?)),
                b'K' => extension.link = Some(until_nul(extension_data(header, archive, recipe)?)),
                b'S' => {
                    let mut member = extension.member(header)?;
                    member.kind = Kind::Sparse(gnu_sparse(header, archive, recipe)?);
                    return Ok(Some(member));
                }
                _ => return extension.member(header).map(Some),
            }
        }
    }
}

/// The map of a sparse file in GNU tar's own format: in the header, and in the blocks behind it.
fn gnu_sparse<R: Read>(
    header: &Header,
    archive: &mut Archive<R>,
    recipe: &mut RecipeWriter,
) -> Result<Sparse, LayerError> {
    let refused = || LayerError::Refused { entry: shown(&header.path_bytes()), why: Refusal::Sparse };
    let gnu = header.as_gnu().ok_or_else(refused)?;
    let mut sparse = Sparse::of_gnu(gnu).ok_or_else(refused)?;
    let mut is_extended = gnu.is_extended();
    while is_extended {
        let block = archive.block()?.ok_or(LayerError::Truncated { within: "an extended header" })?;
        recipe.literal(&block)?;
        let mut more = GnuExtSparseHeader::new();
        more.as_mut_bytes().copy_from_slice(&block);
        let pieces = more.sparse();
        // What says nothing would go on for ever.
        if pieces[0].numbytes[0] == 0 {
            return Err(refused());
        }
        sparse.add(pieces).ok_or_else(refused)?;
        is_extended = more.is_extended();
    }
    Ok(sparse)
}

/// Sums of old programs are of signed bytes.
fn check_sum(header: &Header, block: &[u8; BLOCK_BYTES]) -> Result<(), &'static str> {
    let expected = number(&header.as_old().cksum).ok_or("its checksum is malformed")?;
    let spaced = |i: usize, byte: u8| if (148..156).contains(&i) { b' ' } else { byte };
    let bytes = || block.iter().enumerate().map(|(i, byte)| spaced(i, *byte));
    let unsigned: i64 = bytes().map(i64::from).sum();
    let signed = || bytes().map(|byte| i64::from(byte.cast_signed())).sum::<i64>();
    if expected == unsigned || expected == signed() { Ok(()) } else { Err("its checksum is wrong") }
}

/// The data of a header that extends the next one.
fn extension_data<R: Read>(
    header: &Header,
    archive: &mut Archive<R>,
    recipe: &mut RecipeWriter,
) -> Result<Vec<u8>, LayerError> {
    let refused = |why| LayerError::Refused { entry: shown(&header.path_bytes()), why };
    let bytes = number(&header.as_old().size).and_then(|size| u64::try_from(size).ok());
    let bytes = bytes.ok_or_else(|| refused(Refusal::Size))?;
    if bytes > EXTENSION_BYTES_MAX {
        return Err(refused(Refusal::ExtensionTooLarge { max: EXTENSION_BYTES_MAX }));
    }
    let mut data = vec![];
    let mut left = bytes.next_multiple_of(BLOCK_BYTES as u64);
    while left > 0 {
        let chunk = archive.chunk(left)?;
        if chunk.is_empty() {
            return Err(LayerError::Truncated { within: "an extended header" });
        }
        recipe.literal(chunk)?;
        data.extend_from_slice(chunk);
        left -= chunk.len() as u64;
    }
    data.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
    Ok(data)
}

/// What was said before the header of the member itself.
#[derive(Default, PartialEq, Eq, Debug)]
struct Extension {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<(i64, u32)>,
    xattrs: Vec<(CString, Vec<u8>)>,
    sparse: sparse::Records,
}

impl Extension {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// An empty value takes a keyword back.
    fn pax(&mut self, data: &[u8], header: &Header) -> Result<(), LayerError> {
        let malformed =
            || LayerError::Refused { entry: shown(&header.path_bytes()), why: Refusal::Extension };
        for record in pax::records(data) {
            let (keyword, value) = record.ok_or_else(malformed)?;
            let number = || given(value).map(|v| pax::decimal(v).ok_or_else(malformed)).transpose();
            match keyword {
                b"path" => self.name = given(value).map(<[u8]>::to_vec),
                b"linkpath" => self.link = given(value).map(<[u8]>::to_vec),
                b"size" => self.size = number()?,
                b"uid" => self.uid = number()?,
                b"gid" => self.gid = number()?,
                b"mtime" => {
                    self.modified = given(value).map(|v| pax::time(v).ok_or_else(malformed)).transpose()?;
                }
                _ => match keyword.strip_prefix(b"GNU.sparse.") {
                    Some(keyword) => self.sparse.add(keyword, value).ok_or_else(malformed)?,
                    None => self.xattr(keyword, value).ok_or_else(malformed)?,
                },
            }
        }
        Ok(())
    }

    /// `None` for what cannot be the name of an attribute.
    fn xattr(&mut self, keyword: &[u8], value: &[u8]) -> Option<()> {
        let Some(name) = keyword.strip_prefix(b"SCHILY.xattr.").filter(|name| is_kept(name)) else {
            return Some(());
        };
        let name = CString::new(name).ok()?;
        self.xattrs.retain(|(other, _)| *other != name);
        self.xattrs.push((name, value.to_vec()));
        Some(())
    }

    fn member(self, header: &Header) -> Result<Member, LayerError> {
        let old = header.as_old();
        let mut records = self.sparse;
        let name = records.name.take().or(self.name).unwrap_or_else(|| header.path_bytes().into_owned());
        let refused = |why| LayerError::Refused { entry: shown(&name), why };
        let field = |field| refused(Refusal::Field { field });
        let id = |extended: Option<u64>, bytes: &[u8], name| {
            let id = extended.or_else(|| number(bytes)?.try_into().ok());
            // The last one means "as it is" to the kernel.
            id.and_then(|id| u32::try_from(id).ok()).filter(|id| *id != u32::MAX).ok_or_else(|| field(name))
        };
        let link = self.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let link = link.unwrap_or_default();
        let sparse = records.sparse().ok_or_else(|| refused(Refusal::Sparse))?;
        let kind = match old.linkflag[0] {
            // Before ustar there was no other way to say so.
            0 | b'0' | b'7' | b'5' if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => sparse.map_or(Kind::File, Kind::Sparse),
            // Its map is read by who calls.
            b'S' => Kind::File,
            b'1' => Kind::Link(link),
            b'2' => Kind::Symlink(link),
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            kind => return Err(refused(Refusal::Kind { kind })),
        };
        let size = self.size.or_else(|| number(&old.size)?.try_into().ok());
        let size = size.ok_or_else(|| refused(Refusal::Size))?;
        let is_only_header = !matches!(old.linkflag[0], 0 | b'0' | b'7' | b'S');
        let mode = number(&old.mode).ok_or_else(|| field("mode"))?;
        let modified = self.modified.or_else(|| Some((number(&old.mtime)?, 0)));
        let (seconds, nanoseconds) = modified.ok_or_else(|| field("mtime"))?;
        let attributes = Attributes {
            mode: u32::try_from(mode & i64::from(MODE_BITS)).unwrap_or_default(),
            uid: id(self.uid, &old.uid, "uid")?,
            gid: id(self.gid, &old.gid, "gid")?,
            modified: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
            xattrs: self.xattrs,
        };
        Ok(Member { kind, attributes, bytes: if is_only_header { 0 } else { size }, name })
    }
}

fn given(value: &[u8]) -> Option<&[u8]> {
    Some(value).filter(|value| !value.is_empty())
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    bytes
}

/// For an error. A name may have as many bytes as an extended header.
fn shown(name: &[u8]) -> PathBuf {
    let Some(start) = name.get(..SHOWN_BYTES_MAX) else { return OsStr::from_bytes(name).into() };
    OsString::from_vec([start, b"..."].concat()).into()
}
