//! Which endpoint is asked with which credential, and in what order.

use crate::credentials::{Candidate, Credential};
use crate::error::{Kind, Problem};
use crate::hosts::Endpoint;

/// Indices into the endpoints and the candidates of a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Try {
    pub(super) endpoint: usize,
    pub(super) candidate: usize,
}

/// What answered before, then the endpoints in their order, then those that were wrong before. Credentials are for the
/// registry itself: a mirror is somebody else, and has its own in `hosts.toml`.
pub(super) fn tries(
    endpoints: &[Endpoint],
    candidates: &[Candidate],
    is_tag: bool,
    settled: Option<Try>,
    wrong: &[usize],
) -> Vec<Try> {
    let able =
        |index: &usize| if is_tag { endpoints[*index].can_resolve } else { endpoints[*index].can_pull };
    let mut order: Vec<usize> = (0..endpoints.len()).filter(able).collect();
    order.sort_by_key(|index| wrong.contains(index));
    let mut tries: Vec<Try> =
        settled.into_iter().filter(|settled| order.contains(&settled.endpoint)).collect();
    for endpoint in order {
        for (candidate, own) in candidates.iter().enumerate() {
            let one = Try { endpoint, candidate };
            let is_for_it = !endpoints[endpoint].is_mirror || own.credential == Credential::Anonymous;
            if is_for_it && !tries.contains(&one) {
                tries.push(one);
            }
        }
    }
    // All credentials of an endpoint before the next endpoint, also of the one that comes first for having answered.
    if let Some(settled) = settled {
        tries.sort_by_key(|one| one.endpoint != settled.endpoint);
    }
    tries
}

/// Whether another credential may do better at the same endpoint.
pub(super) fn goes_on(problem: &Problem, was_asked: bool, candidates: &[Candidate]) -> bool {
    // Nobody asked who we are, so that only what is sent unasked makes a difference.
    let differs =
        was_asked || candidates.iter().any(|one| matches!(one.credential, Credential::RegistryToken(_)));
    differs && matches!(problem.kind(), Kind::Denied | Kind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::{Try, goes_on, tries};
    use crate::credentials::{Candidate, Credential, CredentialSource};
    use crate::error::Problem;
    use crate::hosts::{Endpoint, Tls};

    fn endpoint(is_mirror: bool, can_resolve: bool) -> Endpoint {
        Endpoint {
            url: "https://x/v2".to_owned(),
            can_resolve,
            can_pull: true,
            or_plain_http: false,
            tls: Tls::default(),
            headers: Vec::new(),
            is_mirror,
            namespace: None,
            connect_timeout: None,
        }
    }

    fn candidates() -> Vec<Candidate> {
        let basic = Credential::Basic { username: "u".to_owned(), password: "p".to_owned() };
        vec![Candidate { credential: basic, source: CredentialSource::Node }, Candidate::anonymous()]
    }

    fn found(is_tag: bool, settled: Option<Try>, wrong: &[usize]) -> Vec<(usize, usize)> {
        let endpoints = [endpoint(true, true), endpoint(true, false), endpoint(false, true)];
        let tries = tries(&endpoints, &candidates(), is_tag, settled, wrong);
        tries.iter().map(|one| (one.endpoint, one.candidate)).collect()
    }

    #[test]
    fn mirrors_come_first_and_see_no_credentials() {
        assert_eq!(found(false, None, &[]), [(0, 1), (1, 1), (2, 0), (2, 1)]);
        assert_eq!(found(true, None, &[]), [(0, 1), (2, 0), (2, 1)]);
    }

    #[test]
    fn what_answered_comes_before_and_what_was_wrong_after() {
        let settled = Some(Try { endpoint: 2, candidate: 1 });
        assert_eq!(found(false, settled, &[]), [(2, 1), (2, 0), (0, 1), (1, 1)]);
        assert_eq!(found(false, None, &[0]), [(1, 1), (2, 0), (2, 1), (0, 1)]);
        let unable = Some(Try { endpoint: 1, candidate: 1 });
        assert_eq!(found(true, unable, &[]), [(0, 1), (2, 0), (2, 1)]);
    }

    #[test]
    fn another_credential_helps_only_who_was_refused() {
        let status = |status| Problem::Status {
            who: String::new(),
            status,
            message: String::new(),
            retry_after: None,
        };
        for (problem, was_asked, expected) in [
            (status(401), true, true),
            (status(403), true, true),
            (status(404), true, true),
            (status(404), false, false),
            (status(503), true, false),
            (Problem::Cut(String::new()), true, false),
            (Problem::Wrong(String::new()), true, false),
        ] {
            assert_eq!(goes_on(&problem, was_asked, &candidates()), expected, "{problem}");
        }
        let token = [Candidate {
            credential: Credential::RegistryToken("t".to_owned()),
            source: CredentialSource::Node,
        }];
        assert!(goes_on(&status(404), false, &token));
    }
}
