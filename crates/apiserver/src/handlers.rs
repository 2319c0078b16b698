//! What is done with objects, verb by verb.

mod collection;
mod form;
mod list;
mod measured;
mod options;
mod patch;
mod pieces;
mod read;
#[cfg(test)]
mod tests;
mod token;
mod write;

use apimachinery::Status;
use http::{Method, Request, Response};
use tracing::Instrument;

use crate::api::Call;
use crate::body::{self, Body};
use crate::change::creation_span;
use crate::kinds::{Kind, Verb};
use crate::route::Resource;
use crate::{reviews, watch};

pub(crate) use form::{Shaper, label, present_bytes};
pub(crate) use options::{ListOptions, Selection};
pub(crate) use patch::patch;
pub(crate) use read::get;
pub(crate) use write::{Write, carry_out, update};

pub(crate) async fn answer(
    call: &Call<'_>,
    resource: Resource,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let kind = kind_of(&resource)?;
    let verb = verb_of(call, &resource).ok_or_else(Status::method_not_allowed)?;
    if !kind.verbs.contains(&verb) {
        return Err(Status::method_not_supported(kind.group, kind.plural, verb.name()));
    }
    let needs_namespace = !matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection);
    if kind.namespaced && needs_namespace && resource.namespace.is_empty() {
        return Err(Status::method_not_allowed());
    }
    match verb {
        Verb::Get if kind.is_measured() => measured::get(call, kind, &resource).await,
        Verb::List if kind.is_measured() => measured::list(call, kind, &resource).await,
        Verb::Get => get(call, kind, &resource),
        Verb::List => list::list(call, kind, &resource),
        Verb::Watch => watch::watch(call, kind, &resource),
        Verb::Create => {
            let bytes = body::read(request.into_body()).await?;
            if kind.is_stored() {
                write::create(call, kind, resource, &bytes).instrument(creation_span(kind)).await
            } else {
                reviews::answer(call, kind, &resource, &bytes)
            }
        }
        Verb::Update => {
            let bytes = body::read(request.into_body()).await?;
            update(call, Write::of(call, kind, resource, None, "UpdateOptions")?, bytes).await
        }
        Verb::Patch => {
            let bytes = body::read(request.into_body()).await?;
            let write = Write::of(call, kind, resource, None, "PatchOptions")?;
            patch(call, write, bytes).instrument(creation_span(kind)).await
        }
        Verb::Delete => {
            let bytes = body::read(request.into_body()).await?;
            collection::delete(call, kind, resource, &bytes).await
        }
        Verb::DeleteCollection => {
            let bytes = body::read(request.into_body()).await?;
            collection::delete_all(call, kind, resource, &bytes).await
        }
    }
}

/// The kind at this place of the URL.
pub(crate) fn kind_of(resource: &Resource) -> Result<&'static Kind, Status> {
    let kind = Kind::find(&resource.group, &resource.version, &resource.plural);
    let kind = kind.ok_or_else(Status::no_such_path)?;
    // `namespaces/NS` names its own namespace.
    if !kind.namespaced && !resource.namespace.is_empty() && kind.kind != "Namespace" {
        return Err(Status::no_such_path());
    }
    Ok(kind)
}

fn verb_of(call: &Call<'_>, resource: &Resource) -> Option<Verb> {
    Some(match (&call.method, resource.name.is_empty()) {
        (&Method::GET, true) if call.query.flag("watch") => Verb::Watch,
        (&Method::GET, true) => Verb::List,
        (&Method::GET, false) => Verb::Get,
        (&Method::POST, true) => Verb::Create,
        (&Method::PUT, false) => Verb::Update,
        (&Method::PATCH, false) => Verb::Patch,
        (&Method::DELETE, true) => Verb::DeleteCollection,
        (&Method::DELETE, false) => Verb::Delete,
        _ => return None,
    })
}
