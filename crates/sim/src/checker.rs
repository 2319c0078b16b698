//! An independent check of what a plan does: promises of the pod lifecycle, watched from outside.
//!
//! It keeps its own small model of the pod, built from the actions issued and what was observed, and
//! shares no logic with the planner.

mod process;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lifecycle::{Action, Exit, ExitReason, Hook, Observation, PodStatus, SandboxSnapshot};
use podspec::{Container, ContainerKind, ContainerName, Moment, PodSpec, RestartPolicy, RestartRuleAction};

use process::{FLOOR, Life, Process};
use status::LastStatus;

/// Feed it everything in order; it panics at the first broken promise.
#[derive(Debug)]
pub struct Checker {
    spec: PodSpec,
    processes: BTreeMap<ContainerName, Process>,
    run: u32,
    accepted: bool,
    volumes: Part,
    sandbox: Part,
    sandbox_attempt: Option<u32>,
    had_processes: bool,
    /// The pod is being stopped, and nothing is to be started any more.
    stop: Option<Stop>,
    /// When the newest engine took over.
    resumed: Duration,
    restarting_all: bool,
    failed_pulls: BTreeSet<String>,
    last: LastStatus,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
    grace: Duration,
    overdue: bool,
}

impl Checker {
    #[must_use]
    pub fn new(spec: &PodSpec) -> Self {
        Self {
            spec: spec.clone(),
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
            failed_pulls: BTreeSet::new(),
            last: LastStatus::default(),
        }
    }

    pub fn action(&mut self, at: Duration, action: &Action) {
        self.look_for_stop(at);
        match action {
            Action::SetUpVolumes => {
                assert!(self.stop.is_none(), "volumes set up for a pod that stops");
                assert!(!matches!(self.volumes, Part::Coming | Part::Ready), "volumes set up twice");
                self.volumes = Part::Coming;
            }
            Action::CreateSandbox { attempt } => self.create_sandbox(*attempt),
            Action::EnsureImage { container, .. } => {
                self.may_start(container, at, self.run + u32::from(self.restarting_all));
            }
            Action::StartContainer { container, attempt, run, .. } => {
                self.start_container(container, *attempt, *run, at);
            }
            Action::RunHook { container, hook, timeout, .. } => self.hook(container, *hook, *timeout, at),
            Action::RunStartupProbe { container, .. } => {
                assert!(self.stop.is_none() && !self.restarting_all, "a startup probe while the pod stops");
                self.with(container, |process, spec| process.probe(spec));
            }
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
                self.resumed = at;
                if let Some(stop) = &mut self.stop {
                    stop.by = at + stop.grace;
                }
                if self.volumes == Part::Coming {
                    self.volumes = if self.stop.is_some() { Part::Ready } else { Part::None };
                }
            }
            Observation::Accepted => self.accepted = true,
            Observation::DeletionRequested { grace } => self.delete(at, *grace),
            Observation::VolumesReady => self.volumes = Part::Ready,
            Observation::VolumesFailed { .. } => self.volumes = Part::Lost,
            Observation::VolumesRemoved => self.volumes = Part::Gone,
            Observation::SandboxCreated { .. } => self.sandbox = Part::Ready,
            Observation::SandboxCreateFailed { .. } => self.sandbox = Part::Lost,
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
                self.with(container, |process, _| process.image_ready = true);
            }
            Observation::ImageFailed { container, .. } => {
                let image = self.container(container).image.clone();
                self.failed_pulls.insert(image);
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
            Observation::ProbeFinished { container, attempt, outcome }
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
        status::check(self, status);
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
            assert!(process.life == Life::Running || waits || ended, "{} is forgotten", container.name);
        }
    }

    fn is_newest(&self, container: &ContainerName, attempt: u32) -> bool {
        self.processes[container].attempt == Some(attempt)
    }

    fn of(&self, container: &Container) -> &Process {
        &self.processes[&container.name]
    }

    fn container(&self, name: &ContainerName) -> &Container {
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

/// Stopping.
impl Checker {
    /// Of all causes there are the earliest; later ones change nothing.
    fn look_for_stop(&mut self, now: Duration) {
        if self.stop.is_some() {
            return;
        }
        let grace = self.spec.termination_grace_period;
        let polite = grace.max(Duration::from_secs(1));
        let deadline = self.spec.active_deadline.filter(|deadline| now >= *deadline && self.accepted);
        let ended = self.all_ended();
        let stop = |began: Duration, grace, overdue| {
            let by = began.max(self.resumed) + grace;
            Stop { began, by, grace, overdue }
        };
        let causes = [
            ended.map(|began| stop(began, grace, false)),
            self.init_failed().map(|began| stop(began, polite, false)),
            deadline.map(|began| stop(began, polite, true)),
            self.lost_for_good().then(|| stop(now, Duration::ZERO, false)),
        ];
        self.stop = causes.into_iter().flatten().min_by_key(|stop| stop.began);
    }

    fn all_ended(&self) -> Option<Duration> {
        let ended = |c: &Container| {
            let process = self.of(c);
            let over = process.life == Life::Exited && !process.is_restarted(c, self.spec.restart_policy);
            // One that ended before all are restarted starts again with them.
            let exit = process.last_exit.as_ref().filter(|_| over && !self.restarting_all)?;
            (exit.run == self.run || exit.sandbox != self.sandbox_attempt).then_some(exit.at)
        };
        let ends: Option<Vec<Duration>> = self.spec.containers.iter().map(ended).collect();
        ends.and_then(|ends| ends.into_iter().max())
    }

    fn init_failed(&self) -> Option<Duration> {
        let inits = self.spec.init_containers.iter().filter(|c| c.kind == ContainerKind::Init);
        inits
            .filter_map(|c| {
                let process = self.of(c);
                let exit = process.last_exit.as_ref()?;
                let here = process.life == Life::Exited && exit.run == self.run && !self.restarting_all;
                let over = !process.passed_in_run && !process.is_restarted(c, self.spec.restart_policy);
                (here && over).then_some(exit.at)
            })
            .next()
    }

    fn lost_for_good(&self) -> bool {
        let dead = self.sandbox == Part::Lost && self.sandbox_attempt.is_some();
        dead && self.spec.restart_policy == RestartPolicy::Never && self.had_processes
    }

    fn delete(&mut self, at: Duration, grace: Duration) {
        let grace = grace.max(Duration::from_secs(1));
        let by = at + grace;
        self.stop = Some(match self.stop {
            Some(stop) if stop.began < at => Stop { by: stop.by.min(by), grace: stop.grace.min(grace), ..stop },
            _ => Stop { began: at, by, grace, overdue: false },
        });
    }

    fn hook(&mut self, name: &ContainerName, hook: Hook, timeout: Option<Duration>, at: Duration) {
        if hook == Hook::PreStop {
            let alone = self.processes[name].has_to_stop_alone(self.container(name));
            assert!(alone || self.stop.is_some(), "a preStop hook in {name}, which is not stopped");
            let left = self.stop.map(|stop| stop.by.saturating_sub(at));
            let longest = timeout.unwrap_or_else(|| panic!("a preStop hook of {name} without an end"));
            assert!(alone || left.is_some_and(|left| longest <= left), "{name}'s preStop hook has too long");
        }
        self.with(name, |process, spec| process.hook(spec, hook));
    }

    fn signal(&mut self, name: &ContainerName, at: Duration) {
        let (container, process) = (self.container(name), &self.processes[name]);
        assert_eq!(process.life, Life::Running, "a stop signal to {name}");
        assert!(process.signalled.is_none(), "a second stop signal to {name}");
        let alone = process.has_to_stop_alone(container);
        let spent = self.stop.is_some_and(|stop| at >= stop.by);
        if let Some(stop) = self.stop.filter(|_| !alone) {
            assert!(at >= stop.began);
            let waits = self.alive_before(container);
            assert!(waits.is_empty() || spent, "{name} stopped before {waits:?}");
            let hook_done = container.pre_stop.is_none()
                || !matches!(process.pre_stop, process::HookLife::None | process::HookLife::Running);
            assert!(hook_done || spent, "{name} stopped without its preStop hook");
        } else {
            assert!(alone || self.restarting_all, "{name} stopped without a reason");
        }
        self.with(name, |process, _| process.signalled = Some(at));
    }

    fn kill(&mut self, name: &ContainerName, at: Duration) {
        let process = &self.processes[name];
        assert_eq!(process.life, Life::Running, "SIGKILL to {name}");
        let since = process.signalled.unwrap_or_else(|| panic!("SIGKILL to {name} without its stop signal"));
        assert!(at >= since + FLOOR, "SIGKILL to {name} within the floor");
        let alone = process.has_to_stop_alone(self.container(name));
        let spent = self.stop.is_some_and(|stop| at >= stop.by);
        assert!(spent || alone || self.restarting_all, "SIGKILL to {name} before its time");
        self.with(name, |process, _| process.killed = true);
    }

    /// Who must be gone before a sidecar is told to stop.
    fn alive_before(&self, container: &Container) -> Vec<&ContainerName> {
        if container.kind != ContainerKind::Sidecar {
            return Vec::new();
        }
        let later = self.spec.init_containers.iter().skip_while(|c| c.name != container.name).skip(1);
        let later = later.filter(|c| c.kind == ContainerKind::Sidecar);
        later.chain(&self.spec.containers).filter(|c| self.of(c).alive()).map(|c| &c.name).collect()
    }
}

/// Starting.
impl Checker {
    fn create_sandbox(&mut self, attempt: u32) {
        self.no_process_alive("create a sandbox");
        assert!(self.stop.is_none(), "a sandbox for a pod that stops");
        assert_eq!(self.volumes, Part::Ready, "a sandbox before the volumes");
        assert!(!matches!(self.sandbox, Part::Coming | Part::Ready), "two sandboxes");
        assert_eq!(attempt, self.sandbox_attempt.map_or(0, |last| last + 1), "the sandbox's number");
        if attempt > 0 {
            self.begin_run();
        }
        (self.sandbox, self.sandbox_attempt) = (Part::Coming, Some(attempt));
    }

    fn begin_run(&mut self) {
        self.run += 1;
        self.restarting_all = false;
        for process in self.processes.values_mut() {
            (process.begun_in_run, process.passed_in_run, process.tried_in_run) = (false, false, false);
        }
    }

    fn start_container(&mut self, name: &ContainerName, attempt: u32, run: u32, at: Duration) {
        if run != self.run {
            assert!(self.restarting_all, "a new run without a reason");
            self.begin_run();
            assert_eq!(run, self.run, "the number of the run");
        }
        self.may_start(name, at, run);
        self.with(name, |process, spec| process.start(spec, attempt));
    }

    fn may_start(&self, name: &ContainerName, at: Duration, run: u32) {
        let (container, process) = (self.container(name), &self.processes[name]);
        assert!(self.stop.is_none(), "{name} started although the pod stops");
        assert_eq!(self.sandbox, Part::Ready, "{name} started without a sandbox");
        assert!(!process.alive(), "two live attempts of {name}");
        if run != self.run {
            return self.no_process_alive("begin a new run");
        }
        assert!(!self.restarting_all, "{name} started while all are to be restarted");
        if process.begun_in_run || self.ended_in_lost_sandbox(container) {
            let again = process.is_restarted(container, self.spec.restart_policy);
            assert!(again || process.life == Life::None, "{name} restarted against its policy");
        }
        assert!(process.backoff_is_over(at, self.exit_behind(container)), "{name} restarted too early");
        if !process.begun_in_run {
            self.it_is_its_turn(container);
        }
    }

    fn ended_in_lost_sandbox(&self, container: &Container) -> bool {
        let exit = self.of(container).last_exit.as_ref();
        container.kind == ContainerKind::App && exit.is_some_and(|exit| exit.sandbox != self.sandbox_attempt)
    }

    /// The exit that a restart backs off from: of this run, or of an app in a sandbox that was lost.
    fn exit_behind(&self, container: &Container) -> Option<Duration> {
        let exit = self.of(container).last_exit.as_ref()?;
        let counts = exit.run == self.run || self.ended_in_lost_sandbox(container);
        counts.then_some(exit.at)
    }

    fn count_restart(&mut self, name: &ContainerName, at: Duration) {
        let behind = self.exit_behind(self.container(name));
        self.had_processes = true;
        self.with(name, |process, _| {
            if process.life == Life::Starting {
                process.count_restart(at, behind);
            }
        });
    }

    /// Init containers before it have succeeded, sidecars before it were up, the one right before it is
    /// still up; apps before it have been tried.
    fn it_is_its_turn(&self, container: &Container) {
        let name = &container.name;
        let initialized = self.spec.containers.iter().any(|c| self.of(c).begun_in_run);
        if container.kind != ContainerKind::App || !initialized {
            let before: Vec<_> = self.spec.init_containers.iter().take_while(|c| c.name != *name).collect();
            for earlier in &before {
                assert!(self.of(earlier).passed_in_run, "{name} started before {} was passed", earlier.name);
            }
            if let Some(sidecar) = before.last().filter(|c| c.kind == ContainerKind::Sidecar) {
                assert!(self.of(sidecar).up(sidecar), "{name} started while {} is not up", sidecar.name);
            }
        }
        if container.kind == ContainerKind::App {
            for earlier in self.spec.containers.iter().take_while(|c| c.name != *name) {
                let process = self.of(earlier);
                let ended = self.ended_in_lost_sandbox(earlier)
                    && !process.is_restarted(earlier, self.spec.restart_policy);
                let tried = process.tried_in_run || ended || self.failed_pulls.contains(&earlier.image);
                let waits = !process.backoff_is_over(Duration::ZERO, self.exit_behind(earlier));
                assert!(tried || waits, "{name} started before {}", earlier.name);
            }
        }
    }
}

/// Ends.
impl Checker {
    fn exited(&mut self, name: &ContainerName, exit: &Exit, at: Duration) {
        if !self.processes[name].alive() {
            return;
        }
        self.count_restart(name, at);
        let finished = moment(exit.finished);
        let (run, sandbox) = (self.run, self.sandbox_attempt);
        self.with(name, |process, spec| process.exited(spec, exit, finished, run, sandbox));
        let asks =
            process::rule(self.container(name), exit.code) == Some(RestartRuleAction::RestartAllContainers);
        self.restarting_all |= asks && self.stop.is_none();
    }

    fn sandbox_lost(&mut self, at: Duration) {
        self.sandbox =
            if self.sandbox == Part::Coming && self.stop.is_some() { Part::Gone } else { Part::Lost };
        let names: Vec<ContainerName> = self.processes.keys().cloned().collect();
        for name in names {
            self.with(&name, |process, _| process.roll_back());
            self.exited(&name, &killed(at), at);
        }
    }

    fn adopted(&mut self, at: Duration, snapshot: &SandboxSnapshot) {
        self.sandbox = Part::Ready;
        let mut records = snapshot.containers.clone();
        records.sort_by_key(|record| record.exit.as_ref().map(|exit| exit.finished.boot));
        for record in &records {
            if self.processes[&record.name].attempt != Some(record.attempt) {
                continue;
            }
            match &record.exit {
                Some(exit) => self.exited(&record.name, exit, at),
                None => {
                    self.count_restart(&record.name, at);
                    self.with(&record.name, |process, spec| process.started(spec));
                }
            }
        }
        let known = |name: &ContainerName, attempt| {
            records.iter().any(|r| r.name == *name && Some(r.attempt) == attempt)
        };
        for (name, process) in &mut self.processes {
            if !known(name, process.attempt) {
                process.roll_back();
            }
        }
    }
}

fn killed(at: Duration) -> Exit {
    let nanos = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
    let finished = Moment { boot: podspec::BootTime(nanos), wall: podspec::WallTime(nanos) };
    let (code, reason) = (137, ExitReason::Error);
    Exit { code, signal: Some(9), reason, message: String::new(), started: None, finished }
}

fn moment(at: Moment) -> Duration {
    Duration::from_nanos(u64::try_from(at.boot.0).unwrap_or(0))
}
