//! Pull secrets, matched as the kubelet does it.

use super::file::{CredentialFile, Flaw};
use super::keys::{is_legacy_hub, secret_key, secret_key_fits};
use super::{CANDIDATES_MAX, Candidate, CredentialSource, CredentialsError};
use crate::Reference;

/// A Secret that a pod or its ServiceAccount names in `imagePullSecrets`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretData {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub kind: SecretKind,
    /// The value of the one key that counts, as [`SecretKind::key`] names it.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for SecretData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} ({}, hidden)", self.namespace, self.name, self.uid)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretKind {
    DockerConfigJson,
    DockerCfg,
    /// Another type than those of credentials; a problem that is told.
    Other(String),
}

impl SecretKind {
    /// By the type of the Secret.
    #[must_use]
    pub fn of_type(kind: &str) -> Self {
        match kind {
            "kubernetes.io/dockerconfigjson" => Self::DockerConfigJson,
            "kubernetes.io/dockercfg" => Self::DockerCfg,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The key of `data` that holds the credentials.
    #[must_use]
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::DockerConfigJson => Some(".dockerconfigjson"),
            Self::DockerCfg => Some(".dockercfg"),
            Self::Other(_) => None,
        }
    }
}

/// What the secrets have for an image: in the order of the secrets, and in each of them the longer keys first.
/// At most [`CANDIDATES_MAX`]. What is wrong with a secret is told and stops nothing.
#[must_use]
pub fn of_secrets(secrets: &[SecretData], reference: &Reference) -> (Vec<Candidate>, Vec<CredentialsError>) {
    let (mut candidates, mut errors) = (vec![], vec![]);
    for secret in secrets {
        let wrong = |problem: String| CredentialsError::Secret {
            namespace: secret.namespace.clone(),
            name: secret.name.clone(),
            problem,
        };
        let file = match &secret.kind {
            SecretKind::DockerConfigJson => CredentialFile::parse(&secret.bytes),
            SecretKind::DockerCfg => CredentialFile::parse_dockercfg(&secret.bytes),
            SecretKind::Other(kind) => {
                errors.push(wrong(format!(
                    "is of type {kind:?}; credentials are in kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg"
                )));
                continue;
            }
        };
        let credentials = file.map(|file| fitting(&file, reference));
        for credential in credentials.unwrap_or_else(|flaw| vec![Err(flaw)]) {
            match credential {
                Ok(credential) if candidates.len() < CANDIDATES_MAX => {
                    let source = CredentialSource::Secret {
                        namespace: secret.namespace.clone(),
                        name: secret.name.clone(),
                        uid: secret.uid.clone(),
                    };
                    candidates.push(Candidate { credential, source });
                }
                Ok(_) => {
                    let problem =
                        format!("has more than fits: {CANDIDATES_MAX} credentials of secrets are tried");
                    errors.push(wrong(problem));
                    return (candidates, errors);
                }
                Err(flaw) => errors.push(wrong(flaw.to_string())),
            }
        }
    }
    (candidates, errors)
}

fn fitting(file: &CredentialFile, reference: &Reference) -> Vec<Result<super::Credential, Flaw>> {
    let mut keys: Vec<_> = file.keys().map(|key| (secret_key(key), key)).collect();
    // Reversed, so that a longer one comes before its own beginnings.
    keys.sort_by(|a, b| b.cmp(a));
    let of = |fits: &dyn Fn(&str) -> bool| -> Vec<_> {
        let fitting = keys.iter().filter(|(key, _)| fits(key));
        fitting.filter_map(|(_, original)| file.credential(original).transpose()).collect()
    };
    let found = of(&|key| secret_key_fits(key, reference));
    if found.is_empty() { of(&|key| is_legacy_hub(key, reference)) } else { found }
}

#[cfg(test)]
mod tests {
    use super::{SecretData, SecretKind, of_secrets};
    use crate::Reference;
    use crate::credentials::{CANDIDATES_MAX, Credential, CredentialSource};

    fn secret(name: &str, kind: &str, text: &str) -> SecretData {
        SecretData {
            namespace: "ns".into(),
            name: name.into(),
            uid: format!("uid-{name}"),
            kind: SecretKind::of_type(kind),
            bytes: text.into(),
        }
    }

    const JSON: &str = "kubernetes.io/dockerconfigjson";
    const CFG: &str = "kubernetes.io/dockercfg";

    fn entries(keys: &[&str]) -> String {
        let entry = |key: &&str| format!(r#""{key}":{{"username":"{key}","password":"hunter2"}}"#);
        format!("{{{}}}", keys.iter().map(entry).collect::<Vec<_>>().join(","))
    }

    fn users(secrets: &[SecretData], image: &str) -> (Vec<String>, usize) {
        let (candidates, errors) = of_secrets(secrets, &Reference::parse(image).unwrap());
        for error in &errors {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let users = candidates.iter().map(|candidate| match (&candidate.credential, &candidate.source) {
            (Credential::Basic { username, .. }, CredentialSource::Secret { name, uid, .. }) => {
                assert_eq!(*uid, format!("uid-{name}"));
                format!("{name} {username}")
            }
            other => panic!("{other:?}"),
        });
        (users.collect(), errors.len())
    }

    #[test]
    fn all_that_fit_are_tried_longer_ones_first_and_by_secret() {
        let json = |keys: &[&str]| format!(r#"{{"auths":{}}}"#, entries(keys));
        let one = secret("one", JSON, &json(&["x.io", "x.io/a", "x.io/b", "*.io"]));
        let two = secret("two", CFG, &entries(&["https://x.io/v1/", "y.io"]));
        let both = [one, two];
        assert_eq!(
            users(&both, "x.io/a/c"),
            (["one x.io/a", "one x.io", "one *.io", "two https://x.io/v1/"].map(String::from).to_vec(), 0)
        );
        assert_eq!(users(&both, "y.io/a").0, ["one *.io", "two y.io"]);
        assert_eq!(users(&both, "busybox").0, ["one *.io"]);
        let hub = secret("hub", JSON, &json(&["https://index.docker.io/v1/"]));
        assert_eq!(users(std::slice::from_ref(&hub), "busybox").0, ["hub https://index.docker.io/v1/"]);
        let exact = secret("exact", JSON, &json(&["https://index.docker.io/v1/", "docker.io"]));
        assert_eq!(users(&[exact], "busybox").0, ["exact docker.io"]);
        assert_eq!(users(&[hub], "x.io/a").0, Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_told_and_stops_nothing() {
        let good = secret("good", CFG, &entries(&["x.io"]));
        for (bad, problems) in [
            (secret("bad", "Opaque", "hunter2"), 1),
            (secret("bad", JSON, "hunter2"), 1),
            (secret("bad", JSON, ""), 1),
            (secret("bad", JSON, r#"{"auths":{"x.io":{"auth":"hunter2"}}}"#), 1),
            (secret("bad", JSON, r#"{"auths":{"x.io":"hunter2"}}"#), 1),
            // Nobody asks about another host's.
            (secret("bad", JSON, r#"{"auths":{"y.io":"hunter2"}}"#), 0),
            (secret("bad", JSON, "{}"), 0),
        ] {
            let found = users(&[bad.clone(), good.clone()], "x.io/a");
            assert_eq!(found, (vec!["good x.io".to_owned()], problems), "{bad:?}");
        }
    }

    #[test]
    fn no_more_are_tried_than_the_limit() {
        let many: Vec<_> = (0..100).map(|n| secret(&format!("s{n}"), CFG, &entries(&["x.io"]))).collect();
        let (found, problems) = users(&many, "x.io/a");
        assert_eq!((found.len(), problems), (CANDIDATES_MAX, 1), "and that is told once");
    }
}
