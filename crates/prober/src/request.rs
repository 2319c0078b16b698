//! What an `httpGet` handler asks, and the redirects on its way.

use std::time::Duration;

use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, LOCATION, REFERER, TRAILER, TRANSFER_ENCODING,
    USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use podspec::{HttpGetAction, HttpHeader, HttpScheme};
use tokio::time::Instant;

use crate::dial::{Dial, Place, Pod};
use crate::error::quote;
use crate::transport::{self, Response, Tls};
use crate::url::{Url, check_host};
use crate::{KUBERNETES_VERSION, tls};

/// Requests that one probe or hook makes at most.
const REDIRECTS_MAX: usize = 10;
/// Of a probe; there is no such limit for a hook.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// A probe and a hook differ in how they speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    Probe,
    Hook,
}

impl Purpose {
    fn agent(self) -> String {
        let name = match self {
            Self::Probe => "probe",
            Self::Hook => "lifecycle",
        };
        format!("kube-{name}/{KUBERNETES_VERSION}")
    }

    fn tls(self) -> Tls {
        let is_probe = self == Self::Probe;
        Tls { config: tls::config(is_probe), handshake_max: is_probe.then_some(HANDSHAKE_MAX) }
    }

    fn timeout_text(self) -> &'static str {
        match self {
            Self::Probe => "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            Self::Hook => "context deadline exceeded",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) url: Url,
    headers: Result<HeaderMap, String>,
    /// Instead of the URL's.
    host: Option<HeaderValue>,
    place: Place<'a>,
    purpose: Purpose,
}

impl<'a> Request<'a> {
    /// An error means that there is nothing that could be sent.
    pub(crate) fn new<D: Dial>(
        pod: &Pod<D>,
        action: &'a HttpGetAction,
        port: u16,
        purpose: Purpose,
    ) -> Result<Self, String> {
        let scheme = match action.scheme {
            HttpScheme::Http => "http",
            HttpScheme::Https => "https",
        };
        let place = Place::of(action.host.as_deref());
        let url = Url::of_path(scheme, pod.authority(place, port), &action.path);
        check_host(&url.authority).map_err(|error| format!("parse {}: {error}", quote(&url.to_string())))?;
        let headers = headers(&action.headers, purpose);
        Ok(Self { url, headers, host: host(&action.headers), place, purpose })
    }

    /// The same without TLS and what was to be seen by TLS alone.
    pub(crate) fn in_clear(mut self) -> Self {
        "http".clone_into(&mut self.url.scheme);
        if let Ok(headers) = &mut self.headers {
            headers.remove(AUTHORIZATION);
        }
        self
    }

    /// Sends it, follows redirects on the same host, and returns the last answer. `None` is no deadline.
    pub(crate) async fn send<D: Dial>(
        &self,
        pod: &Pod<D>,
        deadline: Option<Instant>,
    ) -> Result<Response, String> {
        let mut headers = self.headers.clone().map_err(|error| failed(&self.url, &error))?;
        let mut host = self.host.clone();
        let mut url = self.url.clone();
        let mut requests = 0;
        loop {
            requests += 1;
            let sent = transport::get(
                pod,
                self.place,
                &url,
                complete(&headers, host.as_ref(), &url),
                self.purpose.tls(),
            );
            let response = match within(deadline, sent).await {
                Some(answer) => answer.map_err(|error| failed(&url, &error))?,
                None => return Err(failed(&url, self.purpose.timeout_text())),
            };
            let Some(location) = location(&response) else { return Ok(response) };
            let reference = Url::parse(&location).map_err(|error| {
                failed(&url, &format!("failed to parse Location header {}: {error}", quote(&location)))
            })?;
            let is_relative = reference.scheme.is_empty();
            let next = url.join(reference);
            if next.host() != self.url.host() {
                return Ok(response);
            }
            if requests >= REDIRECTS_MAX {
                return Err(format!("Get {}: stopped after {REDIRECTS_MAX} redirects", quote(&location)));
            }
            host = host.filter(|_| is_relative);
            refer(&mut headers, &url, &next, self.headers.as_ref().ok());
            url = next;
        }
    }
}

/// `None` when the deadline passed first.
pub(crate) async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(work.await),
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok(),
    }
}

fn failed(url: &Url, error: &str) -> String {
    format!("Get {}: {error}", quote(&url.to_string()))
}

/// Where a redirect leads to.
fn location(response: &Response) -> Option<String> {
    let location = response.headers.get(LOCATION).filter(|location| !location.is_empty())?;
    let is_redirect = matches!(response.status, 301 | 302 | 303 | 307 | 308);
    is_redirect.then(|| String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// Says where a redirect came from, unless the handler says something else, or that is nobody's business.
fn refer(headers: &mut HeaderMap, last: &Url, next: &Url, own: Option<&HeaderMap>) {
    if last.scheme == "https" && next.scheme == "http" {
        headers.remove(REFERER);
        return;
    }
    let own = own.and_then(|own| own.get(REFERER)).cloned();
    let referer = own.or_else(|| HeaderValue::from_bytes(last.to_string().as_bytes()).ok());
    if let Some(referer) = referer {
        headers.insert(REFERER, referer);
    }
}

/// With `Host`, which comes first.
fn complete(headers: &HeaderMap, host: Option<&HeaderValue>, url: &Url) -> HeaderMap {
    let mut all = HeaderMap::with_capacity(headers.len() + 1);
    let of_url = || HeaderValue::from_bytes(url.authority.as_bytes()).ok();
    if let Some(host) = host.cloned().or_else(of_url) {
        all.insert(HOST, host);
    }
    all.extend(headers.clone());
    all
}

/// Everything but `Host`.
fn headers(wanted: &[HttpHeader], purpose: Purpose) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for HttpHeader { name, value } in wanted {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(format!("net/http: invalid header field name {}", quote(name)));
        };
        let Ok(value) = HeaderValue::from_bytes(value.trim_matches([' ', '\t']).as_bytes()) else {
            return Err(format!(
                "net/http: invalid header field value for {}",
                quote(&canonical(name.as_str()))
            ));
        };
        // What the transport says about the message, it says itself.
        if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER].contains(&name) {
            headers.append(name, value);
        }
    }
    // The first one counts; an empty one asks for none.
    let agent = match headers.remove(USER_AGENT) {
        Some(agent) => Some(agent).filter(|agent| !agent.is_empty()),
        None => HeaderValue::from_str(&purpose.agent()).ok(),
    };
    if let Some(agent) = agent {
        headers.insert(USER_AGENT, agent);
    }
    match headers.get(ACCEPT) {
        Some(accept) if accept.is_empty() => _ = headers.remove(ACCEPT),
        Some(_) => {}
        None => _ = headers.insert(ACCEPT, HeaderValue::from_static("*/*")),
    }
    if purpose == Purpose::Probe {
        headers.append(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(headers)
}

/// What the handler calls the server. One that no server could be called leaves the header empty.
fn host(wanted: &[HttpHeader]) -> Option<HeaderValue> {
    let header = wanted.iter().find(|header| header.name.eq_ignore_ascii_case("host"))?;
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=[]_~".contains(&byte);
    let value = if header.value.bytes().all(is_fine) { header.value.as_str() } else { "" };
    // An empty one leaves the URL's.
    (!header.value.is_empty()).then(|| HeaderValue::from_str(value).ok()).flatten()
}

/// As a header's name is written.
fn canonical(name: &str) -> String {
    let word = |word: &str| {
        let mut rest = word.chars();
        rest.next().map_or(String::new(), |first| first.to_uppercase().chain(rest).collect())
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}
