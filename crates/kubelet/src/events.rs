//! Journal entries to Kubernetes events: reasons and messages to the letter of a 1.36 kubelet
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>), since clients and
//! people match on them. Counting repeated events is the business of whoever stores them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lifecycle::{
    Action, Attempt, AttemptState, Decision, ExitReason, Hook, Observation, Observed, ProbeKind,
    ProbeOutcome, PullAmount, Pulled, StopPodReason, StopReason, Verdict, Wait,
};
use podspec::time::go_duration;
use podspec::{ContainerKind, ContainerName, Moment, Pod};

use journal::{Entry, Happening};

/// The reason of an event whose later ones take the place of the earlier ones, since they only say how far it is.
pub const PULL_PROGRESS: &str = "PullProgress";

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

/// Turns one pod's journal into its events. Fed from the first entry that is kept on, which is a snapshot, so that it knows
/// which containers run when all of them are told to stop.
#[derive(Clone, Debug, Default)]
pub struct EventSource {
    running: BTreeSet<ContainerName>,
    /// The newest attempt of each container that is known to have ended: an exit may overtake the report of the start.
    ended: BTreeMap<ContainerName, u32>,
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
            Happening::Snapshot(snapshot) => {
                self.running = running(&snapshot.observed);
                self.decisions.clone_from(&snapshot.decisions);
            }
            Happening::Changed(_) | Happening::Settled => {}
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
            Observation::ContainerStarted { container, attempt, .. } => {
                if self.ended.get(container) != Some(attempt) {
                    self.running.insert(container.clone());
                }
                out.normal(container, "Created", "Container created".to_owned());
                out.normal(container, "Started", "Container started".to_owned());
            }
            Observation::ContainerExited { container, attempt, exit } => {
                self.running.remove(container);
                self.ended.insert(container.clone(), *attempt);
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
            (Some(name), Verdict::Wait(Wait::ImagePullBackOff { image, .. })) => {
                out.of_image(name, image).normal("BackOff", format!("Back-off pulling image \"{image}\""));
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
        Observation::ImagePulling { .. }
        | Observation::ImageProgress { .. }
        | Observation::ImageReady { .. }
        | Observation::ImageFailed { .. } => image_events(observation, out),
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

fn image_events(observation: &Observation, out: &mut Events<'_>) {
    match observation {
        Observation::ImagePulling { container, image } => {
            out.of_image(container, image).normal("Pulling", format!("Pulling image \"{image}\""));
        }
        Observation::ImageProgress { container, image, progress } => {
            let PullAmount { bytes, bytes_done, layers, layers_done } = *progress;
            let (done, all) = (binary(bytes_done), binary(bytes));
            let message =
                format!("Pulling image \"{image}\": {done} of {all} in {layers_done} of {layers} layers");
            out.of_image(container, image).normal(PULL_PROGRESS, message);
        }
        Observation::ImageReady { container, image, pulled, .. } => {
            let message = match pulled {
                None => format!(
                    "Container image \"{image}\" already present on machine and can be accessed by the pod"
                ),
                Some(Pulled { took, waited, bytes }) => format!(
                    "Successfully pulled image \"{image}\" in {} ({} including waiting). Image size: {bytes} bytes.",
                    go_duration(to_millis(*took)),
                    go_duration(to_millis(took.saturating_add(*waited))),
                ),
            };
            out.of_image(container, image).normal("Pulled", message);
        }
        Observation::ImageFailed { container, image, reason, message } => {
            image_failed(container, image, reason, message, out);
        }
        _ => {}
    }
}

fn image_failed(container: &ContainerName, image: &str, reason: &str, message: &str, out: &mut Events<'_>) {
    let mut of_image = out.of_image(container, image);
    match reason {
        "ErrImageNeverPull" => of_image.warning("ErrImageNeverPull", message.to_owned()),
        "InvalidImageName" | "ImageInspectError" => of_image.warning("InspectFailed", message.to_owned()),
        // CRI's own errors name themselves.
        "RegistryUnavailable" | "SignatureValidationFailed" => {
            of_image.warning("Failed", format!("Failed to pull image \"{image}\": {reason}: {message}"));
        }
        _ => of_image.warning("Failed", format!("Failed to pull image \"{image}\": {message}")),
    }
    out.warning(container, "Failed", format!("Error: {reason}"));
}

/// As a kubelet does with what it has measured.
fn to_millis(took: Duration) -> Duration {
    Duration::from_millis(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// `1.5 GiB`, `120 MiB`: below ten with a tenth.
#[must_use]
pub fn binary(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    // In tenths of the unit, rounded; a number of four digits is one of the next.
    let tenths = |unit: usize| {
        let size = 1u128 << (10 * (unit + 1));
        (u128::from(bytes) * 10 + size / 2) / size
    };
    while unit + 1 < UNITS.len() && tenths(unit) >= 10_000 {
        unit += 1;
    }
    let tenths = tenths(unit);
    match tenths {
        0..100 => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", (tenths + 5) / 10, UNITS[unit]),
    }
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

fn running(observed: &Observed) -> BTreeSet<ContainerName> {
    let runs = |attempt: &Attempt| matches!(attempt.state, AttemptState::Running { .. });
    let running = observed.containers.iter().filter(|(_, c)| c.current.as_deref().is_some_and(runs));
    running.map(|(name, _)| name.clone()).collect()
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

    /// Of a container's own image it is told with the container, of a volume's with the pod alone.
    fn of_image(&mut self, container: &ContainerName, image: &str) -> ImageEvents<'_, 'a> {
        let own = self.pod.spec.container(container).is_some_and(|container| container.image == image);
        let field_path = self.field_path(container).filter(|_| own);
        ImageEvents { events: self, field_path }
    }
}

struct ImageEvents<'e, 'a> {
    events: &'e mut Events<'a>,
    field_path: Option<String>,
}

impl ImageEvents<'_, '_> {
    fn normal(&mut self, reason: &'static str, message: String) {
        self.events.push(EventType::Normal, reason, message, self.field_path.clone());
    }

    fn warning(&mut self, reason: &'static str, message: String) {
        self.events.push(EventType::Warning, reason, message, self.field_path.clone());
    }
}
