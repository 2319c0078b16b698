//! An archive made into the directory and the recipe of a layer.

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use flate2::Crc;
use rustix::fs::fstat;

use super::archive::{Archive, BLOCK_BYTES};
use super::error::{LayerError, Refusal};
use super::member::{Headers, Kind, Member};
use super::name::{Named, components, named};
use super::recipe::RecipeWriter;
use super::sparse::{Map, Sparse};
use super::tree::{Blocked, Tree, c_string, failed};

/// What an archive may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Headers, including those that extend others.
    pub(crate) entries_max: u64,
    /// Of the archive, not compressed.
    pub(crate) archive_bytes_max: u64,
    /// Of all files together.
    pub(crate) content_bytes_max: u64,
    /// Of the paths of whiteouts and of directories without an entry of their own, which are remembered.
    pub(crate) noted_bytes_max: u64,
}

impl Default for Limits {
    /// Ten times what the largest images have, and nothing a machine could not do.
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            entries_max: 4_000_000,
            archive_bytes_max: 256 * GIB,
            content_bytes_max: 256 * GIB,
            noted_bytes_max: 16 << 20,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unpacked {
    /// `sha256:HEX` of the archive.
    pub(crate) diff_id: String,
    /// Of the archive.
    pub(crate) size_bytes: u64,
    /// Of the files' contents.
    pub(crate) content_bytes: u64,
    pub(crate) entries: u64,
    /// Directories without an entry of their own, for [`super::settle`]; the empty path is the root.
    pub(crate) implied: Vec<PathBuf>,
    /// For [`super::settle`].
    pub(crate) whiteouts: Vec<PathBuf>,
}

/// Unpacks an archive, which is not compressed, into the empty directory `fs_dir`, and writes its
/// recipe into the new file `recipe`. The archive is read to its very end.
///
/// The layer is not to be used before [`super::settle`]. Nothing is synced. After an error `fs_dir` and `recipe` hold what was made until then.
///
/// # Errors
/// Names the entry that is not taken, and why.
pub(crate) fn unpack(
    archive: impl Read,
    fs_dir: &Path,
    recipe: &Path,
    limits: &Limits,
) -> Result<Unpacked, LayerError> {
    let mut unpack = Unpack {
        archive: Archive::new(archive, limits.archive_bytes_max),
        tree: Tree::open(fs_dir, limits.noted_bytes_max)?,
        recipe: RecipeWriter::create(recipe)?,
        content_bytes: 0,
        content_bytes_max: limits.content_bytes_max,
    };
    let mut headers = Headers { read: 0, max: limits.entries_max };
    while let Some(member) = headers.next(&mut unpack.archive, &mut unpack.recipe)? {
        unpack.member(&member).map_err(|blocked| match blocked {
            Blocked::Refused(why) => member.refused(why),
            Blocked::Failed(error) => error,
        })?;
    }
    unpack.rest()?;
    let Unpack { archive, tree, recipe, content_bytes, .. } = unpack;
    let (implied, whiteouts) = tree.finish()?;
    let (size_bytes, hash) = archive.finish();
    recipe.finish(size_bytes, &hash)?;
    let diff_id = super::digest_text(&hash);
    Ok(Unpacked { diff_id, size_bytes, content_bytes, entries: headers.read, implied, whiteouts })
}

struct Unpack<R> {
    archive: Archive<R>,
    tree: Tree,
    recipe: RecipeWriter,
    content_bytes: u64,
    content_bytes_max: u64,
}

impl<R: Read> Unpack<R> {
    fn member(&mut self, member: &Member) -> Result<(), Blocked> {
        match named(&member.name)? {
            Named::Ignored => {}
            Named::Root if member.kind == Kind::Directory => self.tree.set_root(&member.attributes)?,
            Named::Root => return Err(Refusal::Root.into()),
            Named::Opaque { directory } => {
                if self.enter_to_hide(&directory)? {
                    self.tree.hide_below()?;
                }
            }
            Named::Whiteout { parent, name } => {
                if self.enter_to_hide(&parent)? {
                    self.tree.add_whiteout(name)?;
                }
            }
            Named::Entry { parent, name } => return self.entry(member, &parent, name),
        }
        Ok(self.skip(member.bytes)?)
    }

    /// Whether there is a directory to hide things in. A file in its place hides all by itself: some programs
    /// write whiteouts of what a directory had also when the layer makes it a file.
    fn enter_to_hide(&mut self, directory: &[&[u8]]) -> Result<bool, Blocked> {
        match self.tree.enter(directory) {
            Err(Blocked::Refused(Refusal::ParentNotDirectory { .. })) => Ok(false),
            entered => entered.map(|()| true),
        }
    }

    fn entry(&mut self, member: &Member, parent: &[&[u8]], name: &[u8]) -> Result<(), Blocked> {
        let Member { attributes, .. } = member;
        if let Kind::Link(target) = &member.kind {
            if target.is_empty() {
                return Err(Refusal::LinkTargetEmpty.into());
            }
            let outside =
                |_| Refusal::LinkTargetOutside { target: std::ffi::OsStr::from_bytes(target).into() };
            let target = components(target).map_err(outside)?;
            return self.tree.add_link(&target, (parent, name), &mut self.recipe);
        }
        self.tree.enter(parent)?;
        match &member.kind {
            Kind::File => return self.file(member, name),
            Kind::Sparse(sparse) => return self.sparse_file(member, sparse, name),
            Kind::Directory => self.tree.add_directory(name, attributes, &mut self.recipe)?,
            Kind::Symlink(target) if target.is_empty() || target.contains(&0) => {
                return Err(Refusal::LinkTargetEmpty.into());
            }
            Kind::Symlink(target) => self.tree.add_symlink(name, target, attributes, &mut self.recipe)?,
            Kind::Fifo => self.tree.add_fifo(name, attributes, &mut self.recipe)?,
            // A container's devices are not an image's business; but it replaces what was there.
            Kind::Device | Kind::Link(_) => self.tree.remove(name, &mut self.recipe)?,
        }
        Ok(self.skip(member.bytes)?)
    }

    fn file(&mut self, member: &Member, name: &[u8]) -> Result<(), Blocked> {
        self.count(member.bytes)?;
        let mut file = self.tree.add_file(name, member.attributes.mode, &mut self.recipe)?;
        let path = self.tree.path_of(&c_string(name));
        let crc = self.copy(member.bytes, &mut file, &path)?;
        let inode = finish(&file, &path, member)?;
        if member.bytes > 0 {
            let number = self.recipe.content(path.as_os_str().as_bytes(), member.bytes, crc)?;
            self.tree.contents.insert(inode, number);
        }
        Ok(self.padding(member.bytes)?)
    }

    /// All that the archive has of it is kept in the recipe too.
    fn sparse_file(&mut self, member: &Member, sparse: &Sparse, name: &[u8]) -> Result<(), Blocked> {
        self.count(sparse.bytes)?;
        let (pieces, bytes) = match &sparse.pieces {
            Some(pieces) => (pieces.clone(), member.bytes),
            None => self.map(member.bytes)?,
        };
        let pieces = sparse.checked(&pieces, bytes).ok_or(Refusal::Sparse)?;
        let file = self.tree.add_file(name, member.attributes.mode, &mut self.recipe)?;
        let path = self.tree.path_of(&c_string(name));
        let written = |source| LayerError::File { action: "write", path: path.clone(), source };
        file.set_len(sparse.bytes).map_err(written)?;
        for (mut offset, length) in pieces {
            let end = offset + length;
            while offset < end {
                let chunk = self.archive.chunk(end - offset)?;
                if chunk.is_empty() {
                    return Err(LayerError::Truncated { within: "a file" }.into());
                }
                self.recipe.literal(chunk)?;
                file.write_all_at(chunk, offset).map_err(written)?;
                offset += chunk.len() as u64;
            }
        }
        finish(&file, &path, member)?;
        Ok(self.padding(member.bytes)?)
    }

    /// Reads the map that the content begins with. Returns the pieces, and how many bytes are left.
    fn map(&mut self, bytes: u64) -> Result<(Vec<u64>, u64), Blocked> {
        let mut map = Map::default();
        let mut left = bytes;
        loop {
            left = left.checked_sub(BLOCK_BYTES as u64).ok_or(Refusal::Sparse)?;
            let block = self.archive.block()?.ok_or(LayerError::Truncated { within: "a file" })?;
            self.recipe.literal(&block)?;
            if map.read(&block).ok_or(Refusal::Sparse)? {
                return Ok((map.pieces, left));
            }
        }
    }

    fn count(&mut self, bytes: u64) -> Result<(), Refusal> {
        if bytes > self.content_bytes_max - self.content_bytes {
            return Err(Refusal::ContentTooLarge { max: self.content_bytes_max });
        }
        self.content_bytes += bytes;
        Ok(())
    }

    /// Returns the content's checksum.
    fn copy(&mut self, bytes: u64, file: &mut File, path: &Path) -> Result<u32, LayerError> {
        let mut crc = Crc::new();
        let mut left = bytes;
        while left > 0 {
            let chunk = self.archive.chunk(left)?;
            if chunk.is_empty() {
                return Err(LayerError::Truncated { within: "a file" });
            }
            crc.update(chunk);
            left -= chunk.len() as u64;
            file.write_all(chunk).map_err(|source| LayerError::File {
                action: "write",
                path: path.to_owned(),
                source,
            })?;
        }
        Ok(crc.sum())
    }

    /// What is not made into a file is kept in the recipe.
    fn skip(&mut self, bytes: u64) -> Result<(), LayerError> {
        self.keep(bytes)?;
        self.padding(bytes)
    }

    /// The last entry's may be missing, as what `umoci insert` writes has it: the content is there.
    fn padding(&mut self, bytes: u64) -> Result<(), LayerError> {
        let block = BLOCK_BYTES as u64;
        self.up_to((block - bytes % block) % block).map(|_| ())
    }

    fn keep(&mut self, bytes: u64) -> Result<(), LayerError> {
        match self.up_to(bytes)? {
            0 => Ok(()),
            _ => Err(LayerError::Truncated { within: "an entry" }),
        }
    }

    /// Keeps what there is of so many bytes; returns how many were missing.
    fn up_to(&mut self, bytes: u64) -> Result<u64, LayerError> {
        let mut left = bytes;
        while left > 0 {
            let chunk = self.archive.chunk(left)?;
            if chunk.is_empty() {
                break;
            }
            self.recipe.literal(chunk)?;
            left -= chunk.len() as u64;
        }
        Ok(left)
    }

    /// What follows the end mark has no meaning; programs pad archives to a round size.
    fn rest(&mut self) -> Result<(), LayerError> {
        loop {
            let chunk = self.archive.chunk(u64::MAX)?;
            if chunk.is_empty() {
                return Ok(());
            }
            self.recipe.literal(chunk)?;
        }
    }
}

/// Gives a file that is written its attributes. Returns its inode.
fn finish(file: &File, path: &Path, member: &Member) -> Result<u64, LayerError> {
    let looked = fstat(file).map_err(|error| ("look at", error));
    let given = looked.and_then(|is| member.attributes.give(file.as_fd(), &is).map(|()| is.st_ino));
    given.map_err(|(action, error)| failed(action, path.to_owned(), error))
}
