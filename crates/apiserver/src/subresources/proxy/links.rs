//! Links in what a pod answers: what is absolute to the pod lies below the proxy's own path for whoever reads it there.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{HeaderMap, Response, Uri};
use http_body_util::BodyExt as _;

use crate::body::{self, Body};

/// A tag that does not end within this stays as it is.
const TAG_BYTES_MAX: usize = 64 << 10;
/// Attributes that are addresses (<https://html.spec.whatwg.org/multipage/indices.html#attributes-3>).
const ADDRESSES: [&str; 11] = [
    "action",
    "background",
    "cite",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "src",
];
/// What is in them is no markup.
const RAW: [&str; 2] = ["script", "style"];

/// `prefix` is the path of the proxy, without a slash at its end; `host` is whom the pod was asked as.
pub(super) fn rewrite(mut answer: Response<Body>, prefix: &str, host: &str) -> Response<Body> {
    if let Some(location) = moved(answer.headers(), prefix, host) {
        answer.headers_mut().insert(LOCATION, location);
    }
    if !is_plain_html(answer.headers()) {
        return answer;
    }
    answer.headers_mut().remove(CONTENT_LENGTH);
    let rewriter = Rewriter { prefix: prefix.to_owned(), ..Rewriter::default() };
    answer.map(|page| {
        let chunks = page.into_data_stream();
        let chunks = futures_util::stream::unfold(Some((chunks, rewriter)), async |state| {
            let (mut chunks, mut rewriter) = state?;
            match chunks.next().await {
                Some(Ok(chunk)) => Some((Ok(Bytes::from(rewriter.push(&chunk))), Some((chunks, rewriter)))),
                Some(Err(error)) => Some((Err(error), None)),
                None => Some((Ok(Bytes::from(rewriter.finish())), None)),
            }
        });
        body::stream(chunks)
    })
}

fn moved(headers: &HeaderMap, prefix: &str, host: &str) -> Option<HeaderValue> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let path = match location.parse::<Uri>().ok()?.authority() {
        Some(authority) if authority == host => location.split_once("://")?.1.strip_prefix(host)?,
        Some(_) => return None,
        None => location,
    };
    let rewritten = if path.is_empty() { format!("{prefix}/") } else { below(path, prefix)? };
    HeaderValue::from_str(&rewritten).ok()
}

fn is_plain_html(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
    let kind = text(CONTENT_TYPE).split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("text/html") && matches!(text(CONTENT_ENCODING), "" | "identity")
}

/// `None` for what is relative, or leads to another host.
fn below(address: &str, prefix: &str) -> Option<String> {
    let is_absolute = address.starts_with('/') && !address.starts_with("//");
    is_absolute.then(|| format!("{prefix}{address}"))
}

/// Goes over a page as it comes; everything but addresses stays byte by byte as it is.
#[derive(Debug, Default)]
struct Rewriter {
    prefix: String,
    /// A tag whose end has not come.
    rest: Vec<u8>,
    /// The name of the element with no markup in it that it is in.
    raw: Option<&'static str>,
}

impl Rewriter {
    fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        self.rest.extend_from_slice(chunk);
        let page = std::mem::take(&mut self.rest);
        let (mut out, mut at) = (Vec::with_capacity(page.len()), 0);
        while let Some(begin) = memchr::memchr(b'<', &page[at..]).map(|found| at + found) {
            out.extend_from_slice(&page[at..begin]);
            at = begin;
            let length = match self.raw {
                Some(_) => raw_length(&page[begin..]),
                None => tag_length(&page[begin..]),
            };
            match length {
                Some(length) => {
                    self.tag(&page[begin..begin + length], &mut out);
                    at += length;
                }
                None if page.len() - begin > TAG_BYTES_MAX => {
                    out.push(b'<');
                    at += 1;
                }
                None => {
                    self.rest = page[begin..].to_vec();
                    return out;
                }
            }
        }
        out.extend_from_slice(&page[at..]);
        out
    }

    fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }

    fn tag(&mut self, tag: &[u8], out: &mut Vec<u8>) {
        let name = |from: usize| {
            let end = tag[from..].iter().position(|byte| !byte.is_ascii_alphanumeric());
            String::from_utf8_lossy(&tag[from..from + end.unwrap_or(0)]).to_ascii_lowercase()
        };
        if let Some(raw) = self.raw {
            if tag.starts_with(b"</") && name(2) == raw {
                self.raw = None;
            }
            out.extend_from_slice(tag);
        } else if tag.get(1).is_some_and(u8::is_ascii_alphabetic) {
            let name = name(1);
            self.raw = RAW.into_iter().find(|raw| *raw == name);
            attributes(tag, &self.prefix, out);
        } else {
            out.extend_from_slice(tag);
        }
    }
}

/// Where there is no markup only an end is a tag.
fn raw_length(text: &[u8]) -> Option<usize> {
    if *text.get(1)? == b'/' { tag_length(text) } else { Some(1) }
}

/// To the `>` that ends what begins with `<`; of a comment, to its end. A `<` that begins no tag is alone.
fn tag_length(text: &[u8]) -> Option<usize> {
    const COMMENT: &[u8] = b"<!--";
    if text.starts_with(COMMENT) {
        return memchr::memmem::find(&text[COMMENT.len()..], b"-->").map(|end| COMMENT.len() + end + 3);
    }
    let second = *text.get(1)?;
    if !(second.is_ascii_alphabetic() || matches!(second, b'/' | b'!' | b'?')) {
        return Some(1);
    }
    let mut quote = None;
    for (at, &byte) in text.iter().enumerate().skip(1) {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            // Quotes count where a value begins.
            (None, b'"' | b'\'') if text[..at].trim_ascii_end().ends_with(b"=") => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Copies a tag, with addresses that are absolute to the pod put below `prefix`.
fn attributes(tag: &[u8], prefix: &str, out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(equals) = memchr::memchr(b'=', &tag[at..]).map(|found| at + found) {
        let name = tag[at..equals].trim_ascii_end();
        let name = name.rsplit(|byte| byte.is_ascii_whitespace() || *byte == b'/').next().unwrap_or(name);
        let spaces = tag[equals + 1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let value = equals + 1 + spaces;
        let (begin, end) = match tag.get(value) {
            Some(&quote @ (b'"' | b'\'')) => {
                let length = memchr::memchr(quote, &tag[value + 1..]).unwrap_or(tag.len() - value - 1);
                (value + 1, value + 1 + length)
            }
            _ => {
                let is_end = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'>';
                (value, value + tag[value..].iter().position(is_end).unwrap_or(tag.len() - value))
            }
        };
        out.extend_from_slice(&tag[at..begin]);
        let address = std::str::from_utf8(&tag[begin..end]).ok();
        let is_address = ADDRESSES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        match address.filter(|_| is_address).and_then(|address| below(address, prefix)) {
            Some(rewritten) => out.extend_from_slice(rewritten.as_bytes()),
            None => out.extend_from_slice(&tag[begin..end]),
        }
        at = end;
    }
    out.extend_from_slice(&tag[at..]);
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderMap, LOCATION};

    use super::{Rewriter, TAG_BYTES_MAX, moved};

    fn rewritten(page: &str, chunk: usize) -> String {
        let mut rewriter = Rewriter { prefix: "/P".to_owned(), ..Rewriter::default() };
        let mut out = Vec::new();
        page.as_bytes().chunks(chunk).for_each(|chunk| out.extend(rewriter.push(chunk)));
        out.extend(rewriter.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_of_the_pod_lie_below_the_proxy() {
        for (page, expected) in [
            (r#"<a href="/x?y=z">"#, r#"<a href="/P/x?y=z">"#),
            (r"<A HREF = '/x' title='/x'>/x</A>", r"<A HREF = '/P/x' title='/x'>/x</A>"),
            ("<img src=/x/y alt=a><br/>", "<img src=/P/x/y alt=a><br/>"),
            (r#"<form a="b>c" action="/go"><p>"#, r#"<form a="b>c" action="/P/go"><p>"#),
            (r#"<a href="x"><a href="//h/x"><a href="http://h/x"><a href="">"#, ""),
            (r#"<!-- <a href="/x"> --><script>if (a<b) "<a href='/x'>"</script>"#, ""),
            (
                r#"<script src="/s.js"></script><a href="/x">"#,
                r#"<script src="/P/s.js"></script><a href="/P/x">"#,
            ),
            (r#"<script>a<b;c="</script><a href="/x">"#, r#"<script>a<b;c="</script><a href="/P/x">"#),
            ("a < b && c <= d <3 <", ""),
            (r#"<a href="/x"#, ""),
            ("<a href>", ""),
            ("<a =\"/x\"><a href=>", ""),
        ] {
            let expected = if expected.is_empty() { page } else { expected };
            for chunk in [1, 2, 3, 7, page.len()] {
                assert_eq!(rewritten(page, chunk), expected, "in pieces of {chunk}");
            }
        }
    }

    #[test]
    fn a_page_of_anything_comes_through() {
        let mut seed = 7_u32;
        let alphabet = b"<>/=\"' a-!\nhrefscript";
        let mut page = String::new();
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            page.push(char::from(alphabet[(seed >> 16) as usize % alphabet.len()]));
        }
        assert_eq!(rewritten(&page, 1), rewritten(&page, page.len()));
        let endless = format!("<a {}", "x".repeat(2 * TAG_BYTES_MAX));
        assert_eq!(rewritten(&endless, 4_096), endless);
    }

    #[test]
    fn redirects_stay_below_the_proxy() {
        for (location, expected) in [
            ("/x?y", Some("/P/x?y")),
            ("http://pod:80/x", Some("/P/x")),
            ("http://pod:80", Some("/P/")),
            ("http://other/x", None),
            ("x", None),
        ] {
            let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
            let moved = moved(&headers, "/P", "pod:80");
            assert_eq!(moved.as_ref().map(|value| value.to_str().unwrap()), expected, "{location}");
        }
    }
}
