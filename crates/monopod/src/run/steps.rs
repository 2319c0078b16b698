//! What happens to a pod, in people's words: a fold over its journal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use journal::{Entry, Happening};
use kubelet::events::binary;
use lifecycle::{
    Action, Decision, Exit, ExitReason, Observation, ProbeKind, ProbeOutcome, PullAmount, Pulled,
    StopPodReason, StopReason, Verdict, Wait,
};
use podspec::time::go_duration;
use podspec::{BootTime, ContainerKind, ContainerName, Moment, Pod};

use super::trouble::{Troubles, with_remedy};

/// The steps of a pull that is under way.
pub(crate) const SHOWN_BY_BARS: [&str; 2] = ["image_pulling", "image_progress"];

/// One thing that happened. `step` is its name for machines and does not change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    pub(crate) at: Moment,
    /// `None` for the pod as a whole.
    pub(crate) container: Option<ContainerName>,
    pub(crate) step: &'static str,
    pub(crate) text: String,
    pub(crate) tone: Tone,
    /// Says what the last step of its kind said: the same thing failed again in the same way.
    pub(crate) repeats: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
}

/// Reads one pod's journal from its first entry on.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    decisions: Vec<Decision>,
    running: BTreeSet<ContainerName>,
    /// The newest attempt whose start has been said.
    started: BTreeMap<ContainerName, u32>,
    told_to_stop: BTreeSet<ContainerName>,
    troubles: Troubles,
}

impl Steps {
    /// The steps of one entry, in order.
    pub(crate) fn steps(&mut self, pod: &Pod, entry: &Entry) -> Vec<Step> {
        let mut out = Draft { pod, at: entry.at, steps: Vec::new() };
        match &entry.what {
            Happening::Observed(observation) => self.observed(observation, &mut out),
            Happening::Issued(action) => self.issued(action, &mut out),
            Happening::Decided(decisions) => {
                for decision in decisions.iter().filter(|held| !self.decisions.contains(held)) {
                    self.decided(decision, &mut out);
                }
                self.decisions.clone_from(decisions);
            }
            Happening::Snapshot(_) | Happening::Changed(_) | Happening::Settled => {}
        }
        self.troubles.take_in(&entry.what, &mut out.steps);
        out.steps
    }

    /// The exit of a quick container may overtake the report of its start: what is to be said before its
    /// last lines and its exit. To be asked before [`Self::steps`].
    pub(crate) fn overtaken_start(&mut self, pod: &Pod, entry: &Entry) -> Vec<Step> {
        let mut out = Draft { pod, at: entry.at, steps: Vec::new() };
        if let Happening::Observed(Observation::ContainerExited { container, attempt, exit }) = &entry.what
            && exit.reason != ExitReason::StartError
        {
            out.at = exit.started.unwrap_or(entry.at);
            self.start(container, *attempt, &mut out);
        }
        out.steps
    }

    fn observed(&mut self, observation: &Observation, out: &mut Draft<'_>) {
        match observation {
            Observation::ContainerStarted { container, attempt, .. } => {
                if self.start(container, *attempt, out) {
                    self.running.insert(container.clone());
                }
            }
            Observation::ContainerExited { container, exit, .. } => {
                self.running.remove(container);
                out.exited(container, exit, self.told_to_stop.remove(container));
            }
            Observation::SandboxLost { .. } => {
                self.running.clear();
                out.pod(
                    "sandbox_lost",
                    Tone::Bad,
                    "lost its sandbox: every container of it is dead".to_owned(),
                );
            }
            _ => out.other(observation),
        }
    }

    /// False when it was said before.
    fn start(&mut self, container: &ContainerName, attempt: u32, out: &mut Draft<'_>) -> bool {
        let said = self.started.insert(container.clone(), attempt);
        if said == Some(attempt) {
            return false;
        }
        self.told_to_stop.remove(container);
        out.started(container, attempt);
        true
    }

    fn issued(&mut self, action: &Action, out: &mut Draft<'_>) {
        match action {
            Action::CreateSandbox { attempt } if *attempt > 0 => {
                out.pod("sandbox_recreated", Tone::Plain, "gets a new sandbox".to_owned());
            }
            Action::RunHook { container, hook, .. } => {
                let name = hook.name();
                out.container(container, "hook_started", Tone::Plain, format!("runs its {name} hook"));
            }
            Action::SignalContainer { container, .. } => {
                self.told_to_stop.insert(container.clone());
                out.container(container, "stopping", Tone::Plain, "stopping".to_owned());
            }
            Action::KillContainer { container, .. } => {
                let text = "did not stop in its grace period: killed".to_owned();
                out.container(container, "killed", Tone::Bad, text);
            }
            _ => {}
        }
    }

    fn decided(&self, decision: &Decision, out: &mut Draft<'_>) {
        match (&decision.container, &decision.verdict) {
            (None, Verdict::StopPod(reason)) => self.stop_pod(*reason, out),
            (None, Verdict::RestartAllContainers { trigger }) => {
                let text = format!("restarts all containers, by a rule of container {trigger}");
                out.pod("restarting_all", Tone::Plain, text);
            }
            (None, Verdict::Wait(Wait::VolumesRetry { until } | Wait::SandboxRetry { until })) => {
                let text = format!("trying again every {}", out.remaining(*until));
                out.pod("retrying", Tone::Plain, text);
            }
            (None, Verdict::Finish { succeeded: true }) => {
                out.pod("succeeded", Tone::Good, "succeeded".to_owned());
            }
            (None, Verdict::Finish { succeeded: false }) => {
                out.pod("failed", Tone::Bad, "failed".to_owned());
            }
            (Some(name), Verdict::StopContainer(reason)) => {
                let text = match reason {
                    StopReason::StartupProbeFailed => "failed startup probe: stopping it",
                    StopReason::LivenessProbeFailed => "failed liveness probe: stopping it",
                    StopReason::DefinitionChanged => "its definition changed: stopping it",
                    StopReason::ResizeRestarts => "its resize needs a restart: stopping it",
                    StopReason::PostStartHookFailed => "PostStartHook failed: stopping it",
                };
                out.container(name, "stopping_container", Tone::Bad, text.to_owned());
            }
            (Some(name), Verdict::Wait(wait)) => out.waiting(name, wait),
            _ => {}
        }
    }

    fn stop_pod(&self, reason: StopPodReason, out: &mut Draft<'_>) {
        if self.running.is_empty() && reason != StopPodReason::DeadlineExceeded {
            return;
        }
        let (tone, text) = match reason {
            StopPodReason::Deleted => (Tone::Plain, "stopping"),
            StopPodReason::Completed => (Tone::Plain, "its app containers are done: stopping the sidecars"),
            StopPodReason::InitFailed => (Tone::Bad, "an init container failed: stopping"),
            StopPodReason::DeadlineExceeded => {
                (Tone::Bad, "ran longer than activeDeadlineSeconds (DeadlineExceeded): stopping")
            }
            StopPodReason::Evicted => (Tone::Bad, "evicted: stopping"),
            StopPodReason::SandboxLost => (Tone::Bad, "stopping"),
        };
        out.pod("stopping_pod", tone, text.to_owned());
    }
}

struct Draft<'a> {
    pod: &'a Pod,
    at: Moment,
    steps: Vec<Step>,
}

impl Draft<'_> {
    fn pod(&mut self, step: &'static str, tone: Tone, text: String) {
        self.steps.push(Step { at: self.at, container: None, step, text, tone, repeats: false });
    }

    fn container(&mut self, name: &ContainerName, step: &'static str, tone: Tone, text: String) {
        let container = Some(name.clone());
        self.steps.push(Step { at: self.at, container, step, text, tone, repeats: false });
    }

    fn started(&mut self, name: &ContainerName, attempt: u32) {
        let role = self.role(name);
        let again = if attempt > 0 { format!(" again (restart {attempt})") } else { String::new() };
        self.container(name, "container_started", Tone::Plain, format!("{role}started{again}"));
    }

    fn exited(&mut self, name: &ContainerName, exit: &Exit, told_to_stop: bool) {
        let role = self.role(name);
        let ran = exit.started.map(|started| exit.finished.boot.since(started.boot));
        let ran = ran.map(|ran| format!(" after {}", short_duration(ran))).unwrap_or_default();
        let init = self.kind(name) == Some(ContainerKind::Init);
        let (step, tone, text) = match exit.reason {
            ExitReason::StartError => {
                ("start_failed", Tone::Bad, format!("{role}could not be started (StartError)"))
            }
            ExitReason::OOMKilled => (
                "container_exited",
                Tone::Bad,
                format!("{role}ran out of memory and was killed (OOMKilled, exit code {}){ran}", exit.code),
            ),
            _ if exit.code == 0 && init => ("container_exited", Tone::Good, format!("{role}done{ran}")),
            _ if told_to_stop => {
                ("container_exited", Tone::Plain, format!("{role}stopped (exit code {}){ran}", exit.code))
            }
            _ if exit.code == 0 => ("container_exited", Tone::Good, format!("{role}completed{ran}")),
            _ => ("container_exited", Tone::Bad, format!("{role}{}{ran}", exit_text(exit))),
        };
        let message = match exit.message.trim_end() {
            "" => String::new(),
            message if exit.reason == ExitReason::StartError => {
                format!(": {}", with_remedy("StartError", message))
            }
            message => format!(": {message}"),
        };
        self.container(name, step, tone, format!("{text}{message}"));
    }

    /// Observations that change nothing of what this fold keeps.
    fn other(&mut self, observation: &Observation) {
        match observation {
            Observation::VolumesFailed { message } => {
                let text = format!("cannot set up its volumes: {}", with_remedy("FailedMount", message));
                self.pod("volumes_failed", Tone::Bad, text);
            }
            Observation::SandboxCreateFailed { message, .. } => {
                let why = with_remedy("FailedCreatePodSandBox", message);
                self.pod("sandbox_failed", Tone::Bad, format!("cannot make its sandbox: {why}"));
            }
            Observation::ImagePulling { container, image } => {
                self.container(container, SHOWN_BY_BARS[0], Tone::Plain, format!("pulling {image}"));
            }
            Observation::ImageProgress { container, image: _, progress } => {
                let PullAmount { bytes, bytes_done, layers, layers_done } = *progress;
                let (done, all) = (binary(bytes_done), binary(bytes));
                let text = format!("pulled {done} of {all} in {layers_done} of {layers} layers");
                self.container(container, SHOWN_BY_BARS[1], Tone::Plain, text);
            }
            Observation::ImageReady {
                container, pulled: Some(Pulled { took, bytes, waited: _ }), ..
            } => {
                let text = format!("image pulled in {} ({})", short_duration(*took), binary(*bytes));
                self.container(container, "image_pulled", Tone::Plain, text);
            }
            Observation::ImageFailed { container, reason, message, .. } => {
                let text = format!("cannot use its image ({reason}): {}", with_remedy(reason, message));
                self.container(container, "image_failed", Tone::Bad, text);
            }
            Observation::ContainerCreateFailed { container, reason, message, .. } => {
                let text = format!("cannot be created ({reason}): {}", with_remedy(reason, message));
                self.container(container, "create_failed", Tone::Bad, text);
            }
            Observation::HookFinished { container, hook, failure: Some(failure), .. } => {
                let text = format!("{} hook failed: {failure}", hook.name());
                self.container(container, "hook_failed", Tone::Bad, text);
            }
            Observation::ProbeFinished { container, probe, outcome, .. } => {
                self.probed(container, *probe, outcome);
            }
            Observation::ContainerResized { container, failure: None, .. } => {
                self.container(container, "container_resized", Tone::Good, "resized".to_owned());
            }
            Observation::ContainerResized { container, failure: Some(failure), .. } => {
                let text = format!("cannot be resized: {failure}");
                self.container(container, "resize_failed", Tone::Bad, text);
            }
            Observation::Rejected { message, .. } => self.pod("rejected", Tone::Bad, message.clone()),
            Observation::Evicted { message } => self.pod("evicted", Tone::Bad, message.clone()),
            _ => {}
        }
    }

    fn probed(&mut self, container: &ContainerName, probe: ProbeKind, outcome: &ProbeOutcome) {
        let probe = probe.name().to_ascii_lowercase();
        let (step, tone, text) = match outcome {
            ProbeOutcome::Success => ("probe_succeeded", Tone::Good, format!("{probe} probe succeeded")),
            ProbeOutcome::Warning(output) => {
                ("probe_succeeded", Tone::Good, format!("{probe} probe succeeded: {output}"))
            }
            ProbeOutcome::Failure(output) => {
                ("probe_failed", Tone::Plain, format!("{probe} probe failed: {output}"))
            }
            // Its end was faster, and is a step of its own.
            ProbeOutcome::Error(error) if error.ends_with("is not running") => return,
            ProbeOutcome::Error(error) => {
                ("probe_failed", Tone::Bad, format!("{probe} probe could not be run: {error}"))
            }
        };
        self.container(container, step, tone, text.trim_end_matches([':', ' ']).to_owned());
    }

    fn waiting(&mut self, name: &ContainerName, wait: &Wait) {
        let (step, text) = match wait {
            Wait::CrashLoopBackOff { until, .. } => {
                ("backing_off", format!("restarting in {} (CrashLoopBackOff)", self.remaining(*until)))
            }
            Wait::ImagePullBackOff { until, .. } => (
                "backing_off",
                format!("pulling again in {}, then less often (ImagePullBackOff)", self.remaining(*until)),
            ),
            Wait::CreateRetry { until } => {
                ("retrying", format!("trying again every {}", self.remaining(*until)))
            }
            Wait::Turn { after } => {
                let names: Vec<&str> = after.iter().map(ContainerName::as_str).collect();
                ("waiting_turn", format!("will be stopped after {}", names.join(", ")))
            }
            _ => return,
        };
        self.container(name, step, Tone::Plain, text);
    }

    fn kind(&self, name: &ContainerName) -> Option<ContainerKind> {
        self.pod.spec.container(name).map(|container| container.kind)
    }

    /// `init 1/2 `, `sidecar ` or nothing.
    fn role(&self, name: &ContainerName) -> String {
        let inits = || self.pod.spec.init_containers.iter().filter(|c| c.kind == ContainerKind::Init);
        match self.kind(name) {
            Some(ContainerKind::Init) => {
                let number = inits().position(|c| c.name == *name).map_or(0, |index| index + 1);
                format!("init {number}/{} ", inits().count())
            }
            Some(ContainerKind::Sidecar) => "sidecar ".to_owned(),
            Some(ContainerKind::Ephemeral) => "ephemeral ".to_owned(),
            Some(ContainerKind::App) | None => String::new(),
        }
    }

    fn remaining(&self, until: BootTime) -> String {
        let left = until.since(self.at.boot);
        go_duration(Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0)))
    }
}

fn exit_text(exit: &Exit) -> String {
    match exit.signal {
        None => format!("exited with code {}", exit.code),
        Some(signal) => format!("was killed by {} (exit code {})", signal_name(signal), exit.code),
    }
}

/// By number where it has no common name.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// Two or three figures: `4ms`, `1.2s`, `1m20s`.
pub(crate) fn short_duration(duration: Duration) -> String {
    match duration.as_millis() {
        0..1_000 => format!("{}ms", duration.as_millis()),
        1_000..60_000 => format!("{}.{}s", duration.as_secs(), duration.subsec_millis() / 100),
        _ => go_duration(Duration::from_secs(duration.as_secs())),
    }
}
