//! What went wrong with a registry: where, why, and what to do. No text here has a credential, a token or the query of a
//! URL, which may be one.

use std::fmt;
use std::time::Duration;

use crate::hosts::HostsError;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The registry has no such thing, or there is no such registry.
    NotFound,
    /// The registry refuses what it was asked with these credentials.
    Denied,
    /// No endpoint could be reached: later it may be.
    Unavailable,
    /// It was reached and failed: too many requests, errors of its own, connections that were cut or too slow. Later it may
    /// be able to.
    Failing,
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
    /// What to do.
    pub(crate) advice: Option<String>,
}

/// Of one endpoint with one credential.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) endpoint: usize,
    /// Without its query; empty before there is one.
    pub(crate) url: String,
    /// As whom it was asked.
    pub(crate) whom: String,
    pub(crate) problem: Problem,
}

impl Failure {
    pub(crate) fn of(url: String, problem: Problem) -> Self {
        Self { endpoint: 0, url, whom: String::new(), problem }
    }
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
    #[error("{0}")]
    NoName(String),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("{0}")]
    Untrusted(String),
    #[error("the server does not speak TLS; when plain HTTP is right, give it as `http://` in hosts.toml")]
    PlainHttp,
    #[error("no byte came for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    #[error("less than {bytes_min} bytes came within {} s", within.as_secs_f32())]
    Slow { bytes_min: u64, within: Duration },
    #[error("the connection was cut: {0}")]
    Cut(String),
    #[error("{}", said(who, *status, message, *retry_after))]
    Status { who: String, status: u16, message: String, retry_after: Option<Duration> },
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Redirect(String),
    #[error("{0}")]
    Unsafe(String),
    #[error("{0}")]
    Wrong(String),
    #[error("{0}")]
    Unsupported(String),
    #[error("at {url}, where the registry redirects to: {problem}")]
    Elsewhere { url: String, problem: Box<Problem> },
}

fn said(who: &str, status: u16, message: &str, retry_after: Option<Duration>) -> String {
    let reason =
        http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    let later =
        retry_after.map(|after| format!(" (to be asked again in {} s)", after.as_secs())).unwrap_or_default();
    format!("{who} answers {status} {reason}{message}{later}")
}

impl Problem {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Hosts(_)
            | Self::Configuration(_)
            | Self::NoEndpoint
            | Self::Untrusted(_)
            | Self::PlainHttp
            | Self::Unsafe(_) => Kind::Refused,
            Self::Connect(_) => Kind::Unavailable,
            Self::Stalled(_) | Self::Slow { .. } | Self::Cut(_) => Kind::Failing,
            Self::NoName(_) | Self::Status { status: 404 | 410, .. } => Kind::NotFound,
            Self::Status { status: 408 | 429 | 500.., .. } => Kind::Failing,
            Self::Status { status: 400.., .. } | Self::Denied(_) => Kind::Denied,
            Self::Status { .. } | Self::Redirect(_) | Self::Wrong(_) => Kind::Corrupt,
            Self::Unsupported(_) => Kind::Unsupported,
            Self::Elsewhere { problem, .. } => problem.kind(),
        }
    }
}

impl Error {
    pub(crate) fn new(what: String, url: String, problem: Problem) -> Self {
        Self { what, failures: vec![Failure::of(url, problem)], advice: None }
    }

    /// Of the registry itself, or of the last mirror if mirrors alone are configured. What one credential found missing
    /// is missing, whatever the registry said to others.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let Some(last) = self.failures.iter().map(|failure| failure.endpoint).max() else {
            return Kind::Unavailable;
        };
        let of_last = self.failures.iter().filter(|failure| failure.endpoint == last);
        let kinds: Vec<Kind> = of_last.map(|failure| failure.problem.kind()).collect();
        if kinds.contains(&Kind::NotFound) {
            Kind::NotFound
        } else {
            kinds.first().copied().unwrap_or(Kind::Unavailable)
        }
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
        self.advice.iter().try_for_each(|advice| write!(f, "; {advice}"))
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.url.is_empty() {
            let whom = if self.whom.is_empty() { String::new() } else { format!(" {}", self.whom) };
            write!(f, "{}{whom}: ", self.url)?;
        }
        write!(f, "{}", self.problem)
    }
}
