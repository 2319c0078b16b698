//! Journal entries to Kubernetes events: reasons and messages to the letter of a 1.36 kubelet
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>), since clients and
//! people match on them. Counting repeated events is the business of whoever stores them.

use std::collections::BTreeSet;

use lifecycle::{
    Action, Decision, ExitReason, Hook, Observation, ProbeKind, ProbeOutcome, Pulled, StopPodReason,
    StopReason, Verdict, Wait,
};
use podspec::time::go_duration;
use podspec::{Container, ContainerKind, ContainerName, Moment, Pod};

use crate::journal::{Entry, Happening};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventType {
    Normal,
    Warning,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub at: Moment,
    pub kind: EventType,
    pub reason: &'static str,
    pub message: String,
    /// `involvedObject.fieldPath`, as `spec.containers{main}`; `None` for the pod itself.
    pub field_path: Option<String>,
}

/// Turns one pod's journal into its events. Fed from the first entry on, so that it knows which
/// containers run when all of them are told to stop.
#[derive(Clone, Debug, Default)]
pub struct EventSource {
    running: BTreeSet<ContainerName>,
    sandbox_lost: bool,
    /// Of the last plan; what is decided again is no new event.
    decisions: Vec<Decision>,
}

impl EventSource {
    /// The events of one entry, in order.
    pub fn events(&mut self, pod: &Pod, entry: &Entry) -> Vec<Event> {
        let mut out = Events { pod, at: entry.at, list: Vec::new() };
        match &entry.what {
            Happening::Observed(observation) => self.observed(observation, &mut out),
            Happening::Issued(action) => self.issued(action, &mut out),
            Happening::Decided(decisions) => {
                for decision in decisions {
                    if !self.decisions.contains(decision) {
                        self.decided(decision, &mut out);
                    }
                }
                self.decisions.clone_from(decisions);
            }
        }
        out.list
    }

    fn issued(&mut self, action: &Action, out: &mut Events<'_>) {
        if let Action::CreateSandbox { .. } = action
            && std::mem::take(&mut self.sandbox_lost)
        {
            out.pod_event(
                "SandboxChanged",
                "Pod sandbox changed, it will be killed and re-created.".to_owned(),
            );
        }
    }

    fn observed(&mut self, observation: &Observation, out: &mut Events<'_>) {
        match observation {
            Observation::SandboxLost { .. } => {
                self.running.clear();
                self.sandbox_lost = true;
            }
            Observation::ContainerStarted { container, .. } => {
                self.running.insert(container.clone());
                out.normal(container, "Created", "Container created".to_owned());
                out.normal(container, "Started", "Container started".to_owned());
            }
            Observation::ContainerExited { container, exit, .. } => {
                self.running.remove(container);
                if exit.reason == ExitReason::StartError {
                    out.normal(container, "Created", "Container created".to_owned());
                    out.warning(container, "Failed", format!("Error: {}", exit.message));
                }
            }
            Observation::Adopted(snapshot) => {
                self.running = (snapshot.containers.iter())
                    .filter(|record| record.exit.is_none())
                    .map(|record| record.name.clone())
                    .collect();
            }
            // It could not be made because the container has ended, which is told by itself.
            Observation::ProbeFinished { container, outcome: ProbeOutcome::Error(_), .. }
                if !self.running.contains(container) => {}
            _ => failure_events(observation, out),
        }
    }

    fn decided(&self, decision: &Decision, out: &mut Events<'_>) {
        match (&decision.container, &decision.verdict) {
            (None, Verdict::StopPod(reason)) => self.stop_pod(*reason, out),
            (None, Verdict::RestartAllContainers { .. }) => self.stop_all(out),
            (Some(name), Verdict::StopContainer(reason)) => stop_container(name, *reason, out),
            (Some(name), Verdict::Wait(Wait::CrashLoopBackOff { .. })) => {
                let Pod { name: pod, namespace, uid, .. } = out.pod;
                let message =
                    format!("Back-off restarting failed container {name} in pod {pod}_{namespace}({uid})");
                out.warning(name, "BackOff", message);
            }
            (Some(name), Verdict::Wait(Wait::ImagePullBackOff { .. })) => {
                out.normal(name, "BackOff", format!("Back-off pulling image \"{}\"", out.image(name)));
                out.warning(name, "Failed", "Error: ImagePullBackOff".to_owned());
            }
            _ => {}
        }
    }

    fn stop_pod(&self, reason: StopPodReason, out: &mut Events<'_>) {
        if reason == StopPodReason::DeadlineExceeded {
            let message = "Pod was active on the node longer than the specified deadline";
            out.pod_event("DeadlineExceeded", message.to_owned());
        }
        self.stop_all(out);
    }

    fn stop_all(&self, out: &mut Events<'_>) {
        for name in &self.running {
            out.normal(name, "Killing", format!("Stopping container {name}"));
        }
    }
}

/// Of observations that leave the set of running containers as it is.
fn failure_events(observation: &Observation, out: &mut Events<'_>) {
    match observation {
        Observation::VolumesFailed { message } => out.pod_warning("FailedMount", message.clone()),
        Observation::SandboxCreateFailed { message, .. } => {
            out.pod_warning("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {message}"));
        }
        Observation::ImageReady { container, pulled, .. } => image_ready(container, pulled.as_ref(), out),
        Observation::ImageFailed { container, reason, message, .. } => {
            image_failed(container, reason, message, out);
        }
        Observation::ContainerCreateFailed { container, message, .. } => {
            out.warning(container, "Failed", format!("Error: {message}"));
        }
        Observation::HookFinished { container, hook, failure: Some(_), .. } => match hook {
            Hook::PostStart => {
                out.warning(container, "FailedPostStartHook", "PostStartHook failed".to_owned());
            }
            Hook::PreStop => out.warning(container, "FailedPreStopHook", "PreStopHook failed".to_owned()),
        },
        Observation::HookWarned { message, .. } => out.pod_warning("LifecycleHTTPFallback", message.clone()),
        Observation::ProbeFinished { container, probe, outcome, .. } => {
            probed(container, *probe, outcome, out);
        }
        Observation::Rejected { reason, message } => out.pod_warning(reason.as_str(), message.clone()),
        Observation::Evicted { message } => out.pod_warning("Evicted", message.clone()),
        _ => {}
    }
}

fn image_ready(container: &ContainerName, pulled: Option<&Pulled>, out: &mut Events<'_>) {
    let image = out.image(container);
    let Some(Pulled { took, waited, bytes }) = pulled else {
        let message =
            format!("Container image \"{image}\" already present on machine and can be accessed by the pod");
        return out.normal(container, "Pulled", message);
    };
    out.normal(container, "Pulling", format!("Pulling image \"{image}\""));
    let message = format!(
        "Successfully pulled image \"{image}\" in {} ({} including waiting). Image size: {bytes} bytes.",
        go_duration(*took),
        go_duration(took.saturating_add(*waited)),
    );
    out.normal(container, "Pulled", message);
}

fn image_failed(container: &ContainerName, reason: &str, message: &str, out: &mut Events<'_>) {
    let image = out.image(container);
    match reason {
        "ErrImageNeverPull" => {
            let message = format!("Container image \"{image}\" is not present with pull policy of Never");
            out.warning(container, "ErrImageNeverPull", message);
        }
        "InvalidImageName" | "ImageInspectError" => {
            out.warning(container, "InspectFailed", message.to_owned());
        }
        _ => {
            out.normal(container, "Pulling", format!("Pulling image \"{image}\""));
            out.warning(container, "Failed", format!("Failed to pull image \"{image}\": {message}"));
        }
    }
    out.warning(container, "Failed", format!("Error: {reason}"));
}

fn probed(container: &ContainerName, probe: ProbeKind, outcome: &ProbeOutcome, out: &mut Events<'_>) {
    let probe = probe.name();
    match outcome {
        ProbeOutcome::Success => {}
        ProbeOutcome::Warning(output) => {
            out.warning(container, "ProbeWarning", format!("{probe} probe warning: {output}"));
        }
        ProbeOutcome::Failure(output) => {
            out.warning(container, "Unhealthy", format!("{probe} probe failed: {output}"));
        }
        ProbeOutcome::Error(error) => {
            let message = format!("{probe} probe errored and resulted in unknown state: {error}");
            out.warning(container, "Unhealthy", message);
        }
    }
}

fn stop_container(name: &ContainerName, reason: StopReason, out: &mut Events<'_>) {
    let what = match reason {
        StopReason::PostStartHookFailed => {
            return out.normal(name, "Killing", "FailedPostStartHook".to_owned());
        }
        StopReason::StartupProbeFailed => "failed startup probe",
        StopReason::LivenessProbeFailed => "failed liveness probe",
        StopReason::DefinitionChanged => "definition changed",
        StopReason::ResizeRestarts => "resize requires restart",
    };
    let container = out.pod.spec.container(name);
    let message = match container.filter(|container| container.kind == ContainerKind::App) {
        Some(container) => {
            let again = match reason {
                StopReason::ResizeRestarts => false,
                StopReason::DefinitionChanged => true,
                _ => lifecycle::expects_restart(&out.pod.spec, container),
            };
            let again = if again { ", will be restarted" } else { "" };
            format!("Container {name} {what}{again}")
        }
        None => format!("Init container {name} {what}"),
    };
    out.normal(name, "Killing", message);
}

struct Events<'a> {
    pod: &'a Pod,
    at: Moment,
    list: Vec<Event>,
}

impl<'a> Events<'a> {
    fn normal(&mut self, container: &ContainerName, reason: &'static str, message: String) {
        let field_path = self.field_path(container);
        self.push(EventType::Normal, reason, message, field_path);
    }

    fn warning(&mut self, container: &ContainerName, reason: &'static str, message: String) {
        let field_path = self.field_path(container);
        self.push(EventType::Warning, reason, message, field_path);
    }

    fn pod_event(&mut self, reason: &'static str, message: String) {
        self.push(EventType::Normal, reason, message, None);
    }

    fn pod_warning(&mut self, reason: &'static str, message: String) {
        self.push(EventType::Warning, reason, message, None);
    }

    fn push(&mut self, kind: EventType, reason: &'static str, message: String, field_path: Option<String>) {
        self.list.push(Event { at: self.at, kind, reason, message, field_path });
    }

    fn field_path(&self, container: &ContainerName) -> Option<String> {
        let list = match self.pod.spec.container(container)?.kind {
            ContainerKind::App => "containers",
            ContainerKind::Init | ContainerKind::Sidecar => "initContainers",
            ContainerKind::Ephemeral => "ephemeralContainers",
        };
        Some(format!("spec.{list}{{{container}}}"))
    }

    fn image(&self, container: &ContainerName) -> &'a str {
        self.pod.spec.container(container).map_or("", |container: &Container| container.image.as_str())
    }
}
