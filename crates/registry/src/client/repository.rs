//! One repository: its endpoints and credentials in order, until one answers.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::{Response, Url};

use super::manifest::{self, Manifest, Target};
use super::{Blob, Shared};
use crate::credentials::Candidate;
use crate::digest::Digest;
use crate::error::{Error, Failure, Problem};
use crate::hosts::Endpoint;
use crate::reference::Reference;
use crate::transport::{Question, innermost, shown};

/// A repository, with those who may read it. Clones share what was learned: which endpoint and credential answered.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    domain: String,
    path: String,
    candidates: Vec<Candidate>,
    endpoints: OnceLock<Vec<Endpoint>>,
    answered: Mutex<Option<Answered>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Answered {
    endpoint: usize,
    candidate: usize,
}

/// What is asked for.
pub(super) enum Wanted<'w> {
    Manifest(&'w Target),
    Blob { digest: Digest },
}

pub(super) enum Got {
    Manifest(Manifest),
    Stream(Response),
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Repository {
    pub(super) fn new(shared: Arc<Shared>, reference: &Reference, mut candidates: Vec<Candidate>) -> Self {
        if !candidates.contains(&Candidate::anonymous()) {
            candidates.push(Candidate::anonymous());
        }
        Self {
            inner: Arc::new(Inner {
                shared,
                domain: reference.domain.clone(),
                path: reference.path.clone(),
                candidates,
                endpoints: OnceLock::new(),
                answered: Mutex::default(),
            }),
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.inner.domain, self.inner.path)
    }

    /// The manifest or index. Endpoints are asked in their order with each credential in turn, those that answered
    /// before come first.
    ///
    /// # Errors
    /// When none has it; [`Error::kind`] says why.
    pub async fn manifest(&self, target: &Target) -> Result<Manifest, Error> {
        let separator = if matches!(target, Target::Tag(_)) { ':' } else { '@' };
        let what = || format!("cannot get the manifest {}{separator}{target}", self.name());
        match self.walk(&Wanted::Manifest(target), &what).await? {
            Got::Manifest(manifest) => Ok(manifest),
            Got::Stream(_) => unreachable!("a manifest was asked for"),
        }
    }

    /// A blob of so many bytes, as its descriptor says.
    ///
    /// # Errors
    /// When no endpoint has it; [`Error::kind`] says why.
    pub async fn blob(&self, digest: Digest, bytes: u64) -> Result<Blob, Error> {
        let response = self.open(digest).await?;
        Ok(Blob::new(self.clone(), digest, bytes, response))
    }

    /// Whose credential the registry took, once it has answered.
    #[must_use]
    pub fn answered(&self) -> Option<Candidate> {
        let answered = *self.inner.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.map(|answered| self.inner.candidates[answered.candidate].clone())
    }

    pub(super) async fn open(&self, digest: Digest) -> Result<Response, Error> {
        let what = || format!("cannot get the blob {digest} of {}", self.name());
        match self.walk(&Wanted::Blob { digest }, &what).await? {
            Got::Stream(response) => Ok(response),
            Got::Manifest(_) => unreachable!("a blob was asked for"),
        }
    }

    pub(super) fn error(&self, digest: Digest, url: &Url, problem: Problem) -> Error {
        Error::new(format!("cannot get the blob {digest} of {}", self.name()), shown(url), problem)
    }

    pub(super) fn stall(&self) -> std::time::Duration {
        self.inner.shared.limits.stall
    }

    fn endpoints(&self) -> Result<&[Endpoint], Problem> {
        if let Some(endpoints) = self.inner.endpoints.get() {
            return Ok(endpoints);
        }
        let endpoints = self.inner.shared.hosts.endpoints(&self.inner.domain).map_err(Problem::Hosts)?;
        Ok(self.inner.endpoints.get_or_init(|| endpoints))
    }

    async fn walk(&self, wanted: &Wanted<'_>, what: &(dyn Fn() -> String + Sync)) -> Result<Got, Error> {
        let endpoints = self.endpoints().map_err(|problem| Error::new(what(), String::new(), problem))?;
        let mut failures = Vec::new();
        for (index, endpoint) in endpoints.iter().enumerate() {
            for (candidate, _) in self.inner.candidates.iter().enumerate() {
                match self.once(endpoint, wanted).await {
                    Ok(got) => {
                        let answered = Answered { endpoint: index, candidate };
                        *self.inner.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(answered);
                        return Ok(got);
                    }
                    Err(problem) => failures.push(Failure { url: endpoint.url.clone(), problem }),
                }
            }
        }
        if failures.is_empty() {
            failures.push(Failure { url: String::new(), problem: Problem::NoEndpoint });
        }
        Err(Error { what: what(), failures })
    }

    async fn once(&self, endpoint: &Endpoint, wanted: &Wanted<'_>) -> Result<Got, Problem> {
        let path = match wanted {
            Wanted::Manifest(target) => format!("manifests/{target}"),
            Wanted::Blob { digest, .. } => format!("blobs/{digest}"),
        };
        let url = format!("{}/{}/{path}", endpoint.url, self.inner.path);
        let url =
            Url::parse(&url).map_err(|error| Problem::Configuration(format!("{url} is no URL: {error}")))?;
        let mut question = Question::get(url);
        if let Wanted::Manifest(_) = wanted {
            question.headers = manifest::headers();
        }
        let response = self.inner.shared.transport.send(endpoint, &question).await?;
        if response.status() != StatusCode::OK {
            return Err(Problem::Status {
                status: response.status().as_u16(),
                message: String::new(),
                retry_after: None,
            });
        }
        match wanted {
            Wanted::Blob { .. } => Ok(Got::Stream(response)),
            Wanted::Manifest(target) => {
                let (headers, bytes) = self.body(response).await?;
                manifest::check(target, &headers, bytes).map(Got::Manifest)
            }
        }
    }

    async fn body(&self, mut response: Response) -> Result<(HeaderMap, Bytes), Problem> {
        let headers = response.headers().clone();
        let mut bytes = BytesMut::new();
        loop {
            let chunk = tokio::time::timeout(self.stall(), response.chunk()).await;
            let chunk = chunk.map_err(|_| Problem::Stalled(self.stall()))?;
            let Some(chunk) = chunk.map_err(|error| Problem::Cut(innermost(&error)))? else { break };
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > manifest::BYTES_MAX {
                return Err(Problem::Wrong(format!(
                    "the manifest has more than {} bytes",
                    manifest::BYTES_MAX
                )));
            }
        }
        Ok((headers, bytes.freeze()))
    }
}
