//! `pods/record`: all that the pod's engine knows of it, and its journal as it grows. Kubernetes has no such thing; it is in
//! discovery and in RBAC as other subresources are.

use apimachinery::Status;
use futures_util::StreamExt as _;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::{container, stream};
use crate::api::Call;
use crate::body::{self, Body};
use crate::kinds::Kind;
use crate::respond;
use crate::route::{Query, Resource};

/// One entry a line.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");

pub(super) async fn record(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
) -> Result<Response<Body>, Status> {
    let pod = stream::pod(call, kind, resource)?;
    container::check_node(&pod, &call.api.node_name)?;
    let target = container::pod_target(&pod);
    if !call.query.flag("watch") {
        let record = call.api.backend.record(target).await.map_err(stream::failed)?;
        return Ok(respond::json_bytes(StatusCode::OK, record, call.style));
    }
    let entries = call.api.backend.entries(target, after(&call.query)?).await.map_err(stream::failed)?;
    // As a log that is followed, it ends with the server.
    let mut shutdown = call.api.shutdown.subscribe();
    let entries = entries.take_until(Box::pin(async move { shutdown.wait_for(|down| *down).await.is_ok() }));
    let mut response = Response::new(body::stream(entries));
    response.headers_mut().insert(CONTENT_TYPE, LINES);
    Ok(response)
}

/// The last entry that the client has.
fn after(query: &Query) -> Result<u64, Status> {
    let Some(text) = query.text("after") else { return Ok(0) };
    text.parse().map_err(|_| {
        Status::bad_request(format!("query parameter after: {text:?} is not the number of an entry"))
    })
}
