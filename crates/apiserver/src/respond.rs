//! Answers: JSON, its compression, warnings, failures.

use std::io::{self, Write as _};

use apimachinery::Status;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY, WARNING};
use http::{Response, StatusCode};
use serde_json::Value;

use crate::body::{self, Body};

/// Below this, compression costs more than it saves.
const GZIP_BYTES_MIN: usize = 128 * 1024;
/// Characters of all warnings of one answer: a client reads no more than some kilobytes of headers.
const WARNING_CHARS_MAX: usize = 4096;
/// What is left of each where they are more.
const CUT_WARNING_CHARS: usize = 256;

/// How this client takes its answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Style {
    pub(crate) gzip: bool,
    /// For people: curl, browsers, `?pretty`.
    pub(crate) pretty: bool,
}

#[must_use]
pub(crate) fn json(code: StatusCode, value: &Value, style: Style) -> Response<Body> {
    let bytes = if style.pretty { serde_json::to_vec_pretty(value) } else { serde_json::to_vec(value) };
    json_bytes(code, bytes.expect("a JSON value with text keys can always be written"), style)
}

/// JSON that is written already.
#[must_use]
pub(crate) fn json_bytes(code: StatusCode, bytes: impl Into<Bytes>, style: Style) -> Response<Body> {
    let bytes = bytes.into();
    let compressed = if style.gzip && bytes.len() >= GZIP_BYTES_MIN { compress(&bytes) } else { None };
    let is_compressed = compressed.is_some();
    json_response(code, body::full(compressed.unwrap_or(bytes)), is_compressed)
}

fn json_response(code: StatusCode, body: Body, is_compressed: bool) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

/// JSON that is made while it is sent, unless it is short.
///
/// # Errors
/// Its first piece cannot be made.
pub(crate) fn pieces(
    mut pieces: impl Iterator<Item = io::Result<Vec<u8>>> + Send + 'static,
    style: Style,
) -> Result<Response<Body>, Status> {
    let failed = |error: io::Error| Status::internal(&error.to_string());
    if style.pretty {
        let whole = pieces.collect::<io::Result<Vec<_>>>().map_err(failed)?.concat();
        let value: Value = serde_json::from_slice(&whole).map_err(|error| failed(error.into()))?;
        return Ok(json(StatusCode::OK, &value, style));
    }
    let first = pieces.next().transpose().map_err(failed)?.unwrap_or_default();
    let Some(second) = pieces.next() else { return Ok(json_bytes(StatusCode::OK, first, style)) };
    let pieces = [Ok(first), second].into_iter().chain(pieces);
    let body = if style.gzip {
        body::stream(stream::iter(Gzip::new(pieces)))
    } else {
        body::stream(stream::iter(pieces.map(|piece| piece.map(Bytes::from))))
    };
    Ok(json_response(StatusCode::OK, body, style.gzip))
}

/// Compresses pieces as they come.
struct Gzip<I> {
    pieces: I,
    /// `None` at the end.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl<I> Gzip<I> {
    fn new(pieces: I) -> Self {
        Self { pieces, encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) }
    }
}

impl<I: Iterator<Item = io::Result<Vec<u8>>>> Iterator for Gzip<I> {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let written = match self.pieces.next() {
                Some(piece) => {
                    let encoder = self.encoder.as_mut()?;
                    let compressed = piece.and_then(|piece| encoder.write_all(&piece));
                    compressed.map(|()| std::mem::take(encoder.get_mut()))
                }
                None => self.encoder.take()?.finish(),
            };
            match written {
                Ok(bytes) if bytes.is_empty() => {}
                written => return Some(written.map(Bytes::from)),
            }
        }
    }
}

#[must_use]
pub(crate) fn text(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[must_use]
pub(crate) fn failure(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, &status.to_json(), Style::default());
    let retry = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

/// Adds `Warning: 299` headers, which clients print: each text once, and cut where they are too long together.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    let is_first = |(n, warning): &(usize, &String)| !warnings[..*n].contains(warning);
    let distinct = || warnings.iter().enumerate().filter(is_first).map(|(_, warning)| warning);
    let all: usize = distinct().map(|warning| warning.chars().count()).sum();
    let each = if all > WARNING_CHARS_MAX { CUT_WARNING_CHARS } else { WARNING_CHARS_MAX };
    let mut left = WARNING_CHARS_MAX;
    for warning in distinct() {
        let Some(rest) = left.checked_sub(warning.chars().take(each).count()) else { return };
        left = rest;
        let quoted: String = warning.chars().take(each).flat_map(escaped).collect();
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            response.headers_mut().append(WARNING, value);
        }
    }
}

/// A character in a quoted string of a header (RFC 9110).
fn escaped(c: char) -> impl Iterator<Item = char> {
    let escape = matches!(c, '"' | '\\').then_some('\\');
    escape.into_iter().chain(Some(if c.is_control() { ' ' } else { c }))
}

fn compress(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_told_once_and_cut_when_they_are_long_together() {
        let told = |warnings: &[&str]| -> Vec<String> {
            let warnings: Vec<String> = warnings.iter().map(|text| (*text).to_owned()).collect();
            let mut response = Response::new(body::empty());
            warn(&mut response, &warnings);
            let values = response.headers().get_all(WARNING).iter();
            values.map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap()).collect()
        };
        assert_eq!(told(&["say \"a\"", "b", "say \"a\""]), ["299 - \"say \\\"a\\\"\"", "299 - \"b\""]);
        let (full, half, cut) = ("x".repeat(4_096), "y".repeat(2_049), "x".repeat(256));
        assert_eq!(told(&[&full]), [format!("299 - \"{full}\"")]);
        assert_eq!(told(&[&full, "b"]), [format!("299 - \"{cut}\""), "299 - \"b\"".to_owned()]);
        let lines: Vec<String> = (0..20).map(|n| format!("{n}{half}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(told(&lines).len(), 16);
    }
}
