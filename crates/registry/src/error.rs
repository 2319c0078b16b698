//! What went wrong with a registry: where, why, and what to do. No text here has a credential, a token or the query of a
//! URL, which may be one.

use std::fmt;
use std::time::Duration;

use crate::hosts::HostsError;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The registry has no such thing.
    NotFound,
    /// The registry refuses what it was asked with these credentials.
    Denied,
    /// No endpoint could be reached, or none was able to answer: later it may be.
    Unavailable,
    /// What came is not what was promised.
    Corrupt,
    /// It is of a kind that is not supported.
    Unsupported,
    /// Our own configuration forbids it, or cannot be used.
    Refused,
}

/// Why something did not come from a registry: what each endpoint said.
#[derive(Debug)]
pub struct Error {
    pub(crate) what: String,
    /// Of all endpoints and credentials, in the order in which they were tried; never empty.
    pub(crate) failures: Vec<Failure>,
}

/// Of one endpoint with one credential.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Without its query; empty before there is one.
    pub(crate) url: String,
    pub(crate) problem: Problem,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{0}")]
    Hosts(HostsError),
    #[error("{0}")]
    Configuration(String),
    #[error(
        "no endpoint is configured to be asked for this: add `pull` and `resolve` to the capabilities in hosts.toml"
    )]
    NoEndpoint,
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("{0}")]
    Untrusted(String),
    #[error("the server does not speak TLS; when plain HTTP is right, give it as `http://` in hosts.toml")]
    PlainHttp,
    #[error("no byte came for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    #[error("the connection was cut: {0}")]
    Cut(String),
    #[error("{}", said(*status, message))]
    Status { status: u16, message: String, retry_after: Option<Duration> },
    #[error("{0}")]
    Redirect(String),
    #[error("{0}")]
    Wrong(String),
    #[error("{0}")]
    Unsupported(String),
}

fn said(status: u16, message: &str) -> String {
    let reason =
        http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let said = if message.is_empty() { String::new() } else { format!(": {message}") };
    format!("the registry answers {status} {reason}{said}")
}

impl Problem {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Hosts(_)
            | Self::Configuration(_)
            | Self::NoEndpoint
            | Self::Untrusted(_)
            | Self::PlainHttp => Kind::Refused,
            Self::Connect(_) | Self::Stalled(_) | Self::Cut(_) => Kind::Unavailable,
            Self::Status { status: 404 | 410, .. } => Kind::NotFound,
            Self::Status { status: 408 | 429 | 500.., .. } => Kind::Unavailable,
            Self::Status { status: 400.., .. } => Kind::Denied,
            Self::Status { .. } | Self::Redirect(_) | Self::Wrong(_) => Kind::Corrupt,
            Self::Unsupported(_) => Kind::Unsupported,
        }
    }
}

impl Error {
    pub(crate) fn new(what: String, url: String, problem: Problem) -> Self {
        Self { what, failures: vec![Failure { url, problem }] }
    }

    /// Of the last endpoint, which is the registry itself unless mirrors alone are configured. What one credential
    /// found missing is missing, whatever the registry said to others.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let Some(last) = self.failures.last() else { return Kind::Unavailable };
        let kinds = || {
            self.failures
                .iter()
                .filter(|failure| failure.url == last.url)
                .map(|failure| failure.problem.kind())
        };
        kinds().find(|kind| *kind == Kind::NotFound).or_else(|| kinds().next()).unwrap_or(Kind::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let mut separator = ": ";
        for (index, failure) in self.failures.iter().enumerate() {
            // Several credentials were told the same.
            let text = failure.to_string();
            if self.failures[..index].iter().any(|earlier| earlier.to_string() == text) {
                continue;
            }
            write!(f, "{separator}{text}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.url.is_empty() {
            write!(f, "{}: ", self.url)?;
        }
        write!(f, "{}", self.problem)
    }
}
