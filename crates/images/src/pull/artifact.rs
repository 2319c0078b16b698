//! Artifacts: what is kept in registries and is no image. Each blob that is not an archive becomes a layer of one file,
//! so that image volumes can have it.

use std::io::{self, Chain, Cursor, Read, Repeat, Take};

use registry::Digest;
use serde_json::json;

use crate::config::Platform;
use crate::tar_writer;

/// A tar archive of one file, made as it is read.
#[derive(Debug)]
pub(super) struct FileArchive<R>(Chain<Chain<Cursor<Vec<u8>>, R>, Take<Repeat>>);

impl<R: Read> FileArchive<R> {
    /// `content` is to have `bytes` bytes, which its own reader sees to.
    pub(super) fn new(name: &str, bytes: u64, content: R) -> io::Result<Self> {
        let header = tar_writer::file_header(name, bytes)?;
        let zeroes = io::repeat(0).take(tar_writer::zeroes_after(bytes));
        Ok(Self(Cursor::new(header).chain(content).chain(zeroes)))
    }
}

impl<R: Read> Read for FileArchive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// The configuration of an image of these layers: the same for the same.
pub(super) fn config(platform: &Platform, diff_ids: &[Digest]) -> Vec<u8> {
    let config = json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    config.to_string().into_bytes()
}
