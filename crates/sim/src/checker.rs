//! An independent check of what a plan does: promises of the pod lifecycle, watched from outside.
//!
//! It keeps its own small model of the pod, built from the actions issued and what was observed, and
//! shares no logic with the planner.

mod ends;
mod key;
mod process;
mod retries;
mod starting;
mod status;
mod stopping;

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{Action, Observation, PodStatus};
use podspec::{Container, ContainerKind, ContainerName, PodSpec};

use process::{FLOOR, Life, Process};
use retries::Retries;
use status::LastStatus;

/// Feed it everything in order; it panics at the first broken promise.
#[derive(Clone, Debug)]
pub struct Checker<'s> {
    spec: &'s PodSpec,
    processes: BTreeMap<ContainerName, Process>,
    run: u32,
    accepted: bool,
    volumes: Part,
    sandbox: Part,
    sandbox_attempt: Option<u32>,
    had_processes: bool,
    /// The pod is being stopped, and nothing is to be started any more.
    stop: Option<Stop>,
    /// When an engine took over a pod that nobody was stopping.
    resumed: Duration,
    restarting_all: bool,
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
    /// SIGKILL comes at this time, but for the floor.
    by: Duration,
    overdue: bool,
}

impl<'s> Checker<'s> {
    #[must_use]
    pub fn new(spec: &'s PodSpec) -> Self {
        Self {
            spec,
            processes: spec.all_containers().map(|c| (c.name.clone(), Process::default())).collect(),
            run: 0,
            accepted: false,
            volumes: Part::None,
            sandbox: Part::None,
            sandbox_attempt: None,
            had_processes: false,
            stop: None,
            resumed: Duration::ZERO,
            restarting_all: false,
            retries: Retries::default(),
            last: LastStatus::default(),
        }
    }

    /// The pod is another from now on: it has containers more.
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
            Action::StartContainer { container, attempt, run, .. } => {
                self.start_container(container, *attempt, *run, at);
            }
            Action::RunHook { container, hook, timeout, .. } => self.hook(container, *hook, *timeout, at),
            Action::RunProbe { container, .. } => {
                assert!(self.stop.is_none() && !self.restarting_all, "a startup probe while the pod stops");
                self.with(container, |process, spec| process.probe(spec));
            }
            Action::ResizeContainer { .. } => {}
            Action::SignalContainer { container, .. } => self.signal(container, at),
            Action::KillContainer { container, .. } => self.kill(container, at),
            Action::StopSandbox { attempt } => {
                self.no_process_alive("stop the sandbox");
                assert!(self.stop.is_some(), "the sandbox of a pod that goes on is stopped");
                assert_eq!(self.sandbox_attempt, Some(*attempt), "another sandbox is stopped");
                self.sandbox = Part::Coming;
            }
            Action::RemoveVolumes => {
                assert!(matches!(self.sandbox, Part::None | Part::Lost | Part::Gone), "volumes go first");
                assert!(self.stop.is_some(), "the volumes of a pod that goes on are removed");
                self.volumes = Part::Coming;
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
        if !matches!(observation, Observation::Accepted | Observation::Adopted(_)) {
            self.look_for_stop(at);
        }
        match observation {
            Observation::Accepted if self.accepted => {
                self.processes.values_mut().for_each(Process::engine_restarted);
                self.retries.engine_restarted();
                if self.stop.is_none() {
                    self.resumed = at;
                }
                if self.volumes == Part::Coming {
                    self.volumes = if self.stop.is_some() { Part::Ready } else { Part::None };
                }
            }
            Observation::Accepted => self.accepted = true,
            Observation::DeletionRequested { grace } => self.delete(at, *grace),
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
        if !matches!(observation, Observation::Accepted) {
            self.look_for_stop(at);
        }
    }

    fn container_observation(&mut self, at: Duration, observation: &Observation) {
        match observation {
            Observation::ImageReady { container, .. } => {
                self.retries.pulled(&self.container(container).image);
                self.with(container, |process, _| process.image_ready = true);
            }
            Observation::ImageFailed { container, reason, .. } => {
                self.retries.pull_failed(&self.container(container).image, reason, at);
            }
            Observation::ContainerStarted { container, attempt, .. }
                if self.is_newest(container, *attempt) =>
            {
                self.count_restart(container, at);
                self.with(container, |process, spec| process.started(spec));
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
                self.with(container, |process, spec| process.hook_finished(spec, *hook, failure.is_none()));
            }
            Observation::ProbeFinished { container, attempt, outcome, .. }
                if self.is_newest(container, *attempt) =>
            {
                self.with(container, |process, spec| process.probed(spec, outcome));
            }
            _ => {}
        }
    }

    /// What must hold of every status, and that nobody is left alive beyond their time.
    pub fn status(&mut self, at: Duration, status: &PodStatus) {
        self.look_for_stop(at);
        for (name, process) in &self.processes {
            let Some(stop) = self.stop.filter(|_| process.life == Life::Running && !process.killed) else {
                continue;
            };
            let kill_at = process.signalled.map(|signalled| stop.by.max(signalled + FLOOR));
            assert!(kill_at.map_or(stop.by, |by| by) > at, "{name} outlives its time");
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
