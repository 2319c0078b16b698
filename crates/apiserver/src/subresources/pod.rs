//! Where a pod runs, and that it has to go.

use apimachinery::{Status, meta};
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use podspec::json::text;
use serde_json::{Value, json};

use crate::api::Call;
use crate::body::{self, Body};
use crate::change::{self, Change, DeleteOptions};
use crate::decode::{self, FieldValidation};
use crate::handlers::{self, Write};
use crate::kinds::Kind;
use crate::negotiate;
use crate::objects;
use crate::respond;
use crate::route::Resource;

/// The body of a subresource that has a kind of its own.
pub(super) async fn read_as(
    call: &Call<'_>,
    kind: &Kind,
    resource: &Resource,
    request: Request<Body>,
) -> Result<Value, Status> {
    let bytes = body::read(request.into_body()).await?;
    let Some(subresource) = kind.subresource(&resource.subresource) else {
        return Err(Status::no_such_path());
    };
    let (group, version) = (subresource.group, subresource.version);
    let mut decoded = decode::read(negotiate::body_form(call.header(&CONTENT_TYPE)), &bytes)?;
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    decode::check_kind(&mut decoded.value, &api_version, subresource.kind)?;
    if let Some(ty) = api_schema::Schema::get().kind(group, version, subresource.kind) {
        decode::check_schema(ty, &mut decoded, FieldValidation::Ignore)?;
    }
    let name = meta::name(&decoded.value);
    if !name.is_empty() && name != resource.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            resource.name
        )));
    }
    Ok(decoded.value)
}

pub(super) async fn bind(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: Resource,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let binding = read_as(call, kind, &resource, request).await?;
    let target = &binding["target"];
    let node = text(target, "name").to_owned();
    if !matches!(text(target, "kind"), "" | "Node") || node.is_empty() {
        return Err(Status::bad_request("target has to name a Node: a pod can be bound to nothing else"));
    }
    let write = Write::of(call, kind, resource, Some("binding"), "CreateOptions")?;
    handlers::carry_out(call.api, write.change, move |tx, change| assign(tx, change, &node)).await?;
    Ok(done(call))
}

/// Sets a pod's node, once.
///
/// # Errors
/// The client's answer.
fn assign(tx: &mut store::Tx<'_>, change: &Change, node: &str) -> Result<(), Status> {
    let kind = change.kind;
    let old = tx.get(&change.key()).ok_or_else(|| change::not_found(kind, &change.name))?;
    let mut pod = change::parse(&old)?;
    let conflict = |why: &str| Status::conflict(kind.group, "pods/binding", &change.name, why);
    if meta::is_being_deleted(&pod) {
        return Err(conflict(&format!("pod {} is being deleted, cannot be assigned to a host", change.name)));
    }
    let found = text(&pod["spec"], "nodeName");
    if !found.is_empty() {
        return Err(conflict(&format!("pod {} is already assigned to node {found:?}", change.name)));
    }
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        return Err(conflict(&format!("pod {} has non-empty .spec.schedulingGates", change.name)));
    }
    pod["spec"]["nodeName"] = node.into();
    let now = change.now.rfc3339_seconds();
    let scheduled =
        json!({ "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now });
    if let Some(status) = pod["status"].as_object_mut() {
        let conditions = status.entry("conditions").or_insert_with(|| json!([]));
        if let Some(conditions) = conditions.as_array_mut() {
            conditions.retain(|condition| condition["type"] != "PodScheduled");
            conditions.push(scheduled);
        }
    }
    if !change.dry_run {
        objects::put(tx, kind, &mut pod);
    }
    Ok(())
}

/// No budget is served that could forbid it: an eviction is a deletion.
pub(super) async fn evict(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: Resource,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let eviction = read_as(call, kind, &resource, request).await?;
    let of_body = &eviction["deleteOptions"];
    let precondition = |name: &str| of_body["preconditions"][name].as_str().map(str::to_owned);
    let options = DeleteOptions {
        grace_seconds: of_body["gracePeriodSeconds"].as_i64(),
        propagation: None,
        uid: precondition("uid"),
        resource_version: precondition("resourceVersion"),
    };
    let mut write = Write::of(call, kind, resource, None, "CreateOptions")?;
    write.change.dry_run |= of_body["dryRun"].as_array().is_some_and(|values| !values.is_empty());
    handlers::carry_out(call.api, write.change, move |tx, change| change::delete(tx, change, &options))
        .await?;
    Ok(done(call))
}

fn done(call: &Call<'_>) -> Response<Body> {
    let status =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    respond::json(StatusCode::CREATED, &status, call.style)
}
