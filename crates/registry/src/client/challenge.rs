//! What a registry asks for in `WWW-Authenticate` (RFC 9110, 11.6.1), and where its tokens may be had.

use std::net::IpAddr;

use http::{HeaderMap, header};
use reqwest::Url;

use crate::error::Problem;
use crate::transport::shown;

/// Of all headers of one answer together; what is beyond is not read.
const BYTES_MAX: usize = 16 << 10;
const CHALLENGES_MAX: usize = 16;
const PARAMETERS_MAX: usize = 16;

/// How a registry wants to be told who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String>, scope: Option<String> },
}

/// A scheme in lower case, and its parameters with their names in lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Raw {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Raw {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

/// The challenge to be answered: tokens rather than passwords. `asked` is what was answered with `headers`.
///
/// # Errors
/// When there is none that is known, or its tokens come from where credentials must not go.
pub(super) fn choose(asked: &Url, headers: &HeaderMap) -> Result<Challenge, Problem> {
    let mut raw = Vec::new();
    let mut bytes_left = BYTES_MAX;
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        let Ok(value) = value.to_str() else { continue };
        let Some(left) = bytes_left.checked_sub(value.len()) else { break };
        bytes_left = left;
        raw.extend(parse(value));
    }
    let of = |scheme: &str| raw.iter().find(|raw| raw.scheme == scheme);
    if let Some(bearer) = of("bearer") {
        let realm = realm(asked, bearer.parameter("realm").unwrap_or_default())?;
        let text = |name| bearer.parameter(name).map(str::to_owned);
        return Ok(Challenge::Bearer { realm, service: text("service"), scope: text("scope") });
    }
    if of("basic").is_some() {
        return Ok(Challenge::Basic);
    }
    let schemes: Vec<String> = raw.iter().take(4).map(|raw| raw.scheme.escape_debug().to_string()).collect();
    Err(Problem::Denied(if schemes.is_empty() {
        "the registry answers 401 Unauthorized and does not say how to authenticate".to_owned()
    } else {
        format!("the registry wants {} authentication, which is not supported", schemes.join(" or "))
    }))
}

/// Where tokens are had: over TLS, unless the registry itself is spoken to without it.
fn realm(asked: &Url, realm: &str) -> Result<Url, Problem> {
    let url = Url::parse(realm).ok().filter(|url| url.host_str().is_some());
    let Some(mut url) = url else {
        return Err(Problem::Denied("the registry says no URL where its tokens are had".to_owned()));
    };
    let both_loopback =
        || [url.host_str(), asked.host_str()].iter().all(|host| host.is_some_and(is_loopback));
    let is_near = url.host_str() == asked.host_str() || both_loopback();
    if url.scheme() != "https" && !(url.scheme() == "http" && asked.scheme() == "http" && is_near) {
        return Err(Problem::Unsafe(format!(
            "the registry's tokens are had at {}, where credentials would not be safe",
            shown(&url)
        )));
    }
    // These would be sent as credentials of somebody's choice.
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return Err(Problem::Denied("the registry says no URL where its tokens are had".to_owned()));
    }
    Ok(url)
}

fn is_loopback(host: &str) -> bool {
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

/// All challenges of one header; what is no challenge is passed over.
fn parse(value: &str) -> Vec<Raw> {
    let mut challenges: Vec<Raw> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() || challenges.len() > CHALLENGES_MAX {
            challenges.truncate(CHALLENGES_MAX);
            return challenges;
        }
        let (word, after) = split_token(rest);
        if word.is_empty() {
            // Nothing begins with this character.
            let mut characters = rest.chars();
            characters.next();
            rest = characters.as_str();
            continue;
        }
        let Some(of_equals) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            challenges.push(Raw { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
            rest = after;
            continue;
        };
        let of_equals = of_equals.trim_start_matches([' ', '\t']);
        // The padding of a token68, which no scheme here takes.
        if of_equals.is_empty() || of_equals.starts_with(['=', ',']) {
            rest = of_equals.trim_start_matches('=');
            continue;
        }
        let (value, after) = split_value(of_equals);
        if let Some(challenge) =
            challenges.last_mut().filter(|challenge| challenge.parameters.len() < PARAMETERS_MAX)
        {
            challenge.parameters.push((word.to_ascii_lowercase(), value));
        }
        rest = after;
    }
}

fn split_token(text: &str) -> (&str, &str) {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&b);
    text.split_at(text.bytes().position(|b| !is_token(b)).unwrap_or(text.len()))
}

/// A token or a quoted string, with its escapes taken away.
fn split_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use reqwest::Url;

    use super::{Challenge, choose, parse};

    fn chosen(asked: &str, values: &[&str]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        match choose(&Url::parse(asked).unwrap(), &headers) {
            Ok(Challenge::Basic) => Ok("basic".to_owned()),
            Ok(Challenge::Bearer { realm, service, scope }) => {
                Ok(format!("{realm} {} {}", service.unwrap_or_default(), scope.unwrap_or_default()))
            }
            Err(problem) => Err(problem.to_string()),
        }
    }

    #[test]
    fn challenges_are_found() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull""#;
        for (values, expected) in [
            (&[hub][..], "https://auth.docker.io/token registry.docker.io repository:library/x:pull"),
            (&["Basic realm=\"x\""], "basic"),
            (&["basic"], "basic"),
            (&["BASIC realm=x, Bearer realm=\"https://a/t\""], "https://a/t  "),
            (&["Bearer realm=\"https://a/t\", Basic realm=\"x, y\""], "https://a/t  "),
            (&["Basic realm=\"x\"", "bearer Realm=https://a/t, service = s"], "https://a/t s "),
            (&["Negotiate, Basic realm=x"], "basic"),
            (&["Negotiate YWJj==, Basic realm=x"], "basic"),
            (&["Digest realm=\"a\", nonce=\"b=,\\\"c\", Basic"], "basic"),
            (
                &[
                    "Bearer realm=\"https://a/t\",service=\"a\\\"b\",scope=\"repository:x:pull,push other:y:z\"",
                ],
                "https://a/t a\"b repository:x:pull,push other:y:z",
            ),
            (&[",, ,Basic ,,"], "basic"),
            (&["Bearer realm=\"https://user:pass@a/t\""], "https://a/t  "),
            (&["Bearer realm=\"https://a/t?x=y\",scope=\"\""], "https://a/t?x=y  "),
        ] {
            assert_eq!(chosen("https://x.io/v2/", values).as_deref(), Ok(expected), "{values:?}");
        }
    }

    #[test]
    fn what_cannot_be_answered_says_so() {
        let http = "Bearer realm=\"http://x.io/token?secret\"";
        for (asked, values, expected) in [
            ("https://x.io/v2/", &[][..], "does not say how"),
            ("https://x.io/v2/", &["Negotiate"], "wants negotiate authentication"),
            ("https://x.io/v2/", &["Bearer"], "no URL"),
            ("https://x.io/v2/", &["Bearer realm=\"token\""], "no URL"),
            ("https://x.io/v2/", &["Bearer realm=\"file:///token\""], "no URL"),
            ("https://x.io/v2/", &[http], "would not be safe"),
            ("https://x.io/v2/", &["Bearer realm=\"http://127.0.0.1/token\""], "would not be safe"),
            ("http://x.io/v2/", &["Bearer realm=\"http://y.io/token\""], "would not be safe"),
            ("http://x.io/v2/", &["Bearer realm=\"ftp://x.io/token\""], "would not be safe"),
        ] {
            let error = chosen(asked, values).unwrap_err();
            assert!(error.contains(expected) && !error.contains("secret"), "{asked} {values:?}: {error}");
        }
        assert_eq!(chosen("http://x.io/v2/", &[http]).as_deref(), Ok("http://x.io/token?secret  "));
        let local = ["Bearer realm=\"http://127.0.0.1:5001/token\""];
        assert!(chosen("http://localhost:5000/v2/", &local).is_ok());
        assert!(chosen("http://x.io/v2/", &local).is_err());
    }

    #[test]
    fn there_are_never_too_many() {
        let many = "a,".repeat(10_000);
        assert!(parse(&many).len() <= super::CHALLENGES_MAX);
        let many = format!("a {}", "b=c,".repeat(10_000));
        assert!(parse(&many)[0].parameters.len() <= super::PARAMETERS_MAX);
    }
}
