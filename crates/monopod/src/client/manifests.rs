//! Objects of `-f FILE|DIR|-`: all of them can be read, or nothing is begun.

use std::path::PathBuf;

use podspec::Document;
use podspec::json::text;
use podspec::load;
use serde_json::Value;

use crate::client::context::Context;
use crate::client::discovery::{Discovery, Kind};
use crate::client::failure::{Failure, Result};
use crate::run::{self, ManifestText};

/// An object of a file and what it is to the server.
#[derive(Debug)]
pub(super) struct Manifest<'a> {
    pub(super) kind: &'a Kind,
    /// The file.
    pub(super) source: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) value: Value,
}

/// Every document of every argument, unchecked.
pub(super) fn read(arguments: &[PathBuf]) -> Result<Vec<Document>> {
    let (texts, mut errors) = run::manifest_texts(arguments);
    let mut documents = Vec::new();
    for ManifestText { name, text, .. } in texts {
        let (read, wrong) = load::load_all(&name, &text);
        documents.extend(read);
        errors.extend(wrong.iter().map(ToString::to_string));
    }
    if errors.is_empty() { Ok(documents) } else { Err(Failure::refused(errors.join("\nerror: "))) }
}

/// Whether the kinds of all documents are known.
pub(super) fn are_known(discovery: &Discovery, documents: &[Document]) -> bool {
    let known = |value| discovery.by_kind(text(value, "apiVersion"), text(value, "kind"));
    documents.iter().all(|document| known(&document.value).is_some())
}

/// What the documents are; every kind has to be one that the server has.
pub(super) fn resolve<'a>(
    documents: Vec<Document>,
    discovery: &'a Discovery,
    context: &Context,
    explicit_namespace: Option<&str>,
) -> Result<Vec<Manifest<'a>>> {
    let (mut manifests, mut errors) = (Vec::new(), Vec::new());
    for Document { location, mut value, .. } in documents {
        let (api_version, kind) = (text(&value, "apiVersion"), text(&value, "kind"));
        let Some(known) = discovery.by_kind(api_version, kind) else {
            errors.push(format!("{location}: the server has no kind {kind:?} in version {api_version:?}"));
            continue;
        };
        let metadata = &value["metadata"];
        let (name, own) = (text(metadata, "name").to_owned(), text(metadata, "namespace").to_owned());
        if name.is_empty() {
            errors.push(format!("{location}: metadata.name is missing, by which the object is known"));
            continue;
        }
        let namespace = match explicit_namespace {
            Some(namespace) if known.namespaced && !own.is_empty() && own != namespace => {
                errors.push(format!(
                    "{location}: the namespace {own:?} of the object is not the one of -n, {namespace:?}"
                ));
                continue;
            }
            _ if own.is_empty() => context.namespace.clone(),
            _ => own,
        };
        if known.namespaced {
            value["metadata"]["namespace"] = namespace.clone().into();
        }
        let source = location.source.to_string();
        manifests.push(Manifest { kind: known, source, namespace, name, value });
    }
    if errors.is_empty() { Ok(manifests) } else { Err(Failure::refused(errors.join("\nerror: "))) }
}
