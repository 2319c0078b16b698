//! Manifests and indexes: whole, bounded, and of the digest that was asked for.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;

use crate::digest::Digest;
use crate::error::Problem;

pub(super) const BYTES_MAX: usize = 4 << 20;
const MEDIA_TYPE_BYTES_MAX: usize = 255;
const DIGEST_HEADER: &str = "docker-content-digest";

pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
const SCHEMA_1: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// What a manifest is asked by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    Tag(String),
    Digest(Digest),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A manifest or an index, as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Of `bytes`.
    pub digest: Digest,
    /// What the document says of itself, or else the registry.
    pub media_type: String,
    pub bytes: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<serde_json::Number>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// `bytes` as the manifest that was asked for, if it is that.
pub(super) fn check(target: &Target, headers: &HeaderMap, bytes: Bytes) -> Result<Manifest, Problem> {
    let digest = Digest::of(&bytes);
    let said = headers.get(DIGEST_HEADER).and_then(|value| value.to_str().ok());
    match target {
        Target::Digest(asked) if digest != *asked => {
            return Err(Problem::Wrong(format!("what came has the digest {digest} and not {asked}")));
        }
        // Other algorithms than sha256 say nothing about these bytes.
        Target::Tag(_)
            if said
                .is_some_and(|said| said.starts_with("sha256:") && Digest::parse(said) != Some(digest)) =>
        {
            return Err(Problem::Wrong(format!(
                "what came has the digest {digest}, but the registry says {}",
                said.unwrap_or_default().escape_debug()
            )));
        }
        _ => {}
    }
    let outline: Outline = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::Wrong(format!("what came is not a manifest: {error}")))?;
    let header = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type(&outline, header);
    let version = outline.schema_version.as_ref().and_then(serde_json::Number::as_u64);
    if version == Some(1) || SCHEMA_1.contains(&media_type.as_str()) {
        return Err(Problem::Unsupported(
            "this is an image manifest version 2, schema 1, which is not supported: push the image again with a tool of \
             today"
                .to_owned(),
        ));
    }
    if version != Some(2) {
        return Err(Problem::Wrong("what came is not a manifest: its schemaVersion is not 2".to_owned()));
    }
    Ok(Manifest { digest, media_type, bytes })
}

fn media_type(outline: &Outline, header: Option<&str>) -> String {
    let own = outline.media_type.as_deref();
    let header = header.and_then(|header| header.split(';').next()).map(str::trim);
    // Some registries serve files and know no better.
    let header = header.filter(|header| header.starts_with("application/vnd."));
    let guess = match outline.manifests {
        Some(_) => "application/vnd.oci.image.index.v1+json",
        None => "application/vnd.oci.image.manifest.v1+json",
    };
    // Whatever else it is, is no media type.
    let is_sound = |text: &&str| {
        (1..=MEDIA_TYPE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    own.filter(is_sound).or(header.filter(is_sound)).unwrap_or(guess).to_owned()
}

pub(super) fn headers() -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(ACCEPT))])
}
