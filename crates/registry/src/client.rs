//! The client: what all repositories share.

mod blob;
mod manifest;
mod repository;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::credentials::Candidate;
use crate::error::{Error, Problem};
use crate::hosts::Hosts;
use crate::reference::Reference;
use crate::transport::Transport;

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
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), stall: Duration::from_secs(30) }
    }
}

/// Speaks to registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    hosts: Hosts,
    transport: Transport,
    limits: Limits,
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
        let transport = Transport::new(environment, limits.clone()).map_err(|problem| {
            Error::new(
                "registries cannot be asked".to_owned(),
                String::new(),
                Problem::Configuration(problem),
            )
        })?;
        Ok(Self { shared: Arc::new(Shared { hosts, transport, limits }) })
    }

    /// The repository of `reference`, asked with each of `candidates` in turn and at last anonymously.
    #[must_use]
    pub fn repository(&self, reference: &Reference, candidates: Vec<Candidate>) -> Repository {
        Repository::new(Arc::clone(&self.shared), reference, candidates)
    }
}
