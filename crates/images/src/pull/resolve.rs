//! From a reference to what is to be fetched: through indexes to a manifest for the platform, and its configuration.

use std::collections::BTreeSet;

use registry::{Digest, Manifest, Reference, Repository, Target};

use super::error::PullError;
use super::plan::{self, Plan, PlannedLayer, Read};
use crate::config::{OciConfig, Platform};
use crate::manifest::{Descriptor, INDEX_DEPTH_MAX};

/// Of one index; more are not asked for.
const MANIFESTS_MAX: usize = 32;

/// What a reference leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Resolved {
    /// Of the manifest and of the indexes above it, as [`crate::store::NewImage`] has them.
    pub(super) digests: Vec<Digest>,
    /// None of an artifact.
    pub(super) config: Option<Config>,
    /// From the bottom.
    pub(super) layers: Vec<PlannedLayer>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Config {
    pub(super) bytes: Vec<u8>,
    pub(super) parsed: OciConfig,
}

/// A digest goes before a tag.
pub(super) fn target(reference: &Reference) -> Result<Target, PullError> {
    let Some(digest) = &reference.digest else {
        return Ok(Target::Tag(reference.tag.clone().unwrap_or_default()));
    };
    let digest = plan::digest(digest).map_err(|source| PullError::Name { source })?;
    Ok(Target::Digest(digest))
}

/// The image for `wanted` that `top` is, or leads to.
pub(super) async fn resolve(
    repository: &Repository,
    top: Manifest,
    wanted: &Platform,
) -> Result<Resolved, PullError> {
    let mut others = BTreeSet::new();
    let mut asked = 0;
    // What is next is last. Each with the digests of the indexes above.
    let mut candidates: Vec<(Descriptor, Vec<Digest>)> = Vec::new();
    let mut next = Some((top, Vec::new()));
    while let Some((manifest, above)) = next.take() {
        match read(&manifest)? {
            Read::Index(manifests) => {
                if above.len() >= INDEX_DEPTH_MAX {
                    return Err(PullError::IndexTooDeep);
                }
                let found = plan::candidates(manifests, wanted, &mut others)
                    .map_err(|source| PullError::Manifest { digest: manifest.digest, source })?;
                let above = [above, vec![manifest.digest]].concat();
                candidates.extend(found.into_iter().rev().map(|candidate| (candidate, above.clone())));
            }
            Read::Manifest(plan) => {
                let digests = [vec![manifest.digest], above].concat();
                if let Some(resolved) = with_config(repository, plan, digests, wanted, &mut others).await? {
                    return Ok(resolved);
                }
            }
        }
        let Some((candidate, above)) = candidates.pop() else { break };
        asked += 1;
        if asked > MANIFESTS_MAX {
            return Err(PullError::TooManyManifests { wanted: wanted.to_string(), max: MANIFESTS_MAX });
        }
        next = Some((fetch(repository, &candidate).await?, above));
    }
    let there = others.into_iter().collect::<Vec<_>>().join(", ");
    Err(PullError::Platform { wanted: wanted.to_string(), there })
}

fn read(manifest: &Manifest) -> Result<Read, PullError> {
    plan::read(&manifest.media_type, &manifest.bytes)
        .map_err(|source| PullError::Manifest { digest: manifest.digest, source })
}

async fn fetch(repository: &Repository, descriptor: &Descriptor) -> Result<Manifest, PullError> {
    let digest = plan::digest(&descriptor.digest).map_err(|source| PullError::Name { source })?;
    let manifest = repository.manifest(&Target::Digest(digest)).await?;
    let found = manifest.bytes.len() as u64;
    if found != descriptor.size {
        return Err(PullError::ManifestSize { digest, expected: descriptor.size, found });
    }
    Ok(manifest)
}

/// `None` when it is for another platform, which is noted.
async fn with_config(
    repository: &Repository,
    plan: Plan,
    digests: Vec<Digest>,
    wanted: &Platform,
    others: &mut BTreeSet<String>,
) -> Result<Option<Resolved>, PullError> {
    let Plan { config, layers } = plan;
    let Some((digest, size)) = config else {
        return Ok(Some(Resolved { digests, config: None, layers }));
    };
    let bytes = whole(repository, digest, size).await?;
    let parsed = OciConfig::parse(&bytes).map_err(|source| PullError::Config { digest, source })?;
    if !parsed.platform.fits(wanted) {
        others.insert(parsed.platform.to_string());
        return Ok(None);
    }
    if parsed.diff_ids.len() != layers.len() {
        return Err(PullError::LayerCount { layers: layers.len(), diff_ids: parsed.diff_ids.len() });
    }
    Ok(Some(Resolved { digests, config: Some(Config { bytes, parsed }), layers }))
}

/// A blob whose size was checked before.
async fn whole(repository: &Repository, digest: Digest, size: u64) -> Result<Vec<u8>, PullError> {
    let mut blob = repository.blob(digest, size).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = blob.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
