//! The timeline's text.

use std::fmt::Write as _;
use std::time::Duration;

use lifecycle::{
    Action, Condition, ConditionKind, ContainerState, ContainerStatus, Exit, Observation, PodStatus,
    ProbeOutcome, ProbeState,
};
use podspec::Resources;

#[derive(Debug, Default)]
pub(crate) struct Timeline {
    text: String,
    last_status: String,
    messages: bool,
    silent: bool,
}

impl Timeline {
    pub(crate) fn new(messages: bool) -> Self {
        Self { messages, ..Self::default() }
    }

    /// One that is not written: where the same steps are taken a million times.
    pub(crate) fn silent() -> Self {
        Self { silent: true, ..Self::default() }
    }

    pub(crate) fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    pub(crate) fn last_lines(&self, count: usize) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
    }

    pub(crate) fn action(&mut self, at: Duration, action: &Action) {
        if self.silent {
            return;
        }
        if let Some(text) = action_text(action) {
            self.line(at, "->", &text);
        }
    }

    pub(crate) fn observation(&mut self, at: Duration, observation: &Observation) {
        if self.silent {
            return;
        }
        if let Some(text) = observation_text(observation) {
            self.line(at, "<-", &text);
        }
    }

    /// A probe that goes on for ever: what it says when that is something new, and what may become so.
    pub(crate) fn probed(
        &mut self,
        at: Duration,
        observation: &Observation,
        before: Option<&ProbeState>,
        after: Option<&ProbeState>,
    ) {
        if self.silent {
            return;
        }
        let verdict = |state: Option<&ProbeState>| state.map(|state| state.verdict);
        let count = |state: Option<&ProbeState>| state.map(|state| (state.failures, state.errors));
        let turned = verdict(before) != verdict(after);
        if !turned && count(before) == count(after) {
            return;
        }
        let now = verdict(after).filter(|_| turned).map(|verdict| format!(", now {verdict:?}"));
        if let Some(text) = observation_text(observation) {
            self.line(at, "<-", &(text + &now.unwrap_or_default()));
        }
    }

    pub(crate) fn status(&mut self, at: Duration, status: &PodStatus) {
        if self.silent {
            return;
        }
        let mut text = status_text(status);
        if self.messages {
            text.push_str(&messages_text(status));
        }
        if text != self.last_status {
            self.line(at, "==", &text);
            self.last_status = text;
        }
    }

    pub(crate) fn note(&mut self, at: Duration, text: &str) {
        if !self.silent {
            self.line(at, "..", text);
        }
    }

    /// What is made to happen.
    pub(crate) fn event(&mut self, text: &str) {
        let _ = writeln!(self.text, "          >> {text}");
    }

    fn line(&mut self, at: Duration, mark: &str, text: &str) {
        let _ = writeln!(self.text, "{:9.3} {mark} {text}", at.as_secs_f64());
    }
}

fn action_text(action: &Action) -> Option<String> {
    Some(match action {
        Action::EnsureImage { .. } | Action::RunProbe { .. } => return None,
        Action::SetUpVolumes => "set up volumes".to_owned(),
        Action::CreateSandbox { attempt } => format!("create sandbox {attempt}"),
        Action::StartContainer { container, attempt: 0, .. } => format!("start {container}"),
        Action::StartContainer { container, attempt, .. } => format!("start {container} again ({attempt})"),
        Action::RunHook { container, hook, timeout, .. } => {
            let seconds = timeout.map(|t| t.as_secs_f64().round());
            let limit = seconds.map(|s| format!(", at most {s}s")).unwrap_or_default();
            format!("{} {container}{limit}", hook.name())
        }
        Action::ResizeContainer { container, resources, .. } => {
            format!("resize {container} to{}", resources_text(*resources))
        }
        Action::SignalContainer { container, .. } => format!("signal {container}"),
        Action::KillContainer { container, .. } => format!("kill {container}"),
        Action::RemoveContainer { container, attempt } => format!("remove {container}/{attempt}"),
        Action::StopSandbox { attempt } => format!("stop sandbox {attempt}"),
        Action::RemoveVolumes => "remove volumes".to_owned(),
    })
}

fn observation_text(observation: &Observation) -> Option<String> {
    Some(match observation {
        Observation::DeletionRequested { grace } => format!("deletion, grace {grace:?}"),
        Observation::SpecChanged => "the pod is changed".to_owned(),
        Observation::ObjectsChanged => "something it names has changed".to_owned(),
        Observation::VolumesFailed { .. } => "volumes failed".to_owned(),
        Observation::SandboxCreateFailed { attempt, .. } => format!("sandbox {attempt} failed"),
        Observation::SandboxLost { attempt } => format!("sandbox {attempt} lost"),
        Observation::Adopted(_) => "adopted by a new engine".to_owned(),
        Observation::ImageFailed { container, reason, .. } => format!("image of {container}: {reason}"),
        Observation::ContainerCreateFailed { container, reason, .. } => format!("{container}: {reason}"),
        Observation::ContainerExited { container, exit, .. } => format!("{container} {}", exit_text(exit)),
        Observation::HookFinished { container, hook, failure, .. } => {
            let how = if failure.is_some() { "failed" } else { "done" };
            format!("{} {container} {how}", hook.name())
        }
        Observation::ProbeFinished { container, probe, outcome, .. } => {
            let how = match outcome {
                ProbeOutcome::Success => "succeeded",
                ProbeOutcome::Warning(_) => "succeeded with a warning",
                ProbeOutcome::Failure(_) => "failed",
                ProbeOutcome::Error(_) => "could not be run",
            };
            format!("{} probe {container} {how}", probe.name().to_lowercase())
        }
        Observation::ContainerResized { container, failure: None, .. } => format!("{container} resized"),
        Observation::ContainerResized { container, .. } => format!("{container} could not be resized"),
        Observation::Configured { backoff } => {
            format!("backoff from {:?} to {:?}", backoff.initial, backoff.max)
        }
        Observation::GatesChanged { gates } => {
            let gates: Vec<String> = gates.iter().map(|(gate, status)| format!(" {gate}={status}")).collect();
            format!("gates{}", gates.concat())
        }
        Observation::Evicted { .. } => "evicted".to_owned(),
        Observation::Rejected { .. } => "rejected".to_owned(),
        Observation::Accepted
        | Observation::HookWarned { .. }
        | Observation::VolumesReady
        | Observation::VolumesRemoved
        | Observation::SandboxCreated { .. }
        | Observation::SandboxStopped { .. }
        | Observation::ImagePulling { .. }
        | Observation::ImageProgress { .. }
        | Observation::ImageReady { .. }
        | Observation::ContainerStarted { .. }
        | Observation::ContainerRemoved { .. } => return None,
    })
}

/// ` cpu=100..200 memory=..64`: what is requested, and the limit.
fn resources_text(resources: Resources) -> String {
    let Resources { cpu_request, cpu_limit, memory_request, memory_limit } = resources;
    let mut text = String::new();
    for (what, request, limit) in [("cpu", cpu_request, cpu_limit), ("memory", memory_request, memory_limit)]
    {
        let of = |amount: Option<u64>| amount.map(|amount| amount.to_string()).unwrap_or_default();
        if request.is_some() || limit.is_some() {
            let _ = write!(text, " {what}={}..{}", of(request), of(limit));
        }
    }
    text
}

fn exit_text(exit: &Exit) -> String {
    format!("exited {} {:?}", exit.code, exit.reason)
}

/// `Running main:Running* s:Running* | Initialized Ready`: `*` is ready, `+` started but not ready.
fn status_text(status: &PodStatus) -> String {
    let mut text = format!("{:?}", status.phase);
    if let Some(reason) = &status.reason {
        let _ = write!(text, "({reason})");
    }
    for container in status.all_containers() {
        let _ = write!(text, " {}", container_text(container));
    }
    text.push_str(" |");
    for condition in &status.conditions {
        text.push_str(&condition_text(condition));
    }
    text
}

/// One line for each message of the pod, of a container that waits, and of a condition.
fn messages_text(status: &PodStatus) -> String {
    let mut text = String::new();
    let mut line = |who: &str, message: Option<&str>| {
        if let Some(message) = message.filter(|m| !m.is_empty()) {
            let _ = write!(text, "\n             {who}: {message}");
        }
    };
    line("pod", status.message.as_deref());
    for container in status.all_containers() {
        match &container.state {
            ContainerState::Waiting { message, .. } => line(container.name.as_str(), message.as_deref()),
            ContainerState::Terminated(exit) => line(container.name.as_str(), Some(&exit.message)),
            ContainerState::Running { .. } => {}
        }
        if let Some(exit) = &container.last_state {
            line(container.name.as_str(), Some(&format!("last {:?}({})", exit.reason, exit.code)));
        }
    }
    for condition in &status.conditions {
        if let Some(reason) = &condition.reason {
            let message = condition.message.as_ref().map(|m| format!(" {m}")).unwrap_or_default();
            line(&format!("{:?}", condition.kind), Some(&format!("{reason}{message}")));
        }
    }
    text
}

fn container_text(container: &ContainerStatus) -> String {
    let state = match &container.state {
        ContainerState::Waiting { reason, .. } => reason.clone(),
        ContainerState::Running { .. } => "Running".to_owned(),
        ContainerState::Terminated(exit) => format!("{:?}({})", exit.reason, exit.code),
    };
    let mark = match (container.ready, container.started) {
        (true, _) => "*",
        (false, true) => "+",
        (false, false) => "",
    };
    let restarts =
        if container.restart_count > 0 { format!("#{}", container.restart_count) } else { String::new() };
    format!("{}:{state}{mark}{restarts}", container.name)
}

fn condition_text(condition: &Condition) -> String {
    let name = match condition.kind {
        ConditionKind::PodReadyToStartContainers => "Sandbox",
        ConditionKind::Initialized => "Initialized",
        ConditionKind::Ready => "Ready",
        ConditionKind::AllContainersRestarting => "RestartingAll",
        ConditionKind::PodResizeInProgress if condition.reason.is_some() => "ResizeFailed",
        ConditionKind::PodResizeInProgress => "Resizing",
        ConditionKind::DisruptionTarget => "Disrupted",
        ConditionKind::ContainersReady | ConditionKind::PodScheduled => return String::new(),
    };
    match (condition.status, &condition.reason) {
        (true, _) => format!(" {name}"),
        (false, Some(reason)) if reason.starts_with("Pod") => format!(" !{name}({reason})"),
        (false, _) => String::new(),
    }
}
