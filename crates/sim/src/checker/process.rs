//! What the checker knows of one container, and the promises about one container alone.

use std::time::Duration;

use lifecycle::{Exit, ExitReason, Hook, ProbeOutcome};
use podspec::{Container, ContainerKind, ExitCodeOperator, RestartPolicy, RestartRuleAction};

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
    pub(super) probe_successes: u32,
    pub(super) probe_failures: u32,
    pub(super) probe_in_flight: bool,
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

    pub(super) fn probe_failed(&self, container: &Container) -> bool {
        container.startup_probe.as_ref().is_some_and(|p| self.probe_failures >= p.failure_threshold)
    }

    pub(super) fn probe_passed(&self, container: &Container) -> bool {
        container.startup_probe.as_ref().is_none_or(|p| self.probe_successes >= p.success_threshold)
    }

    /// Running, past its hook and its startup probe.
    pub(super) fn up(&self, container: &Container) -> bool {
        let hook_done = container.post_start.is_none() || self.post_start == HookLife::Succeeded;
        self.life == Life::Running && hook_done && self.probe_passed(container)
    }

    pub(super) fn has_to_stop_alone(&self, container: &Container) -> bool {
        self.post_start == HookLife::Failed || self.probe_failed(container)
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

    pub(super) fn started(&mut self, container: &Container) {
        if self.life == Life::Starting {
            self.life = Life::Running;
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
    pub(super) fn count_restart(&mut self, at: Duration, behind: Option<Duration>) {
        let Some(finished) = behind else { return };
        let delay = match self.backoff {
            Some((delay, counted)) if finished.saturating_sub(counted) <= Duration::from_secs(600) => {
                (delay * 2).min(Duration::from_secs(300))
            }
            _ => Duration::from_secs(10),
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

    pub(super) fn hook_finished(&mut self, container: &Container, hook: Hook, succeeded: bool) {
        let result = if succeeded { HookLife::Succeeded } else { HookLife::Failed };
        match hook {
            Hook::PostStart => {
                self.post_start = result;
                self.tried_in_run = true;
            }
            Hook::PreStop => self.pre_stop = result,
        }
        self.look_up(container);
    }

    pub(super) fn probe(&mut self, container: &Container) {
        let name = &container.name;
        assert_eq!(self.life, Life::Running, "a probe of {name}");
        assert!(!self.probe_in_flight, "two probes of {name} at once");
        assert!(!self.probe_passed(container), "{name} is probed after its startup probe passed");
        assert!(!self.probe_failed(container), "{name} is probed after its startup probe failed");
        let hook_done = container.post_start.is_none() || self.post_start == HookLife::Succeeded;
        assert!(hook_done, "{name} is probed before its postStart hook is done");
        self.probe_in_flight = true;
    }

    pub(super) fn probed(&mut self, container: &Container, outcome: &ProbeOutcome) {
        self.probe_in_flight = false;
        if self.life != Life::Running || self.probe_passed(container) || self.probe_failed(container) {
            return;
        }
        match outcome {
            ProbeOutcome::Success | ProbeOutcome::Warning(_) => {
                (self.probe_successes, self.probe_failures) = (self.probe_successes + 1, 0);
            }
            ProbeOutcome::Failure(_) => {
                (self.probe_successes, self.probe_failures) = (0, self.probe_failures + 1);
            }
            ProbeOutcome::Error(_) => {}
        }
        self.look_up(container);
    }

    /// A new engine does again what was under way.
    pub(super) fn engine_restarted(&mut self) {
        self.probe_in_flight = false;
        for hook in [&mut self.post_start, &mut self.pre_stop] {
            if *hook == HookLife::Running {
                *hook = HookLife::None;
            }
        }
    }

    /// Whether its policies and rules start it again after its last exit.
    pub(super) fn is_restarted(&self, container: &Container, pod: RestartPolicy) -> bool {
        let Some(exit) = &self.last_exit else { return true };
        let bad = exit.code != 0 || (container.kind == ContainerKind::Init && exit.oom);
        let policy = container.restart.policy.unwrap_or(pod);
        match container.kind {
            ContainerKind::Ephemeral => false,
            ContainerKind::Sidecar => true,
            ContainerKind::Init => {
                bad && (policy != RestartPolicy::Never || rule(container, exit.code).is_some())
            }
            ContainerKind::App => {
                let failed = bad || self.probe_failed(container);
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
