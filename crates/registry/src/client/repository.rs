//! One repository: its endpoints and credentials in order, until one answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::ask::{Got, Outcome, Place, Wanted};
use super::challenge::Challenge;
use super::manifest::{Manifest, Target};
use super::order::{self, Try};
use super::stream::Stream;
use super::{Blob, Limits, Shared, ask};
use crate::credentials::{Candidate, CredentialSource};
use crate::digest::Digest;
use crate::error::{Error, Failure, Kind, Problem};
use crate::hosts::Endpoint;
use crate::reference::Reference;
use crate::transport::shown;

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
    learned: Mutex<Learned>,
}

#[derive(Default)]
struct Learned {
    /// What answered last.
    settled: Option<Try>,
    /// Whose credential was needed for anything so far.
    answered: Option<Candidate>,
    /// How each endpoint wants to be told who asks.
    challenges: BTreeMap<usize, Challenge>,
    /// Endpoints that sent what was not asked for; they are asked last.
    wrong: Vec<usize>,
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
                learned: Mutex::default(),
            }),
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.inner.domain, self.inner.path)
    }

    /// The manifest or index, of at most 4 MiB and, when it is asked for by digest, of that digest. Endpoints are asked
    /// in their order, the registry itself with each credential in turn; what answered before comes first.
    ///
    /// # Errors
    /// When none has it; [`Error::kind`] says why.
    pub async fn manifest(&self, target: &Target) -> Result<Manifest, Error> {
        let separator = if matches!(target, Target::Tag(_)) { ':' } else { '@' };
        let what = || format!("cannot get the manifest {}{separator}{target}", self.name());
        match self.walk(&Wanted::Manifest(target), &what).await? {
            (Got::Manifest(manifest), _) => Ok(manifest),
            (Got::Stream(_), _) => unreachable!("a manifest was asked for"),
        }
    }

    /// A blob of so many bytes, as its descriptor says.
    ///
    /// # Errors
    /// When no endpoint has it; [`Error::kind`] says why.
    pub async fn blob(&self, digest: Digest, bytes: u64) -> Result<Blob, Error> {
        let stream = self.open(digest, 0, bytes).await?;
        Ok(Blob::new(self.clone(), digest, bytes, stream))
    }

    /// Whose credential the registry took, once it has answered: what may be had by anybody counts less than what needed a
    /// credential of the node's, and that less than what needed a secret.
    #[must_use]
    pub fn answered(&self) -> Option<Candidate> {
        self.learned().answered.clone()
    }

    pub(super) fn limits(&self) -> &Limits {
        self.inner.shared.transport.limits()
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.inner.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The blob from byte `from` on.
    pub(super) async fn open(&self, digest: Digest, from: u64, bytes: u64) -> Result<Stream, Error> {
        let what = || self.of_blob(digest);
        match self.walk(&Wanted::Blob { digest, from, bytes }, &what).await? {
            (Got::Stream(mut stream), endpoint) => {
                stream.endpoint = endpoint;
                Ok(stream)
            }
            (Got::Manifest(_), _) => unreachable!("a blob was asked for"),
        }
    }

    fn of_blob(&self, digest: Digest) -> String {
        format!("cannot get the blob {digest} of {}", self.name())
    }

    /// A blob failed while it came from there.
    pub(super) fn failed(&self, digest: Digest, stream: Option<&Stream>, problem: Problem) -> Error {
        let endpoint = stream.map(|stream| stream.endpoint).filter(|_| problem.kind() == Kind::Corrupt);
        endpoint.into_iter().for_each(|endpoint| self.distrust(endpoint));
        let url = stream.map(|stream| shown(stream.url())).unwrap_or_default();
        Error::new(self.of_blob(digest), url, problem)
    }

    fn distrust(&self, endpoint: usize) {
        let mut learned = self.learned();
        learned.settled = learned.settled.filter(|settled| settled.endpoint != endpoint);
        if !learned.wrong.contains(&endpoint) {
            learned.wrong.push(endpoint);
        }
    }

    fn endpoints(&self) -> Result<&[Endpoint], Problem> {
        if let Some(endpoints) = self.inner.endpoints.get() {
            return Ok(endpoints);
        }
        let endpoints = self.inner.shared.hosts.endpoints(&self.inner.domain).map_err(Problem::Hosts)?;
        Ok(self.inner.endpoints.get_or_init(|| endpoints))
    }

    /// What was wanted, and the endpoint that gave it.
    async fn walk(
        &self,
        wanted: &Wanted<'_>,
        what: &(dyn Fn() -> String + Sync),
    ) -> Result<(Got, usize), Error> {
        let endpoints = self.endpoints().map_err(|problem| Error::new(what(), String::new(), problem))?;
        let tries = {
            let learned = self.learned();
            order::tries(endpoints, &self.inner.candidates, wanted.is_tag(), learned.settled, &learned.wrong)
        };
        let mut error = Error { what: what(), failures: Vec::new(), advice: None };
        let mut given_up: Vec<usize> = Vec::new();
        for (number, one) in tries.iter().enumerate() {
            if given_up.contains(&one.endpoint) {
                continue;
            }
            let endpoint = &endpoints[one.endpoint];
            let is_last = tries[number..].iter().all(|other| other.endpoint == one.endpoint);
            let may_wait = is_last || !endpoint.is_mirror;
            let (problem, was_told) = match self.ask(endpoint, *one, may_wait, wanted).await {
                Outcome::Got(got, was_told) => {
                    self.settle(*one, endpoint, was_told);
                    return Ok((got, one.endpoint));
                }
                Outcome::Failed(problem, was_told) => (problem, was_told),
            };
            let was_asked = was_told || self.learned().challenges.contains_key(&one.endpoint);
            if !order::goes_on(&problem, was_asked, &self.inner.candidates) {
                given_up.push(one.endpoint);
            }
            let whom =
                if was_told { whom(&self.inner.candidates[one.candidate].source) } else { String::new() };
            // That nobody may read is no news after what somebody was told.
            let is_news = was_told
                || problem.kind() != Kind::Denied
                || error.failures.iter().all(|failure| failure.endpoint != one.endpoint);
            if !is_news {
                continue;
            }
            error.failures.push(Failure {
                endpoint: one.endpoint,
                url: self.inner.shared.transport.spoken(endpoint),
                whom,
                problem,
            });
        }
        if error.failures.is_empty() {
            error.failures.push(Failure::of(String::new(), Problem::NoEndpoint));
        }
        if error.kind() == Kind::Denied {
            error.advice = Some(self.advice());
        }
        Err(error)
    }

    fn advice(&self) -> String {
        let domain = &self.inner.domain;
        if self.inner.candidates.len() > 1 {
            return format!("check that the credentials for {domain} may read {}", self.inner.path);
        }
        format!(
            "it may not exist, or need credentials: log in on this machine with `docker login {domain}`, or name a \
             pull secret in imagePullSecrets"
        )
    }

    async fn ask(&self, endpoint: &Endpoint, one: Try, may_wait: bool, wanted: &Wanted<'_>) -> Outcome {
        let challenge = self.learned().challenges.get(&one.endpoint).cloned();
        let place = Place {
            endpoint,
            path: &self.inner.path,
            credential: &self.inner.candidates[one.candidate].credential,
            may_wait,
        };
        let mut known = challenge.clone();
        let outcome = ask::ask(&self.inner.shared, &place, wanted, &mut known).await;
        if let Some(known) = known.filter(|known| challenge.as_ref() != Some(known)) {
            self.learned().challenges.insert(one.endpoint, known);
        }
        outcome
    }

    fn settle(&self, one: Try, endpoint: &Endpoint, was_told: bool) {
        let candidate = if was_told {
            self.inner.candidates[one.candidate].clone()
        } else if endpoint.headers.iter().any(|header| header.name.eq_ignore_ascii_case("authorization")) {
            // hosts.toml has a credential of the node's.
            Candidate { source: CredentialSource::Node, ..Candidate::anonymous() }
        } else {
            Candidate::anonymous()
        };
        let mut learned = self.learned();
        learned.settled = Some(one);
        let needs_more = learned.answered.as_ref().is_none_or(|known| weight(&candidate) > weight(known));
        if needs_more {
            learned.answered = Some(candidate);
        }
    }
}

fn weight(candidate: &Candidate) -> u8 {
    match candidate.source {
        CredentialSource::Anonymous => 0,
        CredentialSource::Node => 1,
        CredentialSource::Secret { .. } => 2,
    }
}

fn whom(source: &CredentialSource) -> String {
    match source {
        CredentialSource::Anonymous => String::new(),
        CredentialSource::Node => "with the node's credentials".to_owned(),
        CredentialSource::Secret { namespace, name, .. } => format!("with the secret {namespace}/{name}"),
    }
}
