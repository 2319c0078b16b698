//! The recipe of an archive: all of it but what the files in the layer's directory hold.
//!
//! A file of these parts; numbers are little-endian:
//!
//! * [`MAGIC`], which has the version, and the offset (8 bytes) at which the instructions end;
//! * the instructions, compressed by gzip: [`LITERAL`], length (4), bytes; [`CONTENT`], length (8),
//!   CRC-32 (4), length of the path (2), path in the layer; [`END`], length of the archive (8), its
//!   SHA-256 (32);
//! * what a later entry of the same archive displaced: which content (8, counted from 0), length (8),
//!   bytes.

use std::fs::{self, File};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::error::LayerError;

pub(super) const MAGIC: &[u8; 16] = b"monopod recipe 1";
pub(super) const LITERAL: u8 = 0;
pub(super) const CONTENT: u8 = 1;
pub(super) const END: u8 = 2;
/// Of the magic and the offset.
pub(super) const START_BYTES: u64 = 24;

/// How many literal bytes become one instruction.
pub(super) const LITERAL_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct RecipeWriter {
    path: PathBuf,
    instructions: GzEncoder<File>,
    literal: Vec<u8>,
    contents: u64,
    displaced: Option<Displaced>,
}

/// Kept beside the recipe until it is finished.
#[derive(Debug)]
struct Displaced {
    path: PathBuf,
    file: File,
}

impl RecipeWriter {
    pub(super) fn create(path: &Path) -> Result<Self, LayerError> {
        let create = || {
            let mut file = File::create_new(path)?;
            file.write_all(MAGIC)?;
            file.write_all(&0_u64.to_le_bytes())?;
            Ok(file)
        };
        let file = create().map_err(failed_to_write(path))?;
        Ok(Self {
            path: path.to_owned(),
            instructions: GzEncoder::new(file, Compression::fast()),
            literal: Vec::with_capacity(LITERAL_BYTES_MAX),
            contents: 0,
            displaced: None,
        })
    }

    /// The archive goes on with `bytes`.
    pub(super) fn literal(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(LITERAL_BYTES_MAX - self.literal.len()));
            self.literal.extend_from_slice(now);
            bytes = later;
            if self.literal.len() == LITERAL_BYTES_MAX {
                self.flush_literal()?;
            }
        }
        Ok(())
    }

    /// The archive goes on with the content of the file at `path` in the layer. Returns its number.
    pub(super) fn content(&mut self, path: &[u8], bytes: u64, crc: u32) -> Result<u64, LayerError> {
        self.flush_literal()?;
        let path_bytes = u16::try_from(path.len()).unwrap_or(u16::MAX);
        let instruction =
            [&[CONTENT][..], &bytes.to_le_bytes(), &crc.to_le_bytes(), &path_bytes.to_le_bytes(), path]
                .concat();
        self.instructions.write_all(&instruction).map_err(failed_to_write(&self.path))?;
        self.contents += 1;
        Ok(self.contents - 1)
    }

    /// Keeps content number `number`, which is about to leave the layer's directory.
    pub(super) fn displace(&mut self, number: u64, mut content: File) -> Result<(), LayerError> {
        let path = self.path.with_extension("displaced");
        let result = (|| {
            let displaced = match &mut self.displaced {
                Some(displaced) => displaced,
                none => {
                    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
                    none.insert(Displaced { path, file })
                }
            };
            let bytes = content.metadata()?.len();
            displaced.file.write_all(&number.to_le_bytes())?;
            displaced.file.write_all(&bytes.to_le_bytes())?;
            io::copy(&mut content, &mut displaced.file)
        })();
        result.map(drop).map_err(failed_to_write(&self.path))
    }

    /// `digest` is the archive's SHA-256.
    pub(super) fn finish(mut self, bytes: u64, digest: &[u8; 32]) -> Result<(), LayerError> {
        self.flush_literal()?;
        let Self { path, mut instructions, displaced, .. } = self;
        let finish = || {
            instructions.write_all(&[&[END][..], &bytes.to_le_bytes(), digest].concat())?;
            let mut file = instructions.finish()?;
            let end = file.stream_position()?;
            if let Some(mut displaced) = displaced {
                displaced.file.rewind()?;
                io::copy(&mut displaced.file, &mut file)?;
                fs::remove_file(displaced.path)?;
            }
            // Last, so that what was not finished is known for it.
            file.write_all_at(&end.to_le_bytes(), MAGIC.len() as u64)
        };
        finish().map_err(failed_to_write(&path))
    }

    fn flush_literal(&mut self) -> Result<(), LayerError> {
        let Some(length) = u32::try_from(self.literal.len()).ok().filter(|length| *length > 0) else {
            return Ok(());
        };
        let head = [&[LITERAL][..], &length.to_le_bytes()].concat();
        let written =
            self.instructions.write_all(&head).and_then(|()| self.instructions.write_all(&self.literal));
        written.map_err(failed_to_write(&self.path))?;
        self.literal.clear();
        Ok(())
    }
}

fn failed_to_write(path: &Path) -> impl Fn(io::Error) -> LayerError {
    move |source| LayerError::WriteRecipe { path: path.to_owned(), source }
}
