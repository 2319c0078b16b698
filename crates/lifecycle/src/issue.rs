//! What an issued action changes: so that it is not issued again while it is under way.

use std::collections::BTreeMap;
use std::time::Duration;

use podspec::{ContainerName, Moment, PodSpec, Resources};

use crate::action::Action;
use crate::observation::Hook;
use crate::observed::{
    Attempt, AttemptState, HookState, Observed, ProbeState, PullFailure, PullState, ResizeState,
    SandboxState, VolumesState,
};
use crate::phase;
use crate::start;
use crate::view::View;

impl Observed {
    /// Marks an action of a plan made from this very `Observed` as issued at `now`.
    pub fn issue(&mut self, spec: &PodSpec, action: &Action, now: Moment) {
        match action {
            Action::SetUpVolumes => self.volumes = VolumesState::SettingUp,
            Action::CreateSandbox { attempt } => self.create_sandbox(*attempt),
            Action::EnsureImage { image, .. } => self.pull(image),
            Action::StartContainer { container, attempt, run, image_id, volume_images } => {
                let attempt = Attempt {
                    volume_images: volume_images.clone(),
                    ..Attempt::starting(*attempt, *run, self.sandbox.attempt().unwrap_or(0), image_id)
                };
                self.start(spec, container, attempt);
            }
            Action::RunHook { container, attempt, hook, .. } => self.update(container, *attempt, |a| {
                *a.hook_mut(*hook) = HookState::Running { since: now.boot };
            }),
            Action::RunProbe { container, attempt, probe, .. } => self.update(container, *attempt, |a| {
                let state = a.probe_mut(*probe);
                (state.in_flight, state.last_started) = (true, Some(now.boot));
            }),
            Action::ResizeContainer { container, attempt, .. } => {
                let of_pod = spec.resources;
                self.update(container, *attempt, |a| a.resize = ResizeState::UnderWay { of_pod });
            }
            Action::SignalContainer { container, attempt } => {
                self.update(container, *attempt, |a| a.stop_signal_sent = Some(now.boot));
            }
            Action::KillContainer { container, attempt } => {
                self.update(container, *attempt, |a| a.kill_sent = Some(now.boot));
            }
            Action::RemoveContainer { container, attempt } => {
                self.removing.insert((container.clone(), *attempt));
            }
            Action::StopSandbox { attempt } => {
                self.finish(spec, now);
                self.sandbox = SandboxState::Stopping { attempt: *attempt };
            }
            Action::RemoveVolumes => {
                self.finish(spec, now);
                self.volumes = VolumesState::TearingDown;
            }
        }
    }

    /// Applies `change` to the container's newest attempt if that is the one meant.
    pub(crate) fn update(
        &mut self,
        container: &ContainerName,
        attempt: u32,
        change: impl FnOnce(&mut Attempt),
    ) {
        let current = self.containers.get_mut(container).and_then(|c| c.current.as_mut());
        if let Some(current) = current.filter(|a| a.number == attempt) {
            change(current);
        }
    }

    fn create_sandbox(&mut self, attempt: u32) {
        if attempt > 0 {
            self.begin_run(self.run.saturating_add(1));
        }
        self.sandbox = SandboxState::Creating { attempt };
    }

    fn begin_run(&mut self, run: u32) {
        self.run = run;
        self.initialized = false;
        // What could not be made before is tried anew in its turn.
        for error in self.containers.values_mut().filter_map(|c| c.start_error.as_mut()) {
            error.delay = Duration::ZERO;
        }
    }

    fn pull(&mut self, image: &str) {
        let pulling = match self.pulls.remove(image) {
            Some(PullState::Failed { reason, message, delay, .. }) => PullState::Pulling {
                after: Some(delay).filter(|_| start::backs_off(&reason)),
                failure: Some(PullFailure { reason, message }),
            },
            Some(pulling) => pulling,
            None => PullState::Pulling { after: None, failure: None },
        };
        self.pulls.insert(image.to_owned(), pulling);
    }

    fn start(&mut self, spec: &PodSpec, name: &ContainerName, mut attempt: Attempt) {
        if attempt.run != self.run {
            self.begin_run(attempt.run);
        }
        let of_pod = spec.resources;
        let container = self.containers.entry(name.clone()).or_default();
        container.image_id = None;
        container.volume_images.clear();
        attempt.repo_digest = container.repo_digest.take();
        container.outgoing = container.previous.take();
        if let Some(spec) = spec.container(name) {
            spec.image.clone_into(&mut attempt.image);
            attempt.resources = spec.resources;
            attempt.of_pod = of_pod;
        }
        container.previous = container.current.replace(Box::new(attempt));
    }

    fn finish(&mut self, spec: &PodSpec, now: Moment) {
        if self.finished.is_none() {
            self.finished = Some(phase::outcome(&View::new(spec, self, now)));
        }
    }
}

impl Attempt {
    pub(crate) fn starting(number: u32, run: u32, sandbox: u32, image_id: &str) -> Self {
        Self {
            number,
            run,
            sandbox,
            id: String::new(),
            image_id: image_id.to_owned(),
            image: String::new(),
            repo_digest: None,
            volume_images: BTreeMap::new(),
            user: None,
            resources: Resources::default(),
            of_pod: None,
            state: AttemptState::Starting,
            startup: ProbeState::default(),
            liveness: ProbeState::default(),
            readiness: ProbeState::default(),
            superseded: None,
            resize: ResizeState::Idle,
            post_start: HookState::NotRun,
            pre_stop: HookState::NotRun,
            stop_signal_sent: None,
            kill_sent: None,
        }
    }

    pub(crate) fn hook_mut(&mut self, hook: Hook) -> &mut HookState {
        match hook {
            Hook::PostStart => &mut self.post_start,
            Hook::PreStop => &mut self.pre_stop,
        }
    }
}
