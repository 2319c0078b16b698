//! Who sends a request.

mod kubeconfig;
mod pki;
#[cfg(test)]
mod tests;
mod tokens;

use apimachinery::Status;
use http::header::{AUTHORIZATION, HeaderMap};
use store::Store;

pub use kubeconfig::{Kubeconfig, write_kubeconfig};
pub(crate) use pki::user_of;
pub use pki::{Names, Pki, PkiError};
pub(crate) use tokens::ISSUER;
pub use tokens::{Binding, Issued, TokenRequest, Tokens};

use crate::request::User;

/// What a connection says about who is at its other end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peer {
    /// The unix socket, by one who may use it: the administrator, unless a request has a token.
    Local,
    /// TLS with a certificate that this server's CA signed.
    Certificate(User),
    /// TLS without one.
    Unknown,
}

#[derive(Debug)]
pub struct Authenticator {
    pub(crate) tokens: Tokens,
}

impl Authenticator {
    /// # Errors
    /// 401: there are credentials, and they are none of ours.
    pub(crate) fn user(&self, headers: &HeaderMap, peer: &Peer, store: &Store) -> Result<User, Status> {
        let token = bearer(headers);
        match (peer, token) {
            (Peer::Certificate(user), _) => Ok(user.clone()),
            (_, Some(token)) => {
                self.tokens.user(token, store, crate::entropy::now()).ok_or_else(Status::unauthorized)
            }
            (Peer::Local, None) => Ok(User::admin()),
            // Another scheme, which this server does not know.
            (Peer::Unknown, None) if headers.contains_key(AUTHORIZATION) => Err(Status::unauthorized()),
            (Peer::Unknown, None) => Ok(User::anonymous()),
        }
    }
}

/// The token of `Authorization: Bearer`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
