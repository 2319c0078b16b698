//! `layers/CHAIN`: one layer's files above the layers they were made for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::{Store, files};
use registry::Digest;

const RECORD_BYTES_MAX: u64 = 4096;

/// `layer.json`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    /// Of the archive, uncompressed.
    pub(crate) diff_id: Digest,
    /// The chain of the layers below.
    pub(crate) parent: Option<Digest>,
    /// Of the archive, uncompressed.
    pub(crate) size_bytes: u64,
    /// Of its regular files.
    pub(crate) content_bytes: u64,
    pub(crate) entries: u64,
}

impl Store {
    pub(crate) fn layer_fs(&self, chain: Digest) -> PathBuf {
        self.layer_dir(chain).join("fs")
    }

    pub(crate) fn layer_recipe(&self, chain: Digest) -> PathBuf {
        self.layer_dir(chain).join("recipe")
    }

    /// `None` when there is no such layer.
    pub(crate) fn layer_record(&self, chain: Digest) -> Result<Option<LayerRecord>, StoreError> {
        files::read_record(&self.layer_dir(chain).join("layer.json"), RECORD_BYTES_MAX)
    }
}

/// The chain ID of each layer, from the bottom
/// (<https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid>).
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chains: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let chain = chain_id(chains.last().copied(), *diff_id);
        chains.push(chain);
    }
    chains
}

pub(crate) fn chain_id(parent: Option<Digest>, diff_id: Digest) -> Digest {
    match parent {
        None => diff_id,
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::chain_ids;
    use registry::Digest;

    #[test]
    fn a_chain_names_a_layer_and_all_below_it() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let chains = chain_ids(&[a, b, b]);
        assert_eq!(chains[0], a);
        assert_eq!(chains[1], Digest::of(format!("{a} {b}").as_bytes()));
        assert_eq!(chains[2], Digest::of(format!("{} {b}", chains[1]).as_bytes()));
    }
}
