//! What clients and the engine do to objects, each within one write of the store.

mod create;
mod delete;
mod update;

use apimachinery::Status;
use podspec::WallTime;
use serde_json::Value;
use store::{Object, ObjectKey, WriteError};

pub use create::{create, creation_span, tell_created};
pub use delete::{DeleteOptions, Deleted, Propagation, delete};
pub use update::{Edit, update};

use crate::kinds::Kind;
use crate::request::User;

/// One change, by whom and by what way.
#[derive(Clone, Debug)]
pub struct Change {
    pub kind: &'static Kind,
    pub namespace: String,
    /// Empty where a new object's body names it.
    pub name: String,
    pub subresource: Option<&'static str>,
    pub user: User,
    /// `metadata.managedFields` names it.
    pub manager: String,
    /// Nothing of it will be kept.
    pub dry_run: bool,
    pub now: WallTime,
}

impl Change {
    /// One of the engine's own: `part` is kubelet, scheduler, a controller.
    #[must_use]
    pub fn of_engine(part: &str, kind: &'static Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: None,
            user: User::engine(part),
            manager: part.to_owned(),
            dry_run: false,
            now: crate::entropy::now(),
        }
    }

    #[must_use]
    pub fn key(&self) -> ObjectKey {
        key_of(self.kind, &self.namespace, &self.name)
    }

    fn not_found(&self) -> Status {
        not_found(self.kind, &self.name)
    }

    fn attributes(&self, operation: crate::request::Operation) -> crate::request::Attributes<'_> {
        crate::request::Attributes {
            kind: self.kind,
            namespace: &self.namespace,
            name: &self.name,
            subresource: self.subresource,
            operation,
            user: &self.user,
            dry_run: self.dry_run,
        }
    }

    fn ty(&self) -> Result<&'static api_schema::Type, Status> {
        let Kind { group, version, kind, .. } = *self.stored_kind();
        let ty = api_schema::Schema::get().kind(group, version, kind);
        ty.ok_or_else(|| Status::internal(&format!("the schema has no kind {kind} of {group}/{version}")))
    }

    /// The kind in whose form the object is stored, by which its fields are owned.
    fn stored_kind(&self) -> &'static Kind {
        crate::objects::kind_of(self.kind.stored()).unwrap_or(self.kind)
    }

    fn writer<'a>(&'a self, api_version: &'a str) -> apimachinery::apply::Writer<'a> {
        // An update of the object does not touch its status, nor one of its status the rest.
        let has_status = self.kind.subresource("status").is_some();
        let reset: &[&str] = match self.subresource {
            Some("status") => &["spec"],
            None if has_status => &["status"],
            _ => &[],
        };
        apimachinery::apply::Writer {
            manager: &self.manager,
            api_version,
            subresource: self.subresource.unwrap_or(""),
            reset,
            now: self.now,
        }
    }
}

/// An object after a change, and what to warn of.
#[derive(Clone, PartialEq, Debug)]
pub struct Changed {
    pub object: Value,
    pub warnings: Vec<String>,
    /// It was not there before.
    pub created: bool,
}

#[must_use]
pub fn key_of(kind: &Kind, namespace: &str, name: &str) -> ObjectKey {
    let namespace = if kind.namespaced { namespace } else { "" };
    ObjectKey::new(kind.stored(), namespace, name)
}

#[must_use]
pub fn not_found(kind: &Kind, name: &str) -> Status {
    Status::not_found(kind.group, kind.plural, name)
}

/// What is stored is what this server wrote.
///
/// # Errors
/// It is damaged.
pub fn parse(object: &Object) -> Result<Value, Status> {
    serde_json::from_slice(&object.json).map_err(|error| damaged(object, &error))
}

pub(crate) fn damaged(object: &Object, error: &serde_json::Error) -> Status {
    Status::internal(&format!("the stored object {} cannot be read: {error}", object.key))
}

/// Why a write was not done, as the client is told.
#[must_use]
pub fn write_failed(error: &WriteError) -> Status {
    match error {
        WriteError::TooLarge { .. } => Status::request_too_large(&error.to_string()),
        WriteError::Key { .. } => Status::bad_request(error.to_string()),
        WriteError::Full => Status::too_many_requests(&error.to_string(), 10),
        WriteError::Disk { .. } | WriteError::Panicked { .. } => Status::internal(&error.to_string()),
        WriteError::Closed => Status::service_unavailable(error.to_string()),
    }
}
