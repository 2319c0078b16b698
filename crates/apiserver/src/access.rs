//! Who may do what: RBAC over the roles and bindings in the store.

mod policy;
#[cfg(test)]
mod tests;

use apimachinery::Status;
use authorization::{Decision, Request, User as Subject, forbidden_message};
use http::header::HeaderMap;

use crate::api::{Api, Call};
use crate::request::{AUTHENTICATED, User};
use crate::route::Resource;

pub(crate) use policy::Policies;

/// What anybody may read, known or not.
const OPEN_PATHS: [&str; 4] = ["/version", "/healthz", "/livez", "/readyz"];
/// What whoever is authenticated may read: what is served.
const DISCOVERY_PATHS: [&str; 3] = ["/api", "/apis", "/openapi"];
/// What everybody may ask: about themselves.
const OWN_REVIEWS: [&str; 3] = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"];
/// A stream is opened with GET as well as with POST; both are a `create`.
const STREAMS: [&str; 3] = ["exec", "attach", "portforward"];

pub(crate) fn subject(user: &User) -> Subject<'_> {
    Subject { name: &user.name, groups: &user.groups }
}

pub(crate) fn check(call: &Call<'_>, verb: &str, resource: &Resource) -> Result<(), Status> {
    let user = subject(&call.user);
    if user.is_master() {
        return Ok(());
    }
    let is_known = call.user.groups.iter().any(|group| group == AUTHENTICATED);
    if is_known && verb == "create" && OWN_REVIEWS.contains(&resource.plural.as_str()) {
        return Ok(());
    }
    let verb = if STREAMS.contains(&resource.subresource.as_str()) { "create" } else { verb };
    // A list of the one object of this name is no more than that object.
    let selector = call.query.text("fieldSelector").unwrap_or("");
    let selected = apimachinery::FieldSelector::parse(selector).ok();
    let selected = selected.as_ref().and_then(|selector| selector.exactly("metadata.name"));
    let name = if resource.name.is_empty() { selected.unwrap_or("") } else { &resource.name };
    let request = Request::Resource {
        verb,
        group: &resource.group,
        resource: &resource.plural,
        subresource: &resource.subresource,
        namespace: &resource.namespace,
        name,
    };
    judge(call.api, &call.user, &request)
}

/// # Errors
/// 403, when no rule allows it.
pub(crate) fn judge(api: &Api, user: &User, request: &Request<'_>) -> Result<(), Status> {
    let user = subject(user);
    match api.policies.current(&api.store, |policy| policy.decide(&user, request)) {
        Decision::Allowed(_) => Ok(()),
        Decision::Denied(why) => {
            let separator = if why.is_empty() { "" } else { ": " };
            let why = format!("{}{separator}{why}", forbidden_message(&user, request));
            Err(match request {
                Request::Url { .. } => Status::forbidden("", "", "", &why),
                Request::Resource { group, resource, name, .. } => {
                    Status::forbidden(group, resource, name, &why)
                }
            })
        }
    }
}

pub(crate) fn check_path(call: &Call<'_>, verb: &str, path: &str) -> Result<(), Status> {
    let is_below =
        |root: &&str| path == *root || path.strip_prefix(*root).is_some_and(|rest| rest.starts_with('/'));
    let is_known = call.user.groups.iter().any(|group| group == AUTHENTICATED);
    if verb == "get" && (OPEN_PATHS.iter().any(is_below) || is_known && DISCOVERY_PATHS.iter().any(is_below))
    {
        return Ok(());
    }
    judge(call.api, &call.user, &Request::Url { verb, path })
}

/// The user that `Impersonate-User` names, when the sender may act for it and for each of its groups.
pub(crate) fn impersonated(api: &Api, user: User, headers: &HeaderMap) -> Result<User, Status> {
    let Some(name) = headers.get("impersonate-user").and_then(|value| value.to_str().ok()) else {
        return Ok(user);
    };
    let groups = headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok());
    let mut groups: Vec<&str> = groups.collect();
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let (resource, namespace, short) = match account {
        Some((namespace, account)) => ("serviceaccounts", namespace, account),
        None => ("users", "", name),
    };
    let wanted = std::iter::once((resource, namespace, short))
        .chain(groups.iter().map(|group| ("groups", "", *group)));
    for (resource, namespace, name) in wanted {
        let request =
            Request::Resource { verb: "impersonate", group: "", resource, subresource: "", namespace, name };
        judge(api, &user, &request)?;
    }
    if let (Some((namespace, account)), true) = (account, groups.is_empty()) {
        return Ok(User::service_account(namespace, account, ""));
    }
    let implied = if name == "system:anonymous" { "system:unauthenticated" } else { AUTHENTICATED };
    if !groups.contains(&implied) {
        groups.push(implied);
    }
    Ok(User::in_groups(name, &groups))
}
