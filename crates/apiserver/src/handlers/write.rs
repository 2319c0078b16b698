//! Create and update.

use apimachinery::{Status, meta};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Response, StatusCode};
use podspec::{FieldError, FieldErrorKind, FieldPath};
use serde_json::Value;
use store::Durability;

use super::form::respond_object;
use crate::api::{Api, Call};
use crate::body::Body;
use crate::change::{self, Change, Changed, Edit};
use crate::decode::{self, Decoded, FieldValidation, WriteOptions};
use crate::kinds::Kind;
use crate::negotiate;
use crate::respond;
use crate::route::Resource;
use crate::rules::event;

/// Kinds of which nobody may replace what they have not seen.
const CONDITIONAL: [&str; 2] = ["Lease", "RuntimeClass"];

/// A change that a request asks for, and how it may be written.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) change: Change,
    pub(crate) validation: FieldValidation,
    /// `fieldManager` was given.
    pub(crate) names_manager: bool,
}

impl Write {
    /// `options` is the kind that errors about the query name.
    pub(crate) fn of(
        call: &Call<'_>,
        kind: &'static Kind,
        resource: Resource,
        subresource: Option<&'static str>,
        options: &str,
    ) -> Result<Self, Status> {
        let WriteOptions { validation, dry_run, manager } = WriteOptions::of(&call.query, options)?;
        let names_manager = manager.is_some();
        let change = Change {
            kind,
            namespace: if kind.namespaced { resource.namespace } else { String::new() },
            name: resource.name,
            subresource,
            user: call.user.clone(),
            manager: manager.unwrap_or_else(|| decode::manager_of(call.header(&USER_AGENT))),
            dry_run,
            now: crate::entropy::now(),
        };
        Ok(Self { change, validation, names_manager })
    }

    /// The object in a body, in the form it is stored in, and what to warn of.
    pub(crate) fn object(&self, mut decoded: Decoded) -> Result<(Value, Vec<String>), Status> {
        let kind = self.change.kind;
        decode::check_kind(&mut decoded.value, &kind.api_version(), kind.kind)?;
        let ty = api_schema::Schema::get().kind(kind.group, kind.version, kind.kind);
        let ty = ty.ok_or_else(|| Status::internal(&format!("the schema does not have {}", kind.kind)))?;
        let warnings = decode::check_schema(ty, &mut decoded, self.validation)?;
        let mut object = to_stored(kind, decoded.value);
        meta::set_namespace(&mut object, &self.change.namespace)?;
        Ok((object, warnings))
    }
}

/// The form in which objects of this kind are stored.
pub(crate) fn to_stored(kind: &Kind, object: Value) -> Value {
    if kind.group == "events.k8s.io" { event::to_core(&object) } else { object }
}

pub(super) async fn create(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: Resource,
    bytes: &Bytes,
) -> Result<Response<Body>, Status> {
    let write = Write::of(call, kind, resource, None, "CreateOptions")?;
    super::form::form(call)?;
    let decoded = decode::read(negotiate::body_form(call.header(&CONTENT_TYPE)), bytes)?;
    let (object, warnings) = write.object(decoded)?;
    let change = write.change;
    let dry_run = change.dry_run;
    let mut changed =
        carry_out(call.api, change, move |tx, change| change::create(tx, change, object)).await?;
    if !dry_run {
        change::tell_created(&changed.object);
    }
    changed.warnings.splice(0..0, warnings);
    respond_changed(call, kind, changed)
}

pub(crate) async fn update(call: &Call<'_>, write: Write, bytes: Bytes) -> Result<Response<Body>, Status> {
    super::form::form(call)?;
    let kind = write.change.kind;
    let decoded = decode::read(negotiate::body_form(call.header(&CONTENT_TYPE)), &bytes)?;
    let (mut object, warnings) = write.object(decoded)?;
    let name = meta::name(&object).to_owned();
    if name.is_empty() {
        object["metadata"]["name"] = write.change.name.as_str().into();
    } else if name != write.change.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            write.change.name
        )));
    }
    if CONDITIONAL.contains(&kind.kind) && meta::resource_version(&object).is_empty() {
        let error = FieldError {
            path: FieldPath::root().child("metadata").child("resourceVersion"),
            kind: FieldErrorKind::Invalid,
            value: Some(0.into()),
            detail: "must be specified for an update".to_owned(),
            hint: None,
        };
        return Err(Status::invalid(kind.group, kind.kind, &write.change.name, &[error]));
    }
    let edit = Edit::Replace(Box::new(move |_| Ok((object, warnings))));
    let changed =
        carry_out(call.api, write.change, move |tx, change| change::update(tx, change, edit)).await?;
    respond_changed(call, kind, changed)
}

/// Runs a change in the store; what a dry run did is taken back.
pub(crate) async fn carry_out<T: Send + 'static>(
    api: &Api,
    change: Change,
    act: impl FnOnce(&mut store::Tx<'_>, &Change) -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    enum Undone<T> {
        DryRun(T),
        Refused(Status),
    }
    let written = api.store.write(Durability::Durable, move |tx| {
        let done = act(tx, &change).map_err(Undone::Refused)?;
        if change.dry_run { Err(Undone::DryRun(done)) } else { Ok(done) }
    });
    match written.await.map_err(|error| change::write_failed(&error))? {
        Ok(done) | Err(Undone::DryRun(done)) => Ok(done),
        Err(Undone::Refused(status)) => Err(status),
    }
}

pub(crate) fn respond_changed(
    call: &Call<'_>,
    kind: &'static Kind,
    changed: Changed,
) -> Result<Response<Body>, Status> {
    let code = if changed.created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = respond_object(call, kind, code, changed.object)?;
    respond::warn(&mut response, &changed.warnings);
    Ok(response)
}
