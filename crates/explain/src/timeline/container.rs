//! What a container does, told from the plan's decisions about it and from what was observed of it.

use lifecycle::{
    Action, AttemptState, Decision, Exit, ExitReason, Hook, Observation, Observed, ProbeOutcome,
    SandboxSnapshot, Verdict, Wait,
};
use podspec::time::go_duration;
use podspec::{Container, ContainerKind, ContainerName, Moment};

use super::clock::moved;
use super::lane::{Drawing, Shown};
use super::{Lane, MarkKind, SpanKind};

#[derive(Debug)]
pub(crate) struct ContainerFold {
    name: ContainerName,
    kind: ContainerKind,
    drawing: Drawing,
    stage: Stage,
    /// The newest that was begun.
    attempt: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// It may have been something before.
    Absent,
    Creating,
    Alive,
    Exited,
}

/// What a lane needs to know of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) decisions: &'a [Decision],
    /// What a container waits for of which the plan says nothing.
    pub(crate) turn: Option<&'a str>,
    pub(crate) pod_stops: bool,
}

impl ContainerFold {
    pub(crate) fn new(container: &Container, cut: bool) -> Self {
        let (name, kind) = (container.name.clone(), container.kind);
        let drawing = Drawing::new(Some((name.clone(), kind)), cut);
        Self { name, kind, drawing, stage: Stage::Absent, attempt: None }
    }

    pub(crate) fn is(&self, name: &ContainerName) -> bool {
        self.name == *name
    }

    /// It is ready, or none of those that have to be.
    pub(crate) fn lets_pod_be_ready(&self) -> bool {
        let counts = matches!(self.kind, ContainerKind::App | ContainerKind::Sidecar);
        !counts || self.drawing.kind() == Some(SpanKind::Ready)
    }

    pub(crate) fn is_init(&self) -> bool {
        matches!(self.kind, ContainerKind::Init | ContainerKind::Sidecar)
    }

    /// `begin` is that of all there is.
    pub(crate) fn observed(&mut self, observation: &Observation, at: Moment, shift: i64, begin: Moment) {
        match observation {
            Observation::ContainerStarted { attempt, started, .. } => {
                self.started(*attempt, earlier(moved(*started, shift), at));
            }
            Observation::ContainerExited { attempt, exit, .. } => {
                self.exited(*attempt, exit, at, shift, begin);
            }
            Observation::ContainerCreateFailed { attempt, reason, message, .. } => {
                self.stage = if *attempt == 0 { Stage::Absent } else { Stage::Exited };
                self.drawing.mark(MarkKind::CreateFailed, at, *attempt, None, &colon(reason, message));
            }
            Observation::ImageReady { pulled, .. } => {
                let detail = match pulled {
                    Some(pulled) => format!("pulled in {}", go_duration(whole_ms(pulled.took))),
                    None => "already on the machine".to_owned(),
                };
                self.drawing.add_detail(SpanKind::Pull, &detail);
            }
            Observation::ImageFailed { reason, message, .. } => {
                let text = colon(reason, message);
                self.drawing.mark(MarkKind::ImageFailed, at, self.next_attempt(), None, &text);
            }
            Observation::HookFinished { attempt, hook, failure: Some(failure), .. } => {
                let text = colon(hook.name(), failure);
                self.drawing.mark(MarkKind::HookFailed, at, *attempt, None, &text);
            }
            Observation::ProbeFinished { attempt, probe, outcome, .. } if self.stage == Stage::Alive => {
                let (kind, output) = match outcome {
                    ProbeOutcome::Failure(output) => (MarkKind::ProbeFailed, output),
                    ProbeOutcome::Error(output) => (MarkKind::ProbeErrored, output),
                    ProbeOutcome::Success | ProbeOutcome::Warning(_) => return,
                };
                let text = colon(&probe.name().to_ascii_lowercase(), output);
                self.drawing.mark(kind, at, *attempt, None, &text);
            }
            Observation::ContainerResized { attempt, failure, .. } => match failure {
                None => self.drawing.mark(MarkKind::Resized, at, *attempt, None, ""),
                Some(failure) => self.drawing.mark(MarkKind::ResizeFailed, at, *attempt, None, failure),
            },
            _ => {}
        }
    }

    pub(crate) fn issued(&mut self, action: &Action, at: Moment) {
        match action {
            Action::StartContainer { attempt, .. } => {
                self.stage = Stage::Creating;
                self.attempt = Some(*attempt);
            }
            Action::SignalContainer { attempt, .. } => {
                self.drawing.mark(MarkKind::Signal, at, *attempt, None, "");
            }
            Action::KillContainer { attempt, .. } => {
                self.drawing.mark(MarkKind::Kill, at, *attempt, None, "");
            }
            _ => {}
        }
    }

    fn started(&mut self, attempt: u32, at: Moment) {
        // An exit may be told before the start.
        if self.attempt == Some(attempt) && matches!(self.stage, Stage::Alive | Stage::Exited) {
            return;
        }
        self.live(attempt, at, true);
    }

    fn live(&mut self, attempt: u32, at: Moment, provisional: bool) {
        (self.stage, self.attempt) = (Stage::Alive, Some(attempt));
        let shown = self.alive(None);
        self.drawing.show(at, Some(shown), provisional);
        if attempt > 0 {
            self.drawing.mark(MarkKind::Restart, at, attempt, None, "");
        }
    }

    fn exited(&mut self, attempt: u32, exit: &Exit, at: Moment, shift: i64, begin: Moment) {
        let finished = earlier(moved(exit.finished, shift), at);
        if self.stage == Stage::Exited && self.attempt == Some(attempt) {
            return;
        }
        if let Some(started) = exit.started.map(|started| earlier(moved(started, shift), finished)) {
            if self.drawing.is_empty() && started.boot < begin.boot {
                self.attempt = Some(attempt);
                let shown = self.alive(None);
                self.drawing.ran_before(begin, shown);
            } else if self.stage != Stage::Alive {
                self.live(attempt, started, false);
            }
        }
        (self.stage, self.attempt) = (Stage::Exited, Some(attempt));
        let kind = match exit.reason {
            ExitReason::OOMKilled => MarkKind::OutOfMemory,
            _ => MarkKind::Exit,
        };
        self.drawing.mark(kind, finished, attempt, Some(exit.code), &exit_text(exit));
        self.drawing.show(finished, Some(self.exited_shown()), true);
    }

    /// Everything in the sandbox is dead.
    pub(crate) fn died(&mut self, at: Moment, why: &str) {
        if matches!(self.stage, Stage::Alive | Stage::Creating) {
            self.stage = Stage::Exited;
            self.drawing.mark(MarkKind::Exit, at, self.attempt.unwrap_or(0), Some(137), why);
            self.drawing.show(at, Some(self.exited_shown()), true);
        }
    }

    pub(crate) fn adopted(&mut self, snapshot: &SandboxSnapshot, at: Moment, shift: i64, begin: Moment) {
        let name = self.name.clone();
        for record in snapshot.containers.iter().filter(|record| record.name == name) {
            if self.attempt.is_some_and(|attempt| record.attempt < attempt) {
                continue;
            }
            let known = self.stage == Stage::Alive && self.attempt == Some(record.attempt);
            if record.exit.is_none() && !known {
                let started = earlier(moved(record.started, shift), at);
                self.attempt = Some(record.attempt);
                if self.drawing.is_empty() && started.boot < begin.boot {
                    let shown = self.alive(None);
                    self.stage = Stage::Alive;
                    self.drawing.ran_before(begin, shown);
                } else {
                    self.started(record.attempt, started);
                }
            }
            if let Some(exit) = &record.exit {
                self.exited(record.attempt, exit, at, shift, begin);
            }
        }
    }

    /// With what a state knows of and no entry told.
    pub(crate) fn catch_up(&mut self, observed: &Observed, at: Moment, shift: i64, begin: Moment) {
        let Some(current) = observed.containers.get(&self.name).and_then(|c| c.current.as_ref()) else {
            return;
        };
        self.drawing.restarted(current.number);
        if self.attempt.is_some_and(|attempt| attempt > current.number) {
            return;
        }
        match &current.state {
            AttemptState::Running { since } if self.stage != Stage::Alive => {
                self.attempt = Some(current.number);
                self.stage = Stage::Alive;
                let (shown, since) = (self.alive(None), earlier(moved(*since, shift), at));
                if since.boot < begin.boot && self.drawing.is_empty() {
                    self.drawing.ran_before(begin, shown);
                } else {
                    self.drawing.show(since, Some(shown), false);
                }
            }
            AttemptState::Exited(exit) if moved(exit.finished, shift).boot < begin.boot => {
                (self.stage, self.attempt) = (Stage::Exited, Some(current.number));
                let shown = self.exited_shown();
                self.drawing.had_exited(begin, exit.code, shown);
            }
            AttemptState::Exited(exit) => self.exited(current.number, exit, at, shift, begin),
            AttemptState::Starting => {
                if self.stage == Stage::Absent {
                    (self.stage, self.attempt) = (Stage::Creating, Some(current.number));
                }
            }
            AttemptState::Running { .. } => {}
        }
    }

    /// After every entry that may have changed it.
    pub(crate) fn show(&mut self, around: Surroundings<'_>, at: Moment, provisional: bool) {
        let own = around.decisions.iter().filter(|decision| decision.container.as_ref() == Some(&self.name));
        let own: Vec<&Verdict> = own.map(|decision| &decision.verdict).collect();
        let shown = match self.stage {
            Stage::Alive => Some(self.alive(Some(&own))),
            Stage::Creating => Some(self.shown(SpanKind::Create, "")),
            Stage::Absent | Stage::Exited => self.waiting(&own, around),
        };
        self.drawing.show(at, shown, provisional);
    }

    pub(crate) fn finish(self, end: Moment) -> Lane {
        self.drawing.finish(end)
    }

    /// `None`: the plan has not spoken yet.
    fn alive(&self, own: Option<&[&Verdict]>) -> Shown {
        let waits = |wanted: fn(&Wait) -> bool| {
            own.is_some_and(|own| own.iter().any(|v| matches!(v, Verdict::Wait(wait) if wanted(wait))))
        };
        let stopped = own.is_some_and(|own| own.iter().any(|v| matches!(v, Verdict::StopContainer(_))));
        let turn = own.and_then(|own| {
            own.iter().find_map(|verdict| match verdict {
                Verdict::Wait(Wait::Turn { after }) => Some(after),
                _ => None,
            })
        });
        if waits(|wait| matches!(wait, Wait::Exit { .. })) {
            return self.shown(SpanKind::Terminating, "");
        }
        if waits(|wait| matches!(wait, Wait::PreStopHook)) {
            return self.shown(SpanKind::PreStop, "");
        }
        if let Some(after) = turn {
            let names: Vec<&str> = after.iter().map(ContainerName::as_str).collect();
            return self.shown(SpanKind::Turn, &format!("after {}", names.join(", ")));
        }
        if stopped {
            return self.shown(SpanKind::Terminating, "");
        }
        if waits(|wait| matches!(wait, Wait::PostStartHook)) {
            return self.shown(SpanKind::PostStart, "");
        }
        if waits(|wait| matches!(wait, Wait::StartupProbe)) {
            return self.shown(SpanKind::Startup, "");
        }
        let is_ready = own.is_some()
            && matches!(self.kind, ContainerKind::App | ContainerKind::Sidecar)
            && !waits(|wait| matches!(wait, Wait::ReadinessProbe));
        self.shown(if is_ready { SpanKind::Ready } else { SpanKind::Running }, "")
    }

    fn waiting(&self, own: &[&Verdict], around: Surroundings<'_>) -> Option<Shown> {
        for verdict in own {
            let (kind, detail) = match verdict {
                Verdict::Start | Verdict::Restart { .. } => (SpanKind::Create, String::new()),
                Verdict::Leave => return Some(self.exited_shown()),
                Verdict::Wait(wait) => match wait {
                    Wait::ImagePull => (SpanKind::Pull, String::new()),
                    Wait::ImagePullBackOff { .. } => (SpanKind::Backoff, "ImagePullBackOff".to_owned()),
                    Wait::CrashLoopBackOff { delay, .. } => {
                        (SpanKind::Backoff, format!("CrashLoopBackOff {}", go_duration(whole_ms(*delay))))
                    }
                    Wait::CreateRetry { .. } => (SpanKind::Backoff, "made again later".to_owned()),
                    Wait::InitContainer { name } if *name != self.name => {
                        (SpanKind::Waiting, format!("for init container {name}"))
                    }
                    Wait::SidecarStartup { name } if *name != self.name => {
                        (SpanKind::Waiting, format!("for sidecar {name}"))
                    }
                    Wait::EarlierContainer { name } if *name != self.name => {
                        (SpanKind::Waiting, format!("for container {name}"))
                    }
                    _ => continue,
                },
                _ => continue,
            };
            return Some(self.shown(kind, &detail));
        }
        match self.stage {
            Stage::Exited => Some(self.exited_shown()),
            _ if around.pod_stops || self.kind == ContainerKind::Ephemeral => None,
            _ if self.drawing.is_unknown() => None,
            _ => around.turn.map(|turn| self.shown(SpanKind::Waiting, turn)),
        }
    }

    fn shown(&self, kind: SpanKind, detail: &str) -> Shown {
        let attempt = match self.stage {
            Stage::Alive | Stage::Creating => self.attempt.unwrap_or(0),
            Stage::Absent | Stage::Exited => self.next_attempt(),
        };
        Shown { kind, attempt, detail: detail.to_owned() }
    }

    fn exited_shown(&self) -> Shown {
        Shown { kind: SpanKind::Exited, attempt: self.attempt.unwrap_or(0), detail: String::new() }
    }

    fn next_attempt(&self) -> u32 {
        match self.stage {
            Stage::Exited => self.attempt.map_or(0, |attempt| attempt.saturating_add(1)),
            _ => self.attempt.unwrap_or(0),
        }
    }
}

/// Whom an observation is about.
pub(crate) fn subject(observation: &Observation) -> Option<&ContainerName> {
    match observation {
        Observation::ImagePulling { container, .. }
        | Observation::ImageProgress { container, .. }
        | Observation::ImageReady { container, .. }
        | Observation::ImageFailed { container, .. }
        | Observation::ContainerStarted { container, .. }
        | Observation::ContainerCreateFailed { container, .. }
        | Observation::ContainerExited { container, .. }
        | Observation::ContainerRemoved { container, .. }
        | Observation::HookFinished { container, .. }
        | Observation::HookWarned { container, .. }
        | Observation::ProbeFinished { container, .. }
        | Observation::ContainerResized { container, .. } => Some(container),
        _ => None,
    }
}

pub(crate) fn object(action: &Action) -> Option<&ContainerName> {
    match action {
        Action::EnsureImage { container, .. }
        | Action::StartContainer { container, .. }
        | Action::RunHook { container, hook: Hook::PostStart | Hook::PreStop, .. }
        | Action::RunProbe { container, .. }
        | Action::ResizeContainer { container, .. }
        | Action::SignalContainer { container, .. }
        | Action::KillContainer { container, .. }
        | Action::RemoveContainer { container, .. } => Some(container),
        Action::SetUpVolumes
        | Action::CreateSandbox { .. }
        | Action::StopSandbox { .. }
        | Action::RemoveVolumes => None,
    }
}

fn exit_text(exit: &Exit) -> String {
    let reason = format!("{:?}", exit.reason);
    let how = match exit.signal {
        Some(signal) => format!("signal {signal}, {reason}"),
        None => reason,
    };
    colon(&how, &exit.message)
}

fn colon(what: &str, message: &str) -> String {
    if message.is_empty() { what.to_owned() } else { format!("{what}: {message}") }
}

fn whole_ms(duration: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) fn earlier(a: Moment, b: Moment) -> Moment {
    if b.boot < a.boot { b } else { a }
}
