//! How the scripted world answers each action.

use std::time::Duration;

use lifecycle::{
    Action, ContainerRecord, Exit, ExitReason, Hook, Observation, ProbeKind, ProbeOutcome, Pulled,
};
use podspec::{BootTime, Container, ContainerName, HookHandler, ProbeHandler, Resources};

use crate::behaviour::{ExitScript, Outcome, ProbeScript, PullScript, StartScript, nth};
use crate::engine::Engine;
use crate::world::{Pending, World};

/// Between the end of a container's commands and that of its main process.
pub(crate) const EXIT_IS_TOLD_AFTER: Duration = Duration::from_nanos(10);
const EXIT_SIGKILL: i32 = 137;
const EXIT_NOT_EXECUTED: i32 = 128;

impl<E: Engine> World<'_, E> {
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
                let Some(behaviour) = self.script.behaviour(container) else { return };
                let exit = ExitScript::Code(behaviour.term_exit);
                let Some(after) = behaviour.term else { return };
                if self.script.lifelike {
                    if self.is_ending(container, *attempt) {
                        return;
                    }
                    self.goes_another_way(container, *attempt);
                }
                self.ends(after, container, *attempt, exit);
            }
            Action::KillContainer { container, attempt } => {
                self.mark(container, |record, now| record.kill_sent = Some(now));
                if self.script.lifelike && self.is_ending(container, *attempt) {
                    return;
                }
                self.ends(Duration::ZERO, container, *attempt, ExitScript::Code(EXIT_SIGKILL));
            }
            Action::RemoveContainer { container, attempt } => {
                self.ended.retain(|record| record.name != *container || record.attempt != *attempt);
                self.soon(Observation::ContainerRemoved { container: container.clone(), attempt: *attempt });
            }
            Action::StopSandbox { attempt } => {
                self.later(self.script.stop, Observation::SandboxStopped { attempt: *attempt });
            }
            Action::RemoveVolumes => self.later(self.script.stop, Observation::VolumesRemoved),
        }
    }

    fn mark(&mut self, container: &ContainerName, mark: impl FnOnce(&mut ContainerRecord, BootTime)) {
        let now = self.moment().boot;
        if let Some(record) = self.alive.get_mut(container) {
            mark(record, now);
        }
    }

    fn set_up_volumes(&mut self) {
        let Outcome { takes, succeeds } = self.outcome(&self.script.volumes, None, "volumes");
        let outcome = if succeeds {
            Observation::VolumesReady
        } else {
            Observation::VolumesFailed { message: self.failure() }
        };
        self.later(takes, outcome);
    }

    fn create_sandbox(&mut self, attempt: u32) {
        let Outcome { takes, succeeds } = self.outcome(&self.script.sandbox, None, "sandbox");
        let outcome = if succeeds {
            Observation::SandboxCreated { attempt, ips: vec![std::net::Ipv4Addr::LOCALHOST.into()] }
        } else {
            Observation::SandboxCreateFailed { attempt, message: self.failure() }
        };
        self.later(takes, outcome);
    }

    fn ensure_image(&mut self, container: &ContainerName, image: &str) {
        let Some(behaviour) = self.script.behaviour(container) else { return };
        let count = self.count(Some(container), "pull");
        let PullScript { takes, failure } =
            nth(&behaviour.pull, count).unwrap_or(PullScript { takes: Duration::ZERO, failure: None });
        if !takes.is_zero() {
            self.engine.note(self.now, &format!("{container}'s image is being pulled"));
        }
        let container = container.clone();
        let (image, image_id) = (image.to_owned(), image_id(image));
        let asks = self.script.lifelike && (!takes.is_zero() || failure.is_some());
        if asks {
            let (container, image) = (container.clone(), image.clone());
            self.soon(Observation::ImagePulling { container, image });
        }
        let outcome = match failure {
            None => {
                let pulled = asks.then_some(Pulled { took: takes, waited: Duration::ZERO, bytes: 0 });
                Observation::ImageReady { container, image, image_id, repo_digest: None, pulled }
            }
            Some(reason) => Observation::ImageFailed { container, image, reason, message: self.failure() },
        };
        self.later(takes, outcome);
    }

    fn start(&mut self, container: &ContainerName, attempt: u32) {
        let Some(behaviour) = self.script.behaviour(container) else { return };
        let count = self.count(Some(container), "start");
        let name = container.clone();
        match nth(&behaviour.start, count).unwrap_or(StartScript::Ok) {
            StartScript::CreateFails => {
                let reason = "CreateContainerError".to_owned();
                let message = self.failure();
                self.soon(Observation::ContainerCreateFailed { container: name, attempt, reason, message });
            }
            StartScript::ExecFails => {
                let message = "no such program".to_owned();
                let exit = self.exit(EXIT_NOT_EXECUTED);
                let exit = Exit { reason: ExitReason::StartError, message, started: None, ..exit };
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
        let Some(behaviour) = self.script.behaviour(container) else { return };
        let (script, key) = match hook {
            Hook::PostStart => (&behaviour.post_start, "poststart"),
            Hook::PreStop => (&behaviour.pre_stop, "prestop"),
        };
        let Outcome { takes, succeeds } = self.outcome(script, Some(container), key);
        let cut = timeout.is_some_and(|limit| takes > limit);
        let takes = timeout.map_or(takes, |limit| takes.min(limit));
        let failure = if cut { Hook::failure(0, true, &[]) } else { (!succeeds).then(|| self.failure()) };
        let container = container.clone();
        self.later(takes, Observation::HookFinished { container, attempt, hook, failure });
    }

    fn run_probe(&mut self, container: &ContainerName, attempt: u32, probe: ProbeKind, timeout: Duration) {
        let Some(behaviour) = self.script.behaviour(container) else { return };
        let count = self.count(Some(container), probe.name());
        let running = self
            .alive
            .get(container)
            .map_or(Duration::ZERO, |process| self.moment().boot.since(process.started.boot));
        let (takes, script) = behaviour.probe(probe).of(count, running);
        let outcome = match script {
            _ if takes > timeout => ProbeOutcome::Failure("timed out".to_owned()),
            ProbeScript::Succeeds => ProbeOutcome::Success,
            ProbeScript::Warns => ProbeOutcome::Warning(self.failure()),
            ProbeScript::Fails => ProbeOutcome::Failure(self.failure()),
            ProbeScript::Errs => ProbeOutcome::Error(self.failure()),
        };
        let container = container.clone();
        self.later(takes.min(timeout), Observation::ProbeFinished { container, attempt, probe, outcome });
    }

    fn resize(&mut self, container: &ContainerName, attempt: u32, resources: Resources) {
        let Some(behaviour) = self.script.behaviour(container) else { return };
        let Outcome { takes, succeeds } = self.outcome(&behaviour.resize, Some(container), "resize");
        let failure = (!succeeds).then(|| self.failure());
        let container = container.clone();
        self.later(takes, Observation::ContainerResized { container, attempt, resources, failure });
    }

    /// Its main process is no more, and its exit has not been told of: no signal reaches it.
    fn is_ending(&self, container: &ContainerName, attempt: u32) -> bool {
        let told = self.now + EXIT_IS_TOLD_AFTER;
        self.pending.iter().take_while(|((at, _), _)| *at <= told).any(|(_, pending)| match pending {
            Pending::ProcessEnds { container: whose, attempt: of, .. } => {
                whose == container && *of == attempt
            }
            _ => false,
        })
    }

    /// Who does what its stop signal asks for does not come to the end that it would have come to.
    fn goes_another_way(&mut self, container: &ContainerName, attempt: u32) {
        self.pending.retain(|_, pending| match pending {
            Pending::ProcessEnds { container: whose, attempt: of, .. } => {
                whose != container || *of != attempt
            }
            _ => true,
        });
    }

    /// Commands that run in a container end with its main process, which is told of when nothing of the container is left.
    /// True when there were some.
    pub(crate) fn end_sessions(&mut self, container: &ContainerName, attempt: u32) -> bool {
        let Some(spec) = self.engine.spec().container(container).cloned() else { return false };
        let now = self.now;
        let mut cut = Vec::new();
        self.pending.retain(|(at, _), pending| {
            let Pending::Observe(observation) = pending else { return true };
            let is_cut = *at > now && runs_within(observation, &spec, attempt);
            if is_cut {
                cut.push(killed(observation));
            }
            !is_cut
        });
        let any = !cut.is_empty();
        for observation in cut {
            self.soon(observation);
        }
        any
    }

    /// How often this has happened before.
    pub(crate) fn count(&mut self, container: Option<&ContainerName>, what: &'static str) -> usize {
        let count = self.counts.entry((container.cloned(), what)).or_default();
        *count += 1;
        *count - 1
    }

    fn outcome(
        &mut self,
        script: &[Outcome],
        container: Option<&ContainerName>,
        what: &'static str,
    ) -> Outcome {
        let count = self.count(container, what);
        nth(script, count).unwrap_or(Outcome::AT_ONCE)
    }

    fn failure(&self) -> String {
        self.script.failure.to_owned()
    }

    fn soon(&mut self, observation: Observation) {
        self.later(Duration::ZERO, observation);
    }

    fn later(&mut self, after: Duration, observation: Observation) {
        self.expect(self.now.saturating_add(after), Pending::Observe(observation));
    }
}

/// Whether this will tell of a command in the container.
fn runs_within(observation: &Observation, spec: &Container, of: u32) -> bool {
    match observation {
        Observation::HookFinished { container, attempt, hook, .. } => {
            let is_command = matches!(hook.handler(spec), Some(HookHandler::Exec(_)));
            is_command && *container == spec.name && *attempt == of
        }
        Observation::ProbeFinished { container, attempt, probe, .. } => {
            let handler = probe.of(spec).map(|probe| &probe.handler);
            let is_command = matches!(handler, Some(ProbeHandler::Exec(_)));
            is_command && *container == spec.name && *attempt == of
        }
        _ => false,
    }
}

fn killed(observation: &Observation) -> Observation {
    let mut killed = observation.clone();
    match &mut killed {
        Observation::HookFinished { failure, .. } => *failure = Hook::failure(EXIT_SIGKILL, false, &[]),
        Observation::ProbeFinished { outcome, .. } => *outcome = ProbeOutcome::Failure(String::new()),
        _ => {}
    }
    killed
}

/// Made of the reference, so that it can be seen whose it is.
#[must_use]
pub fn image_id(image: &str) -> String {
    format!("{image}@sha256:0")
}
