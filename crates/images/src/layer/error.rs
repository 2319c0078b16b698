//! What can be wrong with a layer.

use std::io;
use std::path::PathBuf;

use super::{DEPTH_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};

/// Entries are named as in the archive, quoted: a name may hold any byte.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("cannot read the archive")]
    Read { source: io::Error },
    #[error("the archive ends within {within}: it is cut off")]
    Truncated { within: &'static str },
    #[error("what stands at byte {offset} of the archive is no tar header: {why}")]
    Header { offset: u64, why: &'static str },
    #[error("the archive has more than {max} entries, which is the limit")]
    TooManyEntries { max: u64 },
    #[error("the archive has more than {max} bytes, which is the limit")]
    TooLong { max: u64 },
    #[error("the archive has too many whiteouts, or too many directories without an entry of their own")]
    TooMuchToNote,
    #[error("entry {entry:?}: {why}")]
    Refused { entry: PathBuf, why: Refusal },
    #[error("cannot {action} {path:?}")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write the recipe {}", path.display())]
    WriteRecipe { path: PathBuf, source: io::Error },
    #[error("cannot read the recipe {}", path.display())]
    ReadRecipe { path: PathBuf, source: io::Error },
    #[error("the recipe {} is damaged: {why}; remove the image and load it again", path.display())]
    DamagedRecipe { path: PathBuf, why: &'static str },
    #[error("the file {} was changed since it was unpacked; remove the image and load it again", path.display())]
    Changed { path: PathBuf },
    #[error("cannot write the archive")]
    Write { source: io::Error },
    #[error("{} cannot be in an archive: {why}", path.display())]
    Unfit { path: PathBuf, why: &'static str },
}

/// Why an entry is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("its name leads up with `..`")]
    Upwards,
    #[error("its name has a NUL")]
    Nul,
    #[error("its path is longer than {PATH_BYTES_MAX} bytes")]
    PathTooLong,
    #[error("its path has a component longer than {NAME_BYTES_MAX} bytes")]
    NameTooLong,
    #[error("it lies more than {DEPTH_MAX} directories deep")]
    TooDeep,
    #[error("it has no name")]
    NoName,
    #[error("it would replace the root directory by something else")]
    Root,
    #[error("its size is not credible")]
    Size,
    #[error("with it the files have more than {max} bytes, which is the limit")]
    ContentTooLarge { max: u64 },
    #[error("{parent:?} is not a directory")]
    ParentNotDirectory { parent: PathBuf },
    #[error("its links lead in a circle")]
    LinkCircle,
    #[error("it links to {target:?}, which is not in this layer")]
    LinkTargetMissing { target: PathBuf },
    #[error("it links to {target:?}, which is a directory")]
    LinkTargetDirectory { target: PathBuf },
    #[error("it links to {target:?}, which leads out of the archive")]
    LinkTargetOutside { target: PathBuf },
    #[error("it is a link to nothing")]
    LinkTargetEmpty,
    #[error("it is a whiteout of nothing that can be named")]
    Whiteout,
    #[error("it lies below a whiteout")]
    BelowWhiteout,
    #[error("its extended header has more than {max} bytes, which is the limit")]
    ExtensionTooLarge { max: u64 },
    #[error("its extended header is malformed")]
    Extension,
    #[error("its field {field} is malformed")]
    Field { field: &'static str },
    #[error("its map of a sparse file is malformed")]
    Sparse,
    #[error("it is of type {:?}, which is not supported", char::from(*kind))]
    Kind { kind: u8 },
}
