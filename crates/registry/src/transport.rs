//! HTTP: one request to one endpoint, through proxies and redirects, until there is the head of an answer.

mod names;
mod proxies;
mod redirect;
mod tls;
mod trust;

use std::collections::BTreeSet;
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Response, Url};

use crate::client::{Environment, Limits};
use crate::error::Problem;
use crate::hosts::{Endpoint, Tls};

use names::{Names, NoSuchHost};
use proxies::Proxies;
use redirect::Next;
use tls::Roots;

pub(crate) use redirect::{same_origin, same_server};

const REDIRECTS_MAX: usize = 8;
/// Sets of connections with the same TLS; there are as many as hosts that are configured.
const CLIENTS_MAX: usize = 64;
const PLAIN_ORIGINS_MAX: usize = 256;
const IDLE_PER_HOST_MAX: usize = 8;
const IDLE: Duration = Duration::from_secs(30);
const HEADERS_MAX: usize = 128;
const HEADER_BYTES_MAX: u32 = 64 << 10;
/// What may be on its way in one stream and in one connection of HTTP/2.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const USER_AGENT: &str = concat!("monopod/", env!("CARGO_PKG_VERSION"));

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// For the host of `url` alone, as the headers of the endpoint are.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) body: Option<Bytes>,
}

impl Question {
    pub(crate) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), authorization: None, body: None }
    }
}

pub(crate) struct Transport {
    names: Arc<Names>,
    proxies: Arc<Proxies>,
    roots: Roots,
    limits: Limits,
    clients: Mutex<Vec<(Key, reqwest::Client)>>,
    /// Those of the loopback that do not speak TLS.
    plain: Mutex<BTreeSet<String>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Key {
    tls: Tls,
    connect_timeout: Duration,
}

impl Transport {
    pub(crate) fn new(environment: &Environment<'_>, limits: Limits) -> Result<Self, String> {
        Ok(Self {
            names: Arc::default(),
            proxies: Arc::new(Proxies::new(environment)?),
            roots: Roots::new(environment),
            limits,
            clients: Mutex::default(),
            plain: Mutex::default(),
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The head of the answer, whatever its status; redirects have been followed.
    pub(crate) async fn send(&self, endpoint: &Endpoint, question: &Question) -> Result<Response, Problem> {
        let origin = question.url.origin().ascii_serialization();
        let mut question = question.clone();
        if endpoint.or_plain_http && question.url.scheme() == "https" {
            if !self.is_plain(&origin) {
                match self.follow(endpoint, &question).await {
                    Err(Problem::PlainHttp | Problem::Connect(_)) => {}
                    other => return other,
                }
            }
            let secure = question.url.clone();
            // A port that was not given is that of the other scheme.
            if question.url.set_scheme("http").is_err() {
                return Err(Problem::Configuration(format!("{secure} cannot be asked in plain HTTP")));
            }
            let answer = self.follow(endpoint, &question).await;
            // 400 is what a server says that has learned TLS since.
            self.remember_plain(
                origin,
                answer.as_ref().is_ok_and(|answer| answer.status() != StatusCode::BAD_REQUEST),
            );
            return answer;
        }
        self.follow(endpoint, &question).await
    }

    /// The endpoint's URL, with `http` where that turned out to be spoken.
    pub(crate) fn spoken(&self, endpoint: &Endpoint) -> String {
        let url = Url::parse(&endpoint.url).ok();
        let is_plain = url.is_some_and(|url| self.is_plain(&url.origin().ascii_serialization()));
        match endpoint.url.strip_prefix("https:").filter(|_| is_plain) {
            Some(rest) => format!("http:{rest}"),
            None => endpoint.url.clone(),
        }
    }

    fn is_plain(&self, origin: &str) -> bool {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner).contains(origin)
    }

    fn remember_plain(&self, origin: String, is_plain: bool) {
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if plain.len() >= PLAIN_ORIGINS_MAX {
            plain.clear();
        }
        if is_plain {
            plain.insert(origin);
        } else {
            plain.remove(&origin);
        }
    }

    async fn follow(&self, endpoint: &Endpoint, question: &Question) -> Result<Response, Problem> {
        let first = question.url.clone();
        let mut url = first.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.once(endpoint, question, &first, &url).await;
            let response = response.map_err(|problem| match same_server(&first, &url) {
                true => problem,
                false => Problem::Elsewhere { url: shown(&url), problem: Box::new(problem) },
            })?;
            if question.body.is_some() && response.status().is_redirection() {
                return Err(Problem::Redirect(format!(
                    "{} redirects a request with a credential in it",
                    shown(&url)
                )));
            }
            match redirect::next(&url, response.status().as_u16(), response.headers().get(header::LOCATION))?
            {
                Next::Answer => return Ok(response),
                Next::Follow(next) => url = next,
            }
        }
        Err(Problem::Redirect(format!(
            "the registry redirects more than {REDIRECTS_MAX} times, at last to {}",
            shown(&url)
        )))
    }

    async fn once(
        &self,
        endpoint: &Endpoint,
        question: &Question,
        first: &Url,
        url: &Url,
    ) -> Result<Response, Problem> {
        let at_home = same_origin(first, url);
        let client = self.client(endpoint, first.host_str() == url.host_str()).await?;
        let mut request = reqwest::Request::new(question.method.clone(), url.clone());
        *request.headers_mut() = question.headers.clone();
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if at_home {
            own_headers(endpoint, request.headers_mut())?;
            if let Some(authorization) = &question.authorization {
                request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
            }
        }
        if let Some(body) = &question.body {
            *request.body_mut() = Some(body.clone().into());
        }
        let answer = tokio::time::timeout(self.limits.stall, client.execute(request)).await;
        let answer = answer.map_err(|_| Problem::Stalled(self.limits.stall))?;
        answer.map_err(|error| self.problem(&error, url))
    }

    /// With `own`, as the host of the endpoint is to be spoken to; else without what is its alone.
    async fn client(&self, endpoint: &Endpoint, own: bool) -> Result<reqwest::Client, Problem> {
        let mut tls = endpoint.tls.clone();
        if !own {
            tls.identity = None;
        }
        let key = Key { tls, connect_timeout: endpoint.connect_timeout.unwrap_or(self.limits.connect) };
        let known = |clients: &[(Key, reqwest::Client)]| {
            clients.iter().find(|(own, _)| *own == key).map(|(_, client)| client.clone())
        };
        if let Some(client) = known(&self.clients.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(client);
        }
        let tls = tls::config(&key.tls, &self.roots).await.map_err(Problem::Configuration)?;
        let client = self.build(tls, key.connect_timeout)?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.push((key, client.clone()));
        Ok(client)
    }

    fn build(&self, tls: rustls::ClientConfig, connect: Duration) -> Result<reqwest::Client, Problem> {
        let proxies = Arc::clone(&self.proxies);
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::clone(&self.names))
            .no_proxy()
            .proxy(reqwest::Proxy::custom(move |url| proxies.of(url).cloned()))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(connect)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .http1_max_headers(HEADERS_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .build()
            .map_err(|error| Problem::Configuration(innermost(&error)))
    }

    fn problem(&self, error: &reqwest::Error, url: &Url) -> Problem {
        if let Some(tls) = find::<rustls::Error>(error) {
            if self.roots.missing().is_some() {
                // There may be some the next time.
                self.clients.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
            return tls::problem(tls, &self.roots);
        }
        if let Some(nowhere) = find::<NoSuchHost>(error) {
            return Problem::NoName(nowhere.to_string());
        }
        if error.is_connect() {
            let through =
                self.proxies.of(url).map(|proxy| format!(" (through the proxy {})", proxies::shown(proxy)));
            return Problem::Connect(format!("{}{}", innermost(error), through.unwrap_or_default()));
        }
        Problem::Cut(innermost(error))
    }
}

fn own_headers(endpoint: &Endpoint, headers: &mut HeaderMap) -> Result<(), Problem> {
    for own in &endpoint.headers {
        let wrong =
            |_| Problem::Configuration(format!("the header {:?} in hosts.toml cannot be sent", own.name));
        let name =
            HeaderName::try_from(own.name.as_str()).map_err(|error| wrong(http::Error::from(error)))?;
        let mut value =
            HeaderValue::try_from(own.value.as_str()).map_err(|error| wrong(http::Error::from(error)))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(())
}

/// Without what may be secret in it.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// The reason without what wraps it, which names URLs.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let fallback = if error.is_timeout() { "it takes too long" } else { "the request failed" };
    causes(error).last().map_or_else(|| fallback.to_owned(), ToString::to_string)
}

fn find<E: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// What is below the error itself.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &Cause> {
    std::iter::successors(error.source(), |cause| below(*cause))
}

type Cause = dyn std::error::Error + 'static;

/// An io::Error is looked into, since it gives as its source that of what it wraps.
fn below(cause: &Cause) -> Option<&Cause> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}
