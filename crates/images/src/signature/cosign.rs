//! What cosign puts beside an image: payloads and their signatures.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::{Digest, Kind, Repository, Target};
use serde::Deserialize;

use super::key::PublicKey;

const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const CRITICAL_TYPE: &str = "cosign container image signature";
/// Of one image; how many are looked at.
const ATTACHMENTS_MAX: usize = 64;
const PAYLOAD_BYTES_MAX: u64 = 64 << 10;
const SIGNATURE_BYTES_MAX: usize = 4 << 10;

/// A payload, and what is said to be its signature. All of it is anybody's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Attachment {
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// What was signed, verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Payload {
    pub(super) digest: Digest,
    pub(super) reference: String,
}

/// Why an attachment is not enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    Key,
    Payload(String),
    Digest { signed: Digest },
    Identity { signed: String },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("one is not by a key of the policy"),
            Self::Payload(problem) => write!(f, "one is by a key of the policy, but what it signs {problem}"),
            Self::Digest { signed } => write!(f, "one is by a key of the policy, but for {signed}"),
            Self::Identity { signed } => {
                write!(
                    f,
                    "one is by a key of the policy, but for {signed:?}, which signedIdentity does not accept"
                )
            }
        }
    }
}

pub(super) enum FetchError {
    Registry(registry::Error),
    Malformed(String),
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: Digest,
    size: u64,
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Document {
    critical: Critical,
}

/// What is critical has to be understood, so nothing else may be in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

/// Where the signatures of what has this digest are.
pub(super) fn tag_of(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

/// All there are for any of the digests.
pub(super) async fn fetch(
    digests: &[Digest],
    repository: &Repository,
) -> Result<Vec<Attachment>, FetchError> {
    let mut attachments = vec![];
    for digest in digests {
        let tag = tag_of(digest);
        let manifest = match repository.manifest(&Target::Tag(tag.clone())).await {
            Err(error) if error.kind() == Kind::NotFound => continue,
            manifest => manifest.map_err(FetchError::Registry)?,
        };
        let malformed = |problem: String| FetchError::Malformed(format!("{tag}: {problem}"));
        for (layer, signature) in signed_layers(&manifest.bytes).map_err(malformed)? {
            if attachments.len() == ATTACHMENTS_MAX {
                return Err(malformed(format!("there are more than {ATTACHMENTS_MAX} signatures")));
            }
            let payload = read(&layer, repository).await?;
            attachments.push(Attachment { payload, signature });
        }
    }
    Ok(attachments)
}

/// The layers of a manifest that are payloads with a signature. What is something else is nothing to us; what has
/// a signature that cannot be one is as if it had none.
fn signed_layers(manifest: &[u8]) -> Result<Vec<(Layer, Vec<u8>)>, String> {
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| format!("it is not the manifest of signatures: {error}"))?;
    let signed = |layer: Layer| {
        let text = layer.annotations.as_ref()?.get(SIGNATURE_ANNOTATION)?;
        let fits = layer.media_type == PAYLOAD_TYPE && text.len() <= SIGNATURE_BYTES_MAX;
        let signature = fits.then(|| STANDARD.decode(text).ok())??;
        Some((layer, signature))
    };
    let signed: Vec<_> = manifest.layers.into_iter().filter_map(signed).collect();
    match signed.iter().find(|(layer, _)| layer.size > PAYLOAD_BYTES_MAX) {
        Some((layer, _)) => Err(format!("a payload of {} bytes is too long", layer.size)),
        None => Ok(signed),
    }
}

async fn read(layer: &Layer, repository: &Repository) -> Result<Vec<u8>, FetchError> {
    let mut blob = repository.blob(layer.digest, layer.size).await.map_err(FetchError::Registry)?;
    let mut payload = vec![];
    while let Some(chunk) = blob.chunk().await.map_err(FetchError::Registry)? {
        payload.extend_from_slice(&chunk);
    }
    Ok(payload)
}

impl Attachment {
    /// What one of the keys has signed.
    pub(super) fn verify(&self, keys: &[PublicKey]) -> Result<Payload, Flaw> {
        if !keys.iter().any(|key| key.has_signed(&self.payload, &self.signature)) {
            return Err(Flaw::Key);
        }
        let Document { critical } = serde_json::from_slice(&self.payload)
            .map_err(|error| Flaw::Payload(format!("is not a payload of cosign: {error}")))?;
        if critical.kind != CRITICAL_TYPE {
            return Err(Flaw::Payload(format!("has the type {:?}", critical.kind)));
        }
        Ok(Payload { digest: critical.image.digest, reference: critical.identity.reference })
    }
}
