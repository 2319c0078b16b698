//! A namespace is labelled, and its pods are there already.

use std::collections::{BTreeMap, BTreeSet};

use podspec::json::{flag, list, text};
use serde_json::Value;

use crate::evaluate::{evaluate, reasons};
use crate::level::Policy;

/// How many pods are looked at.
pub const EXISTING_PODS_MAX: usize = 3_000;

/// What to warn of when `namespace`, in which these pods are, begins to `enforce` a policy: they stay, but no pod like them
/// would be taken again. Pods with the same faults share a line, under the first one's name.
#[must_use]
pub fn warnings_about_existing(namespace: &str, enforce: Policy, pods: &[Value]) -> Vec<String> {
    let mut found: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for pod in in_turn(pods).take(EXISTING_PODS_MAX) {
        let violations = evaluate(enforce, &pod["metadata"], &pod["spec"]);
        if !violations.is_empty() {
            let name = text(&pod["metadata"], "name");
            let (first, count) = found.entry(reasons(&violations)).or_insert((name, 0));
            *first = (*first).min(name);
            *count += 1;
        }
    }
    let mut warnings = Vec::new();
    if pods.len() > EXISTING_PODS_MAX {
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {EXISTING_PODS_MAX} of {} existing pods",
            pods.len()
        ));
    }
    if !found.is_empty() {
        warnings.push(format!(
            "existing pods in namespace \"{namespace}\" violate the new PodSecurity enforce level \"{enforce}\""
        ));
    }
    let mut lines: Vec<String> =
        found.iter().map(|(reasons, (name, count))| line(name, *count, reasons)).collect();
    lines.sort();
    warnings.extend(lines);
    warnings
}

fn line(name: &str, count: usize, reasons: &str) -> String {
    match count {
        1 => format!("{name}: {reasons}"),
        2 => format!("{name} (and 1 other pod): {reasons}"),
        _ => format!("{name} (and {} other pods): {reasons}", count - 1),
    }
}

/// The first pod of each controller before its others, which are most likely the same.
fn in_turn(pods: &[Value]) -> impl Iterator<Item = &Value> {
    let mut seen = BTreeSet::new();
    let (first, others): (Vec<_>, Vec<_>) =
        pods.iter().partition(|pod| controller(pod).is_none_or(|controller| seen.insert(controller)));
    first.into_iter().chain(others)
}

/// The uid of the object that made a pod.
fn controller(pod: &Value) -> Option<&str> {
    let owners = list(&pod["metadata"], "ownerReferences").iter();
    owners.filter(|owner| flag(owner, "controller")).map(|owner| text(owner, "uid")).next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::level::{Level, Version};

    const BASELINE: Policy = Policy { level: Level::Baseline, version: Version::Latest };

    fn pod(name: &str, network: bool, ipc: bool) -> Value {
        json!({"metadata": {"name": name}, "spec": {"hostNetwork": network, "hostIPC": ipc}})
    }

    #[test]
    fn pods_with_the_same_faults_share_a_line() {
        let fine = pod("fine", false, false);
        assert_eq!(warnings_about_existing("n", BASELINE, std::slice::from_ref(&fine)), Vec::<String>::new());
        let mut mighty = pod("a-mighty", false, false);
        mighty["spec"]["containers"] = json!([{"name": "c", "securityContext": {"privileged": true}}]);
        let mut both = mighty.clone();
        both["metadata"]["name"] = "both".into();
        both["spec"]["hostPID"] = true.into();
        let pods = [
            pod("z", true, false),
            pod("d", false, true),
            pod("e", true, true),
            mighty,
            both.clone(),
            both,
            fine,
        ];
        assert_eq!(
            warnings_about_existing("n", BASELINE, &pods),
            [
                "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
                "a-mighty: privileged",
                "both (and 1 other pod): host namespaces, privileged",
                "d (and 2 other pods): host namespaces",
            ]
        );
    }

    #[test]
    fn of_too_many_the_first_of_each_controller_are_looked_at() {
        let mut pods = Vec::new();
        for n in 0..EXISTING_PODS_MAX {
            let mut pod = pod(&format!("same-{n}"), false, false);
            pod["metadata"]["ownerReferences"] = json!([{"uid": "x"}, {"uid": "u", "controller": true}]);
            pods.push(pod);
        }
        pods.push(pod("last", true, false));
        assert_eq!(
            warnings_about_existing("n", BASELINE, &pods),
            [
                "new PodSecurity enforce level only checked against the first 3000 of 3001 existing pods",
                "existing pods in namespace \"n\" violate the new PodSecurity enforce level \"baseline:latest\"",
                "last: host namespaces",
            ]
        );
    }
}
