//! A request over HTTP/1.1.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::error::{chain, quote};
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
    let text = String::from_utf8_lossy(head);
    let (line, rest) = text.split_once('\n').map_or((&*text, None), |(line, rest)| (line, Some(rest)));
    let line = line.trim_end_matches('\r');
    let Some((version, status)) = line.split_once(' ') else {
        return broken(&format!("malformed HTTP response {}", quote(line)));
    };
    let code = status.trim_start_matches(' ').split(' ').next().unwrap_or_default();
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return broken(&format!("malformed HTTP status code {}", quote(code)));
    }
    let numbers = version.strip_prefix("HTTP/").map(str::as_bytes);
    if !matches!(numbers, Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit()) {
        return broken(&format!("malformed HTTP version {}", quote(version)));
    }
    let header_lines = rest.unwrap_or_default().split_inclusive('\n').take_while(|line| line.ends_with('\n'));
    let wrong = header_lines.map(str::trim_end).find(|line| !line.is_empty() && !line.contains(':'));
    match wrong {
        Some(line) => broken(&format!("malformed MIME header: missing colon: {}", quote(line))),
        None if rest.is_some_and(|rest| rest.contains("\r\n\r\n") || rest.contains("\n\n")) => {
            broken("malformed MIME header")
        }
        None => broken("unexpected EOF"),
    }
}

#[cfg(test)]
mod tests {
    use super::malformed;

    #[test]
    fn says_what_is_wrong_with_an_answer() {
        // What Go 1.26 says.
        for (head, reason) in [
            ("garbage\r\n\r\n", r#"malformed HTTP response "garbage""#),
            (
                "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{16}\r\n",
                r#"malformed HTTP response "\x15\x03\x01\x00\x02\x02\x16""#,
            ),
            ("SSH-2.0-x y\r\n", r#"malformed HTTP status code "y""#),
            ("HTTP/1.1 20", r#"malformed HTTP status code "20""#),
            ("HTTP/1.1 abc OK\r\n", r#"malformed HTTP status code "abc""#),
            ("HTTX/1.1 200 OK\r\n", r#"malformed HTTP version "HTTX/1.1""#),
            ("HTTP/1.1 200 OK\r\nbad header\r\n", r#"malformed MIME header: missing colon: "bad header""#),
            ("HTTP/1.1 200 OK\r\nA: b", "unexpected EOF"),
        ] {
            assert_eq!(
                malformed(head.as_bytes()),
                format!("net/http: HTTP/1.x transport connection broken: {reason}")
            );
        }
    }
}
