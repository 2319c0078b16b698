//! Who may do what.

use apimachinery::Status;
use apimachinery::status::Denial;
use http::header::HeaderMap;

use crate::api::{Api, Call};
use crate::request::User;
use crate::route::Resource;

/// What anybody may read, known or not.
const OPEN_PATHS: [&str; 4] = ["/version", "/healthz", "/livez", "/readyz"];
/// What whoever is authenticated may read: what is served.
const DISCOVERY_PATHS: [&str; 3] = ["/api", "/apis", "/openapi"];

pub(crate) fn check(call: &Call<'_>, verb: &str, resource: &Resource) -> Result<(), Status> {
    if call.user.is_master() {
        return Ok(());
    }
    let name = if resource.subresource.is_empty() {
        resource.plural.clone()
    } else {
        format!("{}/{}", resource.plural, resource.subresource)
    };
    Err(Status::denied(Denial {
        user: &call.user.name,
        verb,
        group: &resource.group,
        resource: &name,
        namespace: &resource.namespace,
        name: &resource.name,
    }))
}

pub(crate) fn check_path(call: &Call<'_>, verb: &str, path: &str) -> Result<(), Status> {
    let is_below =
        |root: &&str| path == *root || path.strip_prefix(*root).is_some_and(|rest| rest.starts_with('/'));
    let is_open = OPEN_PATHS.iter().any(|root| is_below(&root));
    let is_discovery = DISCOVERY_PATHS.iter().any(|root| is_below(&root));
    let is_known = call.user.groups.iter().any(|group| group == crate::request::AUTHENTICATED);
    if call.user.is_master() || verb == "get" && (is_open || is_discovery && is_known) {
        return Ok(());
    }
    Err(Status::path_denied(&call.user.name, verb, path))
}

/// The user that `Impersonate-User` names, when the sender may act for it.
pub(crate) fn impersonated(api: &Api, user: User, headers: &HeaderMap) -> Result<User, Status> {
    let _ = api;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(name) = text("impersonate-user") else { return Ok(user) };
    if !user.is_master() {
        return Err(Status::denied(Denial {
            user: &user.name,
            verb: "impersonate",
            group: "",
            resource: "users",
            namespace: "",
            name,
        }));
    }
    let groups = headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok());
    let mut groups: Vec<&str> = groups.collect();
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    if let (Some((namespace, account)), true) = (account, groups.is_empty()) {
        return Ok(User::service_account(namespace, account, ""));
    }
    let known =
        if name == "system:anonymous" { "system:unauthenticated" } else { crate::request::AUTHENTICATED };
    if !groups.contains(&known) {
        groups.push(known);
    }
    Ok(User::in_groups(name, &groups))
}
