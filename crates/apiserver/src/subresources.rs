//! What lies below an object: its status, its logs, its processes.

mod container;
mod log;
mod pod;
mod proxy;
mod record;
mod stream;
#[cfg(test)]
mod tests;
mod token;

use apimachinery::Status;
use http::{Method, Request, Response};

use crate::api::Call;
use crate::body::{self, Body};
use crate::handlers::{self, Write};
use crate::kinds::{Kind, Verb};
use crate::route::Resource;

pub(crate) async fn answer(
    call: &Call<'_>,
    resource: Resource,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let kind = handlers::kind_of(&resource)?;
    let subresource = kind.subresource(&resource.subresource).ok_or_else(Status::no_such_path)?;
    if resource.name.is_empty() || kind.namespaced && resource.namespace.is_empty() {
        return Err(Status::no_such_path());
    }
    let verb = match call.method {
        Method::GET => Verb::Get,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        // Only a proxy passes it on; RBAC has no verb for it.
        Method::OPTIONS if subresource.name == "proxy" => {
            return proxy::answer(call, kind, &resource, request).await;
        }
        _ => return Err(Status::method_not_allowed()),
    };
    if !subresource.verbs.contains(&verb) {
        let name = format!("{}/{}", kind.plural, subresource.name);
        return Err(Status::method_not_supported(kind.group, &name, verb.name()));
    }
    match (kind.kind, subresource.name) {
        ("Pod", "log") => log::log(call, kind, &resource, request).await,
        ("Pod", "record") => record::record(call, kind, &resource).await,
        ("Pod", "exec") => stream::exec(call, kind, &resource, request),
        ("Pod", "attach") => stream::attach(call, kind, &resource, request),
        ("Pod", "portforward") => stream::forward(call, kind, &resource, request),
        ("Pod", "binding") => pod::bind(call, kind, resource, request).await,
        ("Pod", "eviction") => pod::evict(call, kind, resource, request).await,
        ("ServiceAccount", "token") => token::issue(call, kind, &resource, request).await,
        ("Pod" | "Service" | "Node", "proxy") => proxy::answer(call, kind, &resource, request).await,
        _ => part(call, kind, resource, subresource.name, verb, request).await,
    }
}

/// A part of the object that is read and written as the whole is: its status, its ephemeral containers.
async fn part(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: Resource,
    subresource: &'static str,
    verb: Verb,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    match verb {
        Verb::Get => handlers::get(call, kind, &resource),
        Verb::Update => {
            let bytes = body::read(request.into_body()).await?;
            let write = Write::of(call, kind, resource, Some(subresource), "UpdateOptions")?;
            handlers::update(call, write, bytes).await
        }
        Verb::Patch => {
            let bytes = body::read(request.into_body()).await?;
            let write = Write::of(call, kind, resource, Some(subresource), "PatchOptions")?;
            handlers::patch(call, write, bytes).await
        }
        _ => Err(Status::method_not_allowed()),
    }
}
