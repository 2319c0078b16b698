//! Roles and bindings (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/>).

use podspec::json::{list, text};
use podspec::{FieldError, FieldPath};
use serde_json::Value;

use super::edit::{path, set_default};
use crate::kinds::Rules;

pub static ROLES: Roles = Roles { namespaced: true };
pub static CLUSTER_ROLES: Roles = Roles { namespaced: false };
pub static BINDINGS: Bindings = Bindings { namespaced: true };
pub static CLUSTER_BINDINGS: Bindings = Bindings { namespaced: false };

const GROUP: &str = "rbac.authorization.k8s.io";

#[derive(Debug)]
pub struct Roles {
    namespaced: bool,
}

impl Rules for Roles {
    fn validate(&self, role: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, rule) in list(role, "rules").iter().enumerate() {
            self.rule(rule, &path(&["rules"]).index(index), &mut errors);
        }
        let aggregation = role.get("aggregationRule").filter(|rule| rule.is_object());
        if aggregation.is_some_and(|rule| list(rule, "clusterRoleSelectors").is_empty()) {
            let at = path(&["aggregationRule", "clusterRoleSelectors"]);
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(FieldError::required(at, detail));
        }
        errors
    }
}

impl Roles {
    fn rule(&self, rule: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
        let empty = |name| list(rule, name).is_empty();
        if empty("verbs") {
            errors.push(FieldError::required(at.child("verbs"), "verbs must contain at least one value"));
        }
        if !empty("nonResourceURLs") {
            let at = at.child("nonResourceURLs");
            let urls = rule["nonResourceURLs"].clone();
            if self.namespaced {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                errors.push(FieldError::invalid(at.clone(), urls.clone(), detail));
            }
            if ["apiGroups", "resources", "resourceNames"].iter().any(|name| !empty(name)) {
                let detail = "rules cannot apply to both regular resources and non-resource URLs";
                errors.push(FieldError::invalid(at, urls, detail));
            }
            return;
        }
        if empty("apiGroups") {
            let detail = "resource rules must supply at least one api group";
            errors.push(FieldError::required(at.child("apiGroups"), detail));
        }
        if empty("resources") {
            let detail = "resource rules must supply at least one resource";
            errors.push(FieldError::required(at.child("resources"), detail));
        }
    }
}

#[derive(Debug)]
pub struct Bindings {
    namespaced: bool,
}

impl Rules for Bindings {
    fn default(&self, binding: &mut Value) {
        if let Some(reference) = binding.get_mut("roleRef").and_then(Value::as_object_mut) {
            set_default(reference, "apiGroup", GROUP);
        }
        for subject in binding.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            let kind = text(subject, "kind").to_owned();
            if let (Some(subject), "User" | "Group") = (subject.as_object_mut(), kind.as_str()) {
                set_default(subject, "apiGroup", GROUP);
            }
        }
    }

    fn validate(&self, binding: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let reference = &binding["roleRef"];
        let at = path(&["roleRef"]);
        let (group, kind, name) =
            (text(reference, "apiGroup"), text(reference, "kind"), text(reference, "name"));
        if group != GROUP {
            errors.push(FieldError::not_supported(at.child("apiGroup"), group, &[GROUP]));
        }
        let kinds: &[&str] = if self.namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
        if !kinds.contains(&kind) {
            errors.push(FieldError::not_supported(at.child("kind"), kind, kinds));
        }
        if name.is_empty() {
            errors.push(FieldError::required(at.child("name"), ""));
        } else {
            super::edit::invalid(&mut errors, &at.child("name"), name, segment(name));
        }
        for (index, subject) in list(binding, "subjects").iter().enumerate() {
            self.subject(subject, &path(&["subjects"]).index(index), &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = self.validate(new);
        if new["roleRef"] != old["roleRef"] {
            errors.push(FieldError::invalid(
                path(&["roleRef"]),
                new["roleRef"].clone(),
                "cannot change roleRef",
            ));
        }
        errors
    }
}

impl Bindings {
    fn subject(&self, subject: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
        let (name, group) = (text(subject, "name"), text(subject, "apiGroup"));
        if name.is_empty() {
            errors.push(FieldError::required(at.child("name"), ""));
        }
        let groups: &[&str] = match text(subject, "kind") {
            "ServiceAccount" => {
                if !name.is_empty() {
                    let messages = podspec::format::dns_subdomain(name);
                    super::edit::invalid(errors, &at.child("name"), name, messages);
                }
                if !self.namespaced && text(subject, "namespace").is_empty() {
                    errors.push(FieldError::required(at.child("namespace"), ""));
                }
                &[""]
            }
            "User" | "Group" => &[GROUP],
            kind => {
                let kinds = ["ServiceAccount", "User", "Group"];
                errors.push(FieldError::not_supported(at.child("kind"), kind, &kinds));
                return;
            }
        };
        if !groups.contains(&group) {
            errors.push(FieldError::not_supported(at.child("apiGroup"), group, groups));
        }
    }
}

/// A name of RBAC is anything that can be one segment of a path.
fn segment(name: &str) -> Vec<String> {
    let wrong = |words: &str| vec![format!("may not {words}")];
    match name {
        "." => wrong("be '.'"),
        ".." => wrong("be '..'"),
        _ if name.contains('/') => wrong("contain '/'"),
        _ if name.contains('%') => wrong("contain '%'"),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{BINDINGS, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLES};
    use crate::kinds::Rules as _;
    use serde_json::json;

    fn texts(errors: &[podspec::FieldError]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_speak_of_resources_or_of_urls() {
        let role = json!({"rules": [
            {"verbs": ["get"], "nonResourceURLs": ["/x"]},
            {"resources": ["pods"]},
        ]});
        assert_eq!(
            texts(&ROLES.validate(&role)),
            [
                "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
                "rules[1].verbs: Required value: verbs must contain at least one value",
                "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
            ]
        );
        assert_eq!(texts(&CLUSTER_ROLES.validate(&role)).len(), 2);
    }

    #[test]
    fn bindings_name_one_role_for_good() {
        let mut binding = json!({
            "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "User", "name": "a"}, {"kind": "ServiceAccount", "name": "b"}, {"kind": "Odd", "name": "c"}],
        });
        BINDINGS.default(&mut binding);
        let odd = "subjects[2].kind: Unsupported value: \"Odd\": supported values: \"ServiceAccount\", \"User\", \"Group\"";
        assert_eq!(texts(&BINDINGS.validate(&binding)), [odd]);
        assert_eq!(
            texts(&CLUSTER_BINDINGS.validate(&binding)),
            ["subjects[1].namespace: Required value", odd]
        );
        let mut other = binding.clone();
        other["roleRef"]["name"] = "edit".into();
        other["subjects"] = json!([]);
        let error = &texts(&BINDINGS.validate_update(&other, &binding, None))[0];
        assert!(error.ends_with(": cannot change roleRef"), "{error}");
    }
}
