//! What the checker knows of one container, and the promises about one container alone.

use std::time::Duration;

use lifecycle::{BackoffLimits, Exit, ExitReason, Hook, ProbeKind, ProbeOutcome};
use podspec::{Container, ContainerKind, ExitCodeOperator, Resources, RestartPolicy, RestartRuleAction};

use super::probing::Probing;

/// The shortest time between stop signal and SIGKILL.
pub(super) const FLOOR: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) enum Life {
    #[default]
    None,
    Starting,
    Running,
    Exited,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) enum HookLife {
    #[default]
    None,
    Running,
    Succeeded,
    Failed,
}

#[derive(Clone, Debug)]
pub(super) struct LastExit {
    pub(super) code: i32,
    pub(super) oom: bool,
    pub(super) at: Duration,
    pub(super) run: u32,
    pub(super) sandbox: Option<u32>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) life: Life,
    /// The number of the newest attempt that had a process, or is starting.
    pub(super) attempt: Option<u32>,
    /// What it was before the attempt that is starting.
    pub(super) before: Option<Box<Process>>,
    pub(super) last_exit: Option<LastExit>,
    pub(super) post_start: HookLife,
    pub(super) pre_stop: HookLife,
    pub(super) post_start_failed: Option<Duration>,
    post_start_done: Option<Duration>,
    /// Since when it runs.
    pub(super) since: Duration,
    pub(super) startup: Probing,
    pub(super) liveness: Probing,
    pub(super) readiness: Probing,
    /// What it was started with, and resized to.
    pub(super) image: String,
    pub(super) resources: Resources,
    pub(super) resizing: bool,
    /// An engine died over a resize: nobody knows what it has.
    pub(super) unsure: bool,
    /// When its last resize failed.
    pub(super) resize_failed: Option<Duration>,
    /// Since when it cannot go on under its pod's spec.
    pub(super) superseded: Option<Duration>,
    pub(super) signalled: Option<Duration>,
    pub(super) killed: bool,
    pub(super) image_ready: bool,
    /// Began in this run of the initialisation.
    pub(super) begun_in_run: bool,
    /// Was up, or succeeded, once in this run: what follows may start.
    pub(super) passed_in_run: bool,
    /// The start was tried to its end in this run, with whatever result: the next app may start.
    pub(super) tried_in_run: bool,
    /// The next restart comes this long after an exit, and when the last one was counted.
    pub(super) backoff: Option<(Duration, Duration)>,
}

impl Process {
    pub(super) fn alive(&self) -> bool {
        matches!(self.life, Life::Starting | Life::Running)
    }

    /// It has had a process in this run of the initialisation.
    pub(super) fn ran_in_run(&self) -> bool {
        match &self.before {
            Some(before) if self.life == Life::Starting => before.begun_in_run,
            _ => self.begun_in_run,
        }
    }

    /// When a probe failed that stops the container.
    pub(super) fn probe_failed_at(&self) -> Option<Duration> {
        self.liveness.failed().or(self.startup.failed())
    }

    fn probe_failed(&self) -> bool {
        self.probe_failed_at().is_some()
    }

    /// Running, past its hook and its startup probe.
    pub(super) fn up(&self, container: &Container) -> bool {
        let hook_done = container.post_start.is_none() || self.post_start == HookLife::Succeeded;
        let probed = container.startup_probe.is_none() || self.startup.passed();
        self.life == Life::Running && hook_done && probed
    }

    pub(super) fn being_stopped(&self) -> bool {
        self.pre_stop != HookLife::None || self.signalled.is_some()
    }

    /// Since when it has to stop whatever its pod does, and the time that it has.
    pub(super) fn stops_alone(&self, container: &Container, grace: Duration) -> Option<(Duration, Duration)> {
        if let Some(failed) = self.post_start_failed {
            return Some((failed, grace));
        }
        let counts = container.kind != ContainerKind::Sidecar || self.up(container);
        if let Some(superseded) = self.superseded.filter(|_| counts) {
            return Some((superseded.max(self.counts_since(container)), grace));
        }
        for kind in [ProbeKind::Liveness, ProbeKind::Startup] {
            if let Some(failed) = self.probing(kind).failed() {
                let own = kind.of(container).and_then(|probe| probe.termination_grace_period);
                return Some((failed, own.unwrap_or(grace)));
            }
        }
        None
    }

    /// Another definition stops a container from when it runs, a sidecar from when it is up.
    pub(super) fn counts_since(&self, container: &Container) -> Duration {
        let up = self.startup.passed_at().into_iter().chain(self.post_start_done);
        let up = up.filter(|_| container.kind == ContainerKind::Sidecar).max();
        up.map_or(self.since, |up| up.max(self.since))
    }

    pub(super) fn has_to_stop_alone(&self, container: &Container) -> bool {
        self.stops_alone(container, Duration::ZERO).is_some()
    }

    pub(super) fn start(&mut self, container: &Container, attempt: u32) {
        let name = &container.name;
        assert!(!self.alive(), "two live attempts of {name}");
        let expected = self.attempt.map_or(0, |last| last + 1);
        assert_eq!(attempt, expected, "the attempt number of {name}");
        assert!(self.image_ready, "{name} started without its image");
        let mut before = std::mem::take(self);
        before.before = None;
        *self = Self {
            life: Life::Starting,
            attempt: Some(attempt),
            last_exit: before.last_exit.clone(),
            begun_in_run: true,
            passed_in_run: before.passed_in_run,
            tried_in_run: before.tried_in_run,
            backoff: before.backoff,
            image: container.image.clone(),
            resources: container.resources,
            before: Some(Box::new(before)),
            ..Self::default()
        };
    }

    /// The attempt that is starting never was.
    pub(super) fn roll_back(&mut self) {
        if let Some(before) = self.before.take().filter(|_| self.life == Life::Starting) {
            *self = *before;
        }
    }

    pub(super) fn started(&mut self, container: &Container, since: Duration) {
        if self.life == Life::Starting {
            (self.life, self.since) = (Life::Running, since);
            self.tried_in_run |= container.post_start.is_none();
            self.look_up(container);
        }
    }

    pub(super) fn look_up(&mut self, container: &Container) {
        self.passed_in_run |= container.kind != ContainerKind::Init && self.up(container);
    }

    pub(super) fn exited(
        &mut self,
        container: &Container,
        exit: &Exit,
        at: Duration,
        run: u32,
        sandbox: Option<u32>,
    ) {
        let (code, oom) = (exit.code, exit.reason == ExitReason::OOMKilled);
        self.life = Life::Exited;
        self.tried_in_run = true;
        self.passed_in_run |= container.kind == ContainerKind::Init && code == 0 && !oom;
        self.last_exit = Some(LastExit { code, oom, at, run, sandbox });
    }

    /// Called when the attempt turns out to have had a process.
    pub(super) fn count_restart(&mut self, at: Duration, behind: Option<Duration>, limits: BackoffLimits) {
        let Some(finished) = behind else { return };
        let delay = match self.backoff {
            Some((delay, counted)) if finished.saturating_sub(counted) <= Duration::from_secs(600) => {
                (delay * 2).min(limits.max)
            }
            _ => limits.initial,
        };
        self.backoff = Some((delay, at));
    }

    pub(super) fn backoff_is_over(&self, at: Duration, behind: Option<Duration>) -> bool {
        let (Some(finished), Some((delay, counted))) = (behind, self.backoff) else { return true };
        finished.saturating_sub(counted) > Duration::from_secs(600) || at >= finished + delay
    }

    pub(super) fn hook(&mut self, container: &Container, hook: Hook) {
        let name = &container.name;
        assert_eq!(self.life, Life::Running, "a {hook:?} hook in {name}");
        let (configured, held) = match hook {
            Hook::PostStart => (container.post_start.is_some(), &mut self.post_start),
            Hook::PreStop => (container.pre_stop.is_some(), &mut self.pre_stop),
        };
        assert!(configured, "{name} has no {hook:?} hook");
        assert_eq!(*held, HookLife::None, "the {hook:?} hook of {name} runs again");
        *held = HookLife::Running;
    }

    pub(super) fn hook_finished(&mut self, container: &Container, hook: Hook, succeeded: bool, at: Duration) {
        let result = if succeeded { HookLife::Succeeded } else { HookLife::Failed };
        match hook {
            Hook::PostStart => {
                self.post_start = result;
                self.post_start_failed = (!succeeded).then_some(at);
                self.post_start_done = succeeded.then_some(at);
                self.tried_in_run = true;
            }
            Hook::PreStop => self.pre_stop = result,
        }
        self.look_up(container);
    }

    /// One probe begins.
    pub(super) fn probe(&mut self, container: &Container, kind: ProbeKind, timeout: Duration, at: Duration) {
        let name = &container.name;
        assert_eq!(self.life, Life::Running, "a {kind:?} probe of {name}");
        let probe = kind.of(container).unwrap_or_else(|| panic!("{name} has no {kind:?} probe"));
        assert_eq!(timeout, probe.timeout, "the time of the {kind:?} probe of {name}");
        if kind == ProbeKind::Startup {
            let hook_done = container.post_start.is_none() || self.post_start == HookLife::Succeeded;
            assert!(hook_done, "{name} is probed before its postStart hook is done");
        } else {
            assert!(self.up(container), "a {kind:?} probe of {name}, which is not started");
        }
        let since = self.since;
        self.probing_mut(kind).begin(name.as_str(), kind, probe, since, at);
    }

    pub(super) fn probed(
        &mut self,
        container: &Container,
        kind: ProbeKind,
        outcome: &ProbeOutcome,
        at: Duration,
    ) {
        let Some(probe) = kind.of(container).filter(|_| self.life == Life::Running) else { return };
        self.probing_mut(kind).finished(kind, probe, outcome, at);
        self.look_up(container);
    }

    pub(super) fn probing(&self, kind: ProbeKind) -> &Probing {
        match kind {
            ProbeKind::Startup => &self.startup,
            ProbeKind::Liveness => &self.liveness,
            ProbeKind::Readiness => &self.readiness,
        }
    }

    fn probing_mut(&mut self, kind: ProbeKind) -> &mut Probing {
        match kind {
            ProbeKind::Startup => &mut self.startup,
            ProbeKind::Liveness => &mut self.liveness,
            ProbeKind::Readiness => &mut self.readiness,
        }
    }

    /// Ready, as far as its readiness probe goes.
    pub(super) fn ready(&self, container: &Container) -> bool {
        self.up(container) && (container.readiness_probe.is_none() || self.readiness.passed())
    }

    /// A probe of this kind is to be under way by now, if nobody stops the container.
    pub(super) fn probe_is_due(&self, container: &Container, kind: ProbeKind, at: Duration) -> bool {
        let Some(probe) = kind.of(container).filter(|_| self.life == Life::Running) else { return false };
        let hook_done = container.post_start.is_none() || self.post_start == HookLife::Succeeded;
        let may_run = if kind == ProbeKind::Startup { hook_done } else { self.up(container) };
        may_run && self.probing(kind).due(kind, probe, self.since, at)
    }

    /// A new engine does again what was under way.
    pub(super) fn engine_restarted(&mut self) {
        for probing in [&mut self.startup, &mut self.liveness, &mut self.readiness] {
            probing.engine_restarted();
        }
        self.unsure |= std::mem::take(&mut self.resizing);
        for hook in [&mut self.post_start, &mut self.pre_stop] {
            if *hook == HookLife::Running {
                *hook = HookLife::None;
            }
        }
    }

    /// Whether its policies and rules start it again after its last exit.
    pub(super) fn is_restarted(&self, container: &Container, pod: RestartPolicy) -> bool {
        let Some(exit) = &self.last_exit else { return true };
        if self.life == Life::Exited && self.superseded.is_some() {
            return container.kind != ContainerKind::Ephemeral;
        }
        let bad = exit.code != 0 || (container.kind == ContainerKind::Init && exit.oom);
        let policy = container.restart.policy.unwrap_or(pod);
        match container.kind {
            ContainerKind::Ephemeral => false,
            ContainerKind::Sidecar => true,
            ContainerKind::Init => {
                bad && (policy != RestartPolicy::Never || rule(container, exit.code).is_some())
            }
            ContainerKind::App => {
                let failed = bad || self.probe_failed();
                rule(container, exit.code).is_some()
                    || policy == RestartPolicy::Always
                    || (policy == RestartPolicy::OnFailure && failed)
            }
        }
    }
}

/// What the first matching rule asks for.
pub(super) fn rule(container: &Container, code: i32) -> Option<RestartRuleAction> {
    let matching = container.restart.rules.iter().find(|r| match r.operator {
        ExitCodeOperator::In => r.values.contains(&code),
        ExitCodeOperator::NotIn => !r.values.contains(&code),
    });
    matching.map(|r| r.action)
}
