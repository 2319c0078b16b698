//! Layers of images: archives made into directories for overlayfs, and the same archives again.
//!
//! An archive is anybody's. What it names is resolved one component at a time, by descriptor, inside
//! the directory it is unpacked into ([`tree`]); what it claims is bounded by [`Limits`].
//!
//! An entry below a symbolic link of the same layer goes where the link leads inside the layer, as it
//! would in a container: with `lib -> usr/lib`, `lib/x` is `usr/lib/x`. A link of a layer below is not
//! known when a layer is unpacked; a directory in its place hides it, as with the engines that unpack
//! each layer by itself (CRI-O, Podman, Docker's overlay2), and unlike containerd.

mod archive;
mod attributes;
mod compression;
mod entry;
mod error;
mod member;
mod name;
mod number;
mod pack;
mod pax;
mod recipe;
mod repack;
mod settle;
mod sparse;
mod tree;
mod unpack;
mod window;

pub(crate) use compression::decompress;
pub use error::{LayerError, Refusal};
pub(crate) use pack::pack;
pub(crate) use repack::repack;
pub(crate) use settle::settle;
pub(crate) use unpack::{Limits, Unpacked, unpack};

/// How many bytes are read or copied at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Of the longest path, with the `/` it begins with in a container. Linux's own limit, less its NUL.
const PATH_BYTES_MAX: usize = 4095;
const NAME_BYTES_MAX: usize = 255;
/// How many directories may be inside one another. As many are open at once.
const DEPTH_MAX: usize = 256;

/// Of a SHA-256: `sha256:HEX`
fn digest_text(hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;

    let mut text = String::from("sha256:");
    for byte in hash {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
