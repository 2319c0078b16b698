//! Watches: changes as they happen, over as many requests as that takes.

use bytes::BytesMut;
use client::{ClientError, Parts};
use serde_json::Value;

use crate::client::context::Context;
use crate::client::failure::{Failure, Result};

/// One event; a pod has some KiB, a table of many rows more.
const EVENT_BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Watch<'a> {
    context: &'a Context,
    /// With its query, but for the version.
    path: String,
    accept: &'static str,
    version: String,
    parts: Parts,
    rest: BytesMut,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED`.
    pub(super) kind: String,
    pub(super) object: Value,
}

pub(super) const JSON: &str = "application/json";

impl<'a> Watch<'a> {
    /// `path` has the query that selects, with `watch=true`; events after `version` come.
    pub(super) async fn start(
        context: &'a Context,
        path: String,
        accept: &'static str,
        version: &str,
    ) -> Result<Self> {
        let parts = open(context, &path, accept, version).await?;
        let version = version.to_owned();
        Ok(Self { context, path, accept, version, parts, rest: BytesMut::new() })
    }

    /// The next change. Safe to cancel between requests.
    pub(super) async fn next(&mut self) -> Result<Event> {
        loop {
            let Some(line) = self.line().await? else {
                // Servers end watches from time to time.
                self.parts = open(self.context, &self.path, self.accept, &self.version).await?;
                self.rest.clear();
                continue;
            };
            let mut event: Value = serde_json::from_slice(&line)
                .map_err(|error| Failure::said(format!("the server's watch is no JSON: {error}")))?;
            let (kind, object) =
                (event["type"].as_str().unwrap_or_default().to_owned(), event["object"].take());
            if kind == "ERROR" {
                return Err(refused(object));
            }
            if let Some(version) = version_of(&object) {
                self.version = version.to_owned();
            }
            if kind != "BOOKMARK" {
                return Ok(Event { kind, object });
            }
        }
    }

    /// A line that is not empty; `None` at the end of the stream.
    async fn line(&mut self) -> Result<Option<BytesMut>> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.rest[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(searched + end + 1);
                searched = 0;
                if line.len() > 1 {
                    return Ok(Some(line));
                }
                continue;
            }
            searched = self.rest.len();
            if searched > EVENT_BYTES_MAX {
                return Err(Failure::said(format!(
                    "an event of a watch has more than {EVENT_BYTES_MAX} bytes"
                )));
            }
            match self.parts.next().await? {
                Some(part) => self.rest.extend_from_slice(&part),
                None => return Ok(None),
            }
        }
    }
}

async fn open(context: &Context, path: &str, accept: &str, version: &str) -> Result<Parts> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}resourceVersion={version}");
    Ok(context.client.stream_as(&path, accept).await?)
}

/// Of an object, or of the row of a table.
fn version_of(object: &Value) -> Option<&str> {
    let own = object["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty());
    own.or_else(|| object["rows"][0]["object"]["metadata"]["resourceVersion"].as_str())
}

fn refused(status: Value) -> Failure {
    let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or_default();
    ClientError::Status { code, reason: text("reason"), message: text("message"), status }.into()
}

/// Whether a watch has only come too late, so that the object has to be read again.
pub(super) fn is_expired(failure: &Failure) -> bool {
    matches!(failure, Failure::Api { error: ClientError::Status { code: 410, .. }, .. })
}
