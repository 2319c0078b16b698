//! Who a registry is asked as: the credentials of the node, and those of pull secrets
//! (<https://kubernetes.io/docs/concepts/containers/images/#using-a-private-registry>).
//!
//! Nothing that is told of what went wrong has a credential in it, nor the words of a file or a program that may have one.

mod file;
mod helper;
mod keys;
mod node;
mod secrets;

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::Reference;

pub use node::NodeCredentials;
pub use secrets::{SecretData, SecretKind, of_secrets};

/// How many credentials of pull secrets, and how many of the node, are tried at most.
pub const CANDIDATES_MAX: usize = 16;

/// Its Debug hides what is secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Anonymous,
    Basic {
        username: String,
        password: String,
    },
    /// A refresh token: exchanged for an access token at the registry's token service (OAuth2).
    IdentityToken {
        username: String,
        token: String,
    },
    /// Sent to the registry as it is (`Authorization: Bearer`).
    RegistryToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(hidden)",
            Self::IdentityToken { .. } => "IdentityToken(hidden)",
            Self::RegistryToken(_) => "RegistryToken(hidden)",
        })
    }
}

/// Where a credential comes from, which decides who may use what was pulled with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialSource {
    Anonymous,
    /// A file of this machine: everybody's on the node.
    Node,
    Secret {
        namespace: String,
        name: String,
        uid: String,
    },
}

/// A credential that may fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    pub credential: Credential,
    pub source: CredentialSource,
}

impl Candidate {
    #[must_use]
    pub fn anonymous() -> Self {
        Self { credential: Credential::Anonymous, source: CredentialSource::Anonymous }
    }
}

/// Something about credentials that did not work. The pull goes on without.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("cannot read the credentials in {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error("docker-credential-{name}, which {} names for {server}: {problem}", path.display())]
    Helper { name: String, path: PathBuf, server: String, problem: String },
    #[error("the pull secret {namespace}/{name} {problem}")]
    Secret { namespace: String, name: String, problem: String },
}

/// All that may be tried for an image, in order: what the secrets have, what the node has, anonymous.
/// Helpers may take their ten seconds; what is wrong is told and stops nothing.
pub async fn candidates(
    secrets: &[SecretData],
    node: &NodeCredentials,
    reference: &Reference,
) -> (Vec<Candidate>, Vec<CredentialsError>) {
    let (mut candidates, mut errors) = of_secrets(secrets, reference);
    let (of_node, flaws) = node.candidates(reference).await;
    candidates.extend(of_node);
    candidates.push(Candidate::anonymous());
    errors.extend(flaws);
    (candidates, errors)
}

#[cfg(test)]
mod tests {
    use super::{
        Candidate, Credential, CredentialSource, NodeCredentials, SecretData, SecretKind, candidates,
    };
    use crate::Reference;

    #[tokio::test]
    async fn secrets_are_tried_first_and_nobody_last() {
        let file = std::env::temp_dir().join(format!("monopod-candidates-{}.json", std::process::id()));
        std::fs::write(&file, r#"{"auths":{"x.io":{"username":"node"}}}"#).unwrap();
        let variables = [("REGISTRY_AUTH_FILE".to_owned(), file.display().to_string())].into();
        let secret = SecretData {
            namespace: "ns".into(),
            name: "s".into(),
            uid: "u".into(),
            kind: SecretKind::DockerCfg,
            bytes: br#"{"x.io":{"username":"secret"}}"#.to_vec(),
        };
        let node = NodeCredentials::new(variables, "");
        let (found, errors) = candidates(&[secret], &node, &Reference::parse("x.io/a").unwrap()).await;
        std::fs::remove_file(&file).unwrap();
        assert!(errors.is_empty(), "{errors:?}");
        let sources: Vec<_> = found.iter().map(|candidate| &candidate.source).collect();
        assert!(
            matches!(
                sources[..],
                [CredentialSource::Secret { .. }, CredentialSource::Node, CredentialSource::Anonymous]
            ),
            "{sources:?}"
        );
        assert_eq!(found.last(), Some(&Candidate::anonymous()));
    }

    #[test]
    fn what_is_printed_is_no_secret() {
        let text = |secret: &str| secret.to_owned();
        for credential in [
            Credential::Basic { username: text("hunter"), password: text("hunter2") },
            Credential::IdentityToken { username: text("hunter"), token: text("hunter2") },
            Credential::RegistryToken(text("hunter2")),
        ] {
            assert!(!format!("{credential:?} {credential:#?}").contains("hunter"), "{credential:?}");
        }
    }
}
