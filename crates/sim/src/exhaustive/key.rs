//! When two states are the same for the search: when what can follow is the same, as far as the lifecycle's
//! rules go. Moments count by how long ago they are; those that no rule looks at any more, and what only a
//! status tells (the exit before the last, the start of a process), do not count.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use lifecycle::{
    Attempt, AttemptState, Backoff, ContainerObserved, Deletion, Exit, Finished, HookState, Observed,
    ProbeKind, ProbeState, ProbeVerdict, PullState, ResizeState, SandboxState, StartError, VolumesState,
};
use podspec::{BootTime, Container, PodSpec, Probe};

/// After this a restart backoff is forgotten.
const BACKOFF_KEPT: Duration = Duration::from_secs(600);

/// Before a resize that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

pub(crate) struct Key<'k, H> {
    pub(crate) spec: &'k PodSpec,
    pub(crate) now: BootTime,
    pub(crate) hasher: &'k mut H,
}

impl<H: Hasher> Key<'_, H> {
    pub(crate) fn observed(&mut self, observed: &Observed) {
        let Observed { accepted, resumed, deletion, eviction, volumes, sandbox, run, initialized, .. } =
            observed;
        let Observed { was_initialized, containers, pulls, garbage, removing, finished, .. } = observed;
        let Observed { backoff_limits, gates, active_deadline, deadline, conditions: _, .. } = observed;
        if self.spec.active_deadline.is_some() {
            self.ago(accepted.map(|at| at.boot));
            self.ago(deadline.map(|at| at.boot));
        }
        self.add((backoff_limits, gates, active_deadline));
        self.ago(eviction.as_ref().map(|eviction| eviction.at.boot));
        self.ago(resumed.map(|at| at.boot));
        self.add((run, initialized, was_initialized, garbage, removing));
        self.add(deletion.is_some());
        if let Some(Deletion { requested, kill_at, grace }) = deletion {
            self.ago(Some(requested.boot));
            self.left(*kill_at);
            self.add(grace);
        }
        self.volumes(volumes);
        self.sandbox(sandbox);
        for container in self.spec.all_containers() {
            self.add(containers.contains_key(&container.name));
            if let Some(seen) = containers.get(&container.name) {
                self.container(container, seen);
            }
        }
        for (image, pull) in pulls {
            self.add(image);
            self.pull(pull);
        }
        let Some(Finished { at: _, succeeded, reason, message: _ }) = finished else { return };
        self.add((succeeded, reason));
    }

    fn volumes(&mut self, volumes: &VolumesState) {
        self.add(std::mem::discriminant(volumes));
        if let VolumesState::Failed { message: _, at, delay } = volumes {
            self.left(at.boot.after(*delay));
        }
    }

    fn sandbox(&mut self, sandbox: &SandboxState) {
        self.add(std::mem::discriminant(sandbox));
        match sandbox {
            SandboxState::Absent => {}
            SandboxState::Creating { attempt }
            | SandboxState::Stopping { attempt }
            | SandboxState::Ready { attempt, since: _, ips: _ } => self.add(attempt),
            SandboxState::Lost { attempt, at } | SandboxState::Stopped { attempt, at } => {
                self.add(attempt);
                self.ago(Some(at.boot));
            }
            SandboxState::CreateFailed { attempt, message: _, at, delay } => {
                self.add(attempt);
                self.left(at.boot.after(*delay));
            }
        }
    }

    fn container(&mut self, container: &Container, seen: &ContainerObserved) {
        let ContainerObserved {
            image_id,
            repo_digest: _,
            volume_images,
            current,
            previous,
            outgoing,
            start_error,
            backoff,
        } = seen;
        self.add((image_id, volume_images));
        self.add((current.is_some(), previous.is_some(), start_error.is_some(), backoff.is_some()));
        if let Some(StartError { reason, message: _, at, delay }) = start_error {
            self.add(reason);
            self.left(at.boot.after(*delay));
        }
        if let Some(Backoff { delay, decided, waited }) = backoff {
            self.add((delay, waited, self.now.since(*decided) > BACKOFF_KEPT / 2));
        }
        let Some(current) = current else { return };
        self.attempt(container, current);
        if current.state == AttemptState::Starting {
            // It may turn out that it never was.
            for attempt in previous.iter().chain(outgoing) {
                self.attempt(container, attempt);
            }
        }
    }

    fn attempt(&mut self, container: &Container, attempt: &Attempt) {
        let Attempt { number, run, sandbox, id: _, image_id: _, image, resources, state, .. } = attempt;
        let Attempt { startup, liveness, readiness, superseded, resize, post_start, pre_stop, .. } = attempt;
        let Attempt { stop_signal_sent, kill_sent, .. } = attempt;
        self.add((number, run, sandbox, image, resources, std::mem::discriminant(state)));
        match state {
            AttemptState::Starting => {}
            AttemptState::Running { since } => {
                for (kind, probe) in ProbeKind::ALL.into_iter().zip([startup, liveness, readiness]) {
                    if let Some(settings) = kind.of(container) {
                        self.probe(settings, probe, since.boot);
                    }
                }
            }
            AttemptState::Exited(Exit { code, signal: _, reason, message: _, started: _, finished }) => {
                self.add((code, reason, startup.verdict, liveness.verdict));
                self.ago(Some(finished.boot));
            }
        }
        self.add(superseded.map(|superseded| superseded.why));
        self.ago(superseded.map(|superseded| superseded.at.boot));
        if let (Some(_), AttemptState::Running { since }) = (superseded, state) {
            // The grace is counted from when it counts.
            self.ago(Some(since.boot));
            self.ago(startup.decided.map(|at| at.boot));
            if let HookState::Done { at, failure: _ } = post_start {
                self.ago(Some(*at));
            }
        }
        self.add(std::mem::discriminant(resize));
        if let ResizeState::Failed { message: _, at } = resize {
            self.left(at.boot.after(RETRY));
        }
        for hook in [post_start, pre_stop] {
            self.add(std::mem::discriminant(hook));
            if let HookState::Done { at, failure } = hook {
                self.add(failure.is_some());
                self.ago(Some(*at).filter(|_| failure.is_some()));
            }
        }
        self.ago(*stop_signal_sent);
        self.ago(*kill_sent);
    }

    /// Of the times, only when the next one is due; and since when it has failed, which gives the time it has.
    fn probe(&mut self, settings: &Probe, probe: &ProbeState, since: BootTime) {
        let ProbeState { in_flight, last_started, successes, failures, errors, verdict, decided } = probe;
        self.add((in_flight, successes, failures, errors, verdict));
        self.left(since.after(settings.initial_delay));
        self.add(last_started.map(|last| last.after(settings.period).since(self.now)));
        let failed = decided.filter(|_| *verdict == ProbeVerdict::Failure);
        self.ago(failed.map(|at| at.boot));
    }

    fn pull(&mut self, pull: &PullState) {
        match pull {
            PullState::Pulling { after, failure } => self.add((after, failure)),
            PullState::Failed { reason, message: _, at, delay } => {
                self.add((reason, delay));
                self.ago(Some(at.boot));
            }
        }
    }

    fn add(&mut self, value: impl Hash) {
        value.hash(self.hasher);
    }

    fn ago(&mut self, at: Option<BootTime>) {
        self.add(at.map(|at| self.now.0 - at.0));
    }

    /// Nobody looks at how long ago it was when it is over.
    fn left(&mut self, until: BootTime) {
        self.add(until.since(self.now));
    }
}
