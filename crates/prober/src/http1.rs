//! A request over HTTP/1.1.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::error::{chain, quote_bytes};
use crate::tap::{Head, Tap};
use crate::transport::{Body, Driver, Ends, HEAD_BYTES_MAX, Response, Source, Stream};
use crate::url::Url;

/// Of one answer.
const HEADERS_MAX: usize = 1_000;

pub(crate) async fn get(
    stream: Stream,
    ends: Ends,
    url: &Url,
    headers: HeaderMap,
) -> Result<Response, String> {
    let (stream, head) = Tap::new(stream);
    let connecting = http1::Builder::new()
        .title_case_headers(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream));
    let (mut sender, connection) = connecting.await.map_err(|error| failure(&error, &head, &ends))?;
    let mut driver = Driver::new(async {
        // The request, or the body of its answer, ends with the same error.
        let _ = connection.await;
    });
    let target: Uri = url.target().parse().map_err(|error| format!("net/http: {error}"))?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    let sending = sender.send_request(request);
    let response = driver.run(sending).await.map_err(|error| failure(&error, &head, &ends))?;
    let (parts, body) = response.into_parts();
    Ok(Response {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: Body { source: Source::Http1(body), driver, ends },
    })
}

fn failure(error: &hyper::Error, head: &Head, ends: &Ends) -> String {
    if error.is_parse_too_large() {
        return broken(&format!(
            "net/http: server response headers exceeded {HEAD_BYTES_MAX} bytes; aborted"
        ));
    }
    if error.is_parse() {
        return malformed(&head.bytes());
    }
    if let Some(text) = ends.failure(error) {
        return text;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return match head.bytes() {
            head if head.is_empty() => "EOF".to_owned(),
            head => malformed(&head),
        };
    }
    chain(error)
}

pub(crate) fn body_failure(error: &hyper::Error, ends: &Ends) -> String {
    match ends.failure(error) {
        Some(text) => text,
        None if error.is_incomplete_message() => "unexpected EOF".to_owned(),
        None => chain(error),
    }
}

fn broken(reason: &str) -> String {
    format!("net/http: HTTP/1.x transport connection broken: {reason}")
}

/// What is wrong with an answer that began like this.
fn malformed(head: &[u8]) -> String {
    let (line, rest) = cut(head, b'\n');
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (version, Some(status)) = cut(line, b' ') else {
        return broken(&format!("malformed HTTP response {}", quote_bytes(line)));
    };
    let (code, _) = cut(status.trim_ascii_start(), b' ');
    if code.len() != 3 || !code.iter().all(u8::is_ascii_digit) {
        return broken(&format!("malformed HTTP status code {}", quote_bytes(code)));
    }
    let numbers = version.strip_prefix(b"HTTP/");
    if !matches!(numbers, Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit()) {
        return broken(&format!("malformed HTTP version {}", quote_bytes(version)));
    }
    let mut rest = rest.unwrap_or_default();
    while let (line, Some(after)) = cut(rest, b'\n') {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return broken("malformed MIME header");
        }
        if !line.contains(&b':') {
            return broken(&format!("malformed MIME header: missing colon: {}", quote_bytes(line)));
        }
        rest = after;
    }
    broken("unexpected EOF")
}

fn cut(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|&byte| byte == at) {
        Some(n) => (&bytes[..n], Some(&bytes[n + 1..])),
        None => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use super::malformed;

    #[test]
    fn says_what_is_wrong_with_an_answer() {
        // What Go 1.26 says.
        for (head, reason) in [
            (&b"garbage\r\n\r\n"[..], r#"malformed HTTP response "garbage""#),
            (b"\x15\x03\x01\0\x02\x02\x16\r\n", r#"malformed HTTP response "\x15\x03\x01\x00\x02\x02\x16""#),
            // A server of HTTP/2.
            (b"\0\0\x06\x04\0\xff@", r#"malformed HTTP response "\x00\x00\x06\x04\x00\xff@""#),
            (b"SSH-2.0-x y\r\n", r#"malformed HTTP status code "y""#),
            (b"HTTP/1.1 20", r#"malformed HTTP status code "20""#),
            (b"HTTP/1.1 abc OK\r\n", r#"malformed HTTP status code "abc""#),
            (b"HTTX/1.1 200 OK\r\n", r#"malformed HTTP version "HTTX/1.1""#),
            (b"HTTP/1.1 200 OK\r\nbad header\r\n", r#"malformed MIME header: missing colon: "bad header""#),
            (b"HTTP/1.1 200 OK\r\nA: b", "unexpected EOF"),
        ] {
            assert_eq!(malformed(head), format!("net/http: HTTP/1.x transport connection broken: {reason}"));
        }
    }
}
