//! One pod at one moment, and the facts every rule reads off it.

use std::cmp::Ordering;
use std::time::Duration;

use podspec::{Container, ContainerKind, Moment, PodSpec};

use crate::decision::StopPodReason;
use crate::observed::{
    Attempt, AttemptState, ContainerObserved, Exit, ExitReason, HookState, Observed, ProbeVerdict,
    SandboxState,
};
use crate::restart::{self, Trigger};
use crate::termination;

#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) spec: &'a PodSpec,
    pub(crate) observed: &'a Observed,
    pub(crate) now: Moment,
    /// The initialisation run that containers are started in: the observed one, or the next while
    /// all containers are being restarted.
    pub(crate) run: u32,
    /// The exit for which all containers are being restarted.
    pub(crate) restart_all: Option<Trigger<'a>>,
}

/// A container as ordering sees it: attempts of earlier runs have ended and do not count.
#[derive(Clone, Copy)]
pub(crate) enum Progress<'a> {
    NotStarted,
    Starting,
    Running(&'a Attempt),
    Exited(&'a Attempt, &'a Exit),
}

impl<'a> View<'a> {
    pub(crate) fn new(spec: &'a PodSpec, observed: &'a Observed, now: Moment) -> Self {
        let view = Self { spec, observed, now, run: observed.run, restart_all: None };
        match restart::restart_all_trigger(&view) {
            Some(trigger) if !view.stops_instead(&trigger) => {
                let restarting =
                    Self { run: observed.run.saturating_add(1), restart_all: Some(trigger), ..view };
                // A deadline or an eviction that comes before it has begun stops the pod for good.
                let stops = termination::pod_stop(&restarting).is_some();
                Self { restart_all: restarting.restart_all.filter(|_| !stops), ..restarting }
            }
            _ => view,
        }
    }

    /// What is being stopped for good is not restarted because of how it ended.
    fn stops_instead(&self, trigger: &Trigger<'_>) -> bool {
        let Some(stop) = termination::pod_stop(self) else { return self.observed.finished.is_some() };
        let ended = matches!(stop.reason, StopPodReason::Completed | StopPodReason::InitFailed);
        let follows = match stop.began.cmp(&trigger.at.boot) {
            Ordering::Less => true,
            Ordering::Equal => trigger.stopped,
            Ordering::Greater => false,
        };
        self.observed.finished.is_some() || !ended || follows
    }

    pub(crate) fn container(&self, container: &Container) -> Option<&'a ContainerObserved> {
        self.observed.containers.get(&container.name)
    }

    /// The newest attempt, of whatever run.
    pub(crate) fn attempt(&self, container: &Container) -> Option<&'a Attempt> {
        self.container(container)?.current.as_deref()
    }

    pub(crate) fn progress(&self, container: &Container) -> Progress<'a> {
        match self.attempt(container) {
            Some(attempt) if attempt.run == self.run => match &attempt.state {
                AttemptState::Starting => Progress::Starting,
                AttemptState::Running { .. } => Progress::Running(attempt),
                AttemptState::Exited(exit) => Progress::Exited(attempt, exit),
            },
            _ => Progress::NotStarted,
        }
    }

    /// Initialisation is complete in the run that counts.
    pub(crate) fn initialized(&self) -> bool {
        self.observed.initialized && self.run == self.observed.run
    }

    pub(crate) fn any_alive(&self) -> bool {
        self.spec.all_containers().any(|c| self.attempt(c).is_some_and(Attempt::alive))
    }

    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.observed.deadline
    }
}

impl Attempt {
    /// It has a process, or is about to.
    pub(crate) fn alive(&self) -> bool {
        !matches!(self.state, AttemptState::Exited(_))
    }

    /// Its stop has begun: with its hook, or its signal.
    pub(crate) fn being_stopped(&self) -> bool {
        self.pre_stop != HookState::NotRun || self.stop_signal_sent.is_some()
    }

    pub(crate) fn exit(&self) -> Option<&Exit> {
        match &self.state {
            AttemptState::Exited(exit) => Some(exit),
            AttemptState::Starting | AttemptState::Running { .. } => None,
        }
    }

    /// What its status speaks of: it has had a process, and is past its postStart hook or beyond it.
    pub(crate) fn shown(&self, container: &Container) -> bool {
        match self.state {
            AttemptState::Starting => false,
            AttemptState::Running { .. } => {
                container.post_start.is_none() || matches!(self.post_start, HookState::Done { .. })
            }
            AttemptState::Exited(_) => true,
        }
    }

    /// `started` of its status: running, its postStart hook done, its startup probe passed.
    pub(crate) fn started(&self, container: &Container) -> bool {
        matches!(self.state, AttemptState::Running { .. })
            && self.post_start_passed(container)
            && (container.startup_probe.is_none() || self.startup.verdict == ProbeVerdict::Success)
    }

    pub(crate) fn post_start_passed(&self, container: &Container) -> bool {
        container.post_start.is_none() || matches!(self.post_start, HookState::Done { failure: None, .. })
    }
}

impl Exit {
    /// For an ordinary init container an OOM kill is a failure whatever its exit code.
    pub(crate) fn failed(&self, kind: ContainerKind) -> bool {
        self.code != 0 || (kind == ContainerKind::Init && self.reason == ExitReason::OOMKilled)
    }
}

impl SandboxState {
    pub(crate) fn attempt(&self) -> Option<u32> {
        match self {
            Self::Absent => None,
            Self::Creating { attempt }
            | Self::Ready { attempt, .. }
            | Self::CreateFailed { attempt, .. }
            | Self::Lost { attempt, .. }
            | Self::Stopping { attempt }
            | Self::Stopped { attempt, .. } => Some(*attempt),
        }
    }
}

/// The delay before a failed set-up of volumes, sandbox or container is tried again, as the
/// kubelet's retry of a failed sync.
pub(crate) const RETRY_DELAY: Duration = Duration::from_secs(10);
