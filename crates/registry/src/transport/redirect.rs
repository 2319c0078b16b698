//! Where a redirect leads, and where it may not.

use http::HeaderValue;
use reqwest::Url;

use super::shown;
use crate::error::Problem;

#[derive(PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// It is no redirect.
    Answer,
    Follow(Url),
}

pub(super) fn next(url: &Url, status: u16, location: Option<&HeaderValue>) -> Result<Next, Problem> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(Next::Answer);
    }
    let location = location.and_then(|location| location.to_str().ok());
    let target =
        location.and_then(|location| url.join(location).ok()).filter(|target| target.host_str().is_some());
    let Some(target) = target else {
        return Err(Problem::Redirect(format!("{} redirects to nowhere (status {status})", shown(url))));
    };
    let allowed = target.scheme() == "https" || (target.scheme() == "http" && url.scheme() == "http");
    if !allowed {
        return Err(Problem::Redirect(format!(
            "{} redirects to {}, but from https only https is followed",
            shown(url),
            shown(&target)
        )));
    }
    Ok(Next::Follow(target))
}

/// Whether what is meant for one may be told to the other.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Whether it is the same server, with TLS or without.
pub(crate) fn same_server(one: &Url, other: &Url) -> bool {
    one.host_str() == other.host_str() && one.port() == other.port()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use reqwest::Url;

    use super::{Next, next, same_origin};

    #[test]
    fn redirects_never_leave_tls() {
        for (from, status, location, expected) in [
            ("https://a/v2/x", 200, Some("https://b/"), Ok(None)),
            ("https://a/v2/x", 304, Some("https://b/"), Ok(None)),
            ("https://a/v2/x", 307, Some("https://b/c?d=e"), Ok(Some("https://b/c?d=e"))),
            ("https://a/v2/x", 302, Some("/c"), Ok(Some("https://a/c"))),
            ("https://a/v2/x", 302, Some("y"), Ok(Some("https://a/v2/y"))),
            ("https://a/v2/x", 301, Some("//b/y"), Ok(Some("https://b/y"))),
            ("http://a/v2/x", 308, Some("http://b/"), Ok(Some("http://b/"))),
            ("http://a/v2/x", 303, Some("https://b/"), Ok(Some("https://b/"))),
            ("https://a/v2/x", 307, Some("http://a/v2/x?secret"), Err("only https is followed")),
            ("http://a/v2/x", 307, Some("file:///etc/passwd"), Err("nowhere")),
            ("https://a/v2/x", 307, Some("ftp://b/c"), Err("only https is followed")),
            ("https://a/v2/x", 307, Some("data:text/plain,x"), Err("nowhere")),
            ("https://a/v2/x", 307, Some("https://"), Err("nowhere")),
            ("https://a/v2/x", 307, None, Err("nowhere")),
        ] {
            let location = location.map(HeaderValue::from_static);
            let found = next(&Url::parse(from).unwrap(), status, location.as_ref());
            match (found, expected) {
                (Ok(Next::Answer), Ok(None)) => {}
                (Ok(Next::Follow(url)), Ok(Some(expected))) => assert_eq!(url.as_str(), expected),
                (Err(problem), Err(part)) => {
                    let text = problem.to_string();
                    assert!(text.contains(part) && !text.contains("secret"), "{text}");
                }
                (found, expected) => panic!("{from} -> {location:?}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let url = |text| Url::parse(text).unwrap();
        assert!(same_origin(&url("https://a/b"), &url("https://a:443/c")));
        assert!(same_origin(&url("https://A/b"), &url("https://a/c")));
        for other in ["http://a/", "https://b/", "https://a:444/", "https://a.b/"] {
            assert!(!same_origin(&url("https://a/"), &url(other)), "{other}");
        }
    }
}
