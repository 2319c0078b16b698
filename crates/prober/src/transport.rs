//! One connection for one request, driven by the future that waits for the answer.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::dial::{Dial, Place, Pod};
use crate::error::{errno, io_source, read_error};
use crate::tap::Tap;
use crate::url::Url;
use crate::{http1, http2, tls};

/// A head that is longer ends the request.
pub(crate) const HEAD_BYTES_MAX: usize = 256 << 10;

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// TCP, or TLS over it.
pub(crate) type Stream = Box<dyn Duplex>;

/// Its two ends, for texts.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    local: Option<SocketAddr>,
    peer: String,
}

impl Ends {
    pub(crate) fn of(stream: &TcpStream, peer: String) -> Self {
        Self { local: stream.local_addr().ok(), peer }
    }

    /// What the system says of the connection, if that is why something failed.
    pub(crate) fn failure(&self, error: &(dyn std::error::Error + 'static)) -> Option<String> {
        let source = io_source(error)?;
        match (source.kind(), self.local) {
            (std::io::ErrorKind::BrokenPipe, Some(local)) => {
                Some(format!("write tcp {local}->{}: write: {}", self.peer, errno(source)))
            }
            _ => Some(read_error(source, self.local, &self.peer)),
        }
    }
}

/// How TLS is spoken, when it is.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) handshake_max: Option<Duration>,
}

/// Sends `GET` and waits for the head of the answer. `headers` are complete but for what the version of HTTP adds.
pub(crate) async fn get<D: Dial>(
    pod: &Pod<D>,
    place: Place<'_>,
    url: &Url,
    headers: HeaderMap,
    tls: Tls,
) -> Result<Response, String> {
    let is_https = match url.scheme.as_str() {
        "http" => false,
        "https" => true,
        other => return Err(format!("unsupported protocol scheme {}", crate::error::quote(other))),
    };
    if url.authority.is_empty() || url.opaque.is_some() {
        return Err("http: no Host in request URL".to_owned());
    }
    let port = url.port()?;
    let tcp = pod.connect(place, port).await?;
    let ends = Ends::of(&tcp, pod.authority(place, port));
    if !is_https {
        return http1::get(Box::new(tcp), ends, url, headers).await;
    }
    let (stream, is_http2) = handshake(tcp, &ends, url.host(), tls).await?;
    if is_http2 {
        http2::get(stream, ends, url, headers).await
    } else {
        http1::get(stream, ends, url, headers).await
    }
}

async fn handshake(tcp: TcpStream, ends: &Ends, host: &str, tls: Tls) -> Result<(Stream, bool), String> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| format!("tls: invalid server name {host}"))?;
    let (tap, head) = Tap::new(tcp);
    let connecting = TlsConnector::from(tls.config).connect(name, tap);
    let connected = match tls.handshake_max {
        None => connecting.await,
        Some(max) => match tokio::time::timeout(max, connecting).await {
            Ok(connected) => connected,
            Err(_) => return Err("net/http: TLS handshake timeout".to_owned()),
        },
    };
    match connected {
        Ok(stream) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2);
            Ok((Box::new(stream), is_http2))
        }
        Err(error) => Err(match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => tls::failure(error, &head),
            None if error.kind() == std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
            None => ends.failure(&error).unwrap_or_else(|| error.to_string()),
        }),
    }
}

/// What reads and writes a connection, as long as somebody waits for something of it.
pub(crate) struct Driver(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Driver {
    pub(crate) fn new(connection: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(connection)))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_none()
    }

    /// Moves the connection on until `work` is done.
    pub(crate) async fn run<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| {
            self.poll(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    pub(crate) fn poll(&mut self, cx: &mut std::task::Context<'_>) {
        if self.0.as_mut().is_some_and(|connection| connection.as_mut().poll(cx) == Poll::Ready(())) {
            self.0 = None;
        }
    }
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

pub(crate) struct Body {
    pub(crate) source: Source,
    pub(crate) driver: Driver,
    pub(crate) ends: Ends,
}

pub(crate) enum Source {
    Http1(hyper::body::Incoming),
    Http2(h2::RecvStream),
}

impl Body {
    /// Its beginning. What is longer is cut off, which is no error.
    pub(crate) async fn read(&mut self, bytes_max: usize) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        while bytes.len() < bytes_max {
            let Some(part) = self.next().await? else { break };
            bytes.extend_from_slice(&part[..part.len().min(bytes_max - bytes.len())]);
        }
        Ok(bytes)
    }

    async fn next(&mut self) -> Result<Option<Bytes>, String> {
        match &mut self.source {
            Source::Http1(body) => loop {
                match self.driver.run(body.frame()).await {
                    None => return Ok(None),
                    Some(Err(error)) => return Err(http1::body_failure(&error, &self.ends)),
                    // Trailers say nothing here.
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => return Ok(Some(data)),
                        Err(_) => continue,
                    },
                }
            },
            Source::Http2(body) => match self.driver.run(body.data()).await {
                None => Ok(None),
                Some(Err(error)) => Err(http2::failure(&error, &self.ends)),
                Some(Ok(data)) => {
                    // An error is one of the connection, and comes with the next part.
                    let _ = body.flow_control().release_capacity(data.len());
                    Ok(Some(data))
                }
            },
        }
    }
}
