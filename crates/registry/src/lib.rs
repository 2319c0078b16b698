//! What registries of images are spoken to with, by the OCI distribution specification
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>). Nothing here knows of a store
//! (docs/adr/0013-images-are-pulled-straight-into-layers.md).

mod client;
mod credentials;
mod digest;
mod error;
mod hosts;
mod reference;
mod transport;

pub use client::{Blob, Client, Environment, Limits, Manifest, Repository, Target};
pub use credentials::{
    CANDIDATES_MAX, Candidate, Credential, CredentialSource, CredentialsError, NodeCredentials, SecretData,
    SecretKind, candidates, of_secrets,
};
pub use digest::{Digest, Hashing};
pub use error::{Error, Kind};
pub use hosts::{Endpoint, Header, Hosts, HostsError, Identity, Tls};
pub use reference::{ParseError, Reference};
