//! OpenAPI documents, made at the first request and kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use api_schema::openapi::{self, Operation};
use apimachinery::Status;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::groups;
use crate::api::Call;
use crate::body::Body;
use crate::kinds::{Kind, Verb};
use crate::{negotiate, respond};

/// One document for each group, and one of all.
#[derive(Debug, Default)]
pub struct Documents {
    v2: OnceLock<Bytes>,
    v2_protobuf: OnceLock<Bytes>,
    /// By path below `/openapi/v3/`: no more than there are groups.
    v3: Mutex<BTreeMap<String, Document>>,
}

#[derive(Clone, Debug)]
struct Document {
    text: Bytes,
    hash: String,
}

impl Documents {
    pub(crate) fn answer(&self, call: &Call<'_>, path: &str) -> Result<Response<Body>, Status> {
        if !negotiate::takes_json(call.accept()) {
            let takes = |media: &str| call.accept().is_some_and(|accept| accept.contains(media));
            let takes_protobuf = takes(openapi::V2_PROTOBUF_ACCEPT) || takes(openapi::V2_PROTOBUF);
            if path == "/openapi/v2" && takes_protobuf {
                return Ok(self.v2_protobuf(call));
            }
            return Err(Status::not_acceptable(&[negotiate::OFFERED]));
        }
        match path {
            "/openapi/v2" => Ok(respond::json_bytes(StatusCode::OK, self.v2(), call.style)),
            "/openapi/v3" => Ok(respond::json(StatusCode::OK, &self.index(), call.style)),
            _ => {
                let name = path.strip_prefix("/openapi/v3/").unwrap_or_default();
                let document = self.v3(name).ok_or_else(Status::no_such_path)?;
                let mut response = respond::json_bytes(StatusCode::OK, document.text, call.style);
                if let Ok(hash) = HeaderValue::from_str(&format!("\"{}\"", document.hash)) {
                    response.headers_mut().insert(ETAG, hash);
                }
                Ok(response)
            }
        }
    }

    fn v2(&self) -> Bytes {
        self.v2.get_or_init(|| Bytes::from(v2_document().to_string())).clone()
    }

    /// The only form that kubectl takes version 2 in; kubectl 1.20 validates with it, and fails without.
    fn v2_protobuf(&self, call: &Call<'_>) -> Response<Body> {
        let bytes = self.v2_protobuf.get_or_init(|| Bytes::from(openapi::v2_protobuf(&v2_document())));
        let mut response = respond::json_bytes(StatusCode::OK, bytes.clone(), call.style);
        let media_type = HeaderValue::from_static(openapi::V2_PROTOBUF);
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response
    }

    fn index(&self) -> Value {
        let mut paths = Map::new();
        for (group, version, _) in groups() {
            let name = document_name(group, version);
            let Some(document) = self.v3(&name) else { continue };
            let url = format!("/openapi/v3/{name}?hash={}", document.hash);
            paths.insert(name, json!({ "serverRelativeURL": url }));
        }
        json!({ "paths": paths })
    }

    fn v3(&self, name: &str) -> Option<Document> {
        let groups = groups();
        let (_, _, kinds) =
            groups.iter().find(|(group, version, _)| document_name(group, version) == name)?;
        let mut documents = self.v3.lock().unwrap_or_else(PoisonError::into_inner);
        let document = documents.entry(name.to_owned()).or_insert_with(|| {
            let operations: Vec<Operation> = kinds.iter().flat_map(|kind| operations(kind)).collect();
            let text = Bytes::from(openapi::v3_document(&operations).to_string());
            Document { hash: openapi::hash(&text), text }
        });
        Some(document.clone())
    }
}

fn v2_document() -> Value {
    let operations: Vec<Operation> = Kind::all().iter().flat_map(operations).collect();
    openapi::v2_document(&operations)
}

/// `api/v1`, `apis/GROUP/VERSION`
fn document_name(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn operations(kind: &'static Kind) -> Vec<Operation> {
    let root = document_name(kind.group, kind.version);
    let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    let all = format!("/{root}{scope}/{}", kind.plural);
    let one = format!("{all}/{{name}}");
    let operation = |path: &str, method, action| Operation {
        path: path.to_owned(),
        method,
        action,
        group: kind.group,
        version: kind.version,
        kind: kind.kind,
    };
    let mut operations: Vec<Operation> = kind
        .verbs
        .iter()
        .filter_map(|verb| {
            Some(match verb {
                Verb::Create => operation(&all, "POST", "post"),
                Verb::Delete => operation(&one, "DELETE", "delete"),
                Verb::DeleteCollection => operation(&all, "DELETE", "deletecollection"),
                Verb::Get => operation(&one, "GET", "get"),
                Verb::List => operation(&all, "GET", "list"),
                Verb::Patch => operation(&one, "PATCH", "patch"),
                Verb::Update => operation(&one, "PUT", "put"),
                Verb::Watch => return None,
            })
        })
        .collect();
    if kind.namespaced && kind.verbs.contains(&Verb::List) {
        operations.push(operation(&format!("/{root}/{}", kind.plural), "GET", "list"));
    }
    for subresource in kind.subresources {
        for verb in subresource.verbs {
            let (method, action) = match verb {
                Verb::Get => ("GET", "get"),
                Verb::Patch => ("PATCH", "patch"),
                Verb::Update => ("PUT", "put"),
                Verb::Create => ("POST", "post"),
                _ => continue,
            };
            operations.push(Operation {
                path: format!("{one}/{}", subresource.name),
                method,
                action,
                group: subresource.group,
                version: subresource.version,
                kind: subresource.kind,
            });
        }
    }
    operations
}
