//! How the scripted world answers each action.

use std::time::Duration;

use lifecycle::{Action, ContainerRecord, Exit, ExitReason, Hook, Observation, ProbeKind, ProbeOutcome};
use podspec::{BootTime, ContainerName, Resources};

use crate::script::{Behaviour, ExitScript, Outcome, ProbeScript, StartScript};
use crate::world::{Pending, World, nth};

impl<'s> World<'s> {
    pub(crate) fn answer(&mut self, action: &Action) {
        match action {
            Action::SetUpVolumes => self.set_up_volumes(),
            Action::CreateSandbox { attempt } => self.create_sandbox(*attempt),
            Action::EnsureImage { container, image, .. } => self.ensure_image(container, image),
            Action::StartContainer { container, attempt, .. } => self.start(container, *attempt),
            Action::RunHook { container, attempt, hook, timeout } => {
                self.run_hook(container, *attempt, *hook, *timeout);
            }
            Action::RunProbe { container, attempt, probe, timeout } => {
                self.run_probe(container, *attempt, *probe, *timeout);
            }
            Action::ResizeContainer { container, attempt, resources } => {
                self.resize(container, *attempt, *resources);
            }
            Action::SignalContainer { container, attempt } => {
                self.mark(container, |record, now| record.stop_signal_sent = Some(now));
                let behaviour = self.behaviour(container);
                let exit = ExitScript::Code(behaviour.term_exit);
                if let Some(after) = behaviour.term {
                    self.ends(after, container, *attempt, exit);
                }
            }
            Action::KillContainer { container, attempt } => {
                self.mark(container, |record, now| record.kill_sent = Some(now));
                self.ends(Duration::ZERO, container, *attempt, ExitScript::Code(137));
            }
            Action::RemoveContainer { container, attempt } => {
                self.ended.retain(|record| record.name != *container || record.attempt != *attempt);
                self.soon(Observation::ContainerRemoved { container: container.clone(), attempt: *attempt });
            }
            Action::StopSandbox { attempt } => {
                self.later(self.scenario.stop, Observation::SandboxStopped { attempt: *attempt });
            }
            Action::RemoveVolumes => self.later(self.scenario.stop, Observation::VolumesRemoved),
        }
    }

    fn mark(&mut self, container: &ContainerName, mark: impl FnOnce(&mut ContainerRecord, BootTime)) {
        let now = self.moment().boot;
        if let Some(record) = self.alive.get_mut(container) {
            mark(record, now);
        }
    }

    fn set_up_volumes(&mut self) {
        let Outcome { takes, succeeds } = nth(&self.scenario.volumes, self.count(None, "volumes"));
        let outcome = if succeeds {
            Observation::VolumesReady
        } else {
            Observation::VolumesFailed { message: "scripted".to_owned() }
        };
        self.later(takes, outcome);
    }

    fn create_sandbox(&mut self, attempt: u32) {
        let Outcome { takes, succeeds } = nth(&self.scenario.sandbox, self.count(None, "sandbox"));
        let outcome = if succeeds {
            Observation::SandboxCreated { attempt, ips: vec![std::net::Ipv4Addr::LOCALHOST.into()] }
        } else {
            Observation::SandboxCreateFailed { attempt, message: "scripted".to_owned() }
        };
        self.later(takes, outcome);
    }

    fn ensure_image(&mut self, container: &ContainerName, image: &str) {
        let pull = nth(&self.behaviour(container).pull, self.count(Some(container), "pull"));
        if !pull.takes.is_zero() {
            self.note(&format!("{container}'s image is being pulled"));
        }
        let container = container.clone();
        let (image, image_id) = (image.to_owned(), image_id(image));
        let outcome = match pull.failure {
            None => Observation::ImageReady { container, image, image_id, repo_digest: None, pulled: None },
            Some(reason) => {
                Observation::ImageFailed { container, image, reason, message: "scripted".to_owned() }
            }
        };
        self.later(pull.takes, outcome);
    }

    fn start(&mut self, container: &ContainerName, attempt: u32) {
        let count = self.count(Some(container), "start");
        let name = container.clone();
        match nth(&self.behaviour(container).start, count) {
            StartScript::CreateFails => {
                let reason = "CreateContainerError".to_owned();
                let message = "scripted".to_owned();
                self.soon(Observation::ContainerCreateFailed { container: name, attempt, reason, message });
            }
            StartScript::ExecFails => {
                let message = "no such program".to_owned();
                let exit = Exit { reason: ExitReason::StartError, message, started: None, ..self.exit(128) };
                self.soon(Observation::ContainerExited { container: name, attempt, exit });
            }
            StartScript::Ok => self.begin(container, attempt, Duration::ZERO),
            StartScript::Late(by) => self.begin(container, attempt, by),
            StartScript::Slow(by) => {
                self.expect(self.now + by, Pending::ProcessBegins { container: name, attempt });
            }
        }
    }

    fn run_hook(&mut self, container: &ContainerName, attempt: u32, hook: Hook, timeout: Option<Duration>) {
        let (script, key) = match hook {
            Hook::PostStart => (&self.behaviour(container).post_start, "poststart"),
            Hook::PreStop => (&self.behaviour(container).pre_stop, "prestop"),
        };
        let Outcome { takes, succeeds } = nth(script, self.count(Some(container), key));
        let cut = timeout.is_some_and(|limit| takes > limit);
        let takes = timeout.map_or(takes, |limit| takes.min(limit));
        let failure = (cut || !succeeds).then(|| "scripted".to_owned());
        let container = container.clone();
        self.later(takes, Observation::HookFinished { container, attempt, hook, failure });
    }

    fn run_probe(&mut self, container: &ContainerName, attempt: u32, probe: ProbeKind, timeout: Duration) {
        let count = self.count(Some(container), probe.name());
        let (takes, script) = nth(self.behaviour(container).probe(probe), count);
        let outcome = match script {
            _ if takes > timeout => ProbeOutcome::Failure("timed out".to_owned()),
            ProbeScript::Succeeds => ProbeOutcome::Success,
            ProbeScript::Warns => ProbeOutcome::Warning("scripted".to_owned()),
            ProbeScript::Fails => ProbeOutcome::Failure("scripted".to_owned()),
            ProbeScript::Errs => ProbeOutcome::Error("scripted".to_owned()),
        };
        let container = container.clone();
        self.later(takes.min(timeout), Observation::ProbeFinished { container, attempt, probe, outcome });
    }

    fn resize(&mut self, container: &ContainerName, attempt: u32, resources: Resources) {
        let script = &self.behaviour(container).resize;
        let Outcome { takes, succeeds } = nth(script, self.count(Some(container), "resize"));
        let failure = (!succeeds).then(|| "scripted".to_owned());
        let container = container.clone();
        self.later(takes, Observation::ContainerResized { container, attempt, resources, failure });
    }

    pub(crate) fn behaviour(&self, container: &ContainerName) -> &'s Behaviour {
        self.scenario.behaviour(container).unwrap_or_else(|| panic!("no container {container}"))
    }

    /// How often this has happened before.
    pub(crate) fn count(&mut self, container: Option<&ContainerName>, what: &'static str) -> usize {
        let count = self.counts.entry((container.cloned(), what)).or_default();
        *count += 1;
        *count - 1
    }

    fn soon(&mut self, observation: Observation) {
        self.later(Duration::ZERO, observation);
    }

    fn later(&mut self, after: Duration, observation: Observation) {
        self.expect(self.now + after, Pending::Observe(observation));
    }
}

/// Made of the reference, so that it can be seen whose it is.
pub(crate) fn image_id(image: &str) -> String {
    format!("{image}@sha256:0")
}
