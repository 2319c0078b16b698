//! HTTP/1.1 by hand, since a library would not let it be wrong.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request, its names of headers in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// The next request of a connection, or none when it has ended or speaks another protocol.
pub(crate) async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        stream.take(HEAD_BYTES_MAX as u64).read_until(b'\n', &mut head).await?;
        // A TLS handshake, or the end.
        if head.len() == before || !head[0].is_ascii_uppercase() || head.len() > HEAD_BYTES_MAX {
            return Ok(None);
        }
        if head.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let Some(mut request) = parse(&String::from_utf8_lossy(&head)) else { return Ok(None) };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    request.body = vec![0; usize::min(length, BODY_BYTES_MAX)];
    stream.read_exact(&mut request.body).await?;
    Ok(Some(request))
}

fn parse(head: &str) -> Option<Request> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?, first.next()?);
    // What a proxy is asked has the whole URL.
    let target = match target.split_once("://") {
        Some((_, rest)) => &rest[rest.find('/').unwrap_or(rest.len())..],
        None => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
    })
}

/// The value of a name in `a=b&c=d`.
pub(crate) fn form(text: &str, name: &str) -> Option<String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(own, _)| *own == name)
        .map(|(_, value)| unescape(value))
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                std::str::from_utf8(&pair)
                    .ok()
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                    .unwrap_or(b'?')
            }
            other => other,
        };
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{form, read};

    #[tokio::test]
    async fn requests_follow_one_another() {
        let mut bytes =
            &b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\nPOST http://x/d HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"
                [..];
        let first = read(&mut bytes).await.unwrap().unwrap();
        assert_eq!(
            (first.path.as_str(), first.query.as_str(), first.header("host")),
            ("/a", "b=c", Some("x"))
        );
        let second = read(&mut bytes).await.unwrap().unwrap();
        assert_eq!((second.path.as_str(), second.body.as_slice()), ("/d", &b"hi"[..]));
        assert!(read(&mut bytes).await.unwrap().is_none());
        assert!(read(&mut &b"\x16\x03\x01\n\r\n\r\n"[..]).await.unwrap().is_none(), "a TLS handshake");
    }

    #[test]
    fn forms_are_unescaped() {
        assert_eq!(
            form("a=1&scope=repository%3Ax+y%3Apull", "scope").as_deref(),
            Some("repository:x y:pull")
        );
        assert_eq!(form("a=1", "b"), None);
    }
}
