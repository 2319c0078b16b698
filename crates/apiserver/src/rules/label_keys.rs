//! `matchLabelKeys` and `mismatchLabelKeys`: labels of the pod itself, as they were when it was created, join the selectors
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/>, KEP-3633).

use podspec::json::list;
use serde_json::{Map, Value, json};

const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const KEYS: [(&str, &str); 2] = [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")];

/// Writes the values that the keys stand for into the selectors of affinities and spread constraints.
pub(super) fn settle(pod: &mut Value) {
    let labels = pod["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let Some(spec) = pod.get_mut("spec") else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = spec.get_mut("affinity").and_then(|affinity| affinity.get_mut(kind)) else {
            continue;
        };
        each(affinity, REQUIRED, |term| join(term, &labels));
        each(affinity, PREFERRED, |preferred| {
            if let Some(term) = preferred.get_mut("podAffinityTerm") {
                join(term, &labels);
            }
        });
    }
    each(spec, "topologySpreadConstraints", |constraint| join(constraint, &labels));
}

fn each(owner: &mut Value, name: &str, change: impl Fn(&mut Value)) {
    let items = owner.get_mut(name).and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(change);
}

/// Nothing joins a selector that is not there: it selects no pod.
fn join(owner: &mut Value, labels: &Map<String, Value>) {
    let mut added = Vec::new();
    for (name, operator) in KEYS {
        for key in list(owner, name).iter().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                added.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    let Some(selector) = owner.get_mut("labelSelector").and_then(Value::as_object_mut) else { return };
    if !added.is_empty()
        && let Some(held) = selector.entry("matchExpressions").or_insert_with(|| json!([])).as_array_mut()
    {
        held.extend(added);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::settle;

    #[test]
    fn values_of_the_pods_own_labels_join_the_selectors() {
        let term = |more: serde_json::Value| {
            let mut term = json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}});
            term.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            term
        };
        let keys = json!({"matchLabelKeys": ["hash", "none"], "mismatchLabelKeys": ["tenant"]});
        let mut bare = term(keys.clone());
        bare.as_object_mut().unwrap().remove("labelSelector");
        let spec = |terms: [serde_json::Value; 3], spread: serde_json::Value| {
            let [required, preferred, without] = terms;
            json!({
                "metadata": {"labels": {"app": "web", "hash": "x1", "tenant": "t"}},
                "spec": {
                    "affinity": {
                        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [required, without]},
                        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 1, "podAffinityTerm": preferred},
                        ]},
                    },
                    "topologySpreadConstraints": [spread],
                },
            })
        };
        let mut pod = spec(
            [term(keys.clone()), term(keys.clone()), bare.clone()],
            term(json!({"matchLabelKeys": ["hash"]})),
        );
        settle(&mut pod);
        let hash = json!({"key": "hash", "operator": "In", "values": ["x1"]});
        let tenant = json!({"key": "tenant", "operator": "NotIn", "values": ["t"]});
        let joined = |keys: &serde_json::Value, expressions: serde_json::Value| {
            let mut term = term(keys.clone());
            term["labelSelector"]["matchExpressions"] = expressions;
            term
        };
        let both = joined(&keys, json!([hash, tenant]));
        let spread = joined(&json!({"matchLabelKeys": ["hash"]}), json!([hash]));
        assert_eq!(pod, spec([both.clone(), both, bare], spread));
    }
}
