//! Promises about stopping: who may be stopped, in which order, and how long it may take.

use std::time::Duration;

use lifecycle::{Hook, ProbeKind};
use podspec::{Container, ContainerKind, ContainerName, RestartPolicy};

use super::process::{self, FLOOR, Life};
use super::{Checker, Part, Stop, Why};

/// The shortest grace of a pod that is deleted, has failed, or is evicted.
const GRACE_MIN: Duration = Duration::from_secs(1);

impl Checker<'_> {
    /// Of all causes there are the earliest; later ones change nothing.
    pub(super) fn look_for_stop(&mut self, now: Duration) {
        if self.stop.is_some() {
            return;
        }
        let grace = self.spec.termination_grace_period;
        let polite = grace.max(GRACE_MIN);
        let deadline = self.overdue_at.filter(|deadline| now >= *deadline);
        let stop = |began, grace, why| Stop { began, grace: Some(grace), told_by: None, why };
        let causes = [
            deadline.map(|began| stop(began, polite, Why::Overdue)),
            self.evicted.map(|began| stop(began, GRACE_MIN, Why::Evicted)),
            self.lost_for_good().then(|| stop(now, Duration::ZERO, Why::Other)),
            self.all_ended().map(|began| stop(began, grace, Why::Other)),
            self.init_failed().map(|began| stop(began, polite, Why::Other)),
        ];
        self.stop = causes.into_iter().flatten().min_by_key(|stop| stop.began);
        self.restarting_all &= self.stop.is_none();
    }

    /// SIGKILL comes at this time when the pod stops, but for the floor.
    pub(super) fn by(&self) -> Option<Duration> {
        let stop = self.stop?;
        let learned = |began: Duration| began.max(self.resumed);
        let own = stop.grace.map(|grace| learned(stop.began) + grace);
        let evicted = self.evicted.map(|at| learned(at) + GRACE_MIN);
        own.into_iter().chain(stop.told_by).chain(evicted).min()
    }

    /// And at this time when it has to stop alone.
    pub(super) fn lone(&self, name: &ContainerName) -> Option<Duration> {
        let grace = self.spec.termination_grace_period;
        let (began, grace) = self.processes[name].stops_alone(self.container(name), grace)?;
        Some(began.max(self.resumed) + grace)
    }

    /// When the time of a container that has to stop is over, whatever the reason.
    fn time_is_over(&self, container: &Container) -> Option<Duration> {
        let all = self.restarting_all && container.kind != ContainerKind::Ephemeral;
        let all = all.then_some(Duration::ZERO);
        self.by().into_iter().chain(self.lone(&container.name)).chain(all).min()
    }

    /// Nobody outlives its time, and what is to be done for a container is under way.
    pub(super) fn is_looked_after(&self, container: &Container, at: Duration) {
        let (name, process) = (&container.name, self.of(container));
        if process.life != Life::Running || process.killed {
            return;
        }
        let up = self.sandbox == Part::Ready && self.volumes == Part::Ready;
        if self.stop.is_none() && !self.restarting_all && !up {
            return;
        }
        let counted = container.kind != ContainerKind::Ephemeral;
        let readiness = counted && process.probe_is_due(container, ProbeKind::Readiness, at);
        assert!(!readiness || self.sandbox != Part::Ready, "the readiness probe of {name} is forgotten");
        if let Some(by) = self.time_is_over(container) {
            let kill_at = process.signalled.map_or(by, |signalled| by.max(signalled + FLOOR));
            assert!(kill_at > at, "{name} outlives its time");
            let alone = self.stop.is_none();
            let begun = process.signalled.is_some() || process.pre_stop == process::HookLife::Running;
            assert!(!alone || begun, "{name} has to stop and nothing is done about it");
            return;
        }
        for kind in [ProbeKind::Startup, ProbeKind::Liveness] {
            assert!(!process.probe_is_due(container, kind, at), "the {kind:?} probe of {name} is forgotten");
        }
        assert!(!process.resize_is_due(container, at), "the resize of {name} is forgotten");
    }

    pub(super) fn all_ended(&self) -> Option<Duration> {
        let ended = |c: &Container| {
            let process = self.of(c);
            let told = self.told_to_end(c);
            if process.life == Life::Running {
                return told;
            }
            let over = process.life == Life::Exited && !process.is_restarted(c, self.spec.restart_policy);
            // One that ended before all are restarted starts again with them.
            let exit = process.last_exit.as_ref().filter(|exit| over && self.has_ended(exit.at))?;
            let here = exit.run == self.run || exit.sandbox != self.sandbox_attempt;
            here.then_some(told.unwrap_or(exit.at))
        };
        let ends: Option<Vec<Duration>> = self.spec.containers.iter().map(ended).collect();
        ends.and_then(|ends| ends.into_iter().max())
    }

    /// Since when an app is known not to run on: it is stopped for a probe, and nothing would start it again.
    fn told_to_end(&self, container: &Container) -> Option<Duration> {
        let process = self.of(container);
        let policy = container.restart.policy.unwrap_or(self.spec.restart_policy);
        let stays = container.restart.rules.is_empty() && policy == RestartPolicy::Never;
        let stays = stays && process.superseded.is_none() && !self.restarting_all;
        process.probe_failed_at().filter(|_| stays)
    }

    /// What ends when all are to be restarted has not ended for good.
    fn has_ended(&self, at: Duration) -> bool {
        !self.restarting_all || at < self.restart_asked
    }

    pub(super) fn init_failed(&self) -> Option<Duration> {
        let inits = self.spec.init_containers.iter().filter(|c| c.kind == ContainerKind::Init);
        inits
            .filter_map(|c| {
                let process = self.of(c);
                let exit = process.last_exit.as_ref()?;
                let here = process.life == Life::Exited && exit.run == self.run && self.has_ended(exit.at);
                let over = !process.passed_in_run && !process.is_restarted(c, self.spec.restart_policy);
                (here && over).then_some(exit.at)
            })
            .next()
    }

    pub(super) fn lost_for_good(&self) -> bool {
        let dead = self.sandbox == Part::Lost && self.sandbox_attempt.is_some();
        dead && self.spec.restart_policy == RestartPolicy::Never && self.had_processes
    }

    pub(super) fn evict(&mut self, at: Duration) {
        if self.evicted.is_some() || self.finished {
            return;
        }
        self.evicted = Some(at);
        // It comes before what the pod itself has come to in the same moment.
        let same = |stop: &&mut Stop| stop.began == at && stop.why == Why::Other && stop.grace.is_some();
        if let Some(stop) = self.stop.as_mut().filter(same) {
            stop.why = Why::Evicted;
        }
    }

    pub(super) fn delete(&mut self, at: Duration, grace: Duration) {
        let grace = grace.max(GRACE_MIN);
        let by = at + grace;
        self.stop = Some(match self.stop {
            // A deletion comes before any other cause of the same moment that the status would tell of.
            Some(stop) if stop.why == Why::Other || stop.began < at || self.last.is_terminal() => {
                Stop { told_by: Some(stop.told_by.map_or(by, |earlier| earlier.min(by))), ..stop }
            }
            _ => Stop { began: at, grace: None, told_by: Some(by), why: Why::Other },
        });
        self.restarting_all = false;
    }

    pub(super) fn hook(&mut self, name: &ContainerName, hook: Hook, timeout: Option<Duration>, at: Duration) {
        if hook == Hook::PreStop {
            let alone = self.processes[name].has_to_stop_alone(self.container(name));
            assert!(alone || self.stop.is_some(), "a preStop hook in {name}, which is not stopped");
            let left = self.by().map(|by| by.saturating_sub(at));
            let longest = timeout.unwrap_or_else(|| panic!("a preStop hook of {name} without an end"));
            assert!(alone || left.is_some_and(|left| longest <= left), "{name}'s preStop hook has too long");
        }
        self.with(name, |process, spec| process.hook(spec, hook));
    }

    pub(super) fn signal(&mut self, name: &ContainerName, at: Duration) {
        let (container, process) = (self.container(name), &self.processes[name]);
        assert_eq!(process.life, Life::Running, "a stop signal to {name}");
        assert!(process.signalled.is_none(), "a second stop signal to {name}");
        let alone = process.has_to_stop_alone(container);
        let spent = self.by().is_some_and(|by| at >= by);
        if let Some(stop) = self.stop.filter(|_| !alone) {
            assert!(at >= stop.began);
            let waits = self.alive_before(container);
            assert!(waits.is_empty() || spent, "{name} stopped before {waits:?}");
            let hook_done = container.pre_stop.is_none()
                || !matches!(process.pre_stop, process::HookLife::None | process::HookLife::Running);
            assert!(hook_done || spent, "{name} stopped without its preStop hook");
        } else {
            let restarted = self.restarting_all && container.kind != ContainerKind::Ephemeral;
            assert!(alone || restarted, "{name} stopped without a reason");
        }
        self.with(name, |process, _| process.signalled = Some(at));
    }

    pub(super) fn kill(&mut self, name: &ContainerName, at: Duration) {
        let process = &self.processes[name];
        assert_eq!(process.life, Life::Running, "SIGKILL to {name}");
        let since = process.signalled.unwrap_or_else(|| panic!("SIGKILL to {name} without its stop signal"));
        assert!(at >= since + FLOOR, "SIGKILL to {name} within the floor");
        let over = self.time_is_over(self.container(name));
        assert!(over.is_some_and(|over| at >= over), "SIGKILL to {name} before its time");
        self.with(name, |process, _| process.killed = true);
    }

    /// Who must be gone before a sidecar is told to stop.
    pub(super) fn alive_before(&self, container: &Container) -> Vec<&ContainerName> {
        if container.kind != ContainerKind::Sidecar {
            return Vec::new();
        }
        let later = self.spec.init_containers.iter().skip_while(|c| c.name != container.name).skip(1);
        let later = later.filter(|c| c.kind == ContainerKind::Sidecar);
        later.chain(&self.spec.containers).filter(|c| self.of(c).alive()).map(|c| &c.name).collect()
    }
}
