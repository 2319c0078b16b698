//! Why a request to upgrade is refused.

use http::{HeaderName, HeaderValue, StatusCode};

/// The answer to a request that cannot be upgraded. The server makes a Status of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// 400, or 403 when no protocol is common to both sides.
    pub status: StatusCode,
    /// For the client's user.
    pub message: String,
    /// Headers of the answer that say what would be accepted.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(crate) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, message: message.into(), headers: vec![] }
    }
}
