//! URLs of registries as `hosts.toml` writes them.

use crate::reference::is_domain;

/// Of the path behind the host.
const PATH_BYTES_MAX: usize = 255;

/// `SCHEME://AUTHORITY/PATH`, without a slash at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url {
    pub(super) is_tls: bool,
    /// A host, with its port if one is written.
    pub(super) authority: String,
    /// Empty, or from a slash on.
    path: String,
}

impl Url {
    /// Without a scheme it is https.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err("its scheme is neither https nor http"),
            None => (true, text),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let path = path.trim_end_matches('/');
        if authority.contains('@') {
            return Err("it has a user in it; a credential belongs into config.json or auth.json");
        }
        if !is_domain(authority) {
            return Err("it has no host name or address, with or without a port, where one has to be");
        }
        if path.len() > PATH_BYTES_MAX || !path.split('/').skip(1).all(is_segment) {
            return Err("its path is not plain: letters, digits and any of . _ ~ - between slashes");
        }
        Ok(Self { is_tls, authority: authority.to_owned(), path: path.to_owned() })
    }

    pub(super) fn of_host(authority: &str) -> Self {
        Self { is_tls: true, authority: authority.to_owned(), path: String::new() }
    }

    /// Of the API: `/v2` is added where it is not there, unless the path is said to be the whole.
    pub(super) fn api(&self, override_path: bool) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        let has_version = override_path || self.path.ends_with("/v2");
        let version = if has_version { "" } else { "/v2" };
        format!("{scheme}://{}{}{version}", self.authority, self.path)
    }
}

fn is_segment(segment: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
    !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn urls_lead_to_the_api() {
        for (text, plain, overridden) in [
            ("x.io", "https://x.io/v2", "https://x.io"),
            ("https://x.io/", "https://x.io/v2", "https://x.io"),
            ("http://10.0.0.1:5000", "http://10.0.0.1:5000/v2", "http://10.0.0.1:5000"),
            ("https://x.io/v2/", "https://x.io/v2", "https://x.io/v2"),
            ("https://x.io/a/b", "https://x.io/a/b/v2", "https://x.io/a/b"),
            ("https://x.io/v2/a", "https://x.io/v2/a/v2", "https://x.io/v2/a"),
            ("https://[::1]:5000", "https://[::1]:5000/v2", "https://[::1]:5000"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!((url.api(false).as_str(), url.api(true).as_str()), (plain, overridden), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_registry_is_told() {
        for (text, part) in [
            ("", "no host name"),
            ("https://", "no host name"),
            ("https:///a", "no host name"),
            ("ftp://x.io", "neither https nor http"),
            ("HTTPS://x.io", "neither https nor http"),
            ("https://user:pass@x.io", "a user in it"),
            ("https://x.io:port", "no host name"),
            ("https://x.io?a=b", "no host name"),
            ("https://x.io/a?b", "not plain"),
            ("https://x.io/../a", "not plain"),
            ("https://x.io//a", "not plain"),
            ("https://x.io/%2e", "not plain"),
            ("https://../a", "no host name"),
        ] {
            let error = Url::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
