//! Who may use an image that is there: whoever could have pulled it
//! (KEP-2535, <https://kubernetes.io/docs/concepts/containers/images/#ensureimagepullcredentialverification>; the policy is
//! `NeverVerifyPreloadedImages`).
//!
//! The rules, for a name whose index entry says that it was pulled; what was loaded or imported is everybody's:
//!
//! * pulled without a credential, or with one of the node's: everybody's on the node;
//! * pulled with pull secrets: theirs who have the same credential, in whatever secret, or the same secret (namespace,
//!   name and UID), whatever is in it by now. Both are noted, so that either is enough the next time;
//! * all others have to pull: from there on the registry decides.
//!
//! What a repository was pulled with says nothing about the same image in another one.
//!
//! Who pulls asks `Store::may_use` when the image is there, and calls `Store::record_access` with what the registry took *before*
//! it writes the name. So no name that was pulled is without its record, whatever dies when; should the record be lost all the
//! same, everybody has to pull. Records of images that are gone are removed with them.

use registry::{Candidate, Credential, CredentialSource, Digest, Reference};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Of one repository; when there are more, the oldest has to pull again.
pub(crate) const SECRETS_MAX: usize = 100;
/// Of one image; likewise.
pub(crate) const REPOSITORIES_MAX: usize = 256;

/// What is on record about one image.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct AccessRecord {
    /// By `DOMAIN/PATH`, in the order in which they were pulled.
    repositories: Vec<(String, Access)>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Access {
    Everybody,
    /// In the order in which they came.
    Secrets(Vec<PullSecretRecord>),
}

/// A pull secret, and the salted hash of the credential that it had.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PullSecretRecord {
    namespace: String,
    name: String,
    uid: String,
    credential: Digest,
}

/// What becomes of a pod that names an image which is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Allowed,
    /// Only the registry can say.
    MustPull,
}

/// Random bytes of one store.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) [u8; SALT_BYTES]);

pub(crate) const SALT_BYTES: usize = 32;

impl PullSecretRecord {
    /// `None` of what is not from a secret.
    pub(crate) fn of(candidate: &Candidate, salt: &Salt) -> Option<Self> {
        let CredentialSource::Secret { namespace, name, uid } = &candidate.source else { return None };
        let credential = hash(&candidate.credential, salt);
        Some(Self { namespace: namespace.clone(), name: name.clone(), uid: uid.clone(), credential })
    }

    fn is_same_secret(&self, other: &Self) -> bool {
        (&self.namespace, &self.name, &self.uid) == (&other.namespace, &other.name, &other.uid)
    }
}

/// Each part with its length before it, so that no two credentials give the same bytes.
fn hash(credential: &Credential, salt: &Salt) -> Digest {
    let (kind, parts): (u8, [&str; 2]) = match credential {
        Credential::Anonymous => (0, ["", ""]),
        Credential::Basic { username, password } => (1, [username, password]),
        Credential::IdentityToken { username, token } => (2, [username, token]),
        Credential::RegistryToken(token) => (3, [token, ""]),
    };
    let mut bytes = Sha256::digest(salt.0).to_vec();
    bytes.push(kind);
    for part in parts {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part.as_bytes());
    }
    Digest::of(&bytes)
}

/// `DOMAIN/PATH`
pub(crate) fn repository_of(reference: &Reference) -> String {
    format!("{}/{}", reference.domain, reference.path)
}

/// Whether a pod with these secrets may use what `record` is about under a name of the repository, and what the
/// record becomes by that, if anything.
pub(crate) fn may_use(
    record: Option<&AccessRecord>,
    repository: &str,
    asking: &[PullSecretRecord],
) -> (Verdict, Option<AccessRecord>) {
    let known = record.and_then(|record| record.repositories.iter().find(|(name, _)| name == repository));
    let secrets = match known {
        None => return (Verdict::MustPull, None),
        Some((_, Access::Everybody)) => return (Verdict::Allowed, None),
        Some((_, Access::Secrets(secrets))) => secrets,
    };
    let has_same = |asks: &&PullSecretRecord| {
        secrets.iter().any(|known| known.credential == asks.credential || known.is_same_secret(asks))
    };
    let Some(asks) = asking.iter().find(has_same) else { return (Verdict::MustPull, None) };
    // Looking is no reason to push out who is on record already.
    let is_new = !secrets.contains(asks) && secrets.len() < SECRETS_MAX;
    let noted = record.filter(|_| is_new).map(|record| pulled(record, repository, Some(asks)));
    (Verdict::Allowed, noted)
}

/// The record after a pull with the secret; `None`: without a credential, or with one of the node's.
pub(crate) fn pulled(
    record: &AccessRecord,
    repository: &str,
    secret: Option<&PullSecretRecord>,
) -> AccessRecord {
    let mut repositories = record.repositories.clone();
    let before = repositories.iter().position(|(name, _)| name == repository);
    let before = before.map(|at| repositories.remove(at).1);
    let access = match (before, secret) {
        (Some(Access::Everybody), _) | (_, None) => Access::Everybody,
        (None, Some(secret)) => Access::Secrets(vec![secret.clone()]),
        (Some(Access::Secrets(mut secrets)), Some(secret)) => {
            secrets.retain(|known| !known.is_same_secret(secret));
            secrets.push(secret.clone());
            let excess = secrets.len().saturating_sub(SECRETS_MAX);
            secrets.drain(..excess);
            Access::Secrets(secrets)
        }
    };
    repositories.push((repository.to_owned(), access));
    let excess = repositories.len().saturating_sub(REPOSITORIES_MAX);
    repositories.drain(..excess);
    AccessRecord { repositories }
}

#[cfg(test)]
mod tests {
    use registry::{Candidate, Credential, CredentialSource};

    use super::{
        AccessRecord, PullSecretRecord, REPOSITORIES_MAX, SALT_BYTES, SECRETS_MAX, Salt, Verdict, hash,
        may_use, pulled,
    };

    const SALT: Salt = Salt([7; SALT_BYTES]);
    const X: &str = "x.io/a";

    fn basic(password: &str) -> Credential {
        Credential::Basic { username: "me".into(), password: password.into() }
    }

    /// A secret by its name, UID and what is in it.
    fn secret(name: &str, uid: &str, password: &str) -> PullSecretRecord {
        let source = CredentialSource::Secret { namespace: "ns".into(), name: name.into(), uid: uid.into() };
        PullSecretRecord::of(&Candidate { credential: basic(password), source }, &SALT).unwrap()
    }

    fn after(pulls: &[(&str, Option<PullSecretRecord>)]) -> AccessRecord {
        let begin = AccessRecord::default();
        pulls.iter().fold(begin, |record, (repository, secret)| pulled(&record, repository, secret.as_ref()))
    }

    #[test]
    fn whoever_could_have_pulled_it_may_use_it() {
        let with_one = after(&[(X, Some(secret("one", "1", "p")))]);
        let with_node = after(&[(X, None)]);
        let both =
            after(&[(X, Some(secret("one", "1", "p"))), (X, None), (X, Some(secret("two", "2", "q")))]);
        let (one, same_credential) = (secret("one", "1", "p"), secret("other", "9", "p"));
        let (rotated, remade) = (secret("one", "1", "new"), secret("one", "8", "new"));
        let stranger = secret("two", "2", "q");
        for (what, record, asking, allowed, noted) in [
            ("nothing is on record", None, vec![&one], false, false),
            ("everybody's, no secret", Some(&with_node), vec![], true, false),
            ("everybody's, some secret", Some(&with_node), vec![&stranger], true, false),
            ("stays everybody's", Some(&both), vec![], true, false),
            ("no secret", Some(&with_one), vec![], false, false),
            ("the secret itself", Some(&with_one), vec![&one], true, false),
            ("the same credential elsewhere", Some(&with_one), vec![&same_credential], true, true),
            ("the same secret, rotated", Some(&with_one), vec![&rotated], true, true),
            ("a secret of that name, made anew", Some(&with_one), vec![&remade], false, false),
            ("another's", Some(&with_one), vec![&stranger], false, false),
            ("another's and the right one", Some(&with_one), vec![&stranger, &one], true, false),
        ] {
            let asking: Vec<_> = asking.into_iter().cloned().collect();
            let (verdict, record) = may_use(record, X, &asking);
            assert_eq!((verdict == Verdict::Allowed, record.is_some()), (allowed, noted), "{what}");
        }
        assert_eq!(may_use(Some(&with_node), "x.io/b", &[one]).0, Verdict::MustPull, "another repository");
    }

    #[test]
    fn what_was_enough_once_is_enough_again() {
        let record = after(&[(X, Some(secret("one", "1", "p")))]);
        let rotated = secret("one", "1", "new");
        let (_, record) = may_use(Some(&record), X, std::slice::from_ref(&rotated));
        let record = record.unwrap();
        assert_eq!(may_use(Some(&record), X, &[secret("copy", "3", "new")]).0, Verdict::Allowed);
        assert_eq!(may_use(Some(&record), X, &[secret("copy", "3", "p")]).0, Verdict::MustPull, "of before");
        assert_eq!(may_use(Some(&record), X, &[rotated]), (Verdict::Allowed, None));
    }

    #[test]
    fn records_are_bounded_and_the_oldest_goes() {
        let name = |n: usize| format!("s{n}");
        let pulls: Vec<_> =
            (0..=SECRETS_MAX).map(|n| (X, Some(secret(&name(n), &name(n), &name(n))))).collect();
        let record = after(&pulls);
        let verdict = |n: usize| may_use(Some(&record), X, &[secret(&name(n), &name(n), &name(n))]).0;
        assert_eq!((verdict(0), verdict(1)), (Verdict::MustPull, Verdict::Allowed));
        let copy = secret("copy", "copy", &name(1));
        assert_eq!(
            may_use(Some(&record), X, &[copy]),
            (Verdict::Allowed, None),
            "nobody is pushed out by looking"
        );

        let repositories: Vec<_> = (0..=REPOSITORIES_MAX).map(|n| format!("x.io/{n}")).collect();
        let pulls: Vec<_> = repositories.iter().map(|name| (name.as_str(), None)).collect();
        let record = after(&pulls);
        assert_eq!(may_use(Some(&record), "x.io/0", &[]).0, Verdict::MustPull);
        assert_eq!(may_use(Some(&record), "x.io/1", &[]).0, Verdict::Allowed);
    }

    #[test]
    fn a_hash_is_of_all_parts_and_of_the_store() {
        let pair = |username: &str, password: &str| Credential::Basic {
            username: username.into(),
            password: password.into(),
        };
        let token = |username: &str, token: &str| Credential::IdentityToken {
            username: username.into(),
            token: token.into(),
        };
        let different = [
            pair("ab", "c"),
            pair("a", "bc"),
            pair("", "abc"),
            token("ab", "c"),
            Credential::RegistryToken("abc".into()),
            Credential::Anonymous,
        ];
        let hashes: std::collections::BTreeSet<_> = different.iter().map(|each| hash(each, &SALT)).collect();
        assert_eq!(hashes.len(), different.len());
        assert_ne!(hash(&different[0], &SALT), hash(&different[0], &Salt([8; SALT_BYTES])));
        assert_eq!(hash(&different[0], &SALT), hash(&pair("ab", "c"), &SALT));
    }
}
