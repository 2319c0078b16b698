//! Nobody grants what they do not hold
//! (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>).

use apimachinery::Status;
use authorization::{Policy, PolicyKind, Request, RoleRef, Rule, User, missing};
use podspec::json::{list, text};
use serde_json::Value;
use store::Tx;

use super::{refuse, view};
use crate::request::Attributes;

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn admit(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let user = User { name: &attributes.user.name, groups: &attributes.user.groups };
    let same = |old: &Value| {
        ["rules", "aggregationRule", "roleRef", "subjects"]
            .iter()
            .all(|name| old.get(*name) == object.get(*name))
    };
    if user.is_master() || old.is_some_and(same) {
        return Ok(());
    }
    let policy = policy(view);
    let namespace = attributes.namespace;
    let own_name = text(&object["metadata"], "name");
    let may = |verb: &str, resource: &str, name: &str| {
        let request = Request::Resource { verb, group: GROUP, resource, subresource: "", namespace, name };
        policy.decide(&user, &request).is_allowed()
    };
    let wanted: Vec<Rule> = if matches!(attributes.kind.kind, "Role" | "ClusterRole") {
        if may("escalate", attributes.kind.plural, own_name) {
            return Ok(());
        }
        // Whatever will be labelled so would be granted.
        if object.get("aggregationRule").is_some_and(Value::is_object) {
            vec![everything()]
        } else {
            list(object, "rules").iter().map(Rule::from_json).collect()
        }
    } else {
        let role = RoleRef::from_json(object);
        if may("bind", role.resource(), &role.name) {
            return Ok(());
        }
        match policy.rules_of_role(&role, namespace) {
            Some(rules) => rules.to_vec(),
            None => return Err(Status::not_found(GROUP, role.resource(), &role.name)),
        }
    };
    match missing(&policy, &user, namespace, &wanted) {
        None => Ok(()),
        Some(missing) => Err(refuse(attributes, object, &missing.to_string())),
    }
}

fn everything() -> Rule {
    let all = || vec!["*".to_owned()];
    Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() }
}

/// What roles and bindings say within this write.
fn policy(view: &Tx<'_>) -> Policy {
    let mut policy = Policy::default();
    for plural in ["clusterroles", "roles", "clusterrolebindings", "rolebindings"] {
        let Some(kind) = PolicyKind::of(plural) else { continue };
        for object in view::list(view, GROUP, plural, None) {
            policy.insert(kind, &object);
        }
    }
    policy
}
