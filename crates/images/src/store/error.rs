//! What can go wrong with the store.

use std::io;
use std::path::PathBuf;

use super::{CONFIG_BYTES_MAX, LAYERS_MAX};
use registry::Digest;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "the data directory {} is on {file_system}, on which the kernel makes no writable layers: move it with \
         --data-dir to ext4, xfs, btrfs or tmpfs; inside a container, mount a volume there",
        path.display()
    )]
    UnfitFileSystem { path: PathBuf, file_system: &'static str },
    #[error("cannot make {}", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("cannot lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("cannot list {}", path.display())]
    List { path: PathBuf, source: io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot bring {} to disk", path.display())]
    Sync { path: PathBuf, source: io::Error },
    #[error("cannot move {} to its place", path.display())]
    Publish { path: PathBuf, source: io::Error },
    #[error("cannot remove {}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error("{} is longer than {bytes_max} bytes", path.display())]
    TooLong { path: PathBuf, bytes_max: u64 },
    #[error("{} is not what monopod wrote there: remove it, and load the images again", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error(
        "{} has schema version {found}, this monopod knows {known}: use the version that wrote it, or `monopod reset`",
        path.display()
    )]
    UnknownSchema { path: PathBuf, found: u64, known: u64 },
    #[error("{} names an image {name:?}, which is no image name: remove it, and load the images again", path.display())]
    MalformedName { path: PathBuf, name: String },
    #[error("the store has no room for more names: remove some with `monopod image rm`")]
    IndexFull,
    #[error("images are being added or saved at the moment: try again when that is done")]
    Busy,
    #[error("the store has lost {what} of image {image}: load it again, or pull it")]
    Lost { what: String, image: Digest },
    #[error("the configuration of image {image}")]
    Config { image: Digest, source: ConfigError },
    #[error("cannot tell which images the pods need")]
    Pods { source: ports::PortError },
    #[error("images of this machine's programs")]
    Host { source: crate::HostImageError },
    #[error("the {file} of image {image}")]
    Accounts { file: &'static str, image: Digest, source: io::Error },
    #[error("cannot unpack it")]
    Unpack { source: crate::layer::LayerError },
    #[error(
        "its content is not what the image's configuration promises: diff ID {found} in place of {expected}"
    )]
    DiffId { expected: Digest, found: Digest },
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("it is longer than {CONFIG_BYTES_MAX} bytes")]
    TooLong,
    #[error("it cannot be read")]
    Malformed { source: serde_json::Error },
    #[error("rootfs.diff_ids[{at}]: {text:?} is not a sha256 digest")]
    DiffId { at: usize, text: String },
    #[error("rootfs.type: {found:?} is not supported, only \"layers\" is")]
    RootFsType { found: String },
    #[error("rootfs.diff_ids: it has no layers, so that there is nothing in it to run")]
    NoLayers,
    #[error("rootfs.diff_ids: it has {found} layers, the limit is {LAYERS_MAX}")]
    TooManyLayers { found: usize },
}
