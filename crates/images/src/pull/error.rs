//! Why an image does not come.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use ports::PortError;
use registry::{CredentialsError, Digest, Kind};

use super::limits;
use super::plan::ManifestError;
use crate::manifest::INDEX_DEPTH_MAX;
use crate::signature::SignatureError;
use crate::store::{ConfigError, StoreError};

/// The messages go on after `failed to pull image "...": `.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error("{error}; credentials that cannot be used were left out: {flaws}")]
    WithoutCredentials { error: registry::Error, flaws: String },
    #[error("the manifest {digest}")]
    Manifest { digest: Digest, source: ManifestError },
    #[error("the manifest {digest} has {found} bytes, and is to have {expected}")]
    ManifestSize { digest: Digest, expected: u64, found: u64 },
    #[error("its indexes are more than {INDEX_DEPTH_MAX} deep, which is the limit")]
    IndexTooDeep,
    #[error("its indexes lead to more than {max} manifests that may be for {wanted}, which is the limit")]
    TooManyManifests { wanted: String, max: usize },
    #[error("there is none for {wanted}: it is for {}", if there.is_empty() { "nothing" } else { there })]
    Platform { wanted: String, there: String },
    #[error("the configuration {digest}")]
    Config { digest: Digest, source: ConfigError },
    #[error("the manifest has {layers} layers, and the configuration {diff_ids}")]
    LayerCount { layers: usize, diff_ids: usize },
    #[error(
        "its layers have {wanted} bytes compressed, and {} has room for {available}: make room there, for instance \
         with `monopod image prune`, or keep images elsewhere with --data-dir",
        path.display()
    )]
    NoRoom { path: PathBuf, wanted: u64, available: u64 },
    #[error(
        "the file system of {} is full: make room there, for instance with `monopod image prune`, or keep images \
         elsewhere with --data-dir",
        path.display()
    )]
    Full { path: PathBuf, source: Box<PullError> },
    #[error("layer {digest}")]
    Layer { digest: Digest, source: StoreError },
    #[error("cannot decompress layer {digest}")]
    Decompress { digest: Digest, source: io::Error },
    #[error("cannot wait for another pull of it")]
    Lock { source: io::Error },
    #[error("it cannot be called so")]
    Name { source: ManifestError },
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it was given up")]
    Cancelled,
}

impl PullError {
    /// The reason a container waits for.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Registry(error) | Self::WithoutCredentials { error, .. }
                if error.kind() == Kind::Unavailable =>
            {
                "RegistryUnavailable"
            }
            Self::Signature(_) => "SignatureValidationFailed",
            _ => "ErrImagePull",
        }
    }

    /// Where the registry wants to know who asks, what is wrong with credentials matters.
    pub(super) fn asked_without(error: registry::Error, flaws: &[CredentialsError]) -> Self {
        if flaws.is_empty() || !matches!(error.kind(), Kind::Denied | Kind::NotFound) {
            return Self::Registry(error);
        }
        let flaws: Vec<String> = flaws.iter().map(|flaw| PortError::chain(flaw).0).collect();
        Self::WithoutCredentials { error, flaws: flaws.join("; ") }
    }

    /// Says first of all that the disk is full, if that is what it comes from.
    pub(super) fn on(self, path: PathBuf) -> Self {
        let is_full = !matches!(self, Self::Full { .. }) && limits::is_full(&self as &(dyn Error + 'static));
        if is_full { Self::Full { path, source: Box::new(self) } } else { self }
    }
}
