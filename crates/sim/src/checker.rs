//! An independent check of what a plan does: promises of the pod lifecycle, watched from outside.
//!
//! It keeps its own small model of the pod, built from the actions issued and what was observed, and
//! shares no logic with the planner.

mod ends;
mod key;
mod probing;
mod process;
mod resizing;
mod retries;
mod starting;
mod status;
mod stopping;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lifecycle::{Action, BackoffLimits, Observation, PodStatus, ProbeKind};
use podspec::{Container, ContainerKind, ContainerName, PodSpec};

use process::{Life, Process};
use retries::Retries;
use status::LastStatus;

/// Feed it everything in order; it panics at the first broken promise.
#[derive(Clone, Debug)]
pub struct Checker<'s> {
    spec: &'s PodSpec,
    processes: BTreeMap<ContainerName, Process>,
    run: u32,
    accepted: Option<Duration>,
    /// The pod's deadline as it was told, and when that is over.
    deadline: Option<Duration>,
    overdue_at: Option<Duration>,
    volumes: Part,
    sandbox: Part,
    sandbox_attempt: Option<u32>,
    had_processes: bool,
    /// It has begun to be torn down: how it ended is settled.
    finished: bool,
    /// The pod is being stopped, and nothing is to be started any more.
    stop: Option<Stop>,
    /// When an engine took over a pod of which nothing was being stopped.
    resumed: Duration,
    /// When the node could not bear the pod any more.
    evicted: Option<Duration>,
    gates: BTreeMap<String, String>,
    limits: BackoffLimits,
    restarting_all: bool,
    /// When that was asked for: what had ended before then has ended.
    restart_asked: Duration,
    retries: Retries,
    last: LastStatus,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Part {
    #[default]
    None,
    Coming,
    Ready,
    /// It failed, or died.
    Lost,
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Stop {
    began: Duration,
    /// Counted from when it began, or from when an engine learned of it.
    grace: Option<Duration>,
    /// Whoever asked for a deletion has said until when.
    told_by: Option<Duration>,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Why {
    Overdue,
    Evicted,
    /// The status does not say.
    Other,
}

impl<'s> Checker<'s> {
    #[must_use]
    pub fn new(spec: &'s PodSpec) -> Self {
        Self {
            spec,
            processes: spec.all_containers().map(|c| (c.name.clone(), Process::default())).collect(),
            run: 0,
            accepted: None,
            deadline: spec.active_deadline,
            overdue_at: None,
            volumes: Part::None,
            sandbox: Part::None,
            sandbox_attempt: None,
            had_processes: false,
            finished: false,
            stop: None,
            resumed: Duration::ZERO,
            evicted: None,
            gates: BTreeMap::new(),
            limits: BackoffLimits { initial: Duration::from_secs(10), max: Duration::from_secs(300) },
            restarting_all: false,
            restart_asked: Duration::ZERO,
            retries: Retries::default(),
            last: LastStatus::default(),
        }
    }

    /// The pod is another from now on; whoever plans for it learns of it later.
    pub fn change_spec(&mut self, spec: &'s PodSpec) {
        self.spec = spec;
        for container in spec.all_containers() {
            self.processes.entry(container.name.clone()).or_default();
        }
    }

    pub fn action(&mut self, at: Duration, action: &Action) {
        self.look_for_stop(at);
        match action {
            Action::SetUpVolumes => {
                assert!(self.stop.is_none(), "volumes set up for a pod that stops");
                assert!(!matches!(self.volumes, Part::Coming | Part::Ready), "volumes set up twice");
                self.retries.set_up_volumes(at);
                self.volumes = Part::Coming;
            }
            Action::CreateSandbox { attempt } => self.create_sandbox(*attempt, at),
            Action::EnsureImage { container, image, .. } => {
                self.may_start(container, at, self.run + u32::from(self.restarting_all));
                self.retries.pull(image, at);
            }
            Action::StartContainer { container, attempt, run, image_id, volume_images } => {
                let spec = self.container(container);
                assert!(image_id.starts_with(spec.image.as_str()), "{container} started with {image_id}");
                let of_volumes = self.spec.volume_images(spec).map(|(image, _)| image);
                assert!(volume_images.keys().eq(&of_volumes.collect::<BTreeSet<_>>()), "{volume_images:?}");
                assert!(volume_images.iter().all(|(image, id)| id.starts_with(image)), "{volume_images:?}");
                self.start_container(container, *attempt, *run, at);
            }
            Action::RunHook { container, hook, timeout, .. } => self.hook(container, *hook, *timeout, at),
            Action::RunProbe { container, attempt, probe, timeout } => {
                let stops = self.stop.is_some() || self.restarting_all || self.lone(container).is_some();
                assert!(
                    *probe == ProbeKind::Readiness || !stops,
                    "a {probe:?} probe while {container} stops"
                );
                assert!(self.is_newest(container, *attempt), "{container}/{attempt} is probed");
                self.with(container, |process, spec| process.probe(spec, *probe, *timeout, at));
            }
            Action::ResizeContainer { container, attempt, resources } => {
                self.resize(container, *attempt, *resources, at);
            }
            Action::SignalContainer { container, .. } => self.signal(container, at),
            Action::KillContainer { container, .. } => self.kill(container, at),
            Action::StopSandbox { attempt } => {
                self.no_process_alive("stop the sandbox");
                assert!(self.stop.is_some(), "the sandbox of a pod that goes on is stopped");
                assert_eq!(self.sandbox_attempt, Some(*attempt), "another sandbox is stopped");
                (self.sandbox, self.finished) = (Part::Coming, true);
            }
            Action::RemoveVolumes => {
                assert!(matches!(self.sandbox, Part::None | Part::Lost | Part::Gone), "volumes go first");
                assert!(self.stop.is_some(), "the volumes of a pod that goes on are removed");
                (self.volumes, self.finished) = (Part::Coming, true);
            }
            Action::RemoveContainer { container, attempt } => {
                assert_eq!(self.sandbox, Part::Ready, "attempt {attempt} of {container} removed by nobody");
                let newest = self.processes[container].attempt.unwrap_or(0);
                assert!(attempt + 1 < newest, "attempt {attempt} of {container} removed, but it is kept");
            }
        }
    }

    pub fn observation(&mut self, at: Duration, observation: &Observation) {
        // A new engine learns first what happened without it, then judges.
        let of_a_new_engine = matches!(
            observation,
            Observation::Configured { .. } | Observation::Accepted | Observation::Adopted(_)
        );
        if !of_a_new_engine {
            self.look_for_stop(at);
        }
        match observation {
            Observation::Accepted if self.accepted.is_some() => {
                if !self.processes.values().any(|p| p.alive() && p.being_stopped()) {
                    self.resumed = at;
                }
                self.processes.values_mut().for_each(Process::engine_restarted);
                self.retries.engine_restarted();
                self.supersede(at);
                if self.volumes == Part::Coming {
                    self.volumes = if self.stop.is_some() { Part::Ready } else { Part::None };
                }
            }
            Observation::Accepted => {
                self.accepted = Some(at);
                self.overdue_at = self.deadline.map(|deadline| at + deadline);
            }
            Observation::DeletionRequested { grace } => self.delete(at, *grace),
            Observation::Evicted { .. } => self.evict(at),
            Observation::GatesChanged { gates } => self.gates.clone_from(gates),
            Observation::Configured { backoff } => self.configured(*backoff),
            Observation::SpecChanged => self.spec_changed(at),
            Observation::VolumesReady => self.volumes = Part::Ready,
            Observation::VolumesFailed { .. } => {
                self.volumes = Part::Lost;
                self.retries.volumes_failed(at);
            }
            Observation::VolumesRemoved => self.volumes = Part::Gone,
            Observation::SandboxCreated { .. } => self.sandbox = Part::Ready,
            Observation::SandboxCreateFailed { .. } => {
                self.sandbox = Part::Lost;
                self.retries.sandbox_failed(at);
            }
            Observation::SandboxLost { .. } => self.sandbox_lost(at),
            Observation::SandboxStopped { .. } => self.sandbox = Part::Gone,
            Observation::Adopted(snapshot) => self.adopted(at, snapshot),
            _ => self.container_observation(at, observation),
        }
        if !matches!(observation, Observation::Configured { .. } | Observation::Accepted) {
            self.look_for_stop(at);
        }
    }

    fn container_observation(&mut self, at: Duration, observation: &Observation) {
        match observation {
            Observation::ImageReady { container, image, .. } => {
                self.retries.pulled(image);
                self.with(container, |process, spec| process.image_ready |= spec.image == *image);
            }
            Observation::ImageFailed { image, reason, .. } if self.spec.names_image(image) => {
                self.retries.pull_failed(image, reason, at);
            }
            Observation::ContainerStarted { container, attempt, started, .. }
                if self.is_newest(container, *attempt) =>
            {
                self.count_restart(container, at);
                let since = ends::moment(*started);
                self.with(container, |process, spec| process.started(spec, since));
            }
            Observation::ContainerCreateFailed { container, attempt, .. }
                if self.is_newest(container, *attempt) =>
            {
                self.retries.container_failed(container, at);
                self.with(container, |process, _| {
                    process.roll_back();
                    process.tried_in_run = true;
                });
            }
            Observation::ContainerExited { container, attempt, exit }
                if self.is_newest(container, *attempt) =>
            {
                self.exited(container, exit, at);
            }
            Observation::HookFinished { container, attempt, hook, failure }
                if self.is_newest(container, *attempt) =>
            {
                let succeeded = failure.is_none();
                self.with(container, |process, spec| process.hook_finished(spec, *hook, succeeded, at));
            }
            Observation::ProbeFinished { container, attempt, probe, outcome }
                if self.is_newest(container, *attempt) =>
            {
                self.with(container, |process, spec| process.probed(spec, *probe, outcome, at));
            }
            Observation::ContainerResized { container, attempt, resources, failure }
                if self.is_newest(container, *attempt) =>
            {
                let succeeded = failure.is_none();
                self.with(container, |process, _| process.resized(*resources, succeeded, at));
            }
            _ => {}
        }
    }

    /// What must hold of every status, and that nobody is left alive beyond their time.
    pub fn status(&mut self, at: Duration, status: &PodStatus) {
        self.look_for_stop(at);
        for container in self.spec.all_containers() {
            self.is_looked_after(container, at);
        }
        status::check(self, at, status);
        self.last.keep(status);
    }

    /// What must hold when everything the pod had is gone.
    pub fn at_rest(&self, status: &PodStatus) {
        self.no_process_alive("be at rest");
        assert!(self.stop.is_some(), "at rest, but nothing stops the pod");
        assert!(matches!(self.sandbox, Part::None | Part::Lost | Part::Gone), "at rest with a sandbox");
        assert!(matches!(self.volumes, Part::None | Part::Gone), "at rest with volumes");
        status::check_outcome(self, status);
    }

    /// What must hold when nothing more will happen by itself.
    pub fn idle(&self) {
        assert!(self.stop.is_none(), "the pod is to stop and nothing happens");
        let initializing =
            self.spec.init_containers.iter().any(|c| c.kind == ContainerKind::Init && self.of(c).alive());
        for container in self.spec.sidecars().chain(&self.spec.containers) {
            let process = self.of(container);
            let waits = initializing && !process.begun_in_run;
            let ended =
                process.life == Life::Exited && !process.is_restarted(container, self.spec.restart_policy);
            assert!(process.up(container) || waits || ended, "{} is forgotten", container.name);
        }
        for container in &self.spec.ephemeral_containers {
            assert_ne!(self.of(container).life, Life::None, "{} is never started", container.name);
        }
    }

    fn is_newest(&self, container: &ContainerName, attempt: u32) -> bool {
        self.processes[container].attempt == Some(attempt)
    }

    fn of(&self, container: &Container) -> &Process {
        &self.processes[&container.name]
    }

    fn container(&self, name: &ContainerName) -> &'s Container {
        self.spec.container(name).unwrap_or_else(|| panic!("there is no container {name}"))
    }

    fn with(&mut self, name: &ContainerName, change: impl FnOnce(&mut Process, &Container)) {
        let container = self.spec.container(name).unwrap_or_else(|| panic!("there is no container {name}"));
        change(self.processes.entry(name.clone()).or_default(), container);
    }

    fn no_process_alive(&self, what: &str) {
        let alive: Vec<_> = self.processes.iter().filter(|(_, p)| p.alive()).map(|(name, _)| name).collect();
        assert!(alive.is_empty(), "cannot {what} while {alive:?} run");
    }
}
