//! `monopod image ls` and `inspect`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::Serialize;

use super::collect::PodImages;
use super::error::StoreError;
use super::select::{SelectError, select};
use super::{Store, chain_ids};
use crate::config::OciConfig;
use crate::host::{self, State};
use registry::{Digest, Reference};

/// A name and the image it leads to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSummary {
    pub name: String,
    /// `sha256:...`; of the built-in image `localhost/host@sha256:...`
    pub id: String,
    /// Of the files of its layers; images may share some. `None` for the built-in image, which has none of
    /// its own.
    pub size_bytes: Option<u64>,
    /// Of these, those of layers that no other image has; the rest is on disk once for several.
    pub unique_bytes: Option<u64>,
    /// `REPOSITORY@DIGEST` in the registry it was pulled from.
    pub repo_digest: Option<String>,
    /// When a pod or a pull last asked for it, RFC 3339; to the minute.
    pub last_used: Option<String>,
    /// As the image says.
    pub created: Option<String>,
    /// Living pods that have it, as `NAMESPACE/NAME`.
    pub pods: Vec<String>,
}

/// All there is to know of an image.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageDetails {
    pub id: String,
    pub names: Vec<String>,
    /// Of the manifests it came with, and of the indexes above.
    pub digests: Vec<Digest>,
    pub size_bytes: u64,
    pub pods: Vec<String>,
    /// From the bottom.
    pub layers: Vec<LayerDetails>,
    /// The OCI image configuration as it came.
    pub config: serde_json::Value,
}

/// `None` when that is not known.
fn rfc_3339(time: SystemTime) -> Option<String> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok().filter(|since| !since.is_zero())?;
    let seconds = i64::try_from(since.as_secs()).ok()?;
    Some(podspec::WallTime::from_unix(seconds, 0).rfc3339_seconds())
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerDetails {
    pub diff_id: Digest,
    pub chain_id: Digest,
    /// Of its regular files.
    pub size_bytes: u64,
    /// Of its archive, uncompressed.
    pub archive_bytes: u64,
    pub entries: u64,
}

impl Store {
    /// Every name, in order. The built-in image is among them once it was used; one of an earlier state of
    /// the machine has its digest for a name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, pods: &[PodImages]) -> Result<Vec<ImageSummary>, StoreError> {
        let mut summaries = self.hosts(pods)?;
        let names = self.index()?.names;
        let images: BTreeSet<Digest> = names.values().map(|entry| entry.image).collect();
        let mut users: BTreeMap<Digest, usize> = BTreeMap::new();
        let mut known = BTreeMap::new();
        for image in images {
            let config = self.present(image)?;
            let layers = self.layer_details(image, &config)?;
            for chain in layers.iter().map(|layer| layer.chain_id).collect::<BTreeSet<_>>() {
                *users.entry(chain).or_default() += 1;
            }
            known.insert(image, (config, layers));
        }
        for (name, entry) in names {
            let Some((config, layers)) = known.get(&entry.image).cloned() else { continue };
            let uses = |pod: &&PodImages| pod.has(entry.image) || pod.is_from(&name);
            let own = layers.iter().filter(|layer| users.get(&layer.chain_id) == Some(&1));
            summaries.push(ImageSummary {
                id: entry.image.to_string(),
                unique_bytes: Some(own.map(|layer| layer.size_bytes).sum()),
                size_bytes: Some(layers.iter().map(|layer| layer.size_bytes).sum()),
                repo_digest: Reference::parse(&name).ok().and_then(|name| entry.repo_digest(&name)),
                last_used: rfc_3339(self.last_used(entry.image)),
                created: config.created,
                pods: pods.iter().filter(uses).map(|pod| pod.pod.clone()).collect(),
                name,
            });
        }
        summaries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(summaries)
    }

    fn hosts(&self, pods: &[PodImages]) -> Result<Vec<ImageSummary>, StoreError> {
        let states = host::states(&self.host_dir()).map_err(|source| StoreError::Host { source })?;
        let summary = |state: State| {
            let uses = |pod: &&PodImages| pod.ids.contains(&state.id);
            ImageSummary {
                name: if state.is_current { "localhost/host:latest".to_owned() } else { state.id.clone() },
                size_bytes: None,
                unique_bytes: None,
                repo_digest: None,
                last_used: None,
                created: None,
                pods: pods.iter().filter(uses).map(|pod| pod.pod.clone()).collect(),
                id: state.id,
            }
        };
        Ok(states.into_iter().map(summary).collect())
    }

    /// The image of a name or ID.
    ///
    /// # Errors
    /// When there is none, or when the store cannot be read.
    pub fn details(&self, target: &str, pods: &[PodImages]) -> Result<ImageDetails, SelectError> {
        let index = self.index()?;
        let image = select(&index, target)?.image;
        let layers = self.layer_details(image, &self.present(image)?)?;
        let names = index.names_of(image);
        let mut digests: Vec<Digest> =
            names.iter().flat_map(|name| index.names[name].digests.iter().copied()).collect();
        digests.sort_unstable();
        digests.dedup();
        let uses = |pod: &&PodImages| pod.has(image) || names.iter().any(|name| pod.is_from(name));
        let bytes = self.config_bytes(image)?.unwrap_or_default();
        Ok(ImageDetails {
            id: image.to_string(),
            digests,
            size_bytes: layers.iter().map(|layer| layer.size_bytes).sum(),
            pods: pods.iter().filter(uses).map(|pod| pod.pod.clone()).collect(),
            layers,
            config: serde_json::from_slice(&bytes).unwrap_or_default(),
            names,
        })
    }

    /// Of the files of its layers.
    pub(crate) fn size_bytes(&self, image: Digest) -> Result<u64, StoreError> {
        let layers = self.layer_details(image, &self.present(image)?)?;
        Ok(layers.iter().map(|layer| layer.size_bytes).sum())
    }

    /// The configuration of an image that has a name.
    pub(crate) fn present(&self, image: Digest) -> Result<OciConfig, StoreError> {
        let lost = || StoreError::Lost { what: "the configuration".to_owned(), image };
        self.oci_config(image)?.ok_or_else(lost)
    }

    fn layer_details(&self, image: Digest, config: &OciConfig) -> Result<Vec<LayerDetails>, StoreError> {
        let details = |chain_id| {
            let lost = || StoreError::Lost { what: format!("layer {chain_id}"), image };
            let record = self.layer_record(chain_id)?.ok_or_else(lost)?;
            Ok(LayerDetails {
                diff_id: record.diff_id,
                chain_id,
                size_bytes: record.content_bytes,
                archive_bytes: record.size_bytes,
                entries: record.entries,
            })
        };
        chain_ids(&config.diff_ids).into_iter().map(details).collect()
    }
}
