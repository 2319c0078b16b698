//! Deletion, of one object and of many.

use std::sync::Arc;

use apimachinery::{Status, meta, status};
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use store::Object;

use super::form::{Shaper, form, present, respond_object};
use super::options::ListOptions;
use super::write::{Write, carry_out};
use crate::api::Call;
use crate::body::Body;
use crate::change::{self, DeleteOptions, Deleted, Propagation};
use crate::decode::{self, FieldValidation};
use crate::kinds::Kind;
use crate::negotiate;
use crate::respond;
use crate::route::Resource;

/// Objects that are deleted in one write; a larger collection takes several.
const BATCH_OBJECTS_MAX: usize = 500;

/// Kinds whose deletion answers with the object rather than with a Status.
const RETURNED: [&str; 10] = [
    "DeviceClass",
    "Namespace",
    "Pod",
    "PodTemplate",
    "ResourceClaim",
    "ResourceClaimTemplate",
    "ResourceQuota",
    "ResourceSlice",
    "Service",
    "ServiceAccount",
];

pub(super) async fn delete(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: Resource,
    bytes: &[u8],
) -> Result<Response<Body>, Status> {
    form(call)?;
    let mut write = Write::of(call, kind, resource, None, "DeleteOptions")?;
    let (options, dry_run) = options(call, bytes)?;
    write.change.dry_run |= dry_run;
    let name = write.change.name.clone();
    let deleted =
        carry_out(call.api, write.change, move |tx, change| change::delete(tx, change, &options)).await?;
    match deleted {
        Deleted::Gone(object) if !RETURNED.contains(&kind.kind) => {
            let done = status::success(kind.group, kind.plural, &name, meta::uid(&object));
            Ok(respond::json(StatusCode::OK, &done, call.style))
        }
        Deleted::Gone(object) | Deleted::Pending(object) => {
            respond_object(call, kind, StatusCode::OK, object)
        }
    }
}

pub(super) async fn delete_all(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: Resource,
    bytes: &[u8],
) -> Result<Response<Body>, Status> {
    let shaper = Shaper::of(call, kind)?;
    let list = ListOptions::of(&call.query, kind)?;
    let mut write = Write::of(call, kind, resource, None, "DeleteOptions")?;
    let (options, dry_run) = options(call, bytes)?;
    write.change.dry_run |= dry_run;
    let meant = super::list::selected(call.api, kind, &write.change.namespace, &list.selection);
    let mut items = Vec::with_capacity(meant.len());
    for batch in meant.chunks(BATCH_OBJECTS_MAX) {
        let (batch, options) = (batch.to_vec(), options.clone());
        let deleted = carry_out(call.api, write.change.clone(), move |tx, change| {
            delete_batch(tx, change, &batch, &options)
        });
        items.extend(deleted.await?);
    }
    let items: Vec<Value> = items.into_iter().map(|object| present(shaper.kind, object)).collect();
    let list = json!({
        "kind": format!("{}List", kind.kind),
        "apiVersion": kind.api_version(),
        "metadata": { "resourceVersion": call.api.store.revision().to_string() },
        "items": items,
    });
    Ok(respond::json(StatusCode::OK, &list, call.style))
}

fn delete_batch(
    tx: &mut store::Tx<'_>,
    change: &change::Change,
    batch: &[Arc<Object>],
    options: &DeleteOptions,
) -> Result<Vec<Value>, Status> {
    let mut deleted = Vec::with_capacity(batch.len());
    for object in batch {
        let (namespace, name) = (object.key.namespace.clone(), object.key.name.clone());
        let change = change::Change { namespace, name, ..change.clone() };
        match change::delete(tx, &change, options) {
            Ok(Deleted::Gone(object) | Deleted::Pending(object)) => deleted.push(object),
            // Somebody else was faster.
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(deleted)
}

/// `DeleteOptions` in the body, or in the query.
fn options(call: &Call<'_>, bytes: &[u8]) -> Result<(DeleteOptions, bool), Status> {
    let mut body = Value::Null;
    if !bytes.is_empty() {
        let mut decoded = decode::read(negotiate::body_form(call.header(&CONTENT_TYPE)), bytes)?;
        let kind = decoded.value["kind"].as_str().unwrap_or("").to_owned();
        if !kind.is_empty() && kind != "DeleteOptions" {
            return Err(Status::bad_request(format!(
                "the body of a deletion is DeleteOptions, not a {kind}"
            )));
        }
        if let Some(ty) = api_schema::Schema::get().kind("", "v1", "DeleteOptions") {
            decode::check_schema(ty, &mut decoded, FieldValidation::Ignore)?;
        }
        body = decoded.value;
    }
    let bad = |error: crate::route::QueryError| Status::bad_request(error.to_string());
    let grace = call.query.number("gracePeriodSeconds").map_err(bad)?;
    let grace = grace.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    let policy = body["propagationPolicy"].as_str().or_else(|| call.query.text("propagationPolicy"));
    let orphans = body["orphanDependents"].as_bool();
    let orphans = orphans.or(call.query.bool("orphanDependents").map_err(bad)?);
    let propagation = match (policy, orphans) {
        (Some(_), Some(_)) => {
            return Err(Status::bad_request(
                "orphanDependents and propagationPolicy exclude each other: leave out the first",
            ));
        }
        (Some("Background"), None) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), None) => Some(Propagation::Foreground),
        (Some("Orphan"), None) | (None, Some(true)) => Some(Propagation::Orphan),
        (None, None) => None,
        (Some(other), None) => {
            return Err(Status::bad_request(format!(
                "propagationPolicy {other:?} is none of Background, Foreground and Orphan"
            )));
        }
    };
    let text = |name: &str| body["preconditions"][name].as_str().map(str::to_owned);
    let options = DeleteOptions {
        grace_seconds: body["gracePeriodSeconds"].as_i64().or(grace),
        propagation,
        uid: text("uid"),
        resource_version: text("resourceVersion"),
    };
    let dry_run = body["dryRun"].as_array().is_some_and(|values| !values.is_empty());
    Ok((options, dry_run))
}
