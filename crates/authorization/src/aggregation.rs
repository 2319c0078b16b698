//! ClusterRoles that are the sum of others
//! (<https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>).

use podspec::json::{fields, list, text};
use serde_json::Value;

/// The rules that a ClusterRole with an `aggregationRule` has, from all ClusterRoles in the order of their names; `None`
/// for one without.
#[must_use]
pub fn aggregated_rules(role: &Value, all: &[Value]) -> Option<Value> {
    let aggregation = role.get("aggregationRule").filter(|rule| rule.is_object())?;
    let selectors = list(aggregation, "clusterRoleSelectors");
    let own = text(&role["metadata"], "name");
    let mut sources: Vec<&Value> =
        all.iter().filter(|other| text(&other["metadata"], "name") != own).collect();
    sources.sort_by_key(|other| text(&other["metadata"], "name"));
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors {
        for source in sources.iter().filter(|source| selected(&source["metadata"]["labels"], selector)) {
            for rule in list(source, "rules") {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Some(Value::Array(rules))
}

/// A label selector; one that says nothing selects all.
fn selected(labels: &Value, selector: &Value) -> bool {
    let value = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = fields(&selector["matchLabels"]).iter().all(|(key, wanted)| value(key) == wanted.as_str());
    equal
        && list(selector, "matchExpressions").iter().all(|expression| {
            let (found, values) = (value(text(expression, "key")), list(expression, "values"));
            let listed = found.is_some_and(|found| values.iter().any(|value| value == found));
            match text(expression, "operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::aggregated_rules;

    #[test]
    fn rules_of_all_that_are_selected() {
        let role = |name: &str, label: &str, rule: &str| json!({"metadata": {"name": name, "labels": {"to": label}}, "rules": [rule]});
        let all =
            [role("b", "sum", "2"), role("a", "sum", "1"), role("c", "other", "3"), role("d", "sum", "1")];
        let sum = json!({
            "metadata": {"name": "s"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "sum"}}]},
        });
        assert_eq!(aggregated_rules(&sum, &all), Some(json!(["1", "2"])));
        assert_eq!(aggregated_rules(&all[0], &all), None);
    }
}
