//! `monopod image save`: images of the store as an archive for others.
//!
//! Layers are made again from their files and are proved by their diff IDs while they are written, so what
//! was saved has the image ID it had. They are not compressed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};

use super::{docker, oci};
use crate::layer::{self, LayerError};
use crate::manifest;
use crate::store::{LayerRecord, SelectError, Store, StoreError, chain_ids};
use crate::tar_writer::TarWriter;
use registry::Digest;

const FILE_MODE: u32 = 0o644;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SaveFormat {
    /// What `docker save` wrote for years, and all tools read.
    Docker,
    /// An OCI image layout in a tar.
    Oci,
}

#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot make layer {diff_id} again")]
    Layer { diff_id: Digest, source: LayerError },
    #[error("layer {diff_id} has changed on disk since it was loaded: remove the image and load it again")]
    Changed { diff_id: Digest },
    #[error("cannot write the archive")]
    Write(#[from] io::Error),
}

/// An image to be saved.
struct Image {
    id: Digest,
    names: BTreeSet<String>,
    config: Vec<u8>,
    /// By diff ID, from the bottom.
    layers: Vec<(Digest, LayerRecord)>,
}

impl Store {
    /// Writes the images, by name or ID, to `out`. An image by its ID has all its names in the archive.
    ///
    /// # Errors
    /// When there is no such image, before anything is written; when its files are not what they were.
    pub fn save(&self, targets: &[String], format: SaveFormat, out: &mut dyn Write) -> Result<(), SaveError> {
        // In an empty store there is not even a lock.
        self.select_all(targets)?;
        let _lock = self.keep()?;
        let images = self.select_all(targets)?.into_iter().map(|(id, names)| self.image_to_save(id, names));
        let images = images.collect::<Result<Vec<_>, _>>()?;
        let mut tar = TarWriter::new(out);
        match format {
            SaveFormat::Docker => self.save_docker(&images, &mut tar)?,
            SaveFormat::Oci => self.save_oci(&images, &mut tar)?,
        }
        tar.finish()?;
        Ok(())
    }

    /// With the names to save of each.
    fn select_all(&self, targets: &[String]) -> Result<BTreeMap<Digest, BTreeSet<String>>, SaveError> {
        let index = self.index()?;
        let mut images: BTreeMap<Digest, BTreeSet<String>> = BTreeMap::new();
        for target in targets {
            let selected = self.select(&index, target)?;
            images.entry(selected.image).or_default().extend(selected.names);
        }
        Ok(images)
    }

    fn image_to_save(&self, id: Digest, names: BTreeSet<String>) -> Result<Image, SaveError> {
        let lost = |what: String| StoreError::Lost { what, image: id };
        let config = self.config_bytes(id)?.ok_or_else(|| lost("the configuration".to_owned()))?;
        let mut layers = Vec::new();
        for chain in chain_ids(&self.present(id)?.diff_ids) {
            let record = self.layer_record(chain)?.ok_or_else(|| lost(format!("layer {chain}")))?;
            layers.push((chain, record));
        }
        Ok(Image { id, names, config, layers })
    }

    fn save_docker(&self, images: &[Image], tar: &mut TarWriter<&mut dyn Write>) -> Result<(), SaveError> {
        let layer_file = |diff_id: Digest| format!("{}.tar", diff_id.hex());
        let config_file = |id: Digest| format!("{}.json", id.hex());
        let manifest = images.iter().map(|image| {
            json!({
                "Config": config_file(image.id),
                // A name with a digest is no tag.
                "RepoTags": image.names.iter().filter(|name| !name.contains('@')).collect::<Vec<_>>(),
                "Layers":
                    image.layers.iter().map(|(_, layer)| layer_file(layer.diff_id)).collect::<Vec<_>>(),
            })
        });
        tar.file(docker::MANIFEST, FILE_MODE, &text(&manifest.collect()))?;
        for image in images {
            tar.file(&config_file(image.id), FILE_MODE, &image.config)?;
        }
        self.save_layers(images, tar, layer_file)
    }

    fn save_oci(&self, images: &[Image], tar: &mut TarWriter<&mut dyn Write>) -> Result<(), SaveError> {
        let mut descriptors = Vec::new();
        let mut manifests = Vec::new();
        for image in images {
            let manifest = text(&manifest(image));
            let descriptor = descriptor(manifest::MANIFESTS[0], Digest::of(&manifest), manifest.len() as u64);
            for name in &image.names {
                let mut named = descriptor.clone();
                named["annotations"] = json!({oci::NAME: name, oci::REF_NAME: name});
                descriptors.push(named);
            }
            manifests.push(manifest);
        }
        let index = json!({"schemaVersion": 2, "mediaType": manifest::INDEXES[0], "manifests": descriptors});
        tar.file("oci-layout", FILE_MODE, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        tar.file(oci::INDEX, FILE_MODE, &text(&index))?;
        for bytes in manifests.iter().chain(images.iter().map(|image| &image.config)) {
            tar.file(&oci::blob_file(Digest::of(bytes)), FILE_MODE, bytes)?;
        }
        self.save_layers(images, tar, oci::blob_file)
    }

    /// Each once, whatever layers it is above.
    fn save_layers(
        &self,
        images: &[Image],
        tar: &mut TarWriter<&mut dyn Write>,
        file: impl Fn(Digest) -> String,
    ) -> Result<(), SaveError> {
        let mut saved = BTreeSet::new();
        for (chain, record) in images.iter().flat_map(|image| &image.layers) {
            let diff_id = record.diff_id;
            if !saved.insert(diff_id) {
                continue;
            }
            let found = tar.stream(&file(diff_id), FILE_MODE, record.size_bytes, |out| {
                layer::repack(&self.layer_fs(*chain), &self.layer_recipe(*chain), out)
                    .map_err(|source| SaveError::Layer { diff_id, source })
            })?;
            if Digest::parse(&found) != Some(diff_id) {
                return Err(SaveError::Changed { diff_id });
            }
        }
        Ok(())
    }
}

fn manifest(image: &Image) -> Value {
    let layer = |(_, layer): &(Digest, LayerRecord)| {
        descriptor("application/vnd.oci.image.layer.v1.tar", layer.diff_id, layer.size_bytes)
    };
    json!({
        "schemaVersion": 2,
        "mediaType": manifest::MANIFESTS[0],
        "config": descriptor("application/vnd.oci.image.config.v1+json", image.id, image.config.len() as u64),
        "layers": image.layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

fn descriptor(media_type: &str, digest: Digest, bytes: u64) -> Value {
    json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes})
}

fn text(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
