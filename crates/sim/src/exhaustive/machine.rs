//! One engine, one sandbox and its processes: what happens is told to it.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use lifecycle::{Action, ContainerRecord, Exit, Observation, SandboxSnapshot, SandboxState};
use podspec::{BootTime, ContainerName, PodSpec};

use simulation::{Event, Settled, image_id, moment};

use crate::engine::Engine;
use crate::exhaustive::effect::{EXIT_TERMINATED, Effect, End};
use crate::timeline::Timeline;

/// Deletions, and exits where their order matters, move the clock on by a nanosecond each.
pub(super) const SLACK: Duration = Duration::from_micros(1);

#[derive(Clone, Debug)]
pub(super) struct Machine<'s> {
    pub(super) engine: Engine<'s>,
    pub(super) engine_is_down: bool,
    pub(super) settled: Settled,
    pub(super) now: Duration,
    /// What the engine has begun, the oldest first.
    pub(super) effects: Vec<Effect>,
    pub(super) sandbox: Option<u32>,
    pub(super) alive: BTreeMap<ContainerName, ContainerRecord>,
    /// What the sandbox has recorded of ended processes.
    ended: BTreeMap<(ContainerName, u32), ContainerRecord>,
    /// What is said of the readiness gates.
    gates: BTreeMap<String, String>,
}

impl<'s> Machine<'s> {
    /// A pod that was just accepted; nothing has been planned.
    pub(super) fn new(spec: &'s PodSpec, timeline: &mut Timeline) -> Self {
        let mut machine = Self {
            engine: Engine::new(spec),
            engine_is_down: false,
            settled: Settled::default(),
            now: Duration::ZERO,
            effects: Vec::new(),
            sandbox: None,
            alive: BTreeMap::new(),
            ended: BTreeMap::new(),
            gates: BTreeMap::new(),
        };
        machine.observe(&Observation::Accepted, timeline);
        machine
    }

    /// Adds what tells it from another machine with the same pod.
    pub(super) fn key(&self, hasher: &mut impl Hasher) {
        let Self { engine, engine_is_down, settled: _, now, effects, sandbox, alive, ended, gates } = self;
        let now = moment(*now).boot;
        engine.key(now, hasher);
        (effects, sandbox, engine_is_down, gates).hash(hasher);
        for record in alive.values().chain(ended.values()) {
            let ContainerRecord {
                name,
                attempt,
                id: _,
                started: _,
                user: _,
                stop_signal: _,
                stop_signal_sent,
                kill_sent,
                exit,
            } = record;
            let ago = |at: BootTime| now.since(at);
            (name, attempt, stop_signal_sent.map(ago), kill_sent.map(ago)).hash(hasher);
            exit.as_ref().map(|exit| (exit.code, exit.reason, ago(exit.finished.boot))).hash(hasher);
        }
    }

    /// Plans and begins what is to be done; panics at a broken promise.
    pub(super) fn settle(&mut self, timeline: &mut Timeline) {
        if self.engine_is_down {
            return;
        }
        for action in self.engine.plan(self.now).actions {
            self.engine.issue(self.now, &action, timeline);
            self.begin(action);
        }
        self.settled = self.engine.settle(self.now, timeline);
        let Settled { wake, at_rest } = self.settled;
        if self.effects.is_empty() && wake.is_none() && !at_rest {
            self.engine.idle();
        }
        // Nobody calls a pull off.
        let left = self.effects.iter().find(|effect| !matches!(effect, Effect::EnsureImage { .. }));
        assert!(!at_rest || left.is_none(), "at rest while {left:?} is under way");
    }

    fn begin(&mut self, action: Action) {
        match &action {
            Action::SignalContainer { container, .. } => {
                self.mark(container, |record, now| record.stop_signal_sent = Some(now));
            }
            Action::KillContainer { container, .. } => {
                self.mark(container, |record, now| record.kill_sent = Some(now));
                self.effects.retain(|effect| !effect.ends(container));
            }
            _ => {}
        }
        self.effects.push(Effect::of(action));
    }

    fn mark(&mut self, container: &ContainerName, mark: impl FnOnce(&mut ContainerRecord, BootTime)) {
        let now = moment(self.now).boot;
        if let Some(record) = self.alive.get_mut(container) {
            mark(record, now);
        }
    }

    /// It is not under way any more.
    pub(super) fn take(&mut self, effect: &Effect) {
        let index = self.effects.iter().position(|e| e == effect);
        self.effects.remove(index.unwrap_or_else(|| panic!("{effect:?} is not under way")));
    }

    /// An effect that was under way came to its end as it should.
    pub(super) fn done(&mut self, effect: &Effect, timeline: &mut Timeline) {
        self.take(effect);
        let observation = match effect.clone() {
            Effect::SetUpVolumes => Observation::VolumesReady,
            Effect::RemoveVolumes => Observation::VolumesRemoved,
            Effect::CreateSandbox { attempt } => {
                self.sandbox = Some(attempt);
                Observation::SandboxCreated { attempt, ips: vec![std::net::Ipv4Addr::LOCALHOST.into()] }
            }
            Effect::StopSandbox { attempt } => {
                self.sandbox = None;
                self.forget_sandbox();
                Observation::SandboxStopped { attempt }
            }
            Effect::EnsureImage { container, image } => {
                let image_id = image_id(&image);
                Observation::ImageReady { container, image, image_id, repo_digest: None, pulled: None }
            }
            Effect::Start { container, attempt } => {
                let (id, started) = (self.make(&container, attempt), moment(self.now));
                Observation::ContainerStarted { container, attempt, id, started, user: None }
            }
            Effect::Hook { container, attempt, hook, timeout: _ } => {
                Observation::HookFinished { container, attempt, hook, failure: None }
            }
            Effect::Probe { container, attempt, probe } => {
                let outcome = lifecycle::ProbeOutcome::Success;
                Observation::ProbeFinished { container, attempt, probe, outcome }
            }
            Effect::Resize { container, attempt, resources } => {
                Observation::ContainerResized { container, attempt, resources, failure: None }
            }
            Effect::End { container, code } => {
                return self.end(&container, End { code, oom: false }, timeline);
            }
            Effect::Remove { container, attempt } => {
                self.ended.remove(&(container.clone(), attempt));
                Observation::ContainerRemoved { container, attempt }
            }
        };
        self.observe(&observation, timeline);
    }

    pub(super) fn fails(&mut self, effect: &Effect, timeline: &mut Timeline) {
        self.take(effect);
        self.observe(&effect.failure(), timeline);
    }

    /// There is no such program, or none that can be executed.
    pub(super) fn is_not_executed(&mut self, effect: &Effect, timeline: &mut Timeline) {
        self.take(effect);
        if let Effect::Start { container, attempt } = effect.clone() {
            let exit = End::not_executed(self.now);
            self.observe(&Observation::ContainerExited { container, attempt, exit }, timeline);
        }
    }

    /// The process is made and has ended before anybody says that it was made.
    pub(super) fn starts_and_ends(&mut self, effect: &Effect, end: End, timeline: &mut Timeline) {
        self.take(effect);
        if let Effect::Start { container, attempt } = effect {
            self.make(container, *attempt);
            self.end(container, end, timeline);
        }
    }

    /// A process is made; its id.
    fn make(&mut self, container: &ContainerName, attempt: u32) -> String {
        let id = format!("{container}-{attempt}");
        let record = ContainerRecord {
            name: container.clone(),
            attempt,
            id: id.clone(),
            started: moment(self.now),
            user: None,
            stop_signal: String::new(),
            stop_signal_sent: None,
            kill_sent: None,
            exit: None,
        };
        let twin = self.alive.insert(container.clone(), record);
        assert!(twin.is_none(), "two processes of {container}");
        id
    }

    /// A process ends; by itself, or because it was told to.
    pub(super) fn end(&mut self, container: &ContainerName, end: End, timeline: &mut Timeline) {
        let Some(process) = self.alive.remove(container) else { return };
        if self.engine.spec.all_containers().any(|c| !c.restart.rules.is_empty()) {
            // No two processes end in the same moment; where rules say what follows, it matters which was first.
            self.now += Duration::from_nanos(1);
        }
        self.effects.retain(|effect| !effect.ends(container));
        let exit = Exit { started: Some(process.started), ..end.exit(self.now) };
        let attempt = process.attempt;
        let record = ContainerRecord { exit: Some(exit.clone()), ..process };
        self.ended.insert((container.clone(), attempt), record);
        self.observe(&Observation::ContainerExited { container: container.clone(), attempt, exit }, timeline);
    }

    /// No other engine will ever read them.
    pub(super) fn forget_records(&mut self) {
        self.ended.clear();
    }

    /// Every process dies with it; what the engine does elsewhere goes on.
    pub(super) fn lose_sandbox(&mut self, timeline: &mut Timeline) {
        let Some(attempt) = self.sandbox.take() else { return };
        self.forget_sandbox();
        self.observe(&Observation::SandboxLost { attempt }, timeline);
    }

    fn forget_sandbox(&mut self) {
        self.alive.clear();
        self.ended.clear();
        self.effects.retain(|effect| !effect.is_in_sandbox());
    }

    /// What it has asked for in this very moment is still carried out, or was never received.
    pub(super) fn lose_engine(&mut self, carried_out: bool, timeline: &mut Timeline) {
        timeline.note(self.now, "the engine is killed");
        self.engine_is_down = true;
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::CreateSandbox { attempt } if carried_out => self.sandbox = Some(attempt),
                Effect::Start { container, attempt } if carried_out => {
                    self.make(&container, attempt);
                }
                Effect::StopSandbox { .. } if carried_out => {
                    self.sandbox = None;
                    self.forget_sandbox();
                }
                Effect::End { container, code } => self.told_to_end(container, code, carried_out),
                _ => {}
            }
        }
    }

    /// A signal that was sent before this very moment has reached its process.
    fn told_to_end(&mut self, container: ContainerName, code: i32, carried_out: bool) {
        let now = Some(moment(self.now).boot);
        let Some(record) = self.alive.get_mut(&container) else { return };
        for sent in [&mut record.stop_signal_sent, &mut record.kill_sent] {
            *sent = sent.filter(|_| carried_out || *sent != now);
        }
        let code = if record.kill_sent.is_some() { code } else { EXIT_TERMINATED };
        if record.stop_signal_sent.is_some() {
            self.effects.push(Effect::End { container, code });
        }
    }

    pub(super) fn engine_returns(&mut self, timeline: &mut Timeline) {
        self.engine_is_down = false;
        self.observe(&Observation::Accepted, timeline);
        let (SandboxState::Creating { attempt }
        | SandboxState::Ready { attempt, .. }
        | SandboxState::Stopping { attempt }) = self.engine.observed.sandbox
        else {
            return;
        };
        if self.sandbox == Some(attempt) {
            let containers = self.ended.values().chain(self.alive.values()).cloned().collect();
            let snapshot =
                SandboxSnapshot { attempt, ips: vec![std::net::Ipv4Addr::LOCALHOST.into()], containers };
            self.observe(&Observation::Adopted(snapshot), timeline);
        } else {
            self.observe(&Observation::SandboxLost { attempt }, timeline);
        }
    }

    /// Somebody changes the pod, or says something about it.
    pub(super) fn outside(&mut self, event: &Event, changes: &'s [PodSpec], timeline: &mut Timeline) {
        // Nothing else comes in the very same moment.
        self.now += Duration::from_nanos(1);
        let observation = match event {
            Event::Change(which) => {
                self.engine.change_spec(&changes[*which]);
                Observation::SpecChanged
            }
            Event::Gate { gate, status } => {
                match status {
                    Some(status) => drop(self.gates.insert(gate.clone(), status.clone())),
                    None => drop(self.gates.remove(gate)),
                }
                Observation::GatesChanged { gates: self.gates.clone() }
            }
            Event::Evict => Observation::Evicted { message: "it is too large".to_owned() },
            other => unreachable!("{other:?} is no event of a small world"),
        };
        self.observe(&observation, timeline);
    }

    pub(super) fn observe(&mut self, observation: &Observation, timeline: &mut Timeline) {
        if !self.engine_is_down {
            self.engine.observe(self.now, observation, timeline);
        }
    }
}
