//! `monopod image load`: the images of an archive into the store.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Seek as _};
use std::path::PathBuf;

use super::error::ArchiveError;
use super::found::{FoundImage, FoundLayer};
use super::members::Members;
use super::{ARCHIVE_BYTES_MAX, docker, oci, tar_index};
use crate::config::Platform;
use crate::layer;
use crate::store::{Adding, Displaced, NewImage, Store};
use registry::Reference;
use registry::{Digest, Hashing};

const BUFFER_BYTES: usize = 256 << 10;
/// How compressed files begin: gzip, zstd, xz, bzip2.
const COMPRESSED: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh"];
const MAGIC_BYTES_MAX: u64 = 6;

/// Where an archive comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    Stdin,
    /// A file or a directory.
    Path(PathBuf),
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LoadOptions {
    /// In place of the names in the archive, which must hold one image then.
    pub name: Option<Reference>,
}

/// An image that is in the store now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    pub id: Digest,
    pub names: Vec<String>,
}

/// What is being done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress<'p> {
    /// An archive is copied first: it comes through a pipe, or is compressed.
    Reading,
    /// The layer `number` of `count` of an image.
    Unpacking { image: &'p str, number: usize, count: usize },
    /// A layer that the store has already.
    Present { image: &'p str, number: usize, count: usize },
}

impl Store {
    /// Loads every image of an archive, or none. What names led to before is returned too.
    ///
    /// # Errors
    /// When something of it is not what it should be; then the store is as it was.
    pub(crate) fn load_archive(
        &self,
        source: &Source,
        options: &LoadOptions,
        progress: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<(Vec<Loaded>, Displaced), ArchiveError> {
        let mut adding = self.add()?;
        let members = open(source, &adding, progress)?;
        let found = find(&members, &Platform::host())?;
        let found = with_names(found, options)?;
        for image in &found {
            add_layers(&mut adding, &members, image, progress)?;
        }
        let loaded = found.iter().map(|image| Loaded { id: image.id, names: image.names.clone() }).collect();
        let new = found.into_iter().map(|image| NewImage {
            config: image.config_bytes,
            names: image.names,
            digests: image.digests,
            pulled: None,
        });
        let displaced = adding.publish(&new.collect::<Vec<_>>())?;
        Ok((loaded, displaced))
    }
}

fn open(
    source: &Source,
    adding: &Adding<'_>,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<Members, ArchiveError> {
    let path = match source {
        Source::Stdin => {
            progress(&Progress::Reading);
            return spool(io::stdin().lock(), adding);
        }
        Source::Path(path) => path,
    };
    let failed = |source| ArchiveError::Open { path: path.clone(), source };
    let mut file = File::open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?;
    if kind.is_dir() {
        return Ok(Members::Directory(file.into()));
    }
    if kind.is_file() {
        let mut magic = Vec::new();
        (&file).take(MAGIC_BYTES_MAX).read_to_end(&mut magic).map_err(failed)?;
        file.rewind().map_err(failed)?;
        if !COMPRESSED.iter().any(|known| magic.starts_with(known)) {
            return Members::of_tar(file);
        }
    }
    progress(&Progress::Reading);
    spool(file, adding)
}

/// Copies an archive, uncompressed, to where it can be read in any order: a file without a name, so that it is
/// gone with this process, however that ends. What does not begin as an archive does, and may be endless, is
/// not copied.
fn spool(reader: impl Read, adding: &Adding<'_>) -> Result<Members, ArchiveError> {
    let path = adding.scratch("archive");
    let failed = |source| ArchiveError::Spool { path: path.clone(), source };
    let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    let plain = layer::decompress(reader).map_err(|source| ArchiveError::Decompress { source })?;
    let mut plain = BufReader::with_capacity(BUFFER_BYTES, plain.take(ARCHIVE_BYTES_MAX + 1));
    let mut file =
        File::options().create(true).truncate(true).read(true).write(true).open(&path).map_err(failed)?;
    fs::remove_file(&path).map_err(failed)?;
    let mut first = Vec::new();
    (&mut plain)
        .take(tar_index::BLOCK_BYTES)
        .read_to_end(&mut first)
        .map_err(|source| ArchiveError::Read { source })?;
    io::Write::write_all(&mut file, &first).map_err(failed)?;
    if !tar_index::is_header(&file)? {
        return Err(ArchiveError::NoImages);
    }
    let mut length = first.len() as u64;
    loop {
        let chunk = plain.fill_buf().map_err(|source| ArchiveError::Read { source })?;
        if chunk.is_empty() {
            break;
        }
        io::Write::write_all(&mut file, chunk).map_err(failed)?;
        let count = chunk.len();
        plain.consume(count);
        length += count as u64;
    }
    if length > ARCHIVE_BYTES_MAX {
        return Err(ArchiveError::TooLong);
    }
    Members::of_tar(file)
}

/// An archive may have both formats, with the same images; the older one may know more names.
fn find(members: &Members, host: &Platform) -> Result<Vec<FoundImage>, ArchiveError> {
    let has = |name: &str| members.open(name).map(|content| content.is_some());
    let (is_oci, is_docker) = (has(oci::INDEX)?, has(docker::MANIFEST)?);
    let images = match (is_oci, is_docker) {
        (false, false) => return Err(ArchiveError::NoImages),
        (false, true) => docker::images(members, host)?,
        (true, _) => {
            let mut images = oci::images(members, host)?;
            if is_docker && images.iter().any(|image| image.names.is_empty()) {
                add_names(&mut images, &docker::names(members)?);
            }
            images
        }
    };
    if images.is_empty() { Err(ArchiveError::NoImages) } else { Ok(images) }
}

/// To images that have none of their own.
fn add_names(images: &mut [FoundImage], known: &[(Digest, Vec<String>)]) {
    for image in images.iter_mut().filter(|image| image.names.is_empty()) {
        let of_image = known.iter().filter(|(id, _)| *id == image.id);
        image.names.extend(of_image.flat_map(|(_, names)| names.iter().cloned()));
    }
}

/// With full names.
fn with_names(mut images: Vec<FoundImage>, options: &LoadOptions) -> Result<Vec<FoundImage>, ArchiveError> {
    if let Some(name) = &options.name {
        let [image] = images.as_mut_slice() else {
            let names = images.iter().map(FoundImage::called).collect();
            return Err(ArchiveError::SeveralImages { count: images.len(), names });
        };
        image.names = vec![name.to_string()];
    }
    for image in &mut images {
        if image.names.is_empty() {
            return Err(ArchiveError::Nameless { image: image.called() });
        }
        let names = image.names.iter().map(|name| full_name(name, &image.digests));
        image.names = names.collect::<Result<_, _>>()?;
        image.names.sort_unstable();
        image.names.dedup();
    }
    Ok(images)
}

/// By its tag, or by a digest that its manifest has.
fn full_name(name: &str, digests: &[Digest]) -> Result<String, ArchiveError> {
    let owned = || name.to_owned();
    let mut reference =
        Reference::parse(name).map_err(|source| ArchiveError::Name { name: owned(), source })?;
    if reference.is_built_in() {
        return Err(ArchiveError::BuiltInName { name: owned() });
    }
    if let Some(digest) = &reference.digest {
        if !Digest::parse(digest).is_some_and(|digest| digests.contains(&digest)) {
            return Err(ArchiveError::NameDigest { name: owned() });
        }
        if reference.tag.is_some() {
            reference.digest = None;
        }
    }
    Ok(reference.to_string())
}

fn add_layers(
    adding: &mut Adding<'_>,
    members: &Members,
    image: &FoundImage,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<(), ArchiveError> {
    let called = image.called();
    let count = image.layers.len();
    let mut below: Vec<Digest> = Vec::with_capacity(count);
    for (at, (layer, diff_id)) in image.layers.iter().zip(&image.config.diff_ids).enumerate() {
        let number = at + 1;
        let chain = if let Some(chain) = adding.find(below.last().copied(), *diff_id)? {
            progress(&Progress::Present { image: &called, number, count });
            chain
        } else {
            progress(&Progress::Unpacking { image: &called, number, count });
            add_layer(adding, members, layer, *diff_id, &below)?
        };
        below.push(chain);
    }
    Ok(())
}

fn add_layer(
    adding: &mut Adding<'_>,
    members: &Members,
    layer: &FoundLayer,
    diff_id: Digest,
    below: &[Digest],
) -> Result<Digest, ArchiveError> {
    let file = || layer.file.clone();
    let content = members.open(&layer.file)?.ok_or_else(|| ArchiveError::Missing { file: file() })?;
    if let Some(expected) = layer.bytes.filter(|bytes| *bytes != content.length_bytes()) {
        return Err(ArchiveError::WrongSize { file: file(), expected, found: content.length_bytes() });
    }
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, Hashing::new(content));
    let plain = layer::decompress(&mut reader)
        .map_err(|source| ArchiveError::DecompressLayer { file: file(), source })?;
    let added = adding.layer(below, Some(diff_id), plain);
    if let Some(expected) = layer.digest {
        // What stands behind the compressed stream is part of the blob.
        io::copy(&mut reader, &mut io::sink()).map_err(|source| ArchiveError::Read { source })?;
        let (found, _) = reader.into_inner().finish();
        if found != expected {
            return Err(ArchiveError::WrongDigest { file: file(), expected, found });
        }
    }
    let (chain, _) = added.map_err(|source| ArchiveError::Layer { file: file(), source })?;
    Ok(chain)
}
