//! Taking in observations. An observation about an attempt that is no longer the newest changes
//! nothing, so late and repeated reports are harmless.

use std::time::Duration;

use podspec::{ContainerKind, ContainerName, Moment, PodSpec, Probe, Resources};

use crate::backoff::{self, BackoffLimits};
use crate::init;
use crate::observation::{Observation, ProbeKind, ProbeOutcome};
use crate::observed::{
    Attempt, AttemptState, ContainerObserved, Deletion, Eviction, Exit, ExitReason, Finished, HookState,
    Observed, ProbeState, ProbeVerdict, ProcessUser, PullState, ResizeState, SandboxState, StartError,
    VolumesState,
};
use crate::start;
use crate::termination::GRACE_MIN;
use crate::view::{RETRY_DELAY, View};

/// Errors of a probe in a row before the try counts as done.
const PROBE_TRIES: u32 = 3;
const EXIT_SIGKILL: i32 = 137;

impl Observed {
    /// Takes in one observation made at `at`.
    pub fn observe(&mut self, spec: &PodSpec, observation: &Observation, at: Moment) {
        self.take_in(spec, observation, at);
        self.was_initialized |= self.initialized || init::complete(&View::new(spec, self, at));
    }

    fn take_in(&mut self, spec: &PodSpec, observation: &Observation, at: Moment) {
        match observation {
            Observation::Accepted => self.accept(spec, at),
            Observation::Configured { backoff } => self.configure(*backoff),
            Observation::DeletionRequested { grace } => self.request_deletion(*grace, at),
            Observation::SpecChanged => self.change_spec(spec, at),
            Observation::ObjectsChanged => self.try_now(),
            Observation::GatesChanged { gates } => self.gates.clone_from(gates),
            Observation::Evicted { message } if self.finished.is_none() => {
                self.eviction.get_or_insert_with(|| Eviction { at, message: message.clone() });
            }
            Observation::Rejected { reason, message } if self.finished.is_none() => {
                self.rejected = true;
                self.finished = Some(Finished {
                    at,
                    succeeded: false,
                    reason: Some(reason.as_str().to_owned()),
                    message: Some(format!("Pod was rejected: {message}")),
                });
            }
            Observation::VolumesReady => self.volumes = VolumesState::Ready,
            Observation::VolumesFailed { message } => {
                self.volumes = VolumesState::Failed { message: message.clone(), at, delay: RETRY_DELAY };
            }
            Observation::VolumesRemoved => self.volumes = VolumesState::Removed,
            Observation::SandboxCreated { .. }
            | Observation::SandboxCreateFailed { .. }
            | Observation::SandboxLost { .. }
            | Observation::SandboxStopped { .. } => self.observe_sandbox(observation, at),
            Observation::Adopted(snapshot) => self.adopt(spec, snapshot, at),
            Observation::ImageReady { container, image, image_id, repo_digest, pulled: _ } => {
                self.image_ready(spec, container, image, (image_id, repo_digest.as_ref()));
            }
            Observation::ImageFailed { container: _, image, reason, message } => {
                self.image_failed(spec, image, reason, message, at);
            }
            Observation::ContainerStarted { container, attempt, id, started, user } => {
                self.count_start(spec, container, *attempt, at);
                self.started(container, *attempt, id, *started, user.as_ref());
            }
            Observation::ContainerCreateFailed { container, attempt, reason, message } => {
                let error =
                    StartError { reason: reason.clone(), message: message.clone(), at, delay: RETRY_DELAY };
                self.create_failed(container, *attempt, error);
            }
            Observation::ContainerExited { container, attempt, exit } => {
                self.exited(spec, container, *attempt, exit, at);
            }
            Observation::ContainerRemoved { container, attempt } => {
                let removed = (container.clone(), *attempt);
                self.garbage.remove(&removed);
                self.removing.remove(&removed);
            }
            Observation::HookFinished { container, attempt, hook, failure } => {
                let done = HookState::Done { at: at.boot, failure: failure.clone() };
                self.update(container, *attempt, |a| *a.hook_mut(*hook) = done);
            }
            Observation::HookWarned { .. }
            | Observation::ImagePulling { .. }
            | Observation::ImageProgress { .. }
            | Observation::Evicted { .. }
            | Observation::Rejected { .. } => {}
            Observation::ProbeFinished { container, attempt, probe, outcome } => {
                self.probed(spec, container, *attempt, (*probe, outcome), at);
            }
            Observation::ContainerResized { container, attempt, resources, failure } => {
                self.resized(container, *attempt, *resources, failure.as_deref(), at);
            }
        }
    }

    fn accept(&mut self, spec: &PodSpec, at: Moment) {
        if self.accepted.is_none() {
            self.accepted = Some(at);
            self.active_deadline = spec.active_deadline;
            self.deadline = spec.active_deadline.map(|deadline| at.after(deadline));
            return;
        }
        let attempts = self.containers.values().filter_map(|c| c.current.as_deref());
        if !attempts.filter(|a| a.alive()).any(Attempt::being_stopped) {
            self.resumed = Some(at);
        }
        self.forget_in_flight(at);
        // The pod may have changed in the last moment of the engine before.
        self.follow(spec, at);
    }

    /// Nobody waits longer than from now on at most.
    fn configure(&mut self, limits: BackoffLimits) {
        self.backoff_limits = limits;
        for backoff in self.containers.values_mut().filter_map(|c| c.backoff.as_mut()) {
            backoff.delay = backoff.delay.min(limits.max);
        }
    }

    /// A new engine does again whatever the old one had under way.
    pub(crate) fn forget_in_flight(&mut self, at: Moment) {
        match self.volumes {
            VolumesState::SettingUp => {
                // Some may be there; so they are set up again at once, or removed.
                let message = "the engine was replaced while they were set up".to_owned();
                self.volumes = VolumesState::Failed { message, at, delay: Duration::ZERO };
            }
            VolumesState::TearingDown => self.volumes = VolumesState::Ready,
            _ => {}
        }
        self.pulls.retain(|_, pull| !matches!(pull, PullState::Pulling { .. }));
        self.removing.clear();
        for attempt in self.containers.values_mut().filter_map(|c| c.current.as_mut()) {
            attempt.forget_probes_under_way();
            if matches!(attempt.resize, ResizeState::UnderWay { .. }) {
                attempt.resize = ResizeState::Interrupted;
            }
            for hook in [&mut attempt.post_start, &mut attempt.pre_stop] {
                if matches!(hook, HookState::Running { .. }) {
                    *hook = HookState::NotRun;
                }
            }
        }
    }

    /// What was found out about images may be of others.
    fn change_spec(&mut self, spec: &PodSpec, at: Moment) {
        self.pulls.retain(|image, _| spec.names_image(image));
        for container in self.containers.values_mut() {
            (container.image_id, container.repo_digest) = (None, None);
            // What could not be given may be something else now.
            let current = container.current.as_mut();
            if let Some(attempt) = current.filter(|a| matches!(a.resize, ResizeState::Failed { .. })) {
                attempt.resize = ResizeState::Idle;
            }
        }
        self.follow(spec, at);
    }

    fn follow(&mut self, spec: &PodSpec, at: Moment) {
        let overdue = self.deadline.is_some_and(|deadline| deadline.boot <= at.boot);
        if self.active_deadline != spec.active_deadline && !overdue {
            self.active_deadline = spec.active_deadline;
            let due = self.accepted.zip(spec.active_deadline).map(|(from, deadline)| from.after(deadline));
            self.deadline = due.map(|due| if due.boot > at.boot { due } else { at });
        }
        self.supersede(spec, at);
    }

    /// What failed for want of something is tried again without waiting any longer.
    fn try_now(&mut self) {
        if let VolumesState::Failed { delay, .. } = &mut self.volumes {
            *delay = Duration::ZERO;
        }
        for error in self.containers.values_mut().filter_map(|c| c.start_error.as_mut()) {
            error.delay = Duration::ZERO;
        }
    }

    /// The shortest grace wins, also over an earlier deletion.
    fn request_deletion(&mut self, grace: Duration, at: Moment) {
        let grace = grace.max(GRACE_MIN);
        let kill_at = at.boot.after(grace);
        self.deletion = Some(match self.deletion {
            None => Deletion { requested: at, kill_at, grace },
            Some(earlier) => Deletion {
                requested: earlier.requested,
                kill_at: earlier.kill_at.min(kill_at),
                grace: earlier.grace.min(grace),
            },
        });
    }

    fn observe_sandbox(&mut self, observation: &Observation, at: Moment) {
        let current = self.sandbox.attempt();
        match observation {
            Observation::SandboxCreated { attempt, ips } if current == Some(*attempt) => {
                self.sandbox = SandboxState::Ready { attempt: *attempt, since: at, ips: ips.clone() };
            }
            Observation::SandboxCreateFailed { attempt, message } if current == Some(*attempt) => {
                let message = message.clone();
                self.sandbox =
                    SandboxState::CreateFailed { attempt: *attempt, message, at, delay: RETRY_DELAY };
            }
            Observation::SandboxLost { attempt } if current == Some(*attempt) => {
                let stopping =
                    matches!(self.sandbox, SandboxState::Stopping { .. } | SandboxState::Stopped { .. });
                self.sandbox = if stopping {
                    SandboxState::Stopped { attempt: *attempt, at }
                } else {
                    SandboxState::Lost { attempt: *attempt, at }
                };
                self.all_died(at);
            }
            Observation::SandboxStopped { attempt } if current == Some(*attempt) => {
                self.sandbox = SandboxState::Stopped { attempt: *attempt, at };
                self.all_died(at);
            }
            _ => {}
        }
    }

    /// Whatever had no recorded exit was killed with its sandbox; what it was removing is to be removed yet.
    fn all_died(&mut self, at: Moment) {
        self.removing.clear();
        for container in self.containers.values_mut() {
            if container.current.as_ref().is_some_and(|a| a.state == AttemptState::Starting) {
                container.roll_back();
            }
            let Some(attempt) = container.current.as_mut().filter(|a| a.alive()) else { continue };
            attempt.state = AttemptState::Exited(killed(attempt, "the pod sandbox ended", at));
        }
    }

    /// Of an image that the container does not have any more nothing follows for it.
    fn image_ready(
        &mut self,
        spec: &PodSpec,
        name: &ContainerName,
        image: &str,
        (image_id, repo_digest): (&str, Option<&String>),
    ) {
        self.pulls.remove(image);
        let Some(container) = spec.container(name) else { return };
        let resolved = || image_id.to_owned();
        if container.image == image {
            let container = self.containers.entry(name.clone()).or_default();
            container.image_id = Some(resolved());
            container.repo_digest = repo_digest.cloned();
        }
        if spec.volume_images(container).any(|(of_volume, _)| of_volume == image) {
            let images = &mut self.containers.entry(name.clone()).or_default().volume_images;
            images.insert(image.to_owned(), resolved());
        }
    }

    fn image_failed(&mut self, spec: &PodSpec, image: &str, reason: &str, message: &str, at: Moment) {
        if !spec.names_image(image) {
            return;
        }
        let delay = match self.pulls.get(image) {
            _ if !start::backs_off(reason) => RETRY_DELAY,
            Some(PullState::Pulling { after: Some(delay), .. }) => backoff::next_pull(*delay),
            _ => backoff::BACKOFF_INITIAL,
        };
        let failed = PullState::Failed { reason: reason.to_owned(), message: message.to_owned(), at, delay };
        self.pulls.insert(image.to_owned(), failed);
    }

    fn started(
        &mut self,
        name: &ContainerName,
        attempt: u32,
        id: &str,
        started: Moment,
        user: Option<&ProcessUser>,
    ) {
        self.update(name, attempt, |current| {
            id.clone_into(&mut current.id);
            current.user = user.cloned();
            if current.state == AttemptState::Starting {
                current.state = AttemptState::Running { since: started };
            }
        });
    }

    /// The attempt never was; the one before it is the newest again.
    fn create_failed(&mut self, name: &ContainerName, attempt: u32, error: StartError) {
        let Some(container) = self.containers.get_mut(name) else { return };
        let meant = |a: &Attempt| a.number == attempt && a.state == AttemptState::Starting;
        if container.current.as_deref().is_some_and(meant) {
            container.roll_back();
            container.start_error = Some(error);
        }
    }

    /// May overtake the report of the start, which then only adds the id.
    pub(crate) fn exited(
        &mut self,
        spec: &PodSpec,
        name: &ContainerName,
        attempt: u32,
        exit: &Exit,
        at: Moment,
    ) {
        let restarting_all = View::new(spec, self, exit.finished)
            .restart_all
            .is_some_and(|trigger| trigger.container.name != *name);
        self.count_start(spec, name, attempt, at);
        let Some(container) = self.containers.get_mut(name) else { return };
        let meant = |a: &&mut Attempt| a.number == attempt && a.alive();
        let Some(current) = container.current.as_deref_mut().filter(meant) else { return };
        let mut exit = exit.clone();
        if restarting_all && current.stop_signal_sent.is_some() {
            exit.reason = ExitReason::RestartingAllContainers;
            exit.code = EXIT_SIGKILL;
        }
        current.state = AttemptState::Exited(exit);
    }

    fn probed(
        &mut self,
        spec: &PodSpec,
        name: &ContainerName,
        attempt: u32,
        (kind, outcome): (ProbeKind, &ProbeOutcome),
        at: Moment,
    ) {
        let Some(probe) = spec.container(name).and_then(|container| kind.of(container)) else { return };
        self.update(name, attempt, |attempt| {
            if attempt.alive() {
                attempt.probe_mut(kind).count(kind, probe, outcome, at);
            }
        });
    }

    fn resized(
        &mut self,
        name: &ContainerName,
        attempt: u32,
        resources: Resources,
        failure: Option<&str>,
        at: Moment,
    ) {
        self.update(name, attempt, |attempt| match failure {
            None => {
                if let ResizeState::UnderWay { of_pod } = attempt.resize {
                    attempt.of_pod = of_pod;
                }
                (attempt.resources, attempt.resize) = (resources, ResizeState::Idle);
            }
            Some(message) => attempt.resize = ResizeState::Failed { message: message.to_owned(), at },
        });
    }
}

impl Observed {
    /// Once an attempt turns out to have had a process, the backoff moves on if it follows an exit,
    /// and the attempt before the previous one is let go.
    pub(crate) fn count_start(&mut self, spec: &PodSpec, name: &ContainerName, attempt: u32, at: Moment) {
        let (sandbox, limits) = (self.sandbox.attempt(), self.backoff_limits);
        let Some(kind) = spec.container(name).map(|c| c.kind) else { return };
        let Some(container) = self.containers.get_mut(name) else { return };
        let meant = |a: &&Attempt| a.number == attempt && a.state == AttemptState::Starting;
        let Some(current) = container.current.as_deref().filter(meant) else { return };
        let behind =
            container.previous.as_ref().and_then(|p| backoff::exit_behind(kind, p, current.run, sandbox));
        container.start_error = None;
        self.initialized |= kind == ContainerKind::App;
        if let Some(finished) = behind {
            container.backoff = Some(backoff::next(limits, container.backoff, finished, at));
        }
        if let Some(outgoing) = container.outgoing.take() {
            self.garbage.insert((name.clone(), outgoing.number));
        }
    }
}

impl ContainerObserved {
    /// The newest attempt never was.
    pub(crate) fn roll_back(&mut self) {
        self.current = self.previous.take();
        self.previous = self.outgoing.take();
    }
}

impl ProbeState {
    fn count(&mut self, kind: ProbeKind, probe: &Probe, outcome: &ProbeOutcome, at: Moment) {
        self.in_flight = false;
        if self.settled(kind) {
            return;
        }
        match outcome {
            ProbeOutcome::Success | ProbeOutcome::Warning(_) => {
                self.successes = self.successes.saturating_add(1).min(probe.success_threshold);
                (self.failures, self.errors) = (0, 0);
            }
            ProbeOutcome::Failure(_) => {
                self.failures = self.failures.saturating_add(1).min(probe.failure_threshold);
                (self.successes, self.errors) = (0, 0);
            }
            ProbeOutcome::Error(_) => {
                self.errors = self.errors.saturating_add(1) % PROBE_TRIES;
                if self.errors != 0 {
                    // Due at once: a try that could not be made is made again.
                    self.last_started = None;
                }
                return;
            }
        }
        let verdict = if self.successes >= probe.success_threshold {
            ProbeVerdict::Success
        } else if self.failures >= probe.failure_threshold {
            ProbeVerdict::Failure
        } else {
            return;
        };
        if verdict != self.verdict {
            (self.verdict, self.decided) = (verdict, Some(at));
        }
    }

    /// Nothing can change the verdict any more: that of a startup probe, and a failure of a liveness probe.
    pub(crate) fn settled(&self, kind: ProbeKind) -> bool {
        match kind {
            ProbeKind::Startup => self.verdict != ProbeVerdict::Unknown,
            ProbeKind::Liveness => self.verdict == ProbeVerdict::Failure,
            ProbeKind::Readiness => false,
        }
    }
}

pub(crate) fn killed(attempt: &Attempt, why: &str, at: Moment) -> Exit {
    let started = match attempt.state {
        AttemptState::Running { since } => Some(since),
        AttemptState::Starting | AttemptState::Exited(_) => None,
    };
    Exit {
        code: EXIT_SIGKILL,
        signal: Some(9),
        reason: ExitReason::Error,
        message: why.to_owned(),
        started,
        finished: at,
    }
}
