//! Tokens of a registry's token service, kept until shortly before they expire
//! (<https://distribution.github.io/distribution/spec/auth/token/>, <https://distribution.github.io/distribution/spec/auth/oauth/>).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Method, header};
use reqwest::Url;
use serde::Deserialize;

use super::answer;
use crate::credentials::Credential;
use crate::error::Problem;
use crate::hosts::Endpoint;
use crate::transport::{Question, Transport, same_origin, shown};

const HELD_MAX: usize = 256;
const TOKEN_BYTES_MAX: usize = 64 << 10;
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What a token is good for when its service does not say, and how long before its end it is not used any more.
const LIFE: Duration = Duration::from_secs(60);
const MARGIN: Duration = Duration::from_secs(10);
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What a token is for, and whose it is.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) realm: Url,
    pub(super) service: Option<String>,
    pub(super) scope: String,
    pub(super) credential: Credential,
}

struct Held {
    key: Key,
    token: HeaderValue,
    until: Instant,
}

#[derive(Default)]
pub(super) struct Tokens {
    held: Mutex<Vec<Held>>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

impl Tokens {
    /// The value of `Authorization`.
    pub(super) async fn token(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
        key: &Key,
    ) -> Result<HeaderValue, Problem> {
        if let Some(token) = self.held(key) {
            return Ok(token);
        }
        let question = question(key)?;
        let response = transport.send(&elsewhere(endpoint, &key.realm), &question).await?;
        let who = format!("the token service {}", shown(&key.realm));
        if !response.status().is_success() {
            return Err(refused(answer::problem(transport, response, &who).await));
        }
        let (_, bytes) =
            answer::body(transport, response, ANSWER_BYTES_MAX, "the answer of the token service").await?;
        let (token, life) = parse(&bytes).map_err(|why| Problem::Wrong(format!("{who} {why}")))?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        held.retain(|held| held.until > now && held.key != *key);
        if held.len() >= HELD_MAX {
            held.remove(0);
        }
        held.push(Held { key: key.clone(), token: token.clone(), until: now + life });
        Ok(token)
    }

    fn held(&self, key: &Key) -> Option<HeaderValue> {
        let now = Instant::now();
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|held| held.key == *key && held.until > now).map(|held| held.token.clone())
    }

    /// The registry takes it no longer.
    pub(super) fn forget(&self, token: &HeaderValue) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).retain(|held| held.token != *token);
    }
}

/// `username:password` as the value of `Authorization`.
pub(super) fn basic(username: &str, password: &str) -> Result<HeaderValue, Problem> {
    sensitive(&format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}"))))
}

pub(super) fn bearer(token: &str) -> Result<HeaderValue, Problem> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Result<HeaderValue, Problem> {
    let value = HeaderValue::from_str(text);
    let mut value = value.map_err(|_| {
        Problem::Configuration("the credential has characters that cannot be sent".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn question(key: &Key) -> Result<Question, Problem> {
    let mut url = key.realm.clone();
    let mut fields = vec![("scope", key.scope.as_str())];
    fields.extend(key.service.as_deref().map(|service| ("service", service)));
    if let Credential::IdentityToken { token, .. } = &key.credential {
        fields.extend([("grant_type", "refresh_token"), ("client_id", "monopod"), ("refresh_token", token)]);
        let mut form =
            Url::parse("form:/").map_err(|_| Problem::Configuration("a form cannot be made".to_owned()))?;
        form.query_pairs_mut().extend_pairs(fields);
        let mut question = Question::get(url);
        question.method = Method::POST;
        question
            .headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        question.body = Some(form.query().unwrap_or_default().to_owned().into());
        return Ok(question);
    }
    let mut authorization = None;
    if let Credential::Basic { username, password } = &key.credential {
        fields.push(("account", username));
        authorization = Some(basic(username, password)?);
    }
    url.query_pairs_mut().extend_pairs(fields);
    let mut question = Question::get(url);
    question.authorization = authorization;
    Ok(question)
}

/// The endpoint's host as it is configured; another host as one of which nothing is known but the authorities.
fn elsewhere(endpoint: &Endpoint, realm: &Url) -> Endpoint {
    let own = Url::parse(&endpoint.url).ok();
    let mut other = endpoint.clone();
    other.or_plain_http = false;
    if own.as_ref().is_none_or(|own| own.host_str() != realm.host_str()) {
        other.tls.identity = None;
        other.tls.skip_verify = false;
    }
    // What is sent to the registry with every request may be a credential.
    if own.as_ref().is_none_or(|own| !same_origin(own, realm)) {
        other.headers.clear();
    }
    other
}

/// Whatever a token service finds missing, it is not the image.
fn refused(problem: Problem) -> Problem {
    match &problem {
        Problem::Status { status: 408 | 429 | 500.., .. } => problem,
        Problem::Status { .. } => Problem::Denied(problem.to_string()),
        _ => problem,
    }
}

/// The token and for how long it is to be used.
pub(super) fn parse(bytes: &[u8]) -> Result<(HeaderValue, Duration), String> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|error| {
        // The text of the error may repeat what it found.
        format!("answers what is no token (line {}, column {})", error.line(), error.column())
    })?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token).unwrap_or_default();
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err("answers without a token".to_owned());
    }
    let token =
        bearer(&token).map_err(|_| "answers a token with characters that cannot be sent".to_owned())?;
    let life = answer
        .expires_in
        .and_then(|life| Duration::try_from_secs_f64(life).ok())
        .filter(|life| !life.is_zero());
    let life = life.unwrap_or(LIFE).min(LIFE_MAX);
    Ok((token, life.saturating_sub(MARGIN).max(life / 2)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::Url;

    use super::{Key, parse, question};
    use crate::credentials::Credential;

    #[test]
    fn tokens_are_read() {
        for (text, expected) in [
            (r#"{"token":"a","expires_in":300}"#, Ok(("Bearer a", 290.0))),
            (r#"{"access_token":"b","expires_in":10}"#, Ok(("Bearer b", 5.0))),
            (r#"{"token":"","access_token":"b"}"#, Ok(("Bearer b", 50.0))),
            (r#"{"token":"a","expires_in":0}"#, Ok(("Bearer a", 50.0))),
            (r#"{"token":"a","expires_in":-1}"#, Ok(("Bearer a", 50.0))),
            (r#"{"token":"a","expires_in":1e300}"#, Ok(("Bearer a", 50.0))),
            (r#"{"token":"a","expires_in":1e9,"more":[1]}"#, Ok(("Bearer a", 86390.0))),
            (r#"{"token":"hunter2\n"}"#, Err("characters")),
            (r#"{"token":["hunter2"]}"#, Err("no token")),
            (r#"{}"#, Err("without a token")),
            ("hunter2", Err("no token")),
            ("", Err("no token")),
        ] {
            match (parse(text.as_bytes()), expected) {
                (Ok((token, life)), Ok((value, seconds))) => {
                    assert_eq!(
                        (token.to_str().unwrap(), life),
                        (value, Duration::from_secs_f64(seconds)),
                        "{text}"
                    );
                    assert!(token.is_sensitive());
                }
                (Err(error), Err(part)) => {
                    assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
                }
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_token_is_asked_for_as_its_service_wants() {
        let key = |credential| Key {
            realm: Url::parse("https://a/t?x=y").unwrap(),
            service: Some("s t".to_owned()),
            scope: "repository:x:pull".to_owned(),
            credential,
        };
        let asked = |credential| question(&key(credential)).unwrap();
        let anonymous = asked(Credential::Anonymous);
        assert_eq!(anonymous.url.as_str(), "https://a/t?x=y&scope=repository%3Ax%3Apull&service=s+t");
        assert!(anonymous.authorization.is_none());
        let basic = asked(Credential::Basic { username: "u".to_owned(), password: "p".to_owned() });
        assert_eq!(basic.authorization.unwrap(), "Basic dTpw");
        let identity = asked(Credential::IdentityToken { username: "u".to_owned(), token: "r&r".to_owned() });
        assert_eq!((identity.method.as_str(), identity.url.as_str()), ("POST", "https://a/t?x=y"));
        let body = String::from_utf8(identity.body.unwrap().to_vec()).unwrap();
        assert_eq!(
            body,
            "scope=repository%3Ax%3Apull&service=s+t&grant_type=refresh_token&client_id=monopod&refresh_token=r%26r"
        );
    }
}
