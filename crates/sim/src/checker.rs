//! An independent check of what a plan does: promises of the pod lifecycle, watched from outside.
//!
//! It keeps its own small model of the pod, built from the actions issued and what was observed, and
//! shares no logic with the planner.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lifecycle::{Action, Exit, ExitReason, Hook, Observation, Phase, PodStatus, ProbeOutcome};
use podspec::{ContainerKind, ContainerName, PodSpec};

/// The shortest time between stop signal and SIGKILL.
const FLOOR: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Process {
    alive: bool,
    attempt: Option<u32>,
    started: bool,
    succeeded: bool,
    post_start_failed: bool,
    startup_failed: bool,
    pre_stop_begun: bool,
    signalled: Option<Duration>,
    was_started_in_run: bool,
}

/// Feed it everything in order; it panics at the first broken promise.
#[derive(Debug)]
pub struct Checker {
    spec: PodSpec,
    processes: BTreeMap<ContainerName, Process>,
    run: u32,
    sandbox: Option<u32>,
    deleted: Option<(Duration, Duration)>,
    /// When the stop of the whole pod can have begun at the earliest: the last app's or init's exit.
    last_exit: Duration,
    restarting_all: bool,
    lost: bool,
    phase: Option<Phase>,
}

impl Checker {
    #[must_use]
    pub fn new(spec: &PodSpec) -> Self {
        Self {
            spec: spec.clone(),
            processes: spec.all_containers().map(|c| (c.name.clone(), Process::default())).collect(),
            run: 0,
            sandbox: None,
            deleted: None,
            last_exit: Duration::ZERO,
            restarting_all: false,
            lost: false,
            phase: None,
        }
    }

    pub fn action(&mut self, at: Duration, action: &Action) {
        match action {
            Action::CreateSandbox { attempt } => {
                self.no_process_alive("create a sandbox");
                assert!(self.sandbox.is_none_or(|last| *attempt > last), "sandbox attempt {attempt} again");
                self.sandbox = Some(*attempt);
                self.lost = false;
                if *attempt > 0 {
                    self.begin_run();
                }
            }
            Action::StartContainer { container, attempt, run, .. } => {
                if *run != self.run {
                    assert!(self.restarting_all, "a new run without a reason");
                    self.no_process_alive("begin a new run");
                    self.begin_run();
                    self.run = *run;
                }
                self.may_start(container, *attempt);
            }
            Action::RunHook { container, hook, .. } => {
                assert!(self.process(container).alive, "a hook in {container}, which does not run");
                if *hook == Hook::PreStop {
                    self.process_mut(container).pre_stop_begun = true;
                }
            }
            Action::RunStartupProbe { container, .. } => {
                assert!(self.process(container).alive, "a probe of {container}, which does not run");
            }
            Action::SignalContainer { container, .. } => self.signal(container, at),
            Action::KillContainer { container, .. } => {
                let signalled = self.process(container).signalled;
                let since =
                    signalled.unwrap_or_else(|| panic!("SIGKILL to {container} without its stop signal"));
                assert!(at >= since + FLOOR, "SIGKILL to {container} within the floor");
            }
            Action::StopSandbox { .. } => self.no_process_alive("stop the sandbox"),
            Action::RemoveVolumes => self.no_process_alive("remove the volumes"),
            Action::SetUpVolumes | Action::EnsureImage { .. } | Action::RemoveContainer { .. } => {}
        }
    }

    pub fn observation(&mut self, at: Duration, observation: &Observation) {
        match observation {
            Observation::DeletionRequested { grace } => {
                let by = at + (*grace).max(Duration::from_secs(1));
                let by = self.deleted.map_or(by, |(_, earlier)| by.min(earlier));
                self.deleted = Some((at, by));
            }
            Observation::SandboxLost { .. } => {
                self.lost = true;
                self.processes.values_mut().for_each(|p| p.alive = false);
            }
            Observation::ContainerStarted { container, .. } => {
                let plain = self
                    .spec
                    .container(container)
                    .is_some_and(|c| c.startup_probe.is_none() && c.post_start.is_none());
                self.process_mut(container).started = plain;
            }
            Observation::ContainerCreateFailed { container, .. } => {
                let process = self.process_mut(container);
                process.alive = false;
                process.attempt = process.attempt.and_then(|a| a.checked_sub(1));
            }
            Observation::ContainerExited { container, exit, .. } => self.exited(at, container, exit),
            Observation::HookFinished { container, hook: Hook::PostStart, failure, .. } => {
                let probed = self.spec.container(container).is_some_and(|c| c.startup_probe.is_some());
                let process = self.process_mut(container);
                process.post_start_failed = failure.is_some();
                process.started = failure.is_none() && !probed;
            }
            Observation::ProbeFinished { container, outcome, .. } => {
                let process = self.process_mut(container);
                process.started |= *outcome == ProbeOutcome::Success;
                process.startup_failed |= matches!(outcome, ProbeOutcome::Failure(_));
            }
            _ => {}
        }
    }

    pub fn status(&mut self, status: &PodStatus) {
        let terminal = |phase| matches!(phase, Phase::Succeeded | Phase::Failed);
        if let Some(last) = self.phase.filter(|last| terminal(*last)) {
            assert_eq!(status.phase, last, "a terminal phase was left");
        }
        if terminal(status.phase) {
            self.no_process_alive("say that the pod has ended");
        }
        self.phase = Some(status.phase);
    }

    fn process(&self, name: &ContainerName) -> &Process {
        &self.processes[name]
    }

    fn process_mut(&mut self, name: &ContainerName) -> &mut Process {
        self.processes.entry(name.clone()).or_default()
    }

    fn begin_run(&mut self) {
        self.restarting_all = false;
        for process in self.processes.values_mut() {
            process.succeeded = false;
            process.started = false;
            process.was_started_in_run = false;
        }
    }

    fn may_start(&mut self, name: &ContainerName, attempt: u32) {
        assert!(self.deleted.is_none(), "{name} started after the deletion");
        assert!(!self.lost, "{name} started in a lost sandbox");
        let process = self.process(name);
        assert!(!process.alive, "two live attempts of {name}");
        assert!(process.attempt.is_none_or(|last| attempt > last), "attempt {attempt} of {name} again");
        let again = process.was_started_in_run;
        if !again {
            self.everything_before_is_done(name);
        }
        let kind = self.spec.container(name).map(|c| c.kind);
        assert!(
            !(kind == Some(ContainerKind::Init) && self.process(name).succeeded),
            "{name} succeeded already"
        );
        *self.process_mut(name) =
            Process { alive: true, attempt: Some(attempt), was_started_in_run: true, ..Process::default() };
    }

    /// Init containers before it have succeeded, sidecars before it have been started.
    fn everything_before_is_done(&self, name: &ContainerName) {
        for earlier in self.spec.init_containers.iter().take_while(|c| c.name != *name) {
            let process = self.process(&earlier.name);
            match earlier.kind {
                ContainerKind::Init => {
                    assert!(
                        process.succeeded,
                        "{name} started before init container {} succeeded",
                        earlier.name
                    );
                }
                ContainerKind::Sidecar | ContainerKind::App => {
                    assert!(process.was_started_in_run, "{name} started before sidecar {}", earlier.name);
                }
            }
        }
        let sidecars_up =
            |c: &&podspec::Container| self.process(&c.name).alive && !self.process(&c.name).started;
        let last = self.spec.init_containers.iter().take_while(|c| c.name != *name).last();
        if let Some(sidecar) = last.filter(|c| c.kind == ContainerKind::Sidecar).filter(sidecars_up) {
            panic!("{name} started while sidecar {} has not started", sidecar.name);
        }
    }

    fn signal(&mut self, name: &ContainerName, at: Duration) {
        let process = self.process(name);
        assert!(process.alive, "a stop signal to {name}, which does not run");
        assert!(process.signalled.is_none(), "a second stop signal to {name}");
        let lone = process.post_start_failed || process.startup_failed;
        let has_hook = self.spec.container(name).is_some_and(|c| c.pre_stop.is_some());
        let hook_run = process.pre_stop_begun;
        if !lone && !self.restarting_all {
            assert!(self.pod_may_stop(at), "{name} stopped without a reason");
            let waits = self.alive_before(name);
            assert!(waits.is_empty() || self.budget_spent(at), "{name} stopped before {waits:?}");
            assert!(
                !has_hook || hook_run || self.budget_spent(at),
                "{name} stopped without its preStop hook"
            );
        }
        self.process_mut(name).signalled = Some(at);
    }

    fn pod_may_stop(&self, at: Duration) -> bool {
        let overdue = self.spec.active_deadline.is_some_and(|deadline| at >= deadline);
        let apps_ended = self.spec.containers.iter().all(|c| !self.process(&c.name).alive);
        self.deleted.is_some() || overdue || apps_ended
    }

    /// Who must be gone before a sidecar is told to stop.
    fn alive_before(&self, name: &ContainerName) -> BTreeSet<&ContainerName> {
        if self.spec.container(name).is_none_or(|c| c.kind != ContainerKind::Sidecar) {
            return BTreeSet::new();
        }
        let later = self.spec.init_containers.iter().skip_while(|c| c.name != *name).skip(1);
        let later = later.filter(|c| c.kind == ContainerKind::Sidecar);
        let all = later.chain(&self.spec.containers).map(|c| &c.name);
        all.filter(|n| self.process(n).alive).collect()
    }

    fn budget_spent(&self, at: Duration) -> bool {
        match self.deleted {
            Some((_, by)) => at >= by,
            None => {
                let began = self.spec.active_deadline.filter(|d| at >= *d).unwrap_or(self.last_exit);
                at >= began + self.spec.termination_grace_period
            }
        }
    }

    fn exited(&mut self, at: Duration, name: &ContainerName, exit: &Exit) {
        let Some(container) = self.spec.container(name) else { return };
        let kind = container.kind;
        let restart_all = container
            .restart
            .rules
            .iter()
            .find(|r| r.values.contains(&exit.code) == (r.operator == podspec::ExitCodeOperator::In));
        let restart_all =
            restart_all.is_some_and(|r| r.action == podspec::RestartRuleAction::RestartAllContainers);
        let process = self.process_mut(name);
        let unasked = process.signalled.is_none();
        process.alive = false;
        process.started = false;
        process.succeeded = exit.code == 0 && exit.reason != ExitReason::OOMKilled;
        if kind != ContainerKind::Sidecar {
            self.last_exit = at;
        }
        self.restarting_all |= restart_all && (unasked || self.restarting_all);
        self.restarting_all |= restart_all && self.deleted.is_none();
    }

    fn no_process_alive(&self, what: &str) {
        let alive: Vec<_> = self.processes.iter().filter(|(_, p)| p.alive).map(|(name, _)| name).collect();
        assert!(alive.is_empty(), "cannot {what} while {alive:?} run");
    }
}
