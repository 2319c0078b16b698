//! What an image of the store means to a container.

use std::path::PathBuf;

use container_config::{ImageConfig, Layer};

use super::error::StoreError;
use super::{CONFIG_BYTES_MAX, Store, chain_ids, files, merged};
use crate::config::OciConfig;
use registry::Digest;

/// Of `/etc/passwd` and of `/etc/group`.
const ACCOUNTS_BYTES_MAX: u64 = 1 << 20;

impl Store {
    /// The configuration of an image as it came; `None` when there is no such image.
    pub(crate) fn config_bytes(&self, image: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(bytes) = files::read(&self.config_path(image), CONFIG_BYTES_MAX)? else { return Ok(None) };
        if Digest::of(&bytes) != image {
            return Err(StoreError::Lost { what: "the configuration".to_owned(), image });
        }
        Ok(Some(bytes))
    }

    pub(crate) fn oci_config(&self, image: Digest) -> Result<Option<OciConfig>, StoreError> {
        let Some(bytes) = self.config_bytes(image)? else { return Ok(None) };
        let config = OciConfig::parse(&bytes);
        config.map(Some).map_err(|source| StoreError::Config { image, source })
    }

    /// What containers are made from; `None` when there is no such image.
    pub(crate) fn image_config(&self, image: Digest) -> Result<Option<ImageConfig>, StoreError> {
        let Some(config) = self.oci_config(image)? else { return Ok(None) };
        let lower = self.lower(image, &config)?;
        let text = |file: &'static str| {
            let text = merged::read_text(&lower, file, ACCOUNTS_BYTES_MAX);
            text.map_err(|source| StoreError::Accounts { file, image, source })
        };
        Ok(Some(ImageConfig {
            passwd: text("/etc/passwd")?,
            group: text("/etc/group")?,
            layers: vec![Layer { target: "/".to_owned(), lower }],
            ..config.image_config(image.to_string())
        }))
    }

    /// The files of its layers, topmost first.
    fn lower(&self, image: Digest, config: &OciConfig) -> Result<Vec<PathBuf>, StoreError> {
        let mut lower = Vec::with_capacity(config.diff_ids.len());
        for (chain, diff_id) in chain_ids(&config.diff_ids).into_iter().zip(&config.diff_ids) {
            let fs = self.layer_fs(chain);
            if !fs.is_dir() {
                return Err(StoreError::Lost { what: format!("layer {diff_id}"), image });
            }
            lower.push(fs);
        }
        lower.reverse();
        Ok(lower)
    }
}
