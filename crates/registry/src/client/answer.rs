//! Bodies that are read whole, and what registries say when they refuse.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use reqwest::Response;
use serde::Deserialize;

use super::pace::Pace;
use crate::error::Problem;
use crate::transport::{Transport, innermost};

const ERROR_BYTES_MAX: usize = 8 << 10;
const ERROR_WAIT_MAX: Duration = Duration::from_secs(5);
const ERRORS_SHOWN_MAX: usize = 3;
const MESSAGE_CHARACTERS_MAX: usize = 200;

/// The whole body; `what` it is, for when it is too long.
pub(super) async fn body(
    transport: &Transport,
    mut response: Response,
    bytes_max: usize,
    what: &str,
) -> Result<(HeaderMap, Bytes), Problem> {
    let too_long = || Problem::Wrong(format!("{what} has more than {bytes_max} bytes"));
    if response.content_length().is_some_and(|length| length > bytes_max as u64) {
        return Err(too_long());
    }
    let mut pace = Pace::new(transport.limits());
    let mut bytes = BytesMut::new();
    while let Some(chunk) = pace.chunk(&mut response).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > bytes_max {
            return Err(too_long());
        }
    }
    Ok((response.headers().clone(), bytes.freeze()))
}

/// What an answer that is no success means; `who` gave it.
pub(super) async fn problem(transport: &Transport, mut response: Response, who: &str) -> Problem {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let mut bytes = BytesMut::new();
    let read = async {
        // What cannot be read is not told; the status says enough.
        while let Ok(Some(chunk)) = response.chunk().await {
            let left = ERROR_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(left)]);
            if bytes.len() == ERROR_BYTES_MAX {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(ERROR_WAIT_MAX.min(transport.limits().stall), read).await;
    Problem::Status { who: who.to_owned(), status, message: message(&bytes), retry_after }
}

/// What a body says is wrong, if it is anything that registries or token services say.
pub(super) fn message(bytes: &[u8]) -> String {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Said {
        errors: Vec<One>,
        details: Option<String>,
        error: Option<String>,
        error_description: Option<String>,
        message: Option<String>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct One {
        code: Option<String>,
        message: Option<String>,
    }
    let Ok(said) = serde_json::from_slice::<Said>(bytes) else { return String::new() };
    let of_errors = said.errors.iter().take(ERRORS_SHOWN_MAX).filter_map(|one| {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        match (filled(&one.message), filled(&one.code)) {
            (Some(message), Some(code)) => Some(format!("{message} ({code})")),
            (message, code) => message.or(code),
        }
    });
    let texts: Vec<String> = of_errors.collect();
    let text = if texts.is_empty() {
        said.error_description.or(said.details).or(said.message).or(said.error).unwrap_or_default()
    } else {
        texts.join(", ")
    };
    let shortened: String = text.chars().take(MESSAGE_CHARACTERS_MAX).collect();
    let dots = if shortened.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", shortened.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"))
}

/// Seconds, or a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The first byte and the length of the whole, if it is known: `bytes FIRST-LAST/WHOLE` (RFC 9110, 14.4).
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, u64, Option<u64>)> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (unit, rest) = text.trim().split_once(' ')?;
    let (range, whole) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let whole = if whole == "*" { None } else { Some(number(whole)?) };
    let sound = unit.eq_ignore_ascii_case("bytes") && first <= last && whole.is_none_or(|whole| last < whole);
    sound.then_some((first, last, whole))
}

/// That the body is what it is, and not some coding of it.
pub(super) fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    match codings.find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity") && !coding.is_empty()) {
        None => Ok(()),
        Some(coding) => Err(Problem::Wrong(format!(
            "what came is encoded ({}), which was not asked for",
            String::from_utf8_lossy(coding.as_bytes()).escape_debug()
        ))),
    }
}

/// Why a stream ended, if it did not come to its end.
pub(super) fn cut(error: &reqwest::Error) -> Problem {
    Problem::Cut(innermost(error))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, HeaderValue, header};

    use super::{check_coding, content_range, message, retry_after};

    #[test]
    fn what_registries_say_is_shown_short_and_escaped() {
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(300));
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"a":1}}]}"#,
                "manifest unknown (MANIFEST_UNKNOWN)",
            ),
            (r#"{"errors":[{"code":"A"},{"message":"b"},{},{"code":"D"},{"code":"E"}]}"#, "A, b"),
            (r#"{"errors":[{"message":"no \"x\"\n\u001b[31mred"}]}"#, "no \"x\"\\n\\u{1b}[31mred"),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            (r#"{"error":"invalid_grant","error_description":"the token is old"}"#, "the token is old"),
            (r#"{"error":"invalid_grant"}"#, "invalid_grant"),
            (r#"{"errors":"x"}"#, ""),
            ("<html>", ""),
            ("", ""),
            (&long, &format!("{}...", "x".repeat(200))),
        ] {
            assert_eq!(message(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(message("[".repeat(8192).as_bytes()), "", "deep");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, expected) in [
            ("3", Some(3)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", None),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
        ] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn ranges_are_read_or_refused() {
        for (text, expected) in [
            ("bytes 5-9/10", Some((5, 9, Some(10)))),
            ("Bytes 0-0/*", Some((0, 0, None))),
            ("bytes 5-10/10", None),
            ("bytes 6-5/10", None),
            ("bytes */10", None),
            ("bytes +5-9/10", None),
            ("bytes 5-9/x", None),
            ("bytes 5-9", None),
            ("items 5-9/10", None),
            ("bytes 5-99999999999999999999/*", None),
            ("bytes -5-9/10", None),
            ("", None),
        ] {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_RANGE, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(content_range(&headers), expected, "{text}");
        }
    }

    #[test]
    fn only_identity_is_taken() {
        for (coding, taken) in
            [("identity", true), ("Identity", true), ("", true), ("gzip", false), ("zstd", false)]
        {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap())]);
            assert_eq!(check_coding(&headers).is_ok(), taken, "{coding}");
        }
    }
}
