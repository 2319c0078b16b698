//! The timeline's text.

use std::fmt::Write as _;
use std::time::Duration;

use lifecycle::{
    Action, Condition, ConditionKind, ContainerState, ContainerStatus, Exit, Hook, Observation, PodStatus,
    ProbeOutcome,
};

#[derive(Debug, Default)]
pub(crate) struct Timeline {
    text: String,
    last_status: String,
}

impl Timeline {
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    pub(crate) fn action(&mut self, at: Duration, action: &Action) {
        if let Some(text) = action_text(action) {
            self.line(at, "->", &text);
        }
    }

    pub(crate) fn observation(&mut self, at: Duration, observation: &Observation) {
        if let Some(text) = observation_text(observation) {
            self.line(at, "<-", &text);
        }
    }

    pub(crate) fn status(&mut self, at: Duration, status: &PodStatus) {
        let text = status_text(status);
        if text != self.last_status {
            self.line(at, "==", &text);
            self.last_status = text;
        }
    }

    pub(crate) fn note(&mut self, at: Duration, text: &str) {
        self.line(at, "..", text);
    }

    fn line(&mut self, at: Duration, mark: &str, text: &str) {
        let _ = writeln!(self.text, "{:9.3} {mark} {text}", at.as_secs_f64());
    }
}

fn action_text(action: &Action) -> Option<String> {
    Some(match action {
        Action::EnsureImage { .. } | Action::RunStartupProbe { .. } => return None,
        Action::SetUpVolumes => "set up volumes".to_owned(),
        Action::CreateSandbox { attempt } => format!("create sandbox {attempt}"),
        Action::StartContainer { container, attempt: 0, .. } => format!("start {container}"),
        Action::StartContainer { container, attempt, .. } => format!("start {container} again ({attempt})"),
        Action::RunHook { container, hook, timeout, .. } => {
            let limit = timeout.map(|t| format!(", at most {t:?}")).unwrap_or_default();
            format!("{} {container}{limit}", hook_text(*hook))
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
        Observation::SandboxLost { attempt } => format!("sandbox {attempt} lost"),
        Observation::Adopted(_) => "adopted by a new engine".to_owned(),
        Observation::ImageFailed { container, reason, .. } => format!("image of {container}: {reason}"),
        Observation::ContainerCreateFailed { container, reason, .. } => format!("{container}: {reason}"),
        Observation::ContainerExited { container, exit, .. } => format!("{container} {}", exit_text(exit)),
        Observation::HookFinished { container, hook, failure, .. } => {
            let how = if failure.is_some() { "failed" } else { "done" };
            format!("{} {container} {how}", hook_text(*hook))
        }
        Observation::ProbeFinished { container, outcome, .. } => {
            let how = match outcome {
                ProbeOutcome::Success => "succeeded",
                ProbeOutcome::Failure(_) => "failed",
                ProbeOutcome::Error(_) => "could not be run",
            };
            format!("startup probe {container} {how}")
        }
        _ => return None,
    })
}

fn hook_text(hook: Hook) -> &'static str {
    match hook {
        Hook::PostStart => "postStart",
        Hook::PreStop => "preStop",
    }
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
    for container in status.init_containers.iter().chain(&status.containers) {
        let _ = write!(text, " {}", container_text(container));
    }
    text.push_str(" |");
    for condition in &status.conditions {
        text.push_str(&condition_text(condition));
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
        ConditionKind::ContainersReady | ConditionKind::PodScheduled => return String::new(),
    };
    match (condition.status, &condition.reason) {
        (true, _) => format!(" {name}"),
        (false, Some(reason)) if reason.starts_with("Pod") => format!(" !{name}({reason})"),
        (false, _) => String::new(),
    }
}
