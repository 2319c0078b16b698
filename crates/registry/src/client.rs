//! The client: what all repositories share.

mod answer;
mod ask;
mod blob;
mod challenge;
mod manifest;
#[cfg(test)]
mod noise;
mod order;
mod pace;
mod repository;
mod retry;
mod stream;
mod token;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::credentials::Candidate;
use crate::error::{Error, Problem};
use crate::hosts::Hosts;
use crate::reference::Reference;
use crate::transport::Transport;

use token::Tokens;

pub use blob::Blob;
pub use manifest::{Manifest, Target};
pub use repository::Repository;

/// Says what a variable is set to; `&|name| std::env::var(name).ok()` is this process's environment.
pub type Environment<'e> = dyn Fn(&str) -> Option<String> + Sync + 'e;

/// How long things may take, and how often they are tried.
#[derive(Clone, Debug)]
pub struct Limits {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Without a byte.
    pub stall: Duration,
    /// Fewer bytes than `slow_bytes_min` within so much time of waiting are as none.
    pub slow_window: Duration,
    pub slow_bytes_min: u64,
    /// Of one request at the last endpoint, and at one that others stand behind.
    pub attempts: u32,
    pub attempts_of_mirror: u32,
    /// The pause after the first attempt; the others double it.
    pub backoff: Duration,
    /// What asks for longer is not tried again.
    pub retry_after_max: Duration,
    /// How often a blob goes on in all, and after how many bytes its attempts are counted anew.
    pub resumes_max: u32,
    pub progress_bytes_min: u64,
    /// A number from 0 to 1.
    pub jitter: fn() -> f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            slow_window: Duration::from_secs(60),
            slow_bytes_min: 64 << 10,
            attempts: 5,
            attempts_of_mirror: 2,
            backoff: Duration::from_millis(200),
            retry_after_max: Duration::from_secs(30),
            resumes_max: 100,
            progress_bytes_min: 64 << 10,
            jitter: chance,
        }
    }
}

/// The standard library's source of chance is that of its hash maps.
fn chance() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

/// Speaks to registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    hosts: Hosts,
    transport: Transport,
    tokens: Tokens,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("hosts", &self.shared.hosts).finish_non_exhaustive()
    }
}

impl Client {
    /// `environment` says the proxies (`HTTPS_PROXY` and so on) and where certificate authorities are (`SSL_CERT_FILE`,
    /// `SSL_CERT_DIR`). Nothing is opened yet.
    ///
    /// # Errors
    /// When a proxy is given by what is no URL.
    pub fn new(hosts: Hosts, environment: &Environment<'_>) -> Result<Self, Error> {
        Self::with_limits(hosts, environment, Limits::default())
    }

    /// # Errors
    /// As [`Client::new`].
    pub fn with_limits(hosts: Hosts, environment: &Environment<'_>, limits: Limits) -> Result<Self, Error> {
        let transport = Transport::new(environment, limits).map_err(|problem| {
            Error::new(
                "registries cannot be asked".to_owned(),
                String::new(),
                Problem::Configuration(problem),
            )
        })?;
        Ok(Self { shared: Arc::new(Shared { hosts, transport, tokens: Tokens::default() }) })
    }

    /// The repository of `reference`, asked with each of `candidates` in turn and at last anonymously.
    #[must_use]
    pub fn repository(&self, reference: &Reference, candidates: Vec<Candidate>) -> Repository {
        Repository::new(Arc::clone(&self.shared), reference, candidates)
    }
}
