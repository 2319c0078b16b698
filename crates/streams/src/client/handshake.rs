//! The HTTP request that becomes a WebSocket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::negotiate::accept_value;
use crate::upgrade::Connection;

/// Bytes of the answer of a server that refuses.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What is asked of the server.
#[derive(Debug, Clone)]
pub struct Target {
    /// For the header `Host`.
    pub host: String,
    /// Path and query, as `/api/v1/namespaces/default/pods/p/exec?command=ls&stdout=true`.
    pub path: String,
    /// Further headers: authorization, user agent.
    pub headers: HeaderMap,
}

/// Why a session could not be had from the server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection broke before there was an answer.
    #[error("cannot ask {host} for {path}")]
    Request {
        /// Who was asked.
        host: String,
        /// For what.
        path: String,
        /// What hyper says.
        source: hyper::Error,
    },
    /// The path or host cannot be put into a request.
    #[error("{path:?} at {host:?} is no request")]
    Target {
        /// As given.
        host: String,
        /// As given.
        path: String,
        /// What is wrong with it.
        source: http::Error,
    },
    /// The server refused; the body is a Status if it is JSON.
    #[error("the server answered {status}: {}", String::from_utf8_lossy(body))]
    Refused {
        /// Instead of 101.
        status: StatusCode,
        /// The beginning of the answer.
        body: Vec<u8>,
    },
    /// The answer is no WebSocket of the protocol that was asked for.
    #[error("the server does not speak {protocol} here; it may be older than Kubernetes 1.30")]
    Protocol {
        /// What was asked for.
        protocol: &'static str,
    },
    /// What the command wrote could not be passed on.
    #[error("cannot write the command's output")]
    Output {
        /// Of the output.
        source: std::io::Error,
    },
    /// The machine gives no random bytes.
    #[error("cannot get random bytes for the request")]
    Random,
    /// The connection ended during the session.
    #[error("lost the connection to the server")]
    Lost,
}

/// Asks for a WebSocket with this subprotocol, and returns the connection when the server agrees.
pub(super) async fn handshake(
    io: impl Connection,
    target: &Target,
    protocol: &'static str,
) -> Result<TokioIo<Upgraded>, ClientError> {
    let mut nonce = [0; 16];
    SystemRandom::new().fill(&mut nonce).map_err(|_| ClientError::Random)?;
    let key = STANDARD.encode(nonce);
    let request = request(target, protocol, &key)?;
    let failed =
        |source| ClientError::Request { host: target.host.clone(), path: target.path.clone(), source };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(failed)?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await.map_err(failed)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(response).await);
    }
    let accept = accept_value(key.as_bytes());
    let is_ours = response.headers().get(SEC_WEBSOCKET_ACCEPT) == Some(&accept)
        && response.headers().get(SEC_WEBSOCKET_PROTOCOL).is_some_and(|chosen| chosen == protocol);
    if !is_ours {
        return Err(ClientError::Protocol { protocol });
    }
    hyper::upgrade::on(response).await.map(TokioIo::new).map_err(failed)
}

fn request(target: &Target, protocol: &'static str, key: &str) -> Result<Request<Empty<Bytes>>, ClientError> {
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(&target.path)
        .header(HOST, &target.host)
        .header(SEC_WEBSOCKET_KEY, key)
        .body(Empty::new())
        .map_err(|source| ClientError::Target {
            host: target.host.clone(),
            path: target.path.clone(),
            source,
        })?;
    let headers = request.headers_mut();
    for (name, value) in &target.headers {
        headers.append(name, value.clone());
    }
    for (name, value) in [
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_PROTOCOL, protocol),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(request)
}

async fn refused(response: Response<Incoming>) -> ClientError {
    let status = response.status();
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    // Without its body the answer still has its status.
    let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    ClientError::Refused { status, body }
}
