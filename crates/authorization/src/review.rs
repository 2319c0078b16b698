//! Questions about access: `authorization.k8s.io/v1`
//! (<https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/>).

use podspec::json::{list, text};
use podspec::{FieldError, FieldPath};
use serde_json::{Map, Value, json};

use crate::policy::Policy;
use crate::request::{Request, User};

/// What the `spec` of an access review asks for. `local` is the namespace of a LocalSubjectAccessReview.
///
/// # Errors
/// What is wrong with it.
pub fn access_request<'a>(spec: &'a Value, local: Option<&str>) -> Result<Request<'a>, Vec<FieldError>> {
    let at = FieldPath::root().child("spec");
    let part = |name| spec.get(name).filter(|part: &&Value| part.is_object());
    match (part("resourceAttributes"), part("nonResourceAttributes")) {
        (Some(resource), None) => {
            let namespace = text(resource, "namespace");
            if local.is_some_and(|local| local != namespace) {
                let at = at.child("resourceAttributes").child("namespace");
                return Err(vec![FieldError::invalid(at, namespace, "must match metadata.namespace")]);
            }
            Ok(Request::Resource {
                verb: text(resource, "verb"),
                group: text(resource, "group"),
                resource: text(resource, "resource"),
                subresource: text(resource, "subresource"),
                namespace,
                name: text(resource, "name"),
            })
        }
        (None, Some(_)) if local.is_some() => {
            let detail = "disallowed on this kind of request";
            Err(vec![FieldError::invalid(at.child("nonResourceAttributes"), Value::Null, detail)])
        }
        (None, Some(url)) => Ok(Request::Url { verb: text(url, "verb"), path: text(url, "path") }),
        (Some(_), Some(_)) => {
            let detail = "cannot be specified in combination with resourceAttributes";
            Err(vec![FieldError::invalid(at.child("nonResourceAttributes"), Value::Null, detail)])
        }
        (None, None) => {
            let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            Err(vec![FieldError::invalid(at.child("resourceAttributes"), Value::Null, detail)])
        }
    }
}

/// Whom a SubjectAccessReview is about: name and groups.
///
/// # Errors
/// Nobody.
pub fn subject_of(spec: &Value) -> Result<(String, Vec<String>), Vec<FieldError>> {
    let groups: Vec<String> =
        list(spec, "groups").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let user = text(spec, "user").to_owned();
    if user.is_empty() && groups.is_empty() {
        let at = FieldPath::root().child("spec").child("user");
        let detail = "at least one of user or group must be specified";
        return Err(vec![FieldError::invalid(at, user, detail)]);
    }
    Ok((user, groups))
}

/// The `status` of a SelfSubjectRulesReview.
#[must_use]
pub fn rules_review(policy: &Policy, user: &User<'_>, namespace: &str) -> Value {
    let (mut resources, mut urls) = (Vec::new(), Vec::new());
    for rule in policy.rules_of(user, namespace) {
        if !rule.resources.is_empty() {
            let mut entry = Map::new();
            for (name, values) in [
                ("verbs", &rule.verbs),
                ("apiGroups", &rule.groups),
                ("resources", &rule.resources),
                ("resourceNames", &rule.names),
            ] {
                if !values.is_empty() {
                    entry.insert(name.to_owned(), json!(values));
                }
            }
            resources.push(Value::Object(entry));
        }
        if !rule.urls.is_empty() {
            urls.push(json!({"verbs": rule.verbs, "nonResourceURLs": rule.urls}));
        }
    }
    json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": false})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{access_request, subject_of};
    use crate::request::{Request, User, forbidden_message};

    #[test]
    fn exactly_one_question() {
        let resource = json!({"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "n"}});
        let asked = access_request(&resource, None).unwrap();
        assert!(matches!(asked, Request::Resource { verb: "get", resource: "pods", namespace: "n", .. }));
        let text = |result: Result<Request<'_>, Vec<podspec::FieldError>>| result.unwrap_err()[0].to_string();
        assert_eq!(
            text(access_request(&resource, Some("other"))),
            "spec.resourceAttributes.namespace: Invalid value: \"n\": must match metadata.namespace"
        );
        assert_eq!(
            text(access_request(&json!({}), None)),
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes \
             must be specified"
        );
        assert!(subject_of(&json!({})).is_err());
        assert_eq!(subject_of(&json!({"user": "u"})), Ok(("u".to_owned(), Vec::new())));
    }

    #[test]
    fn denials_in_the_known_words() {
        let user = User { name: "system:serviceaccount:a:b", groups: &[] };
        let request = |namespace, subresource| Request::Resource {
            verb: "list",
            group: "apps",
            resource: "deployments",
            subresource,
            namespace,
            name: "",
        };
        for (request, message) in [
            (
                request("n", ""),
                r#"User "system:serviceaccount:a:b" cannot list resource "deployments" in API group "apps" in the namespace "n""#,
            ),
            (
                request("", "scale"),
                r#"User "system:serviceaccount:a:b" cannot list resource "deployments/scale" in API group "apps" at the cluster scope"#,
            ),
            (
                Request::Url { verb: "get", path: "/<x>" },
                r#"User "system:serviceaccount:a:b" cannot get path "/&lt;x&gt;""#,
            ),
        ] {
            assert_eq!(forbidden_message(&user, &request), message);
        }
    }
}
