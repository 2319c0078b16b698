//! `pods/log`.

use std::time::Duration;

use apimachinery::Status;
use futures_util::StreamExt as _;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use podspec::json::text;
use podspec::{FieldError, FieldErrorKind, FieldPath, WallTime};
use streams::{Limits, LogUpgrade};

use super::{container, stream};
use crate::api::Call;
use crate::backend::{LogOptions, LogStreams};
use crate::body::{self, Body};
use crate::kinds::Kind;
use crate::route::{Query, Resource};

pub(super) async fn log(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
    mut request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let pod = stream::pod(call, kind, resource)?;
    let target = container::target(&pod, call.query.text("container").unwrap_or(""))?;
    let options = options(&call.query, crate::entropy::now())?;
    if text(&pod["spec"], "nodeName").is_empty() {
        return Ok(plain(body::empty()));
    }
    container::check_node(&pod, &call.api.node_name)?;
    container::check_log(&pod, &target.container, options.previous)?;
    let upgrade = if streams::wants_upgrade(&call.headers) {
        Some(LogUpgrade::negotiate(&call.headers).map_err(stream::refused)?)
    } else {
        None
    };
    let log = call.api.backend.logs(target, options).await.map_err(stream::failed)?;
    // A log that is followed ends with the server.
    let mut shutdown = call.api.shutdown.subscribe();
    let log = log.take_until(Box::pin(async move { shutdown.wait_for(|down| *down).await.is_ok() }));
    let Some(upgrade) = upgrade else { return Ok(plain(body::stream(log))) };
    let response = upgrade.response().map(|()| body::empty());
    let connection = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(io) = streams::upgraded(connection).await {
            upgrade.send(io, stream::Chunks::new(log.boxed()), Limits::default()).await;
        }
    });
    Ok(response)
}

fn plain(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Of the query; every error of it.
fn options(query: &Query, now: WallTime) -> Result<LogOptions, Status> {
    let mut errors = Vec::new();
    let mut number = |name: &str, min: u64| {
        let text = query.text(name)?;
        match text.parse::<i64>() {
            Ok(value) if u64::try_from(value).is_ok_and(|value| value >= min) => u64::try_from(value).ok(),
            Ok(value) => {
                let detail = format!("must be greater than {}0", if min == 0 { "or equal to " } else { "" });
                errors.push(error(name, FieldErrorKind::Invalid, Some(value.into()), &detail));
                None
            }
            Err(_) => {
                errors.push(error(
                    name,
                    FieldErrorKind::Invalid,
                    Some(text.into()),
                    "must be a whole number",
                ));
                None
            }
        }
    };
    let (tail_lines, limit_bytes) = (number("tailLines", 0), number("limitBytes", 1));
    let since_seconds = number("sinceSeconds", 1);
    let since_time = query.text("sinceTime").map(|text| (text, WallTime::parse(text.as_bytes())));
    if since_seconds.is_some() && since_time.is_some() {
        let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(error("sinceSeconds", FieldErrorKind::Forbidden, None, detail));
    }
    if let Some((text, None)) = since_time {
        errors.push(error(
            "sinceTime",
            FieldErrorKind::Invalid,
            Some(text.into()),
            "must be a time as in RFC 3339",
        ));
    }
    let stream = match query.text("stream") {
        None | Some("All") => LogStreams::All,
        Some("Stdout") => LogStreams::Stdout,
        Some("Stderr") => LogStreams::Stderr,
        Some(other) => {
            let detail = "supported values: \"All\", \"Stderr\", \"Stdout\"";
            errors.push(error("stream", FieldErrorKind::NotSupported, Some(other.into()), detail));
            LogStreams::All
        }
    };
    if tail_lines.is_some() && stream != LogStreams::All {
        let detail = "`tailLines` and specific `stream` are mutually exclusive for now";
        errors.push(error("tailLines", FieldErrorKind::Forbidden, None, detail));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", "", &errors));
    }
    let ago = |seconds| {
        let nanos = i64::try_from(Duration::from_secs(seconds).as_nanos()).unwrap_or(i64::MAX);
        WallTime(now.0.saturating_sub(nanos))
    };
    Ok(LogOptions {
        follow: query.flag("follow"),
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        since: since_seconds.map(ago).or(since_time.and_then(|(_, time)| time)),
        tail_lines,
        limit_bytes,
        stream,
    })
}

fn error(field: &str, kind: FieldErrorKind, value: Option<serde_json::Value>, detail: &str) -> FieldError {
    FieldError { path: FieldPath::root().child(field), kind, value, detail: detail.to_owned(), hint: None }
}
