//! Nobody can grant what they do not have themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use podspec::field::quote;

use crate::policy::Policy;
use crate::request::User;
use crate::rule::{Rule, quoted};

/// What one rule can take apart; more is not looked at, and so not granted.
const PARTS_MAX: usize = 10_000;

/// Rights that somebody wants to grant and does not have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    user: String,
    groups: Vec<String>,
    rules: Vec<Rule>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, groups) = (quote(&self.user), quoted(&self.groups));
        write!(
            f,
            "user {user} (groups={groups}) is attempting to grant RBAC permissions not currently held:"
        )?;
        let lines: BTreeSet<String> = self.rules.iter().map(ToString::to_string).collect();
        lines.iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// What of `wanted` this user does not hold in a namespace; `None` when they hold it all.
#[must_use]
pub fn missing(policy: &Policy, user: &User<'_>, namespace: &str, wanted: &[Rule]) -> Option<Missing> {
    if user.is_master() {
        return None;
    }
    let held = policy.rules_of(user, namespace);
    let mut lacking: BTreeMap<Rule, Vec<String>> = BTreeMap::new();
    for part in wanted.iter().flat_map(parts) {
        if !held.iter().any(|rule| rule.covers(&part)) {
            let thing = Rule { verbs: Vec::new(), ..part.clone() };
            let verbs = lacking.entry(thing).or_default();
            verbs.extend(part.verbs.into_iter().filter(|verb| !verbs.contains(verb)).collect::<Vec<_>>());
        }
    }
    let rules: Vec<Rule> = lacking.into_iter().map(|(thing, verbs)| Rule { verbs, ..thing }).collect();
    let groups = user.groups.to_vec();
    (!rules.is_empty()).then(|| Missing { user: user.name.to_owned(), groups, rules })
}

/// A rule as rules of one verb and one thing each.
fn parts(rule: &Rule) -> Vec<Rule> {
    let count = rule.verbs.len()
        * (rule.urls.len() + rule.groups.len() * rule.resources.len() * rule.names.len().max(1));
    if count > PARTS_MAX {
        return vec![rule.clone()];
    }
    let mut parts = Vec::with_capacity(count);
    for verb in &rule.verbs {
        let verbs = || vec![verb.clone()];
        parts.extend(rule.urls.iter().map(|url| Rule {
            verbs: verbs(),
            urls: vec![url.clone()],
            ..Rule::default()
        }));
        for group in &rule.groups {
            for resource in &rule.resources {
                let part = |names| Rule {
                    verbs: verbs(),
                    groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    names,
                    urls: Vec::new(),
                };
                if rule.names.is_empty() {
                    parts.push(part(Vec::new()));
                }
                parts.extend(rule.names.iter().map(|name| part(vec![name.clone()])));
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::missing;
    use crate::policy::{Policy, PolicyKind};
    use crate::request::User;
    use crate::rule::Rule;

    #[test]
    fn only_what_is_held_can_be_granted() {
        let mut policy = Policy::default();
        let rules = json!([
            {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "*/status"]},
            {"verbs": ["*"], "apiGroups": ["apps"], "resources": ["*"]},
            {"verbs": ["get"], "nonResourceURLs": ["/logs/*"]},
        ]);
        policy.insert(PolicyKind::ClusterRole, &json!({"metadata": {"name": "r"}, "rules": rules}));
        let subjects = json!([{"kind": "User", "name": "jane"}]);
        let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": subjects});
        policy.insert(PolicyKind::ClusterRoleBinding, &binding);
        let groups = ["g".to_owned()];
        let jane = User { name: "jane", groups: &groups };
        let head =
            "user \"jane\" (groups=[\"g\"]) is attempting to grant RBAC permissions not currently held:\n";
        for (wanted, lines) in [
            (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), None),
            (
                json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}),
                None,
            ),
            (json!({"verbs": ["get"], "apiGroups": [""], "resources": ["services/status"]}), None),
            (
                json!({"verbs": ["delete", "x"], "apiGroups": ["apps"], "resources": ["deployments/scale"]}),
                None,
            ),
            (json!({"verbs": ["get"], "nonResourceURLs": ["/logs/a"]}), None),
            (
                json!({"verbs": ["get", "delete", "watch"], "apiGroups": [""], "resources": ["pods"]}),
                Some(r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete" "watch"]}"#),
            ),
            (
                json!({"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]}),
                Some(r#"{APIGroups:[""], Resources:["pods"], Verbs:["*"]}"#),
            ),
            (
                json!({"verbs": ["get"], "nonResourceURLs": ["/logs", "/x"]}),
                Some(
                    "{NonResourceURLs:[\"/logs\"], Verbs:[\"get\"]}\n{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}",
                ),
            ),
        ] {
            let found =
                missing(&policy, &jane, "n", &[Rule::from_json(&wanted)]).map(|missing| missing.to_string());
            assert_eq!(found, lines.map(|lines| format!("{head}{lines}")), "{wanted}");
        }
    }
}
