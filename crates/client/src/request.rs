//! Requests and their answers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT, WARNING};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::connection::{Connection, by_kubeconfig, by_socket};
use crate::{ClientError, Kubeconfig};

/// A list of all pods of a machine is some MiB.
const ANSWER_BYTES_MAX: usize = 256 << 20;
const AGENT: &str = concat!("monopod/", env!("CARGO_PKG_VERSION"));

/// An API to speak to.
#[derive(Clone, Debug)]
pub struct Client {
    place: Place,
    /// A connection whose last answer was taken whole: the next request need not connect.
    idle: Arc<Mutex<Option<Sender>>>,
}

type Sender = http1::SendRequest<Full<Bytes>>;

#[derive(Clone, Debug)]
enum Place {
    Socket(PathBuf),
    Remote(Box<Kubeconfig>),
}

/// A whole answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// 200, or 201 for what was made.
    pub code: StatusCode,
    pub value: Value,
    /// What the server warns of, one line each.
    pub warnings: Vec<String>,
}

/// An answer that comes part by part, and maybe has no end.
#[derive(Debug)]
pub struct Parts {
    body: Incoming,
    path: String,
}

/// A connection on which nothing was asked yet, for protocols that begin with a request of their own.
pub struct Dialed {
    pub io: Connection,
    /// For the header `Host`.
    pub host: String,
    /// Who asks.
    pub headers: HeaderMap,
}

impl std::fmt::Debug for Dialed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialed").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Client {
    /// The engine whose socket this is (`run/monopod/api.sock` under the root).
    #[must_use]
    pub fn local(socket: &Path) -> Self {
        Self::of(Place::Socket(socket.to_owned()))
    }

    #[must_use]
    pub fn remote(config: Kubeconfig) -> Self {
        Self::of(match config.socket {
            Some(socket) => Place::Socket(socket),
            None => Place::Remote(Box::new(config)),
        })
    }

    fn of(place: Place) -> Self {
        Self { place, idle: Arc::default() }
    }

    /// # Errors
    /// When the server cannot be asked, or says no.
    pub async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(Method::GET, path, None, &[]).await
    }

    /// Sends JSON of a content type, or nothing; the answer is JSON. `accept`: instead of `application/json`.
    ///
    /// # Errors
    /// When the server cannot be asked, or says no.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        headers: &[(HeaderName, &str)],
    ) -> Result<Answer, ClientError> {
        let (response, sender) = self.respond(method, path, body, headers).await?;
        let response = match refuse_failure(response, path).await {
            Err(refusal @ ClientError::Status { .. }) => {
                self.keep(sender);
                return Err(refusal);
            }
            answered => answered?,
        };
        let warnings = response.headers().get_all(WARNING).iter();
        let warnings = warnings.filter_map(|line| warning_text(line.to_str().ok()?)).collect();
        let code = response.status();
        let value = whole(response.into_body(), path).await?;
        self.keep(sender);
        let value = serde_json::from_slice(&value)
            .map_err(|source| ClientError::Json { path: path.to_owned(), source })?;
        Ok(Answer { code, value, warnings })
    }

    /// An answer that is no JSON document, or does not end: a log, a watch.
    ///
    /// # Errors
    /// When the server cannot be asked, or says no.
    pub async fn stream(&self, path: &str) -> Result<Parts, ClientError> {
        let (response, _) = self.respond(Method::GET, path, None, &[]).await?;
        let response = refuse_failure(response, path).await?;
        Ok(Parts { body: response.into_body(), path: path.to_owned() })
    }

    /// [`Self::stream`] with another `Accept`.
    ///
    /// # Errors
    /// When the server cannot be asked, or says no.
    pub async fn stream_as(&self, path: &str, accept: &str) -> Result<Parts, ClientError> {
        let (response, _) = self.respond(Method::GET, path, None, &[(ACCEPT, accept)]).await?;
        let response = refuse_failure(response, path).await?;
        Ok(Parts { body: response.into_body(), path: path.to_owned() })
    }

    /// Connects, for exec, attach and port-forward.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn dial(&self) -> Result<Dialed, ClientError> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(token) = self.token() {
            let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
            headers.insert(AUTHORIZATION, bearer.map_err(http::Error::from)?);
        }
        Ok(Dialed { io: self.connect().await?, host: self.host(), headers })
    }

    async fn respond(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        headers: &[(HeaderName, &str)],
    ) -> Result<(Response<Incoming>, Sender), ClientError> {
        let mut request =
            Request::builder().method(method).uri(path).header(HOST, self.host()).header(USER_AGENT, AGENT);
        if !headers.iter().any(|(name, _)| name == ACCEPT) {
            request = request.header(ACCEPT, "application/json");
        }
        if let Some(token) = self.token() {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if let Some((content_type, _)) = &body {
            request = request.header(CONTENT_TYPE, *content_type);
        }
        let body = Full::new(Bytes::from(body.map(|(_, body)| body).unwrap_or_default()));
        let mut request = request.body(body)?;
        let failed = |source| ClientError::Protocol { address: self.address(), source };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                // Closed meanwhile, before anything of the request was sent.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failed(error.into_error())),
                },
            }
        }
        let mut sender = self.open().await?;
        let response = sender.send_request(request).await.map_err(failed)?;
        Ok((response, sender))
    }

    async fn open(&self) -> Result<Sender, ClientError> {
        let io = TokioIo::new(self.connect().await?);
        let opened = http1::handshake(io).await;
        let (sender, connection) =
            opened.map_err(|source| ClientError::Protocol { address: self.address(), source })?;
        tokio::spawn(async move {
            // What goes wrong is told to whoever waits for the answer.
            if let Err(error) = connection.await {
                tracing::debug!("connection: {error}");
            }
        });
        Ok(sender)
    }

    /// Its answer was taken whole.
    fn keep(&self, sender: Sender) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        match &self.place {
            Place::Socket(path) => by_socket(path).await,
            Place::Remote(config) => by_kubeconfig(config).await,
        }
    }

    fn host(&self) -> String {
        match &self.place {
            Place::Socket(_) => "localhost".to_owned(),
            Place::Remote(config) if config.host.contains(':') => {
                format!("[{}]:{}", config.host, config.port)
            }
            Place::Remote(config) => format!("{}:{}", config.host, config.port),
        }
    }

    fn address(&self) -> String {
        match &self.place {
            Place::Socket(path) => path.display().to_string(),
            Place::Remote(_) => self.host(),
        }
    }

    fn token(&self) -> Option<&str> {
        match &self.place {
            Place::Socket(_) => None,
            Place::Remote(config) => config.token.as_deref(),
        }
    }
}

impl Parts {
    /// The next part; `None` at the end. Safe to cancel.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|source| ClientError::Cut { path: self.path.clone(), source })?;
            // Trailers say nothing.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

async fn refuse_failure(response: Response<Incoming>, path: &str) -> Result<Response<Incoming>, ClientError> {
    let code = response.status().as_u16();
    if code < 400 {
        return Ok(response);
    }
    let body = whole(response.into_body(), path).await?;
    let status: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let message = match status["message"].as_str() {
        Some(message) => message.to_owned(),
        None => format!("the server answered {code}: {}", String::from_utf8_lossy(&body).trim()),
    };
    let reason = status["reason"].as_str().unwrap_or_default().to_owned();
    Err(ClientError::Status { code, reason, message, status })
}

async fn whole(body: Incoming, path: &str) -> Result<Bytes, ClientError> {
    let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| match error.downcast() {
        Ok(cut) => ClientError::Cut { path: path.to_owned(), source: *cut },
        Err(_) => ClientError::TooLarge { path: path.to_owned(), bytes_max: ANSWER_BYTES_MAX },
    })
}

/// `299 - "text"`, as in RFC 7234 5.5.
fn warning_text(header: &str) -> Option<String> {
    let quoted = header.strip_prefix("299 ")?.split_once(' ')?.1;
    let text = quoted.strip_prefix('"')?.strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::warning_text;

    #[test]
    fn warnings_are_taken_from_their_header() {
        assert_eq!(warning_text(r#"299 - "spec.x: \"a\" is odd""#).as_deref(), Some(r#"spec.x: "a" is odd"#));
        assert_eq!(warning_text("199 - \"other\""), None);
        assert_eq!(warning_text("299"), None);
    }
}
