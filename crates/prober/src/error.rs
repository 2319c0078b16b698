//! Failures in the words of the kubelet, which are those of Go: people and scripts match on them.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

/// How much of the source of an error is looked at.
const CHAIN_MAX: usize = 8;

/// As Go's `%q` does it.
pub(crate) fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::from('"');
    for chunk in bytes.utf8_chunks() {
        quoted.extend(chunk.valid().chars().map(quoted_char));
        quoted.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    quoted.push('"');
    quoted
}

fn quoted_char(c: char) -> String {
    match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        c if c.is_ascii_control() => format!("\\x{:02x}", u32::from(c)),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    }
}

/// An error of the system without its number, which is not the same text in every C library.
pub(crate) fn errno(error: &io::Error) -> String {
    let known = match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset => "connection reset by peer",
        ErrorKind::HostUnreachable => "no route to host",
        ErrorKind::NetworkUnreachable => "network is unreachable",
        ErrorKind::TimedOut => "connection timed out",
        ErrorKind::AddrNotAvailable => "cannot assign requested address",
        ErrorKind::BrokenPipe => "broken pipe",
        _ => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            let mut rest = text.chars();
            return rest.next().map_or(String::new(), |first| first.to_lowercase().chain(rest).collect());
        }
    };
    known.to_owned()
}

/// An error of a connection that stood.
pub(crate) fn read_error(error: &io::Error, local: Option<SocketAddr>, peer: &str) -> String {
    match (error.kind(), local) {
        (ErrorKind::UnexpectedEof, _) => "unexpected EOF".to_owned(),
        (_, Some(local)) => format!("read tcp {local}->{peer}: read: {}", errno(error)),
        (_, None) => format!("read tcp {peer}: read: {}", errno(error)),
    }
}

/// The error of the system behind another.
pub(crate) fn io_source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    sources(error).find_map(|error| error.downcast_ref())
}

/// An error with what is behind it.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    sources(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source()).take(CHAIN_MAX)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{errno, quote, quote_bytes};

    #[test]
    fn quotes_as_go() {
        assert_eq!(
            quote("a\"b\\\u{15}\r\n\u{e9}\u{85}\u{7}\u{7f}"),
            r#""a\"b\\\x15\r\n#\u0085\a\x7f""#.replace('#', "\u{e9}")
        );
        assert_eq!(quote_bytes(b"\0\0\x06\x04\0@\xff\0"), r#""\x00\x00\x06\x04\x00@\xff\x00""#);
    }

    #[test]
    fn names_errors_without_their_number() {
        assert_eq!(errno(&io::Error::from_raw_os_error(111)), "connection refused");
        assert_eq!(errno(&io::Error::from_raw_os_error(113)), "no route to host");
        assert_eq!(errno(&io::Error::from_raw_os_error(1)), "operation not permitted");
    }
}
