//! What is served, in each form that clients ask for it, and its OpenAPI documents.

mod aggregated;
mod legacy;
mod openapi;
#[cfg(test)]
mod tests;

use apimachinery::Status;
use http::{Response, StatusCode};
use serde_json::json;

use crate::api::Call;
use crate::body::Body;
use crate::kinds::Kind;
use crate::negotiate::{self, DiscoveryForm};
use crate::respond;

use aggregated::Version;
pub use openapi::Documents;

/// The release whose API this is.
const KUBERNETES: &str = "v1.36.2";

pub(crate) const PLATFORM: &str = if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" };

/// `v1.36.2+monopod.X.Y.Z`: the `gitVersion` of `/version`, and a node's `kubeletVersion`.
#[must_use]
pub fn server_version(version: &str) -> String {
    format!("{KUBERNETES}+monopod.{version}")
}

/// A group with its one version and its kinds, in the order of the table; the core group is the first.
pub(crate) fn groups() -> Vec<(&'static str, &'static str, Vec<&'static Kind>)> {
    let mut groups: Vec<(&str, &str, Vec<&Kind>)> = Vec::new();
    for kind in Kind::all() {
        match groups.iter_mut().find(|(group, version, _)| *group == kind.group && *version == kind.version) {
            Some((_, _, kinds)) => kinds.push(kind),
            None => groups.push((kind.group, kind.version, vec![kind])),
        }
    }
    groups
}

/// Every path of discovery, as `/` lists them.
pub(crate) fn paths() -> Vec<String> {
    let mut paths: Vec<String> =
        ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3"]
            .map(str::to_owned)
            .to_vec();
    for (group, version, _) in groups() {
        if group.is_empty() {
            paths.push(format!("/api/{version}"));
        } else {
            paths.push(format!("/apis/{group}"));
            paths.push(format!("/apis/{group}/{version}"));
        }
    }
    paths.extend(["/readyz", "/version"].map(str::to_owned));
    paths.sort();
    paths
}

pub(crate) fn answer(call: &Call<'_>, path: &str) -> Result<Response<Body>, Status> {
    if path.starts_with("/openapi") {
        return call.api.documents.answer(call, path);
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts[..] {
        ["api"] => index(call, legacy::api_versions, true),
        ["apis"] => index(call, legacy::api_group_list, false),
        ["api", version] => list(call, "", version),
        ["apis", group] => {
            let found = legacy::api_group(group).ok_or_else(Status::no_such_path)?;
            plain(call, &found)
        }
        ["apis", group, version] => list(call, group, version),
        _ => Err(Status::no_such_path()),
    }
}

/// `/api` and `/apis`, which have aggregated forms.
fn index(
    call: &Call<'_>,
    legacy: fn() -> serde_json::Value,
    is_core: bool,
) -> Result<Response<Body>, Status> {
    let form = negotiate::discovery_form(call.accept());
    let form = form.ok_or_else(|| Status::not_acceptable(&[negotiate::OFFERED]))?;
    let aggregated = |version| (aggregated::answer(is_core, version, call.style), Some(version));
    let (mut response, version) = match form {
        DiscoveryForm::Legacy => (respond::json(StatusCode::OK, &legacy(), call.style), None),
        DiscoveryForm::V2 => aggregated(Version::V2),
        DiscoveryForm::V2Beta1 => aggregated(Version::V2Beta1),
    };
    let headers = response.headers_mut();
    headers.insert(http::header::VARY, http::HeaderValue::from_static("Accept"));
    if let Some(version) = version {
        let text =
            format!("application/json;g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList", version.name());
        if let Ok(value) = http::HeaderValue::from_str(&text) {
            headers.insert(http::header::CONTENT_TYPE, value);
        }
    }
    Ok(response)
}

fn list(call: &Call<'_>, group: &str, version: &str) -> Result<Response<Body>, Status> {
    let found = legacy::resource_list(group, version).ok_or_else(Status::no_such_path)?;
    plain(call, &found)
}

fn plain(call: &Call<'_>, value: &serde_json::Value) -> Result<Response<Body>, Status> {
    if !negotiate::takes_json(call.accept()) {
        return Err(Status::not_acceptable(&[negotiate::OFFERED]));
    }
    Ok(respond::json(StatusCode::OK, value, call.style))
}

/// By their names.
fn verbs(verbs: &[crate::kinds::Verb]) -> serde_json::Value {
    json!(verbs.iter().map(|verb| verb.name()).collect::<Vec<_>>())
}
