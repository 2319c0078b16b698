//! Why an archive of images is refused.

use std::io;
use std::path::PathBuf;

use crate::store::{ConfigError, StoreError};
use registry::Digest;

use super::members::{MEMBER_NAMES_BYTES_MAX, MEMBERS_MAX};
use super::{ARCHIVE_BYTES_MAX, BLOB_JSON_BYTES_MAX};
use crate::manifest::{DESCRIPTORS_MAX, INDEX_DEPTH_MAX};

/// Names from the archive are quoted: they may hold anything.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("cannot open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot read the archive")]
    Read { source: io::Error },
    #[error("cannot decompress the archive")]
    Decompress { source: io::Error },
    #[error("cannot keep the archive in {} while it is read", path.display())]
    Spool { path: PathBuf, source: io::Error },
    #[error("uncompressed it has more than {ARCHIVE_BYTES_MAX} bytes, which is the limit")]
    TooLong,
    #[error("it is no tar archive of images: {why}")]
    NotTar { why: &'static str },
    #[error("it has more than {MEMBERS_MAX} files, which is the limit")]
    TooManyMembers,
    #[error("its file names have more than {MEMBER_NAMES_BYTES_MAX} bytes, which is the limit")]
    NamesTooLong,
    #[error(
        "it holds no images: neither an OCI layout (index.json) nor a Docker archive (manifest.json). \
         The files of one image, as `docker export` writes them, are for `monopod image import`"
    )]
    NoImages,
    #[error("its {file:?} is no regular file of the archive")]
    Missing { file: String },
    #[error("its {file:?} has more than {BLOB_JSON_BYTES_MAX} bytes, which is the limit")]
    JsonTooLong { file: String },
    #[error("its {file:?} cannot be read")]
    Json { file: String, source: serde_json::Error },
    #[error("its {file:?} names {text:?}, which is not a sha256 digest")]
    Digest { file: String, text: String },
    #[error("its {file:?} has the digest {found}, and is to have {expected}: the archive is damaged")]
    WrongDigest { file: String, expected: Digest, found: Digest },
    #[error("its {file:?} has {found} bytes, and is to have {expected}: the archive is damaged")]
    WrongSize { file: String, expected: u64, found: u64 },
    #[error("its indexes name more than {DESCRIPTORS_MAX} manifests, which is the limit")]
    TooManyDescriptors,
    #[error("its indexes are more than {INDEX_DEPTH_MAX} deep, which is the limit")]
    IndexTooDeep,
    #[error(
        "its manifest {file:?} is of Docker's first format, which is not supported: save the image again with a newer tool"
    )]
    OldManifest { file: String },
    #[error("its layer {file:?} is of type {media_type:?}, which is not supported")]
    LayerType { file: String, media_type: String },
    #[error("image {image} is for {wanted}: the archive has it for {}", if there.is_empty() { "nothing" } else { there })]
    Platform { image: String, wanted: String, there: String },
    #[error("the configuration of image {image}")]
    Config { image: String, source: ConfigError },
    #[error("image {image} has {layers} layers, and its configuration names {diff_ids}")]
    LayerCount { image: String, layers: usize, diff_ids: usize },
    #[error("it names an image {name:?}, which is no image name")]
    Name { name: String, source: crate::ParseError },
    #[error("it names an image {name:?}, but that name is built in: give it another one with --name")]
    BuiltInName { name: String },
    #[error("it names an image {name:?}, whose manifest has another digest")]
    NameDigest { name: String },
    #[error("image {image} has no name in the archive: give it one with --name")]
    Nameless { image: String },
    #[error("it holds {count} images, so that --name cannot name it: {}", names.join(", "))]
    SeveralImages { count: usize, names: Vec<String> },
    #[error("layer {file:?}")]
    Layer { file: String, source: StoreError },
    #[error("cannot decompress layer {file:?}")]
    DecompressLayer { file: String, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}
