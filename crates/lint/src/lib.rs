//! What will not work, or was hardly meant, in a manifest: rules over a pod as JSON, each with a stable id and a page in
//! `docs/lint`.
//!
//! [`check`] looks at one pod, with its defaults or without them, and knows nothing of text: the admission of the API server calls it,
//! too. [`Finding::path`] says where; [`text`] finds the place in a manifest, and carries out a [`Fix`] there.
//! A rule that is not sure says nothing: words of commands are read as far as they are plain, and no further.

mod apply;
mod files;
mod finding;
mod hosts;
mod images;
mod listens;
mod pod;
mod program;
mod rule;
mod rules;
mod shell;
pub mod text;

pub use apply::Misfit;
pub use finding::{At, Context, Edit, Finding, Fix};
pub use rule::{RULES, Rule, Severity};

use serde_json::Value;

/// More is more than anybody reads.
const FINDINGS_MAX: usize = 1_000;
const LINE_BYTES_MAX: usize = 1_000;

/// Everything that the rules find in a v1.Pod, in the order of the rules. Of a pod that is not valid, whatever can be found.
#[must_use]
pub fn check(pod: &Value, context: &Context) -> Vec<Finding> {
    let json = pod;
    let pod = pod::Pod::of(json);
    let mut findings = Vec::new();
    for check in rules::CHECKS {
        check(&pod, context, &mut findings);
        findings.truncate(FINDINGS_MAX);
    }
    for finding in &mut findings {
        // Something of another type may be in the way.
        finding.fix.take_if(|fix| !fix.fits(json));
        let related = finding.related.iter_mut().map(|(_, words)| words);
        let title = finding.fix.iter_mut().map(|fix| &mut fix.title);
        [&mut finding.message, &mut finding.help]
            .into_iter()
            .chain(related)
            .chain(title)
            .for_each(keep_to_a_line);
    }
    findings.sort_by_key(|finding| RULES.iter().position(|rule| rule.id == finding.rule.id));
    findings
}

/// What comes from a manifest may be of any length, and have any characters.
fn keep_to_a_line(text: &mut String) {
    if text.len() > LINE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
        text.push_str("...");
    }
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, "?");
    }
}

/// What is to be said where a pod is created or changed: a line for each error and warning, with the id of its rule at the end.
/// Hints are for those who look for them.
#[must_use]
pub fn warnings(pod: &Value, context: &Context) -> Vec<String> {
    let told = check(pod, context).into_iter().filter(|finding| finding.rule.severity != Severity::Hint);
    told.map(|Finding { rule, path, message, help, .. }| format!("{path}: {message}: {help} [{}]", rule.id))
        .collect()
}

/// Whether a line is one of [`warnings`].
#[must_use]
pub fn is_warning(line: &str) -> bool {
    let id = line.strip_suffix(']').and_then(|line| line.rsplit_once(" [")).map(|(_, id)| id);
    id.is_some_and(|id| RULES.iter().any(|rule| rule.id == id))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Context, is_warning, warnings};

    #[test]
    fn the_token_of_an_account_is_no_volume_of_anybody() {
        let mut pod = json!({"spec": {
            "volumes": [{"name": "logs", "emptyDir": {}}],
            "containers": [
                {"name": "main", "image": "app:1", "volumeMounts": [{"name": "logs", "mountPath": "/var/log"}]},
                {"name": "shipper", "image": "filebeat:8", "volumeMounts": []},
            ],
        }});
        let before = warnings(&pod, &Context::default());
        assert_eq!(before.len(), 1, "{before:?}");
        let token = "kube-api-access-x7k2p";
        let mount = json!({"name": token, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
        let added = [
            ("/spec/volumes", json!({"name": token, "projected": {"sources": []}})),
            ("/spec/containers/0/volumeMounts", mount.clone()),
            ("/spec/containers/1/volumeMounts", mount),
        ];
        for (list, entry) in added {
            pod.pointer_mut(list).and_then(Value::as_array_mut).expect("a list").push(entry);
        }
        assert_eq!(warnings(&pod, &Context::default()), before);
    }

    #[test]
    fn a_line_says_where_what_and_the_rule() {
        let mount = json!({"name": "logs", "mountPath": "/logs"});
        let container = json!({"name": "main", "image": "app:latest", "volumeMounts": [mount]});
        let lines = warnings(&json!({"spec": {"containers": [container]}}), &Context::default());
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("spec.containers[0].volumeMounts[0].name: the pod defines no volume"),
            "{lines:?}"
        );
        assert!(lines[0].ends_with(" [volume-not-defined]") && is_warning(&lines[0]), "{lines:?}");
        assert!(!is_warning("spec.x: y [no-rule]") && !is_warning("volume-not-defined"));
    }
}
