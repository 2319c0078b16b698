//! Who asks, and what for: what authorization and admission judge by.

use std::collections::BTreeMap;

use crate::kinds::Kind;

/// An authenticated client, or the anonymous one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// What the authenticator has to say beyond: the pod that a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Every authenticated user is in it.
pub const AUTHENTICATED: &str = "system:authenticated";
/// May do everything.
pub const MASTERS: &str = "system:masters";

impl User {
    /// Who has the socket, or the administrator's certificate.
    #[must_use]
    pub fn admin() -> Self {
        Self::in_groups("system:admin", &[MASTERS, AUTHENTICATED])
    }

    /// The engine's own writes: kubelet, scheduler, controllers.
    #[must_use]
    pub fn engine(part: &str) -> Self {
        Self::in_groups(&format!("system:{part}"), &[MASTERS, AUTHENTICATED])
    }

    #[must_use]
    pub fn anonymous() -> Self {
        Self::in_groups("system:anonymous", &["system:unauthenticated"])
    }

    #[must_use]
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let of_namespace = format!("system:serviceaccounts:{namespace}");
        let groups = ["system:serviceaccounts", &of_namespace, AUTHENTICATED];
        let user = Self::in_groups(&format!("system:serviceaccount:{namespace}:{name}"), &groups);
        Self { uid: uid.to_owned(), ..user }
    }

    #[must_use]
    pub fn in_groups(name: &str, groups: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            uid: String::new(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            extra: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Create,
    Update,
    Delete,
}

/// A change as admission sees it.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    pub kind: &'static Kind,
    /// Empty for kinds of the cluster.
    pub namespace: &'a str,
    pub name: &'a str,
    pub subresource: Option<&'a str>,
    pub operation: Operation,
    pub user: &'a User,
    /// Nothing of it will be kept.
    pub dry_run: bool,
}
