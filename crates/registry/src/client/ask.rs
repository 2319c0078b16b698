//! One endpoint with one credential: challenges, tokens, and attempts.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Response, Url};

use super::challenge::{self, Challenge};
use super::manifest::{self, Manifest, Target};
use super::stream::Stream;
use super::token::{self, Key};
use super::{Shared, answer, retry};
use crate::credentials::Credential;
use crate::digest::Digest;
use crate::error::Problem;
use crate::hosts::Endpoint;
use crate::reference::is_tag;
use crate::transport::{Question, same_server, shown};

/// Where something is asked for, and as whom.
pub(super) struct Place<'p> {
    pub(super) endpoint: &'p Endpoint,
    /// Of the repository.
    pub(super) path: &'p str,
    pub(super) credential: &'p Credential,
    /// Whether it is to be asked patiently: it is the registry itself, or nothing comes after it.
    pub(super) may_wait: bool,
}

/// What is asked for.
pub(super) enum Wanted<'w> {
    Manifest(&'w Target),
    /// The blob of so many bytes, from one on.
    Blob {
        digest: Digest,
        from: u64,
        bytes: u64,
    },
}

pub(super) enum Got {
    Manifest(Manifest),
    Stream(Stream),
}

/// With whether the endpoint was told who asks.
pub(super) enum Outcome {
    Got(Got, bool),
    Failed(Problem, bool),
}

impl Wanted<'_> {
    pub(super) fn is_tag(&self) -> bool {
        matches!(self, Self::Manifest(Target::Tag(_)))
    }

    fn url(&self, place: &Place<'_>) -> Result<Url, Problem> {
        let text = match self {
            Self::Manifest(Target::Tag(tag)) if !is_tag(tag) => {
                return Err(Problem::Configuration(format!("{tag:?} is no tag")));
            }
            Self::Manifest(target) => format!("{}/{}/manifests/{target}", place.endpoint.url, place.path),
            Self::Blob { digest, .. } => format!("{}/{}/blobs/{digest}", place.endpoint.url, place.path),
        };
        let url = Url::parse(&text).ok().filter(|url| url.host_str().is_some());
        let mut url = url.ok_or_else(|| {
            Problem::Configuration(format!("{} is no URL of a registry", place.endpoint.url))
        })?;
        if let Some(namespace) = &place.endpoint.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        Ok(url)
    }

    fn headers(&self) -> HeaderMap {
        match self {
            Self::Manifest(_) => manifest::headers(),
            Self::Blob { from: 0, .. } => HeaderMap::new(),
            Self::Blob { from, .. } => {
                let range = HeaderValue::try_from(format!("bytes={from}-"));
                range.map(|range| HeaderMap::from_iter([(header::RANGE, range)])).unwrap_or_default()
            }
        }
    }
}

/// Until there is an answer, or no attempt is left. `challenge` is what is known of the endpoint's, and becomes what it
/// says.
pub(super) async fn ask(
    shared: &Shared,
    place: &Place<'_>,
    wanted: &Wanted<'_>,
    challenge: &mut Option<Challenge>,
) -> Outcome {
    let limits = shared.transport.limits();
    let attempts_max =
        if place.may_wait { limits.attempts } else { limits.attempts.min(limits.attempts_of_mirror) };
    let mut attempt = 1;
    loop {
        let mut was_told = false;
        let problem = match once(shared, place, wanted, challenge, &mut was_told).await {
            Ok(got) => return Outcome::Got(got, was_told),
            Err(problem) => problem,
        };
        let Some(pause) = retry::pause(&problem, attempt, attempts_max, place.may_wait, limits) else {
            return Outcome::Failed(problem, was_told);
        };
        tracing::debug!(
            endpoint = place.endpoint.url,
            attempt,
            ?pause,
            "a registry is asked again: {problem}"
        );
        tokio::time::sleep(pause).await;
        attempt += 1;
    }
}

async fn once(
    shared: &Shared,
    place: &Place<'_>,
    wanted: &Wanted<'_>,
    challenge: &mut Option<Challenge>,
    was_told: &mut bool,
) -> Result<Got, Problem> {
    let mut question = Question::get(wanted.url(place)?);
    question.headers = wanted.headers();
    let response = authorized(shared, place, &mut question, challenge, was_told).await?;
    if !response.status().is_success() {
        if let (StatusCode::RANGE_NOT_SATISFIABLE, Wanted::Blob { from, bytes, .. }) =
            (response.status(), wanted)
        {
            return Err(Problem::Wrong(format!(
                "the registry has nothing after byte {from} of the promised {bytes}"
            )));
        }
        let who = if same_server(response.url(), &question.url) {
            "the registry".to_owned()
        } else {
            format!("{}, where the registry redirects to,", shown(response.url()))
        };
        return Err(answer::problem(&shared.transport, response, &who).await);
    }
    answer::check_coding(response.headers())?;
    match wanted {
        Wanted::Blob { from, bytes, .. } => Stream::new(response, *from, *bytes).map(Got::Stream),
        Wanted::Manifest(target) => {
            let (headers, bytes) =
                answer::body(&shared.transport, response, manifest::BYTES_MAX, "the manifest").await?;
            manifest::check(target, &headers, bytes).map(Got::Manifest)
        }
    }
}

/// The answer to somebody whom the registry knows, if it wants to know: a challenge is answered once, so that a token
/// which has expired is replaced.
async fn authorized(
    shared: &Shared,
    place: &Place<'_>,
    question: &mut Question,
    challenge: &mut Option<Challenge>,
    was_told: &mut bool,
) -> Result<Response, Problem> {
    for is_second in [false, true] {
        *was_told = tells(challenge.as_ref(), place.credential);
        question.authorization = authorization(shared, place, challenge.as_ref()).await?;
        let response = shared.transport.send(place.endpoint, question).await?;
        let asked = response.url().clone();
        // Who asks there is not the registry, and gets no token of its.
        let is_registry = same_server(&asked, &question.url);
        if response.status() != StatusCode::UNAUTHORIZED || !is_registry || is_second {
            return Ok(response);
        }
        if let Some(token) = &question.authorization {
            shared.tokens.forget(token);
        }
        match challenge::choose(&asked, response.headers()) {
            Ok(chosen) => *challenge = Some(chosen),
            // It was said before, and the token has ended.
            Err(_) if challenge.is_some() && !response.headers().contains_key(header::WWW_AUTHENTICATE) => {}
            Err(problem) => return Err(problem),
        }
        if question.authorization.is_none() && !answers(challenge.as_ref(), place.credential) {
            return Ok(response);
        }
    }
    unreachable!("the second answer is returned")
}

/// Whether something is sent for the challenge.
fn answers(challenge: Option<&Challenge>, credential: &Credential) -> bool {
    tells(challenge, credential) || matches!(challenge, Some(Challenge::Bearer { .. }))
}

/// Whether it says who asks.
fn tells(challenge: Option<&Challenge>, credential: &Credential) -> bool {
    match (challenge, credential) {
        (_, Credential::Anonymous) => false,
        (_, Credential::RegistryToken(_)) | (Some(Challenge::Bearer { .. }), _) => true,
        (Some(Challenge::Basic), _) => matches!(credential, Credential::Basic { .. }),
        (None, _) => false,
    }
}

async fn authorization(
    shared: &Shared,
    place: &Place<'_>,
    challenge: Option<&Challenge>,
) -> Result<Option<HeaderValue>, Problem> {
    match (challenge, place.credential) {
        (_, Credential::RegistryToken(token)) => token::bearer(token).map(Some),
        (None, _) => Ok(None),
        (Some(Challenge::Basic), Credential::Basic { username, password }) => {
            token::basic(username, password).map(Some)
        }
        (Some(Challenge::Basic), _) => Ok(None),
        (Some(Challenge::Bearer { realm, service, scope }), credential) => {
            let own = || format!("repository:{}:pull", place.path);
            let key = Key {
                realm: realm.clone(),
                service: service.clone(),
                scope: scope.clone().unwrap_or_else(own),
                credential: credential.clone(),
            };
            shared.tokens.token(&shared.transport, place.endpoint, &key).await.map(Some)
        }
    }
}
