//! Docker archives, as `docker save` and others write them: `manifest.json` names the files of each image
//! (<https://github.com/moby/docker-image-spec/blob/main/spec.md>).

use serde::Deserialize;

use super::error::ArchiveError;
use super::found::{FoundImage, FoundLayer, called, parse_config, read_file, read_json};
use super::members::Members;
use crate::config::Platform;
use registry::Digest;

pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// The images of the archive, all of which have to be for `host`.
pub(super) fn images(members: &Members, host: &Platform) -> Result<Vec<FoundImage>, ArchiveError> {
    read(members)?.into_iter().map(|image| read_image(members, image, host)).collect()
}

/// The names that images of an OCI layout have in the `manifest.json` beside it, by image ID.
pub(super) fn names(members: &Members) -> Result<Vec<(Digest, Vec<String>)>, ArchiveError> {
    let images = read(members)?.into_iter();
    Ok(images
        .filter_map(|image| Some((promised(&image.config)?, image.repo_tags.unwrap_or_default())))
        .collect())
}

fn read(members: &Members) -> Result<Vec<Image>, ArchiveError> {
    read_json(members, MANIFEST)
}

fn read_image(members: &Members, image: Image, host: &Platform) -> Result<FoundImage, ArchiveError> {
    let config_bytes = read_file(members, &image.config)?;
    let id = Digest::of(&config_bytes);
    if let Some(expected) = promised(&image.config).filter(|expected| *expected != id) {
        return Err(ArchiveError::WrongDigest { file: image.config, expected, found: id });
    }
    let config = parse_config(id, &config_bytes)?;
    let names = image.repo_tags.unwrap_or_default();
    if !config.platform.fits(host) {
        return Err(ArchiveError::Platform {
            image: called(&names, id),
            wanted: host.to_string(),
            there: config.platform.to_string(),
        });
    }
    let layer = |file: String| {
        // Older archives name a layer's directory by something that is not its digest.
        let digest = file.strip_prefix("blobs/sha256/").and_then(Digest::from_hex);
        FoundLayer { file, digest, bytes: None }
    };
    let layers = image.layers.unwrap_or_default().into_iter().map(layer).collect();
    FoundImage { names, digests: Vec::new(), id, config_bytes, config, layers }.checked()
}

/// The digest in the name of a configuration: `HEX.json` or `blobs/sha256/HEX`.
fn promised(config: &str) -> Option<Digest> {
    let name = config.strip_prefix("blobs/sha256/").or_else(|| config.strip_suffix(".json"))?;
    Digest::from_hex(name)
}
