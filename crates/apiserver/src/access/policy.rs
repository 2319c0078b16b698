//! The policy, kept as the store has it.

use std::sync::{Mutex, PoisonError};

use authorization::{Policy, PolicyKind};
use store::{ChangeKind, Resource, Store, Watch, WatchError};

use crate::change;

/// What makes up a policy.
const RESOURCES: [(PolicyKind, Resource); 4] = [
    (PolicyKind::ClusterRole, Resource::new("clusterroles.rbac.authorization.k8s.io")),
    (PolicyKind::ClusterRoleBinding, Resource::new("clusterrolebindings.rbac.authorization.k8s.io")),
    (PolicyKind::Role, Resource::new("roles.rbac.authorization.k8s.io")),
    (PolicyKind::RoleBinding, Resource::new("rolebindings.rbac.authorization.k8s.io")),
];

/// How often a policy is read anew when its watches cannot follow.
const READS_MAX: usize = 3;

/// The policy that the store holds: brought up to date whenever it is asked, so that a binding holds from the moment
/// it is stored.
#[derive(Debug, Default)]
pub(crate) struct Policies(Mutex<Option<Followed>>);

#[derive(Debug)]
struct Followed {
    policy: Policy,
    watches: Vec<(PolicyKind, Watch)>,
}

impl Policies {
    /// Asks the policy of this moment.
    pub(crate) fn current<T>(&self, store: &Store, ask: impl FnOnce(&Policy) -> T) -> T {
        let mut followed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..READS_MAX {
            match followed.as_mut().map(Followed::follow) {
                Some(Ok(())) => break,
                None | Some(Err(_)) => *followed = Followed::read(store),
            }
        }
        let none = Policy::default();
        // With nothing to go by, nothing is allowed.
        ask(followed.as_ref().map_or(&none, |followed| &followed.policy))
    }
}

impl Followed {
    fn read(store: &Store) -> Option<Self> {
        let mut policy = Policy::default();
        let mut watches = Vec::new();
        for (kind, resource) in RESOURCES {
            let listing = store.list(resource, None, None, None, |_| true);
            for object in &listing.objects {
                policy.insert(kind, &change::parse(object).ok()?);
            }
            watches.push((kind, store.watch(resource, None, listing.revision).ok()?));
        }
        Some(Self { policy, watches })
    }

    fn follow(&mut self) -> Result<(), WatchError> {
        for (kind, watch) in &mut self.watches {
            while let Some(change) = watch.try_next()? {
                let key = &change.object.key;
                match (change.kind, change::parse(&change.object)) {
                    (ChangeKind::Added | ChangeKind::Modified, Ok(object)) => {
                        self.policy.insert(*kind, &object);
                    }
                    _ => self.policy.remove(*kind, &key.namespace, &key.name),
                }
            }
        }
        Ok(())
    }
}
