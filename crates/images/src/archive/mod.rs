//! Archives of images: what other tools save is loaded, and saved for them.

mod docker;
mod error;
mod found;
mod load;
mod members;
mod oci;
mod save;
mod tar_index;

pub use error::ArchiveError;
pub use load::{LoadOptions, Loaded, Progress, Source};
pub use save::{SaveError, SaveFormat};

/// Of an archive that is kept while it is read, since it is compressed or comes through a pipe.
const ARCHIVE_BYTES_MAX: u64 = 256 << 30;
/// Of an index, a manifest or a configuration; the field's tools have the same limit.
const BLOB_JSON_BYTES_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests;
