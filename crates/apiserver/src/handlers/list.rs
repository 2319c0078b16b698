//! Many objects.

use std::sync::Arc;

use apimachinery::Status;
use http::Response;
use serde_json::{Map, Value};
use store::{Listing, Object};

use super::form::{Shaper, label};
use super::options::{ListOptions, Selection, VersionMatch};
use super::pieces::Pieces;
use super::token::Continue;
use crate::api::{Api, Call};
use crate::body::Body;
use crate::kinds::Kind;
use crate::route::Resource;
use crate::{change, respond};

pub(super) fn list(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
) -> Result<Response<Body>, Status> {
    let shaper = Shaper::of(call, kind)?;
    let options = ListOptions::of(&call.query, kind)?;
    let after = options.continue_token.as_deref().map(Continue::decode).transpose()?;
    check_version(&call.api.store, &options, after.is_some())?;
    let listing = page(call, kind, resource, &options, after.as_ref());
    let revision = after.map_or(listing.revision, |after| after.revision);
    let metadata = metadata(&options, &listing, revision);
    respond_list(call, shaper, listing.objects, &metadata)
}

/// A server that keeps the newest version only can answer for no other.
fn check_version(store: &store::Store, options: &ListOptions, continues: bool) -> Result<(), Status> {
    let Some(version) = options.version.filter(|version| *version > 0) else { return Ok(()) };
    if continues {
        let message = "specifying resource version is not allowed when using continue";
        return Err(Status::bad_request(message));
    }
    let current = store.revision();
    if version > current {
        return Err(Status::too_new(version, current));
    }
    if options.version_match == Some(VersionMatch::Exact) && version < current {
        return Err(Status::expired("The resourceVersion for the provided list is too old."));
    }
    Ok(())
}

fn page(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    options: &ListOptions,
    after: Option<&Continue>,
) -> Listing {
    let store = &call.api.store;
    let namespace =
        Some(resource.namespace.as_str()).filter(|namespace| kind.namespaced && !namespace.is_empty());
    // What waits for one object lists it by its name, again and again.
    if let (Some(name), true) = (options.selection.name(), namespace.is_some() || !kind.namespaced) {
        let key = change::key_of(kind, &resource.namespace, name);
        let revision = store.revision();
        let objects =
            store.get(&key).into_iter().filter(|object| options.selection.matches(object)).collect();
        return Listing { objects, revision, more: None, remaining: 0 };
    }
    let after = after.map(|after| (after.namespace.as_str(), after.name.as_str()));
    store.list(kind.stored(), namespace, after, options.limit, |object| options.selection.matches(object))
}

fn metadata(options: &ListOptions, listing: &Listing, revision: u64) -> Value {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    if let Some((namespace, name)) = &listing.more {
        let token = Continue { revision, namespace: namespace.clone(), name: name.clone() };
        metadata.insert("continue".to_owned(), token.encode().into());
        if options.selection.is_everything() {
            metadata.insert("remainingItemCount".to_owned(), listing.remaining.into());
        }
    }
    Value::Object(metadata)
}

/// A list of objects in the form the client takes.
fn respond_list(
    call: &Call<'_>,
    shaper: Shaper,
    objects: Vec<Arc<Object>>,
    metadata: &Value,
) -> Result<Response<Body>, Status> {
    let mut response = respond::pieces(Pieces::new(shaper, objects, metadata), call.style)?;
    label(&mut response, shaper.form);
    Ok(response)
}

/// Every object that is meant, for what is done with all of them.
pub(crate) fn selected(api: &Api, kind: &Kind, namespace: &str, selection: &Selection) -> Vec<Arc<Object>> {
    let namespace = Some(namespace).filter(|namespace| kind.namespaced && !namespace.is_empty());
    api.store.list(kind.stored(), namespace, None, None, |object| selection.matches(object)).objects
}
