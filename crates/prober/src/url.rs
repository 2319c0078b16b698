//! URL references of `path` and `Location`, read as the Go of a kubelet reads them
//! (<https://pkg.go.dev/net/url>), which is RFC 3986 with a few liberties. A user and password are left out.

use std::borrow::Cow;
use std::fmt;

use crate::error::quote;

/// `path` and `fragment` are escaped, `query` is as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Url {
    /// In lower case; empty in a relative reference.
    pub(crate) scheme: String,
    /// What follows the scheme when that is neither a path nor an authority.
    pub(crate) opaque: Option<String>,
    /// Host and port; empty in a relative reference.
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) fragment: Option<String>,
}

impl Url {
    /// The `path` of a probe on an authority: what does not parse is a path all the same, with everything in it
    /// escaped.
    pub(crate) fn of_path(scheme: &str, authority: String, path: &str) -> Self {
        let reference = Self::parse(path);
        let reference =
            reference.unwrap_or_else(|_| Self { path: escape(path.as_bytes()), ..Self::default() });
        Self { scheme: scheme.to_owned(), authority, ..reference }
    }

    /// The error is what Go says about it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::parse_reference(text).map_err(|error| format!("parse {}: {error}", quote(text)))
    }

    fn parse_reference(text: &str) -> Result<Self, String> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let (rest, fragment) = cut(text, '#');
        let fragment =
            fragment.map(escaped).transpose()?.map(Cow::into_owned).filter(|text| !text.is_empty());
        let (scheme, rest) = cut_scheme(rest)?;
        let (rest, query) = cut(rest, '?');
        let query = query.map(str::to_owned);
        let mut url = Self { scheme: scheme.to_ascii_lowercase(), query, fragment, ..Self::default() };
        if !rest.starts_with('/') {
            if !scheme.is_empty() {
                return Ok(Self { opaque: Some(rest.to_owned()), ..url });
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        let has_authority = rest.starts_with("//") && (!scheme.is_empty() || !rest.starts_with("///"));
        let path = if has_authority {
            let rest = &rest[2..];
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            check_host(host)?;
            url.authority = host.to_owned();
            path
        } else {
            rest
        };
        url.path = escaped(path)?.into_owned();
        Ok(url)
    }

    /// What a reference means beside this URL (RFC 3986, section 5.2).
    pub(crate) fn join(&self, reference: Self) -> Self {
        let base = if reference.scheme.is_empty() { self.scheme.clone() } else { reference.scheme.clone() };
        if reference.opaque.is_some() {
            return reference;
        }
        if !reference.scheme.is_empty() || !reference.authority.is_empty() {
            let path = without_dots(&reference.path);
            return Self { scheme: base, path, ..reference };
        }
        let mut url = Self { scheme: base, authority: self.authority.clone(), ..reference };
        if url.path.is_empty() && url.query.is_none() {
            url.query.clone_from(&self.query);
            url.fragment = url.fragment.or_else(|| self.fragment.clone());
        }
        let path = match &url.path {
            path if path.is_empty() => self.path.clone(),
            path if path.starts_with('/') => path.clone(),
            path => format!(
                "{}{path}",
                self.path.rsplit_once('/').map_or("/".into(), |(dir, _)| format!("{dir}/"))
            ),
        };
        url.path = without_dots(&path);
        url
    }

    /// Without brackets and port.
    pub(crate) fn host(&self) -> &str {
        match self.authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.authority.split(':').next().unwrap_or_default(),
        }
    }

    /// As written, or the scheme's own. The error is what Go says when it dials.
    pub(crate) fn port(&self) -> Result<u16, String> {
        let after_host = self.authority.rsplit_once(']').map_or(self.authority.as_str(), |(_, rest)| rest);
        match after_host.split_once(':').map(|(_, port)| port) {
            None | Some("") => Ok(if self.scheme == "https" { 443 } else { 80 }),
            Some(port) => port.parse().map_err(|_| format!("dial tcp: address {port}: invalid port")),
        }
    }

    /// Path and query, for a request line.
    pub(crate) fn target(&self) -> String {
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        let query = self.query.as_ref().map(|query| format!("?{}", plain(query))).unwrap_or_default();
        format!("{slash}{}{query}", self.path)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme)?;
        match &self.opaque {
            Some(opaque) => f.write_str(opaque)?,
            None => {
                let slash = if self.path.is_empty() || self.path.starts_with('/') { "" } else { "/" };
                write!(f, "//{}{slash}{}", self.authority, self.path)?;
            }
        }
        if let Some(query) = &self.query {
            write!(f, "?{query}")?;
        }
        if let Some(fragment) = &self.fragment {
            write!(f, "#{fragment}")?;
        }
        Ok(())
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn cut_scheme(text: &str) -> Result<(&str, &str), String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    match text.split_once(|c| !is_part(c)) {
        Some(("", _)) if text.starts_with(':') => Err("missing protocol scheme".to_owned()),
        Some((scheme, rest))
            if text[scheme.len()..].starts_with(':')
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            Ok((scheme, rest))
        }
        _ => Ok(("", text)),
    }
}

/// Host, and port if any. Percent signs in it are for addresses that no redirect of a probe may go to.
pub(crate) fn check_host(host: &str) -> Result<(), String> {
    let is_host =
        |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!\"$&'()*+,-.:;<=>[]_~".contains(c);
    if let Some(wrong) = host.chars().find(|&c| !is_host(c)) {
        return Err(format!("invalid character {} in host name", quote(&wrong.to_string())));
    }
    let after_host = match host.rsplit_once(']') {
        Some((address, rest)) if address.starts_with('[') && (rest.is_empty() || rest.starts_with(':')) => {
            rest
        }
        None if !host.contains('[') => host,
        _ => return Err("invalid IP-literal".to_owned()),
    };
    match after_host.split_once(':') {
        Some((_, port)) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(format!("invalid port {} after host", quote(&format!(":{port}"))))
        }
        _ => Ok(()),
    }
}

/// As it is when nothing in it has to be escaped, else unescaped and escaped anew.
fn escaped(text: &str) -> Result<Cow<'_, str>, String> {
    let bytes = unescape(text)?;
    let is_fine = |byte: u8| may_stay(byte) || b"!'()*[]%".contains(&byte);
    Ok(if text.bytes().all(is_fine) { Cow::Borrowed(text) } else { Cow::Owned(escape(&bytes)) })
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |n: usize| after.get(n).and_then(|&byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            let sequence = String::from_utf8_lossy(&after[..after.len().min(2)]);
            return Err(format!("invalid URL escape {}", quote(&format!("%{sequence}"))));
        };
        bytes.push((high << 4 | low) as u8);
        rest = &after[2..];
    }
    Ok(bytes)
}

fn escape(bytes: &[u8]) -> String {
    let one = |&byte: &u8| if may_stay(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    bytes.iter().map(one).collect()
}

/// In a path.
fn may_stay(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte)
}

/// Go sends a query as it is written; what would break the request line, or its reader, is escaped here.
fn plain(query: &str) -> String {
    let is_fine = |byte: u8| byte.is_ascii_graphic() && !b"<>#".contains(&byte);
    let one = |byte: u8| if is_fine(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    query.bytes().map(one).collect()
}

/// Without `.` and `..` segments.
fn without_dots(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let mut kept: Vec<&str> = vec![];
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        match segment {
            "." => {}
            ".." => _ = kept.pop(),
            _ => kept.push(segment),
        }
    }
    let is_dir = path.ends_with("/.") || path.ends_with("/..") || path == "." || path == "..";
    let end = if is_dir && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::Url;

    fn of_path(path: &str) -> (String, String) {
        let url = Url::of_path("http", "10.0.0.1:80".to_owned(), path);
        (url.to_string(), url.target())
    }

    #[test]
    fn paths_are_references() {
        // What Go 1.26 makes of them.
        for (path, url, target) in [
            ("/", "http://10.0.0.1:80/", "/"),
            ("", "http://10.0.0.1:80", "/"),
            ("healthz", "http://10.0.0.1:80/healthz", "/healthz"),
            ("//foo/bar", "http://10.0.0.1:80/bar", "/bar"),
            ("http://o/x", "http://10.0.0.1:80/x", "/x"),
            ("http://user:secret@o/x", "http://10.0.0.1:80/x", "/x"),
            ("1foo:bar", "http://10.0.0.1:80/1foo:bar", "/1foo:bar"),
            ("/a b", "http://10.0.0.1:80/a%20b", "/a%20b"),
            ("/a%zz?x=y", "http://10.0.0.1:80/a%25zz%3Fx=y", "/a%25zz%3Fx=y"),
            ("/a%", "http://10.0.0.1:80/a%25", "/a%25"),
            ("?a=b", "http://10.0.0.1:80?a=b", "/?a=b"),
            ("/x?", "http://10.0.0.1:80/x?", "/x?"),
            ("/a%2fb", "http://10.0.0.1:80/a%2fb", "/a%2fb"),
            ("/x#f g", "http://10.0.0.1:80/x#f%20g", "/x"),
            ("///x", "http://10.0.0.1:80///x", "///x"),
            ("*", "http://10.0.0.1:80/*", "/*"),
            ("/a;b,c@d:e", "http://10.0.0.1:80/a;b,c@d:e", "/a;b,c@d:e"),
            ("/%41", "http://10.0.0.1:80/%41", "/%41"),
            ("/x#%zz", "http://10.0.0.1:80/x%23%25zz", "/x%23%25zz"),
            ("/a\u{1}b?c", "http://10.0.0.1:80/a%01b%3Fc", "/a%01b%3Fc"),
            ("//a b/c", "http://10.0.0.1:80//a%20b/c", "//a%20b/c"),
            ("/\u{e9}", "http://10.0.0.1:80/%C3%A9", "/%C3%A9"),
            ("/a[b]", "http://10.0.0.1:80/a[b]", "/a[b]"),
            (
                "/a[b]{c}^`|\"<>\\",
                "http://10.0.0.1:80/a%5Bb%5D%7Bc%7D%5E%60%7C%22%3C%3E%5C",
                "/a%5Bb%5D%7Bc%7D%5E%60%7C%22%3C%3E%5C",
            ),
            // Go sends the space, which ends the target for whoever reads it.
            ("/a?b c", "http://10.0.0.1:80/a?b c", "/a?b%20c"),
        ] {
            assert_eq!(of_path(path), (url.to_owned(), target.to_owned()), "{path:?}");
        }
        assert_eq!(of_path("foo:bar").0, "http:bar");
    }

    #[test]
    fn references_join() {
        let base = Url::parse("http://h:1/b/c/d?q#f").unwrap();
        for (reference, joined) in [
            ("", "http://h:1/b/c/d?q#f"),
            ("g", "http://h:1/b/c/g"),
            ("./g/", "http://h:1/b/c/g/"),
            ("..", "http://h:1/b/"),
            ("../../../g", "http://h:1/g"),
            ("/g?y", "http://h:1/g?y"),
            ("?y", "http://h:1/b/c/d?y"),
            ("#s", "http://h:1/b/c/d?q#s"),
            ("//o/x/../y", "http://o/y"),
            ("HTTPS://o", "https://o"),
            ("mailto:x", "mailto:x"),
        ] {
            assert_eq!(base.join(Url::parse(reference).unwrap()).to_string(), joined, "{reference:?}");
        }
    }

    #[test]
    fn hosts_and_ports() {
        for (text, host, port) in [
            ("http://h", "h", Ok(80)),
            ("https://h:", "h", Ok(443)),
            ("http://[::1]:8080/", "::1", Ok(8080)),
            ("https://[::1]/", "::1", Ok(443)),
            ("http://h:99999/", "h", Err("dial tcp: address 99999: invalid port".to_owned())),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port()), (host, port), "{text}");
        }
        for (text, error) in [
            ("http://a b/", "parse \"http://a b/\": invalid character \" \" in host name"),
            ("http://h:x/", "parse \"http://h:x/\": invalid port \":x\" after host"),
            ("http://[::1/", "parse \"http://[::1/\": invalid IP-literal"),
            ("http://h]/", "parse \"http://h]/\": invalid IP-literal"),
            (":x", "parse \":x\": missing protocol scheme"),
        ] {
            assert_eq!(Url::parse(text), Err(error.to_owned()));
        }
    }
}
