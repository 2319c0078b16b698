//! Paths that are no objects: health, version, metrics, discovery, OpenAPI.

use apimachinery::Status;
use http::{Method, Response, StatusCode};
use serde_json::json;

use crate::api::Call;
use crate::body::Body;
use crate::{discovery, respond};

pub(crate) fn answer(call: &Call<'_>, path: &str) -> Result<Response<Body>, Status> {
    if call.method != Method::GET {
        return Err(Status::method_not_allowed());
    }
    if let Some(answer) = health(call, path) {
        return Ok(answer);
    }
    match path {
        "/version" => Ok(version(call)),
        "/metrics" => {
            let text = call.api.metrics.text(call.api.version, call.api.store.revision());
            Ok(respond::text(StatusCode::OK, text))
        }
        "/" => Ok(respond::json(StatusCode::OK, &json!({ "paths": discovery::paths() }), call.style)),
        _ => discovery::answer(call, path),
    }
}

/// `/livez?verbose` and the like: all is well as long as there is an answer.
fn health(call: &Call<'_>, path: &str) -> Option<Response<Body>> {
    const CHECKS: [&str; 2] = ["ping", "store"];
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let root = parts.next().filter(|root| matches!(*root, "healthz" | "livez" | "readyz"))?;
    if let Some(check) = parts.next() {
        return CHECKS.contains(&check).then(|| respond::text(StatusCode::OK, "ok"));
    }
    if !call.query.flag("verbose") {
        return Some(respond::text(StatusCode::OK, "ok"));
    }
    let lines: String = CHECKS.iter().map(|check| format!("[+]{check} ok\n")).collect();
    Some(respond::text(StatusCode::OK, format!("{lines}{root} check passed\n")))
}

fn version(call: &Call<'_>) -> Response<Body> {
    let version = json!({
        "major": "1",
        "minor": "36",
        "gitVersion": discovery::server_version(call.api.version),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": discovery::PLATFORM,
    });
    respond::json(StatusCode::OK, &version, call.style)
}
