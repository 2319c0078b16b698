//! Pods that are to end (<https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#jobs-with-sidecar-containers>).

use super::sidecars::never_ends;
use super::volumes::the;
use crate::finding::{Context, Edit, Finding};
use crate::images;
use crate::pod::{Kind, Pod};
use crate::rule::JOB_KEPT_ALIVE;

/// A pod ends when all of `containers` have, so one that goes on beside the work keeps it.
pub(super) fn check(pod: &Pod<'_>, _: &Context, findings: &mut Vec<Finding>) {
    // A container that sees the others' processes can be told to end, or see for itself.
    if pod.restart_policy() == "Always" || pod.shares_processes() {
        return;
    }
    let apps = || pod.containers.iter().filter(|container| container.kind == Kind::App);
    let Some(main) = apps().find(|app| never_ends(app).is_none()) else { return };
    // Many programs end when they are asked to, over the network or by a file.
    let is_asked = pod.containers.iter().flat_map(|c| &c.words).any(|word| {
        let text = word.text.to_lowercase();
        ["quit", "shutdown", "terminate"].iter().any(|asks| text.contains(asks))
    });
    if is_asked {
        return;
    }
    for helper in apps().filter(|app| app.has_command() || !images::is_often_main(app.image)) {
        let Some(why) = never_ends(helper) else { continue };
        let message = format!(
            "{} never ends ({why}), so the pod does not end when {} has: it is to end (restartPolicy: {})",
            the(helper),
            the(main),
            pod.restart_policy()
        );
        let help = "make it a sidecar: under initContainers with restartPolicy: Always it is stopped when the work is done";
        let edits = vec![
            Edit::Set { path: helper.path.child("restartPolicy"), value: "Always".into() },
            Edit::Move { from: helper.path.clone(), to: Pod::path().child("initContainers") },
        ];
        findings.push(
            Finding::new(&JOB_KEPT_ALIVE, helper.path.clone(), message, help)
                .related(main.path.clone(), "the work")
                .fix(format!("make {} a sidecar", helper.name), edits),
        );
    }
}
