//! OCI image layouts (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>).

use std::collections::{BTreeMap, BTreeSet};

use super::error::ArchiveError;
use super::found::{FoundImage, FoundLayer, called, parse_config, read_blob, read_json};
use super::members::Members;
use crate::config::Platform;
use crate::manifest::{DESCRIPTORS_MAX, Descriptor, Document, INDEX_DEPTH_MAX, LayerRole, Role};
use registry::Digest;

pub(super) const INDEX: &str = "index.json";
/// The full name, as containerd and Docker write it.
pub(super) const NAME: &str = "io.containerd.image.name";
/// By the specification a tag alone; others write a full name.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// A manifest and how it was come to.
#[derive(Clone, Debug)]
struct Candidate {
    manifest: Descriptor,
    /// Of the indexes above it.
    above: Vec<Digest>,
}

/// The images of the layout, each as it is for `host`.
pub(super) fn images(members: &Members, host: &Platform) -> Result<Vec<FoundImage>, ArchiveError> {
    let index: Document = read_json(members, INDEX)?;
    let mut walk = Walk { members, seen: BTreeSet::new(), count: 0 };
    // An image of several platforms is one descriptor, or several of one name.
    let mut by_names: BTreeMap<Vec<String>, Vec<Candidate>> = BTreeMap::new();
    for descriptor in index.manifests.unwrap_or_default() {
        let names = names(descriptor.annotations.as_ref());
        let mut candidates = Vec::new();
        walk.collect(descriptor, Vec::new(), &mut candidates)?;
        by_names.entry(names).or_default().extend(candidates);
    }
    let mut images = Vec::new();
    for (names, candidates) in by_names {
        if !candidates.is_empty() {
            images.extend(choose(members, &names, candidates, host)?);
        }
    }
    Ok(images)
}

struct Walk<'m> {
    members: &'m Members,
    seen: BTreeSet<Digest>,
    count: usize,
}

impl Walk<'_> {
    /// The manifests a descriptor leads to. Each index is read once, so that no number of names for it
    /// makes more work.
    fn collect(
        &mut self,
        descriptor: Descriptor,
        above: Vec<Digest>,
        found: &mut Vec<Candidate>,
    ) -> Result<(), ArchiveError> {
        self.count += 1;
        if self.count > DESCRIPTORS_MAX {
            return Err(ArchiveError::TooManyDescriptors);
        }
        match descriptor.role() {
            Role::OldManifest => return Err(ArchiveError::OldManifest { file: descriptor.digest }),
            Role::Other => return Ok(()),
            Role::Manifest => {
                found.push(Candidate { manifest: descriptor, above });
                return Ok(());
            }
            Role::Index => {}
        }
        if above.len() >= INDEX_DEPTH_MAX {
            return Err(ArchiveError::IndexTooDeep);
        }
        let (digest, bytes) = read_blob(self.members, &descriptor.digest, descriptor.size)?;
        if !self.seen.insert(digest) {
            return Ok(());
        }
        let index: Document = parse(&descriptor.digest, &bytes)?;
        let above = [above, vec![digest]].concat();
        for descriptor in index.manifests.unwrap_or_default() {
            self.collect(descriptor, above.clone(), found)?;
        }
        Ok(())
    }
}

/// Of the manifests of one image the one for `host`; without a name, each is an image.
fn choose(
    members: &Members,
    names: &[String],
    candidates: Vec<Candidate>,
    host: &Platform,
) -> Result<Vec<FoundImage>, ArchiveError> {
    let mut fitting = Vec::new();
    let mut platforms = BTreeSet::new();
    for candidate in candidates {
        // What is for another platform need not be in the archive.
        let declared = candidate.manifest.declared_platform();
        if let Some(platform) = declared.filter(|platform| !platform.fits(host)) {
            platforms.insert(platform.to_string());
            continue;
        }
        let variant = candidate.manifest.variant().to_owned();
        let image = read_manifest(members, names.to_vec(), candidate)?;
        if image.config.platform.fits(host) {
            fitting.push((variant, image));
        } else {
            platforms.insert(image.config.platform.to_string());
        }
    }
    if fitting.is_empty() {
        return Err(ArchiveError::Platform {
            image: called(names, "without a name"),
            wanted: host.to_string(),
            there: platforms.into_iter().collect::<Vec<_>>().join(", "),
        });
    }
    fitting.sort_by(|(a, _), (b, _)| a.cmp(b));
    let images = fitting.into_iter().map(|(_, image)| image);
    Ok(if names.is_empty() { images.collect() } else { images.take(1).collect() })
}

fn read_manifest(
    members: &Members,
    names: Vec<String>,
    candidate: Candidate,
) -> Result<FoundImage, ArchiveError> {
    let Candidate { manifest: descriptor, above } = candidate;
    let (digest, bytes) = read_blob(members, &descriptor.digest, descriptor.size)?;
    let manifest: Document = parse(&descriptor.digest, &bytes)?;
    let config =
        manifest.config.ok_or_else(|| ArchiveError::OldManifest { file: descriptor.digest.clone() })?;
    let (image, config_bytes) = read_blob(members, &config.digest, config.size)?;
    let config = parse_config(image, &config_bytes)?;
    let layers = manifest.layers.unwrap_or_default().into_iter().map(layer).collect::<Result<_, _>>()?;
    FoundImage { names, digests: [vec![digest], above].concat(), id: image, config_bytes, config, layers }
        .checked()
}

fn layer(descriptor: Descriptor) -> Result<FoundLayer, ArchiveError> {
    let (digest, file) = blob(&descriptor.digest)?;
    if descriptor.layer_role() == LayerRole::Other {
        let media_type = descriptor.media_type.unwrap_or_default();
        return Err(ArchiveError::LayerType { file, media_type });
    }
    Ok(FoundLayer { file, digest: Some(digest), bytes: Some(descriptor.size) })
}

/// Where a blob is.
pub(super) fn blob(digest: &str) -> Result<(Digest, String), ArchiveError> {
    let parsed = Digest::parse(digest)
        .ok_or_else(|| ArchiveError::Digest { file: INDEX.to_owned(), text: digest.to_owned() })?;
    Ok((parsed, blob_file(parsed)))
}

pub(super) fn blob_file(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn names(annotations: Option<&BTreeMap<String, String>>) -> Vec<String> {
    let annotation = |key: &str| annotations.and_then(|annotations| annotations.get(key));
    // A word alone is a tag of a name that is not there.
    let ref_name = annotation(REF_NAME).filter(|name| name.contains([':', '/']));
    annotation(NAME).or(ref_name).cloned().into_iter().collect()
}

fn parse(file: &str, bytes: &[u8]) -> Result<Document, ArchiveError> {
    serde_json::from_slice(bytes).map_err(|source| ArchiveError::Json { file: file.to_owned(), source })
}
