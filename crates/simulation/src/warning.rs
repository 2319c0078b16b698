//! What somebody will hardly want of all that happens.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::{Entry, Happening};
use lifecycle::{
    Action, ConditionKind, ContainerState, ContainerStatus, Observation, PodStatus, StopReason, Verdict, Wait,
};
use podspec::time::go_duration;
use podspec::{Container, ContainerKind, ContainerName, Moment, Pod};

use crate::recorder::{ENTRIES_MAX, Recorder};
use crate::world::Ended;

/// Less is not worth a word.
const SOME_TIME: Duration = Duration::from_millis(1);
/// So many restarts are a crash loop.
const RESTARTS_MANY: u32 = 3;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    pub kind: WarningKind,
    /// `None`: of how it goes on, or of what would be.
    pub at: Option<Moment>,
    pub container: Option<ContainerName>,
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WarningKind {
    /// A sidecar gets SIGKILL.
    SidecarKilled,
    /// Another container does.
    ContainerKilled,
    CrashLoop,
    NeverInitialized,
    NeverReady,
    /// There was more than is simulated.
    CutShort,
}

impl WarningKind {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SidecarKilled => "sidecarKilled",
            Self::ContainerKilled => "containerKilled",
            Self::CrashLoop => "crashLoop",
            Self::NeverInitialized => "neverInitialized",
            Self::NeverReady => "neverReady",
            Self::CutShort => "cutShort",
        }
    }
}

/// Each SIGKILL, and how it came to that. Each container is told of once for each cause.
pub(crate) fn kills(pod: &Pod, entries: &[Entry]) -> Vec<Warning> {
    let mut out: Vec<Warning> = Vec::new();
    let mut seen = Seen::default();
    for entry in entries {
        seen.take_in(entry);
        if let Happening::Issued(Action::KillContainer { container, .. }) = &entry.what
            && let Some(spec) = pod.spec.container(container)
        {
            let (kind, text) = seen.kill(spec, entry.at);
            if !out.iter().any(|w| w.kind == kind && w.text == text) {
                out.push(Warning { kind, at: Some(entry.at), container: Some(container.clone()), text });
            }
        }
    }
    out
}

/// What leads to a SIGKILL.
#[derive(Default)]
struct Seen {
    pod_stops: Option<Moment>,
    stops: BTreeMap<ContainerName, StopReason>,
    signalled: BTreeMap<ContainerName, Moment>,
    /// Whom a sidecar waited for, and until when.
    turns: BTreeMap<ContainerName, Vec<ContainerName>>,
    hooks: BTreeMap<ContainerName, Moment>,
}

impl Seen {
    fn take_in(&mut self, entry: &Entry) {
        match &entry.what {
            Happening::Issued(Action::SignalContainer { container, .. }) => {
                self.signalled.insert(container.clone(), entry.at);
            }
            Happening::Observed(Observation::ContainerStarted { container, .. }) => {
                self.signalled.remove(container);
                self.stops.remove(container);
                self.turns.remove(container);
            }
            Happening::Decided(decisions) => {
                for decision in decisions {
                    match (&decision.container, &decision.verdict) {
                        (None, Verdict::StopPod(_)) => {
                            self.pod_stops.get_or_insert(entry.at);
                        }
                        (Some(name), Verdict::StopContainer(reason)) => {
                            self.stops.insert(name.clone(), *reason);
                        }
                        (Some(name), Verdict::Wait(Wait::Turn { after })) => {
                            self.turns.insert(name.clone(), after.clone());
                        }
                        (Some(name), Verdict::Wait(Wait::PreStopHook)) => {
                            self.hooks.entry(name.clone()).or_insert(entry.at);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn kill(&self, container: &Container, at: Moment) -> (WarningKind, String) {
        let name = &container.name;
        let signal = container.stop_signal.as_deref().unwrap_or("SIGTERM");
        let signalled = self.signalled.get(name).copied().unwrap_or(at);
        let had = rounded(at.boot.since(signalled.boot));
        let is_sidecar = container.kind == ContainerKind::Sidecar;
        let kind = if is_sidecar { WarningKind::SidecarKilled } else { WarningKind::ContainerKilled };
        let Some(stops) = self.pod_stops else {
            let why = self.stops.get(name).map_or("it is stopped", |reason| stop_text(*reason));
            return (kind, format!("{name} gets SIGKILL: {why}, and {had} after {signal} it still runs"));
        };
        let after = rounded(at.boot.since(stops.boot));
        let waited = signalled.boot.since(stops.boot);
        let turn = self.turns.get(name).filter(|_| is_sidecar && waited > SOME_TIME);
        let waited = rounded(waited);
        let text = match (turn, self.hooks.get(name)) {
            (Some(others), _) => format!(
                "sidecar {name} gets SIGKILL {after} after the stop begins: it waited {waited} for {}, and had {had} after {signal}",
                names(others)
            ),
            (None, Some(_)) => format!(
                "{name} gets SIGKILL {after} after the stop begins: its preStop hook took {waited} of the grace, and {had} after {signal} it still runs"
            ),
            (None, None) => {
                let who = if is_sidecar { "sidecar " } else { "" };
                format!(
                    "{who}{name} gets SIGKILL {after} after the stop begins: {had} after {signal} it still runs"
                )
            }
        };
        (kind, text)
    }
}

fn stop_text(reason: StopReason) -> &'static str {
    match reason {
        StopReason::StartupProbeFailed => "its startup probe fails",
        StopReason::LivenessProbeFailed => "its liveness probe fails",
        StopReason::PostStartHookFailed => "its postStart hook fails",
        StopReason::DefinitionChanged => "its definition changes",
        StopReason::ResizeRestarts => "its resize needs a restart",
    }
}

/// How the pod is left.
pub(crate) fn ends(pod: &Pod, recorder: &Recorder<'_>, ended: Ended) -> Vec<Warning> {
    let mut out = Vec::new();
    let Some((_, last)) = recorder.statuses.last() else { return out };
    out.extend(last.all_containers().filter_map(|container| crash_loop(pod, container)));
    if matches!(ended, Ended::Enough | Ended::Steps) {
        let text =
            format!("more happens than is simulated: {ENTRIES_MAX} entries are the most; give --until");
        out.push(Warning { kind: WarningKind::CutShort, at: None, container: None, text });
    }
    let stops = recorder.observed.deletion.is_some() || recorder.observed.finished.is_some();
    if ended == Ended::AtRest || stops {
        return out;
    }
    if !holds(last, ConditionKind::Initialized) {
        out.extend(never_initialized(pod, last));
    } else if !recorder.statuses.iter().any(|(_, status)| holds(status, ConditionKind::Ready)) {
        out.push(never_ready(pod, last));
    }
    out
}

fn crash_loop(pod: &Pod, status: &ContainerStatus) -> Option<Warning> {
    let ContainerState::Waiting { reason, .. } = &status.state else { return None };
    let exit = status.last_state.as_ref()?;
    let many = status.restart_count >= RESTARTS_MANY && reason == "CrashLoopBackOff";
    pod.spec.container(&status.name).filter(|_| many)?;
    let text = format!(
        "{} crashes over and over: exit code {}, {} restarts, and longer and longer waits",
        status.name, exit.code, status.restart_count
    );
    Some(Warning { kind: WarningKind::CrashLoop, at: None, container: Some(status.name.clone()), text })
}

fn never_initialized(pod: &Pod, status: &PodStatus) -> Option<Warning> {
    let total = pod.spec.init_containers.len();
    let (index, container) = status.init_containers.iter().enumerate().find(|(_, container)| {
        let is_sidecar = kind(pod, container) == Some(ContainerKind::Sidecar);
        match &container.state {
            ContainerState::Terminated(exit) => is_sidecar || exit.code != 0,
            ContainerState::Running { .. } => !(is_sidecar && container.started),
            ContainerState::Waiting { .. } => true,
        }
    })?;
    let is_sidecar = kind(pod, container) == Some(ContainerKind::Sidecar);
    let what = match &container.state {
        ContainerState::Running { .. } if is_sidecar => {
            "runs, and its startup probe does not succeed".to_owned()
        }
        ContainerState::Running { .. } => {
            "runs and does not end; as a sidecar it would not have to (restartPolicy: Always of its own)"
                .to_owned()
        }
        ContainerState::Waiting { reason, .. } => format!("waits ({reason})"),
        ContainerState::Terminated(exit) => format!("has ended with exit code {}", exit.code),
    };
    let name = &container.name;
    let text =
        format!("the pod does not get past its init containers: {name} ({} of {total}) {what}", index + 1);
    Some(Warning { kind: WarningKind::NeverInitialized, at: None, container: Some(name.clone()), text })
}

fn never_ready(pod: &Pod, status: &PodStatus) -> Warning {
    let unready: Vec<&ContainerStatus> = status
        .all_containers()
        .filter(|container| !container.ready && kind(pod, container) != Some(ContainerKind::Init))
        .collect();
    let what = match unready.first() {
        None => "its readiness gates are not set".to_owned(),
        Some(first) => {
            let how = match &first.state {
                ContainerState::Running { .. } if first.started => {
                    "runs, and its readiness probe does not succeed"
                }
                ContainerState::Running { .. } => "runs, and its startup probe does not succeed",
                ContainerState::Waiting { reason, .. } => &format!("waits ({reason})"),
                ContainerState::Terminated(_) => "has ended",
            };
            let others = match unready.len() - 1 {
                0 => String::new(),
                others => format!(", and {others} more are not ready"),
            };
            format!("{} {how}{others}", first.name)
        }
    };
    let container = unready.first().map(|container| container.name.clone());
    Warning {
        kind: WarningKind::NeverReady,
        at: None,
        container,
        text: format!("the pod is never ready: {what}"),
    }
}

fn kind(pod: &Pod, status: &ContainerStatus) -> Option<ContainerKind> {
    pod.spec.container(&status.name).map(|container| container.kind)
}

fn holds(status: &PodStatus, kind: ConditionKind) -> bool {
    status.conditions.iter().any(|condition| condition.kind == kind && condition.status)
}

fn names(of: &[ContainerName]) -> String {
    let names: Vec<&str> = of.iter().map(ContainerName::as_str).collect();
    names.join(", ")
}

/// Nanoseconds tell events apart, and nobody else anything.
fn rounded(time: Duration) -> String {
    go_duration(time + Duration::from_micros(1))
}
