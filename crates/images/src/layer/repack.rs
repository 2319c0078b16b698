//! An archive again, byte for byte, from its recipe and the layer's directory.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, Take, Write};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use flate2::Crc;
use flate2::bufread::GzDecoder;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::error::LayerError;
use super::recipe::{CONTENT, END, LITERAL, LITERAL_BYTES_MAX, MAGIC, START_BYTES};
use super::{CHUNK_BYTES, PATH_BYTES_MAX, digest_text};

/// Writes the archive that was unpacked into `fs_dir` with `recipe`. Returns its diff ID,
/// `sha256:HEX`.
///
/// # Errors
/// Also when a file or the recipe is no longer what it was; by then part of the archive is written.
pub(crate) fn repack(fs_dir: &Path, recipe: &Path, out: impl Write) -> Result<String, LayerError> {
    let directory = File::open(fs_dir).map_err(|source| LayerError::File {
        action: "open",
        path: fs_dir.to_owned(),
        source,
    })?;
    let recipe = Recipe::open(recipe)?;
    let output = Output { out, hash: Sha256::new(), bytes: 0 };
    Repack { directory, fs_dir, recipe, output, buffer: vec![0; CHUNK_BYTES], contents: 0 }.run()
}

struct Repack<'a, W> {
    directory: File,
    fs_dir: &'a Path,
    recipe: Recipe,
    output: Output<W>,
    buffer: Vec<u8>,
    /// Met so far.
    contents: u64,
}

impl<W: Write> Repack<'_, W> {
    fn run(mut self) -> Result<String, LayerError> {
        loop {
            match self.recipe.array::<1>()? {
                [LITERAL] => self.literal()?,
                [CONTENT] => self.content()?,
                [END] => return self.end(),
                _ => return Err(self.recipe.damaged("it has an unknown instruction")),
            }
        }
    }

    fn literal(&mut self) -> Result<(), LayerError> {
        let length = u32::from_le_bytes(self.recipe.array()?) as usize;
        if length > LITERAL_BYTES_MAX {
            return Err(self.recipe.damaged("a literal is too long"));
        }
        let bytes = &mut self.buffer[..length];
        self.recipe.fill(bytes)?;
        self.output.write(bytes)
    }

    fn content(&mut self) -> Result<(), LayerError> {
        let bytes = u64::from_le_bytes(self.recipe.array()?);
        let crc = u32::from_le_bytes(self.recipe.array()?);
        let path = self.recipe.path()?;
        let number = self.contents;
        self.contents += 1;
        match self.recipe.displaced.get(&number).copied() {
            Some((offset, length)) if length == bytes => {
                let mut file = &self.recipe.file;
                let seek = file.seek(io::SeekFrom::Start(offset));
                seek.map_err(|error| failed_to_read(&self.recipe.path, error))?;
                let whole = self.output.copy(file.take(bytes), bytes, crc, &mut self.buffer);
                match whole
                    .map_err(|error| error.or_read(|source| failed_to_read(&self.recipe.path, source)))?
                {
                    true => Ok(()),
                    false => Err(self.recipe.damaged("a displaced file is not what it was")),
                }
            }
            Some(_) => Err(self.recipe.damaged("a displaced file has another length")),
            None => self.file(&path, bytes, crc),
        }
    }

    /// Copies a file of the layer.
    fn file(&mut self, path: &CString, bytes: u64, crc: u32) -> Result<(), LayerError> {
        let shown = self.fs_dir.join(OsStr::from_bytes(path.to_bytes()));
        // A FIFO in its place must not be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let Ok(fd) = linux_sys::in_root::open(self.directory.as_fd(), path, flags) else {
            return Err(LayerError::Changed { path: shown });
        };
        let file = File::from(fd);
        let is_as_it_was = file.metadata().is_ok_and(|found| found.is_file() && found.len() == bytes);
        if !is_as_it_was {
            return Err(LayerError::Changed { path: shown });
        }
        let copied = self.output.copy(file.take(bytes), bytes, crc, &mut self.buffer);
        let failed = |source| LayerError::File { action: "read", path: shown.clone(), source };
        match copied.map_err(|error| error.or_read(failed))? {
            true => Ok(()),
            false => Err(LayerError::Changed { path: shown }),
        }
    }

    fn end(mut self) -> Result<String, LayerError> {
        let bytes = u64::from_le_bytes(self.recipe.array()?);
        let digest: [u8; 32] = self.recipe.array()?;
        if bytes != self.output.bytes || digest != *self.output.hash.finalize() {
            return Err(self.recipe.damaged("it makes another archive"));
        }
        self.output.out.flush().map_err(|source| LayerError::Write { source })?;
        Ok(digest_text(&digest))
    }
}

struct Output<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
}

enum CopyError {
    Read(io::Error),
    Write(LayerError),
}

impl CopyError {
    fn or_read(self, read: impl FnOnce(io::Error) -> LayerError) -> LayerError {
        match self {
            Self::Read(source) => read(source),
            Self::Write(error) => error,
        }
    }
}

impl<W: Write> Output<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|source| LayerError::Write { source })
    }

    /// Whether the content had this length and checksum.
    fn copy(
        &mut self,
        mut content: Take<impl Read>,
        bytes: u64,
        crc: u32,
        buffer: &mut [u8],
    ) -> Result<bool, CopyError> {
        let mut checksum = Crc::new();
        let mut copied = 0;
        loop {
            let length = match content.read(buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CopyError::Read(error)),
            };
            checksum.update(&buffer[..length]);
            copied += length as u64;
            self.write(&buffer[..length]).map_err(CopyError::Write)?;
        }
        Ok(copied == bytes && checksum.sum() == crc)
    }
}

struct Recipe {
    path: PathBuf,
    instructions: GzDecoder<BufReader<Take<File>>>,
    /// Where in `file` a content is that is no longer in the layer, and how long it is.
    displaced: BTreeMap<u64, (u64, u64)>,
    file: File,
}

impl Recipe {
    fn open(path: &Path) -> Result<Self, LayerError> {
        let failed = |error| failed_to_read(path, error);
        let damaged = |why| LayerError::DamagedRecipe { path: path.to_owned(), why };
        let mut instructions = File::open(path).map_err(failed)?;
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut start = [0; START_BYTES as usize];
        instructions.read_exact(&mut start).map_err(failed)?;
        let (magic, end) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(damaged("it is not one, or of another version"));
        }
        let end = end.try_into().map_or(0, u64::from_le_bytes);
        if end < START_BYTES || end > length {
            return Err(damaged("it was not finished"));
        }
        let displaced = displaced(&file, end, length).map_err(failed)?;
        let displaced = displaced.ok_or_else(|| damaged("a displaced file is cut off"))?;
        let instructions = GzDecoder::new(BufReader::new(instructions.take(end - START_BYTES)));
        Ok(Self { path: path.to_owned(), instructions, displaced, file })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LayerError> {
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LayerError> {
        self.instructions.read_exact(bytes).map_err(|error| failed_to_read(&self.path, error))
    }

    fn path(&mut self) -> Result<CString, LayerError> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if length == 0 || length > PATH_BYTES_MAX {
            return Err(self.damaged("the length of a path is wrong"));
        }
        let mut path = vec![0; length];
        self.fill(&mut path)?;
        CString::new(path).map_err(|_| self.damaged("a path has a NUL"))
    }

    fn damaged(&self, why: &'static str) -> LayerError {
        LayerError::DamagedRecipe { path: self.path.clone(), why }
    }
}

/// `None` when they do not fill the file from `offset` to `end`.
fn displaced(file: &File, mut offset: u64, end: u64) -> io::Result<Option<BTreeMap<u64, (u64, u64)>>> {
    let mut found = BTreeMap::new();
    while offset < end {
        let mut head = [0; 16];
        if end - offset < head.len() as u64 {
            return Ok(None);
        }
        file.read_exact_at(&mut head, offset)?;
        offset += head.len() as u64;
        let [number, length] = [0, 8].map(|at| head[at..at + 8].try_into().map_or(0, u64::from_le_bytes));
        if length > end - offset {
            return Ok(None);
        }
        found.insert(number, (offset, length));
        offset += length;
    }
    Ok(Some(found))
}

/// What the decompressor complains about is damage.
fn failed_to_read(path: &Path, source: io::Error) -> LayerError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::UnexpectedEof => LayerError::DamagedRecipe { path, why: "it is cut off" },
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            LayerError::DamagedRecipe { path, why: "it does not decompress" }
        }
        _ => LayerError::ReadRecipe { path, source },
    }
}
