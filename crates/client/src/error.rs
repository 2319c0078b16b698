//! Why the API could not be asked, or said no.

use std::io;
use std::path::PathBuf;

use serde_json::Value;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no engine answers at {}", path.display())]
    NoEngine { path: PathBuf, source: io::Error },
    #[error("cannot connect to {address}")]
    Connect { address: String, source: io::Error },
    #[error("{address} does not speak HTTP as an API server does")]
    Protocol { address: String, source: hyper::Error },
    #[error("{0} is no request that can be sent")]
    Request(#[from] http::Error),
    #[error("the answer to {path} is no JSON")]
    Json { path: String, source: serde_json::Error },
    #[error("the answer to {path} is larger than {bytes_max} bytes")]
    TooLarge { path: String, bytes_max: usize },
    #[error("the connection ended within the answer to {path}")]
    Cut { path: String, source: hyper::Error },
    /// The API's own words.
    #[error("{message}")]
    Status { code: u16, reason: String, message: String, status: Value },
}

impl ClientError {
    /// Whether the object, or what was asked of it, is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { code: 404, .. })
    }

    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Status { code: 409, .. })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {message}", path.display())]
    Content { path: PathBuf, message: String },
    #[error("{}: {field} is no PEM of a {what}", path.display())]
    Pem { path: PathBuf, field: &'static str, what: &'static str },
    #[error("{}: the certificates and the key in it do not fit together", path.display())]
    Tls { path: PathBuf, source: rustls::Error },
}
