//! What all roles and bindings say together.

use std::collections::BTreeMap;

use podspec::field::quote;
use podspec::json::{list, text};
use serde_json::Value;

use crate::request::{Request, User};
use crate::rule::Rule;

/// Roles and bindings, kept as they are written and removed.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    cluster_roles: BTreeMap<String, Vec<Rule>>,
    /// By namespace, then name.
    roles: BTreeMap<(String, String), Vec<Rule>>,
    cluster_bindings: BTreeMap<String, Binding>,
    bindings: BTreeMap<(String, String), Binding>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyKind {
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Why, for reviews.
    Allowed(String),
    /// No rule allows it. What could not be found out, for reviews.
    Denied(String),
}

impl Decision {
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

/// The role that a binding grants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleRef {
    /// Whether it is a ClusterRole.
    pub of_cluster: bool,
    pub name: String,
}

#[derive(Clone, Debug)]
struct Binding {
    role: RoleRef,
    subjects: Vec<Subject>,
}

#[derive(Clone, Debug)]
enum Subject {
    User(String),
    Group(String),
    Account { namespace: String, name: String },
}

impl PolicyKind {
    /// By its plural.
    #[must_use]
    pub fn of(plural: &str) -> Option<Self> {
        match plural {
            "roles" => Some(Self::Role),
            "clusterroles" => Some(Self::ClusterRole),
            "rolebindings" => Some(Self::RoleBinding),
            "clusterrolebindings" => Some(Self::ClusterRoleBinding),
            _ => None,
        }
    }
}

impl Policy {
    /// Takes in an object as it is now.
    pub fn insert(&mut self, kind: PolicyKind, object: &Value) {
        let (namespace, name) =
            (text(&object["metadata"], "namespace"), text(&object["metadata"], "name").to_owned());
        let key = (namespace.to_owned(), name.clone());
        match kind {
            PolicyKind::ClusterRole => {
                self.cluster_roles.insert(name, rules(object));
            }
            PolicyKind::Role => {
                self.roles.insert(key, rules(object));
            }
            PolicyKind::ClusterRoleBinding => {
                self.cluster_bindings.insert(name, Binding::from_json(object));
            }
            PolicyKind::RoleBinding => {
                self.bindings.insert(key, Binding::from_json(object));
            }
        }
    }

    pub fn remove(&mut self, kind: PolicyKind, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        match kind {
            PolicyKind::ClusterRole => {
                self.cluster_roles.remove(name);
            }
            PolicyKind::Role => {
                self.roles.remove(&key);
            }
            PolicyKind::ClusterRoleBinding => {
                self.cluster_bindings.remove(name);
            }
            PolicyKind::RoleBinding => {
                self.bindings.remove(&key);
            }
        }
    }

    #[must_use]
    pub fn decide(&self, user: &User<'_>, request: &Request<'_>) -> Decision {
        if user.is_master() {
            return Decision::Allowed(String::new());
        }
        let namespace = match request {
            Request::Resource { namespace, .. } => namespace,
            Request::Url { .. } => "",
        };
        let mut lost = Vec::new();
        for (source, binding, role) in self.grants(user, namespace) {
            match role {
                Some(rules) if rules.iter().any(|rule| rule.allows(request)) => {
                    return Decision::Allowed(format!("RBAC: allowed by {source}"));
                }
                Some(_) => {}
                None => lost.push(binding.role.not_found()),
            }
        }
        match lost.as_slice() {
            [] => Decision::Denied(String::new()),
            [one] => Decision::Denied(format!("RBAC: {one}")),
            several => Decision::Denied(format!("RBAC: [{}]", several.join(", "))),
        }
    }

    /// Every rule that bindings give a user in a namespace. Masters may do more: everything.
    #[must_use]
    pub fn rules_of(&self, user: &User<'_>, namespace: &str) -> Vec<Rule> {
        let granted = self.grants(user, namespace).into_iter().filter_map(|(_, _, rules)| rules);
        granted.flatten().cloned().collect()
    }

    /// The rules of the role that a binding in this namespace refers to.
    #[must_use]
    pub fn rules_of_role(&self, role: &RoleRef, namespace: &str) -> Option<&[Rule]> {
        let rules = if role.of_cluster {
            self.cluster_roles.get(&role.name)
        } else {
            self.roles.get(&(namespace.to_owned(), role.name.clone()))
        };
        rules.map(Vec::as_slice)
    }

    /// The bindings that name a user, those of the cluster first, and the rules of their roles where those are there.
    fn grants(&self, user: &User<'_>, namespace: &str) -> Vec<(String, &Binding, Option<&[Rule]>)> {
        let of_cluster = self.cluster_bindings.iter().filter_map(|(name, binding)| {
            let subject = binding.subject_for(user, "")?;
            let source = format!("ClusterRoleBinding {} of {} to {subject}", quote(name), binding.role);
            Some((source, binding, self.rules_of_role(&binding.role, "")))
        });
        let first = (namespace.to_owned(), String::new());
        let of_namespace = self.bindings.range(first..).take_while(|((of, _), _)| of == namespace);
        let of_namespace =
            of_namespace.filter(|_| !namespace.is_empty()).filter_map(|((_, name), binding)| {
                let subject = binding.subject_for(user, namespace)?;
                let name = quote(&format!("{name}/{namespace}"));
                let source = format!("RoleBinding {name} of {} to {subject}", binding.role);
                Some((source, binding, self.rules_of_role(&binding.role, namespace)))
            });
        of_cluster.chain(of_namespace).collect()
    }
}

impl RoleRef {
    /// Of a binding.
    #[must_use]
    pub fn from_json(binding: &Value) -> Self {
        let role = &binding["roleRef"];
        Self { of_cluster: text(role, "kind") == "ClusterRole", name: text(role, "name").to_owned() }
    }

    /// `clusterroles` or `roles`.
    #[must_use]
    pub fn resource(&self) -> &'static str {
        if self.of_cluster { "clusterroles" } else { "roles" }
    }

    fn not_found(&self) -> String {
        let kind = if self.of_cluster { "clusterrole" } else { "role" };
        format!("{kind}.rbac.authorization.k8s.io {} not found", quote(&self.name))
    }
}

impl std::fmt::Display for RoleRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", if self.of_cluster { "ClusterRole" } else { "Role" }, quote(&self.name))
    }
}

impl Binding {
    fn from_json(binding: &Value) -> Self {
        let subject = |subject: &Value| {
            let name = text(subject, "name").to_owned();
            match text(subject, "kind") {
                "User" => Some(Subject::User(name)),
                "Group" => Some(Subject::Group(name)),
                "ServiceAccount" => {
                    Some(Subject::Account { namespace: text(subject, "namespace").to_owned(), name })
                }
                _ => None,
            }
        };
        let subjects = list(binding, "subjects").iter().filter_map(subject).collect();
        Self { role: RoleRef::from_json(binding), subjects }
    }

    /// The first subject that is this user, as reviews print it.
    fn subject_for(&self, user: &User<'_>, binding_namespace: &str) -> Option<String> {
        self.subjects.iter().find_map(|subject| match subject {
            Subject::User(name) => (name == user.name).then(|| format!("User {}", quote(name))),
            Subject::Group(name) => user.groups.contains(name).then(|| format!("Group {}", quote(name))),
            Subject::Account { namespace, name } => {
                let own = if namespace.is_empty() { binding_namespace } else { namespace };
                let named = user.account() == Some((own, name)) && !own.is_empty();
                named.then(|| format!("ServiceAccount {}", quote(&format!("{name}/{own}"))))
            }
        })
    }
}

fn rules(role: &Value) -> Vec<Rule> {
    list(role, "rules").iter().map(Rule::from_json).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Decision, Policy, PolicyKind};
    use crate::request::{Request, User};

    fn policy() -> Policy {
        let mut policy = Policy::default();
        let role = |name: &str, verb: &str| json!({"metadata": {"name": name}, "rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]});
        let binding = |namespace: &str, name: &str, kind: &str, role: &str, subject: Value| {
            json!({
                "metadata": {"namespace": namespace, "name": name}, "roleRef": {"kind": kind, "name": role},
                "subjects": [subject],
            })
        };
        policy.insert(PolicyKind::ClusterRole, &role("reader", "get"));
        let mut own = role("writer", "create");
        own["metadata"]["namespace"] = "a".into();
        policy.insert(PolicyKind::Role, &own);
        let group = json!({"kind": "Group", "name": "readers"});
        policy.insert(PolicyKind::ClusterRoleBinding, &binding("", "all", "ClusterRole", "reader", group));
        let account = json!({"kind": "ServiceAccount", "namespace": "a", "name": "bot"});
        policy
            .insert(PolicyKind::RoleBinding, &binding("a", "one", "ClusterRole", "reader", account.clone()));
        policy.insert(PolicyKind::RoleBinding, &binding("a", "two", "Role", "writer", account.clone()));
        policy.insert(PolicyKind::RoleBinding, &binding("b", "lost", "Role", "gone", account));
        policy
    }

    #[test]
    fn who_may_do_what_where() {
        let policy = policy();
        let readers = ["readers".to_owned()];
        let masters = ["system:masters".to_owned()];
        let (person, bot) = ("jane", "system:serviceaccount:a:bot");
        let allowed = |reason: &str| Decision::Allowed(reason.to_owned());
        let denied = |reason: &str| Decision::Denied(reason.to_owned());
        let by_group =
            r#"RBAC: allowed by ClusterRoleBinding "all" of ClusterRole "reader" to Group "readers""#;
        let by_one =
            r#"RBAC: allowed by RoleBinding "one/a" of ClusterRole "reader" to ServiceAccount "bot/a""#;
        let by_two = r#"RBAC: allowed by RoleBinding "two/a" of Role "writer" to ServiceAccount "bot/a""#;
        let lost = r#"RBAC: role.rbac.authorization.k8s.io "gone" not found"#;
        for (name, groups, verb, namespace, expected) in [
            (person, &readers[..], "get", "a", allowed(by_group)),
            (person, &readers, "get", "", allowed(by_group)),
            (person, &readers, "create", "a", denied("")),
            (person, &masters, "create", "a", allowed("")),
            (person, &[], "get", "a", denied("")),
            (bot, &[], "get", "a", allowed(by_one)),
            (bot, &[], "create", "a", allowed(by_two)),
            (bot, &[], "get", "", denied("")),
            (bot, &[], "get", "b", denied(lost)),
            ("system:serviceaccount:b:bot", &[], "get", "a", denied("")),
        ] {
            let user = User { name, groups };
            let request =
                Request::Resource { verb, group: "", resource: "pods", subresource: "", namespace, name: "" };
            assert_eq!(policy.decide(&user, &request), expected, "{name} {verb} {namespace:?}");
        }
    }

    #[test]
    fn what_is_removed_grants_nothing() {
        let mut policy = policy();
        policy.remove(PolicyKind::ClusterRoleBinding, "", "all");
        let groups = ["readers".to_owned()];
        assert_eq!(policy.rules_of(&User { name: "jane", groups: &groups }, "a"), []);
    }
}
