//! Nothing is made in a namespace that is not there or is about to go
//! (NamespaceLifecycle, <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/>).

use apimachinery::Status;
use apimachinery::status::Cause;
use podspec::json::text;
use serde_json::Value;
use store::Tx;

use super::view;
use crate::request::{Attributes, Operation};

/// Those that cannot be deleted.
pub(crate) const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// The namespace in which something is about to be made; null for all else.
pub(super) fn admit(attributes: &Attributes<'_>, view: &Tx<'_>) -> Result<Value, Status> {
    let kind = attributes.kind;
    if kind.kind == "Namespace" && kind.group.is_empty() {
        if attributes.operation == Operation::Delete && IMMORTAL.contains(&attributes.name) {
            let why = "this namespace may not be deleted";
            return Err(Status::forbidden("", "namespaces", attributes.name, why));
        }
        return Ok(Value::Null);
    }
    if !kind.namespaced || attributes.operation != Operation::Create || attributes.subresource.is_some() {
        return Ok(Value::Null);
    }
    let name = attributes.namespace;
    let Some(namespace) = view::get(view, "", "namespaces", "", name) else {
        return Err(Status::not_found("", "namespaces", name));
    };
    if text(&namespace["status"], "phase") != "Terminating" {
        return Ok(namespace);
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let cause = Cause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {name} is being terminated"),
        field: "metadata.namespace".to_owned(),
    };
    Err(Status::forbidden(kind.group, kind.plural, attributes.name, &why).with_cause(cause))
}
