//! One rule of a role.

use std::fmt;

use podspec::field::quote;
use podspec::json::list;
use serde_json::Value;

use crate::request::Request;

const ALL: &str = "*";

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub groups: Vec<String>,
    /// `pods`, `pods/log`, `*/status`, `*`.
    pub resources: Vec<String>,
    /// Empty: any.
    pub names: Vec<String>,
    /// `/healthz`, `/healthz/*`; then there are no groups and resources.
    pub urls: Vec<String>,
}

impl Rule {
    /// Of a `rules` entry of a Role or ClusterRole.
    #[must_use]
    pub fn from_json(rule: &Value) -> Self {
        let texts = |name| list(rule, name).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Self {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            urls: texts("nonResourceURLs"),
        }
    }

    #[must_use]
    pub fn allows(&self, request: &Request<'_>) -> bool {
        match request {
            Request::Url { verb, path } => {
                matches(&self.verbs, verb) && self.urls.iter().any(|url| url_matches(url, path))
            }
            Request::Resource { verb, group, resource, subresource, name, .. } => {
                matches(&self.verbs, verb)
                    && matches(&self.groups, group)
                    && self.resources.iter().any(|held| resource_matches(held, resource, subresource))
                    && (self.names.is_empty()
                        || !name.is_empty() && self.names.iter().any(|held| held == name))
            }
        }
    }

    /// Whether it grants everything that `other`, a rule of one verb and one thing, does.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let all_in = |held: &[String], asked: &[String]| {
            held.iter().any(|held| held == ALL) || asked.iter().all(|asked| held.contains(asked))
        };
        all_in(&self.verbs, &other.verbs)
            && all_in(&self.groups, &other.groups)
            && other.resources.iter().all(|asked| {
                let (resource, subresource) = asked.split_once('/').unwrap_or((asked, ""));
                self.resources
                    .iter()
                    .any(|held| held == asked || resource_matches(held, resource, subresource))
            })
            && (self.names.is_empty()
                || !other.names.is_empty() && other.names.iter().all(|asked| self.names.contains(asked)))
            && other
                .urls
                .iter()
                .all(|asked| self.urls.iter().any(|held| held == asked || url_matches(held, asked)))
    }
}

fn matches(held: &[String], asked: &str) -> bool {
    held.iter().any(|held| held == ALL || held == asked)
}

fn resource_matches(held: &str, resource: &str, subresource: &str) -> bool {
    if held == ALL {
        return true;
    }
    match held.split_once('/') {
        None => held == resource && subresource.is_empty(),
        Some((of, part)) => part == subresource && !subresource.is_empty() && (of == ALL || of == resource),
    }
}

fn url_matches(held: &str, path: &str) -> bool {
    held == ALL || held == path || held.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

impl fmt::Display for Rule {
    /// As in the message about rights that a user does not have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.urls),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let shown: Vec<String> = parts
            .iter()
            .filter(|(_, values)| !values.is_empty())
            .map(|(name, values)| format!("{name}:{}", quoted(values)))
            .collect();
        write!(f, "{{{}}}", shown.join(", "))
    }
}

/// `["a" "b"]`
pub(crate) fn quoted(values: &[String]) -> String {
    format!("[{}]", values.iter().map(|value| quote(value)).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Rule;
    use crate::request::Request;

    #[test]
    fn what_a_rule_allows() {
        let rule = |resources: &[&str], names: &[&str]| {
            Rule::from_json(&json!({
                "verbs": ["get", "list"], "apiGroups": [""], "resources": resources, "resourceNames": names,
            }))
        };
        for (resources, names, asked, allowed) in [
            (&["pods"][..], &[][..], ("get", "", "pods", "", "a"), true),
            (&["pods"], &[], ("delete", "", "pods", "", "a"), false),
            (&["pods"], &[], ("get", "apps", "pods", "", "a"), false),
            (&["pods"], &[], ("get", "", "pods", "log", "a"), false),
            (&["pods/log"], &[], ("get", "", "pods", "log", "a"), true),
            (&["pods/log"], &[], ("get", "", "pods", "", "a"), false),
            (&["*/log"], &[], ("get", "", "pods", "log", "a"), true),
            (&["pods/*"], &[], ("get", "", "pods", "log", "a"), false),
            (&["*"], &[], ("get", "", "pods", "log", "a"), true),
            (&["pods"], &["a"], ("get", "", "pods", "", "a"), true),
            (&["pods"], &["a"], ("get", "", "pods", "", "b"), false),
            (&["pods"], &["a"], ("list", "", "pods", "", ""), false),
        ] {
            let (verb, group, resource, subresource, name) = asked;
            let request = Request::Resource { verb, group, resource, subresource, namespace: "n", name };
            assert_eq!(rule(resources, names).allows(&request), allowed, "{resources:?} {names:?} {asked:?}");
        }
        let urls = Rule::from_json(&json!({"verbs": ["get"], "nonResourceURLs": ["/healthz", "/api/*"]}));
        for (path, allowed) in
            [("/healthz", true), ("/healthz/x", false), ("/api/v1", true), ("/api", false), ("/", false)]
        {
            assert_eq!(urls.allows(&Request::Url { verb: "get", path }), allowed, "{path}");
        }
    }

    #[test]
    fn printed_as_clients_know_it() {
        let rule = json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]});
        assert_eq!(
            Rule::from_json(&rule).to_string(),
            r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}"#
        );
    }
}
