//! Sidecars: init containers whose own `restartPolicy` is `Always`
//! (<https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>, KEP-753).

use podspec::json::text;

use super::volumes::the;
use crate::finding::{Context, Edit, Finding};
use crate::images;
use crate::pod::{Container, Kind, Pod};
use crate::rule::SIDECAR_AS_INIT;

/// Words by which a program that otherwise goes on is told to do one thing and end.
const ENDING_WORDS: [&str; 13] = [
    "check",
    "config-test",
    "configtest",
    "dry",
    "exit",
    "help",
    "init",
    "migrate",
    "once",
    "one",
    "test",
    "validate",
    "version",
];

pub(super) fn check(pod: &Pod<'_>, _: &Context, findings: &mut Vec<Finding>) {
    as_init(pod, findings);
}

fn as_init(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    for container in pod.containers.iter().filter(|container| container.kind == Kind::Init) {
        let Some(why) = never_ends(container) else { continue };
        let message = format!(
            "{} never ends ({why}), so no container after it will start",
            the(container).trim_start_matches("the ")
        );
        let help = "a sidecar needs restartPolicy: Always on the container itself; the pod's restartPolicy does not make one";
        let path = container.path.child("restartPolicy");
        let mut finding = Finding::new(&SIDECAR_AS_INIT, container.path.clone(), message, help);
        if text(pod.spec, "restartPolicy") == "Always" {
            finding = finding.related(Pod::path().child("restartPolicy"), "of the pod: makes no sidecar");
        }
        // Rules for its exits say that it is meant to end.
        let has_rules = container.json.get("restartPolicyRules").is_some();
        findings.push(if has_rules {
            finding
        } else {
            let title = format!("make {} a sidecar", container.name);
            finding.fix(title, vec![Edit::Set { path, value: "Always".into() }])
        });
    }
}

/// Why the container goes on until it is stopped; `None` where that is not sure.
pub(super) fn never_ends(container: &Container<'_>) -> Option<String> {
    if let Some(endless) = container.program.endless {
        return Some(endless.to_owned());
    }
    let program = images::lasting(container.image).filter(|_| !container.has_command())?;
    let are_flags = container.words.first().is_none_or(|word| word.text.starts_with('-'));
    let may_end = |text: &str| {
        let is_letter = |c: char| c.is_ascii_alphanumeric();
        let lower = text.to_lowercase();
        ["-t", "-v", "-h"].contains(&lower.as_str())
            || program == "haproxy" && lower == "-c"
            || lower.split(|c| !is_letter(c)).any(|word| ENDING_WORDS.contains(&word))
    };
    let ends = container.words.iter().any(|word| may_end(&word.text))
        || container.env.iter().any(|(name, _)| may_end(name));
    (are_flags && !ends).then(|| format!("the image is of {program}"))
}
