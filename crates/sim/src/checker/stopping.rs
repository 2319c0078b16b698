//! Promises about stopping: who may be stopped, in which order, and how long it may take.

use std::time::Duration;

use lifecycle::Hook;
use podspec::{Container, ContainerKind, ContainerName, RestartPolicy};

use super::process::{self, FLOOR, Life};
use super::{Checker, Part, Stop};

impl Checker<'_> {
    /// Of all causes there are the earliest; later ones change nothing.
    pub(super) fn look_for_stop(&mut self, now: Duration) {
        if self.stop.is_some() {
            return;
        }
        let grace = self.spec.termination_grace_period;
        let polite = grace.max(Duration::from_secs(1));
        let deadline = self.spec.active_deadline.filter(|deadline| now >= *deadline && self.accepted);
        let ended = self.all_ended();
        let stop = |began: Duration, grace, overdue| {
            let by = began.max(self.resumed) + grace;
            Stop { began, by, overdue }
        };
        let causes = [
            deadline.map(|began| stop(began, polite, true)),
            ended.map(|began| stop(began, grace, false)),
            self.init_failed().map(|began| stop(began, polite, false)),
            self.lost_for_good().then(|| stop(now, Duration::ZERO, false)),
        ];
        self.stop = causes.into_iter().flatten().min_by_key(|stop| stop.began);
        self.restarting_all &= self.stop.is_none();
    }

    pub(super) fn all_ended(&self) -> Option<Duration> {
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

    pub(super) fn init_failed(&self) -> Option<Duration> {
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

    pub(super) fn lost_for_good(&self) -> bool {
        let dead = self.sandbox == Part::Lost && self.sandbox_attempt.is_some();
        dead && self.spec.restart_policy == RestartPolicy::Never && self.had_processes
    }

    pub(super) fn delete(&mut self, at: Duration, grace: Duration) {
        let grace = grace.max(Duration::from_secs(1));
        let by = at + grace;
        self.stop = Some(match self.stop {
            // A deletion in the very moment of the deadline comes first.
            Some(stop) if !stop.overdue || stop.began < at => Stop { by: stop.by.min(by), ..stop },
            _ => Stop { began: at, by, overdue: false },
        });
        self.restarting_all = false;
    }

    pub(super) fn hook(&mut self, name: &ContainerName, hook: Hook, timeout: Option<Duration>, at: Duration) {
        if hook == Hook::PreStop {
            let alone = self.processes[name].has_to_stop_alone(self.container(name));
            assert!(alone || self.stop.is_some(), "a preStop hook in {name}, which is not stopped");
            let left = self.stop.map(|stop| stop.by.saturating_sub(at));
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
        let spent = self.stop.is_some_and(|stop| at >= stop.by);
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
        let alone = process.has_to_stop_alone(self.container(name));
        let spent = self.stop.is_some_and(|stop| at >= stop.by);
        assert!(spent || alone || self.restarting_all, "SIGKILL to {name} before its time");
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
