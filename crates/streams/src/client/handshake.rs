//! The HTTP request that becomes a WebSocket.

use http::HeaderMap;

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
        status: http::StatusCode,
        /// The beginning of the answer.
        body: Vec<u8>,
    },
    /// The answer is no WebSocket of the protocol that was asked for.
    #[error("the server does not speak {protocol} here; it may be older than Kubernetes 1.30")]
    Protocol {
        /// What was asked for.
        protocol: &'static str,
    },
    /// The connection ended during the session.
    #[error("lost the connection to the server")]
    Lost,
}
