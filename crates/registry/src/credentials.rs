//! Who a registry is asked as: the credentials of the node, and those of pull secrets
//! (<https://kubernetes.io/docs/concepts/containers/images/#using-a-private-registry>).

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::Credential;

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
