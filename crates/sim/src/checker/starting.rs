//! Promises about starting: who may be started, when, and after whom.

use std::time::Duration;

use podspec::{Container, ContainerKind, ContainerName};

use super::process::Life;
use super::{Checker, Part};

impl Checker<'_> {
    pub(super) fn create_sandbox(&mut self, attempt: u32, at: Duration) {
        self.no_process_alive("create a sandbox");
        assert!(self.stop.is_none(), "a sandbox for a pod that stops");
        assert_eq!(self.volumes, Part::Ready, "a sandbox before the volumes");
        assert!(!matches!(self.sandbox, Part::Coming | Part::Ready), "two sandboxes");
        self.retries.create_sandbox(at);
        assert_eq!(attempt, self.sandbox_attempt.map_or(0, |last| last + 1), "the sandbox's number");
        if attempt > 0 {
            self.begin_run();
        }
        (self.sandbox, self.sandbox_attempt) = (Part::Coming, Some(attempt));
    }

    pub(super) fn begin_run(&mut self) {
        self.run += 1;
        self.restarting_all = false;
        self.retries.begin_run();
        for process in self.processes.values_mut() {
            (process.begun_in_run, process.passed_in_run, process.tried_in_run) = (false, false, false);
        }
    }

    pub(super) fn start_container(&mut self, name: &ContainerName, attempt: u32, run: u32, at: Duration) {
        if run != self.run {
            assert!(self.restarting_all, "a new run without a reason");
            self.begin_run();
            assert_eq!(run, self.run, "the number of the run");
        }
        self.may_start(name, at, run);
        self.with(name, |process, spec| process.start(spec, attempt));
    }

    pub(super) fn may_start(&self, name: &ContainerName, at: Duration, run: u32) {
        let (container, process) = (self.container(name), &self.processes[name]);
        assert!(self.stop.is_none(), "{name} started although the pod stops");
        assert_eq!(self.sandbox, Part::Ready, "{name} started without a sandbox");
        assert!(!process.alive(), "two live attempts of {name}");
        if container.kind == ContainerKind::Ephemeral {
            assert_eq!(process.attempt, None, "{name} started again");
        }
        if run != self.run {
            self.retries.restart_all(at);
            let mut restarted = self.spec.init_and_app_containers();
            assert!(!restarted.any(|c| self.of(c).alive()), "a new run begins while the old one goes on");
            return;
        }
        assert!(!self.restarting_all, "{name} started while all are to be restarted");
        self.retries.make_container(name, at);
        if process.begun_in_run || self.ended_in_lost_sandbox(container) {
            let again = process.is_restarted(container, self.spec.restart_policy);
            assert!(again || process.life == Life::None, "{name} restarted against its policy");
        }
        assert!(process.backoff_is_over(at, self.exit_behind(container)), "{name} restarted too early");
        if !process.begun_in_run {
            self.it_is_its_turn(container);
        }
    }

    pub(super) fn ended_in_lost_sandbox(&self, container: &Container) -> bool {
        let exit = self.of(container).last_exit.as_ref();
        container.kind == ContainerKind::App && exit.is_some_and(|exit| exit.sandbox != self.sandbox_attempt)
    }

    /// The exit that a restart backs off from: of this run, or of an app in a sandbox that was lost.
    pub(super) fn exit_behind(&self, container: &Container) -> Option<Duration> {
        let exit = self.of(container).last_exit.as_ref()?;
        let counts = exit.run == self.run || self.ended_in_lost_sandbox(container);
        counts.then_some(exit.at)
    }

    pub(super) fn count_restart(&mut self, name: &ContainerName, at: Duration) {
        let behind = self.exit_behind(self.container(name));
        let limits = self.limits;
        self.had_processes |= self.container(name).kind != ContainerKind::Ephemeral;
        self.retries.container_made(name);
        self.with(name, |process, _| {
            if process.life == Life::Starting {
                process.count_restart(at, behind, limits);
            }
        });
    }

    /// Init containers before it have succeeded, sidecars before it were up, the one right before it is
    /// still up; apps before it have been tried.
    pub(super) fn it_is_its_turn(&self, container: &Container) {
        let name = &container.name;
        if container.kind == ContainerKind::Ephemeral {
            return;
        }
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
                let mut images = self.spec.volume_images(earlier).map(|(image, _)| image);
                let unpulled =
                    self.retries.has_failed(&earlier.image) || images.any(|i| self.retries.has_failed(i));
                let tried = process.tried_in_run || ended || unpulled;
                let waits = !process.backoff_is_over(Duration::ZERO, self.exit_behind(earlier));
                assert!(tried || waits, "{name} started before {}", earlier.name);
            }
        }
    }
}
