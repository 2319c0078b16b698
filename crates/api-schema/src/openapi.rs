//! OpenAPI documents of what is served: the schema of every type that is reachable, and the operations the API
//! server names (<https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-interface-definition>).

mod definitions;
mod gnostic;
mod paths;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub use gnostic::{ACCEPT as V2_PROTOBUF_ACCEPT, CONTENT_TYPE as V2_PROTOBUF, v2_protobuf};

/// Whose API it is.
const VERSION: &str = "v1.36";

/// One operation of a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// `/api/v1/namespaces/{namespace}/pods/{name}`; path parameters are taken from it.
    pub path: String,
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`.
    pub method: &'static str,
    /// `x-kubernetes-action`: `get`, `list`, `watch`, `watchlist`, `post`, `put`, `patch`, `delete`,
    /// `deletecollection` or `connect`; parameters and bodies follow from it.
    pub action: &'static str,
    /// The kind the operation is about: for `pods/eviction` that is `policy`, `v1`, `Eviction`.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
}

impl Operation {
    fn action(&self) -> Action {
        match self.action {
            "get" => Action::Get,
            "list" => Action::List,
            "watch" | "watchlist" => Action::Watch,
            "post" => Action::Post,
            "put" => Action::Put,
            "patch" => Action::Patch,
            "delete" => Action::Delete,
            "deletecollection" => Action::DeleteCollection,
            _ => Action::Connect,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Get,
    List,
    /// On a path of its own.
    Watch,
    Post,
    Put,
    Patch,
    Delete,
    DeleteCollection,
    /// Streams and proxies.
    Connect,
}

/// The two forms of the same facts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    V2,
    V3,
}

/// The OpenAPI v3 document of one group and version: these operations, and every type reachable from their
/// kinds.
#[must_use]
pub fn v3_document(operations: &[Operation]) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths::paths(Form::V3, operations),
        "components": {
            "schemas": definitions::definitions(Form::V3, operations),
            "securitySchemes": {"BearerToken": bearer_token()},
        },
    })
}

/// The OpenAPI v2 document of all groups.
#[must_use]
pub fn v2_document(operations: &[Operation]) -> Value {
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": paths::paths(Form::V2, operations),
        "definitions": definitions::definitions(Form::V2, operations),
        "securityDefinitions": {"BearerToken": bearer_token()},
        "security": [{"BearerToken": []}],
    })
}

fn bearer_token() -> Value {
    json!({"type": "apiKey", "name": "authorization", "in": "header", "description": "A bearer token."})
}

/// What `?hash=` of a v3 document says: changes whenever the document does.
#[must_use]
pub fn hash(document: &[u8]) -> String {
    Sha256::digest(document).iter().map(|byte| format!("{byte:02X}")).collect()
}
