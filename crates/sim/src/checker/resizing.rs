//! Promises about a change of the spec: who has to stop for it, and who is given other resources.

use std::time::Duration;

use lifecycle::BackoffLimits;
use podspec::{Container, ContainerKind, ContainerName, Resources};

use super::Checker;
use super::process::{Life, Process};
use super::retries::RETRY;

impl Checker<'_> {
    pub(super) fn spec_changed(&mut self, at: Duration) {
        let spec = self.spec;
        self.retries.keep_pulls(|image| spec.names_image(image));
        for process in self.processes.values_mut() {
            (process.image_ready, process.resize_failed) = (false, None);
        }
        self.supersede(at);
    }

    /// Who runs with another image than it is to have, or with other resources that it cannot be given as it
    /// runs, has to stop. Ordinary init containers do not; and what is being stopped already stays so.
    pub(super) fn supersede(&mut self, at: Duration) {
        // It counts from when the pod was accepted; but nobody is overdue before he knows, or later than he was.
        if self.deadline != self.spec.active_deadline && self.overdue_at.is_none_or(|over| over > at) {
            self.deadline = self.spec.active_deadline;
            let over = self.accepted.zip(self.deadline).map(|(accepted, deadline)| accepted + deadline);
            self.overdue_at = over.map(|over| over.max(at));
        }
        for container in self.spec.init_and_app_containers() {
            let Some(process) = self.processes.get_mut(&container.name) else { continue };
            if process.attempt.is_none() {
                continue;
            }
            let changed = process.image != container.image || process.resources != container.resources;
            if changed {
                process.each_backoff(|_| None);
            }
            if process.alive() && container.kind != ContainerKind::Init && !process.being_stopped() {
                let has_to = process.is_another(container) || process.needs_restart(container);
                process.superseded = has_to.then_some(process.superseded.unwrap_or(at));
            }
        }
    }

    pub(super) fn configured(&mut self, limits: BackoffLimits) {
        self.limits = limits;
        for process in self.processes.values_mut() {
            process.each_backoff(|backoff| backoff.map(|(delay, counted)| (delay.min(limits.max), counted)));
        }
    }

    pub(super) fn resize(&mut self, name: &ContainerName, attempt: u32, given: Resources, at: Duration) {
        let container = self.container(name);
        assert!(self.is_newest(name, attempt), "{name}/{attempt} is resized");
        assert!(self.stop.is_none() && !self.restarting_all, "{name} is resized while the pod stops");
        let may = container.kind != ContainerKind::Ephemeral;
        assert!(may, "{name} is resized, which it cannot be");
        self.with(name, |process, container| process.resize(container, given, at));
    }
}

impl Process {
    /// Also of what it was, in case the attempt that is starting never was.
    fn each_backoff(
        &mut self,
        change: impl Fn(Option<(Duration, Duration)>) -> Option<(Duration, Duration)>,
    ) {
        self.backoff = change(self.backoff);
        if let Some(before) = &mut self.before {
            before.backoff = change(before.backoff);
        }
    }

    /// Its image is another in the spec.
    fn is_another(&self, container: &Container) -> bool {
        self.image != container.image
    }

    fn needs_restart(&self, container: &Container) -> bool {
        let (is, wanted) = (self.resources, container.resources);
        let cpu = is.cpu_request != wanted.cpu_request || is.cpu_limit != wanted.cpu_limit;
        let memory = is.memory_request != wanted.memory_request || is.memory_limit != wanted.memory_limit;
        (cpu && container.resize_restarts.cpu) || (memory && container.resize_restarts.memory)
    }

    /// It does not have yet what its spec gives it.
    pub(super) fn resize_wanted(&self, container: &Container) -> bool {
        let resizable = match container.kind {
            ContainerKind::App | ContainerKind::Sidecar => true,
            ContainerKind::Init => !self.needs_restart(container),
            ContainerKind::Ephemeral => false,
        };
        resizable && self.alive() && (self.unsure || self.resizing || self.resources != container.resources)
    }

    /// As the status tells it: also of one that had to end for it, until the next one runs.
    pub(super) fn resize_shown(&self, container: &Container) -> bool {
        let lags = |process: &Self| {
            process.superseded.is_some()
                && container.kind != ContainerKind::Init
                && process.resources != container.resources
        };
        self.resize_wanted(container)
            || (self.life == Life::Exited && lags(self))
            || (self.life == Life::Starting && self.before.as_deref().is_some_and(lags))
    }

    /// It is to be resized by now.
    pub(super) fn resize_is_due(&self, container: &Container, at: Duration) -> bool {
        let rests = self.resize_failed.is_some_and(|failed| at < failed + RETRY);
        let restarts = self.superseded.is_some();
        self.life == Life::Running && self.resize_wanted(container) && !self.resizing && !rests && !restarts
    }

    fn resize(&mut self, container: &Container, given: Resources, at: Duration) {
        let name = &container.name;
        assert_eq!(self.life, Life::Running, "{name} is resized");
        assert_eq!(given, container.resources, "what {name} is given");
        assert!(self.resize_is_due(container, at), "{name} is resized twice, too soon, or to what it has");
        assert!(!self.needs_restart(container), "{name} is resized as it runs");
        (self.resizing, self.resize_failed) = (true, None);
    }

    pub(super) fn resized(&mut self, given: Resources, succeeded: bool, at: Duration) {
        self.resizing = false;
        if succeeded {
            (self.resources, self.resize_failed, self.unsure) = (given, None, false);
        } else {
            self.resize_failed = Some(at);
        }
    }
}
