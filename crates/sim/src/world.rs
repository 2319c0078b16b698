//! The scripted world: answers actions, jumps from event to event.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{
    Action, ContainerRecord, Exit, ExitReason, Hook, Observation, Observed, ProbeOutcome, SandboxSnapshot,
    SandboxState, plan,
};
use podspec::{BootTime, ContainerName, Moment, WallTime};

use crate::checker::Checker;
use crate::script::{Behaviour, Event, ExitScript, Scenario, StartScript};
use crate::timeline::Timeline;

/// More steps than any sane scenario takes: a plan that never settles is a bug.
const STEPS_MAX: usize = 100_000;
const IMAGE_ID: &str = "image@sha256:0";

/// Plays the scenario and returns its timeline.
///
/// # Panics
/// When a plan is not at its fixpoint after its actions, breaks a promise, or never settles.
#[must_use]
pub fn run(scenario: &Scenario) -> String {
    let mut world = World::new(scenario);
    world.expect(Duration::ZERO, Pending::Observe(Observation::Accepted));
    for (at, event) in &scenario.events {
        world.expect(*at, Pending::Outside(*event));
    }
    for _ in 0..STEPS_MAX {
        if !world.step() {
            return world.timeline.into_text();
        }
    }
    panic!("the pod does not settle within {STEPS_MAX} steps");
}

enum Pending {
    Observe(Observation),
    Outside(Event),
    ProcessEnds { container: ContainerName, attempt: u32, exit: ExitScript },
}

struct World<'s> {
    scenario: &'s Scenario,
    now: Duration,
    observed: Observed,
    checker: Checker,
    timeline: Timeline,
    pending: BTreeMap<(Duration, u64), Pending>,
    sequence: u64,
    wake: Option<Duration>,
    alive: BTreeMap<ContainerName, ContainerRecord>,
    /// How often each scripted thing has happened, by container.
    counts: BTreeMap<(ContainerName, &'static str), usize>,
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario) -> Self {
        Self {
            scenario,
            now: Duration::ZERO,
            observed: Observed::default(),
            checker: Checker::new(&scenario.spec),
            timeline: Timeline::default(),
            pending: BTreeMap::new(),
            sequence: 0,
            wake: None,
            alive: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Takes the next event or wake-up. False at the end.
    fn step(&mut self) -> bool {
        let next = self.pending.first_key_value().map(|((at, _), _)| *at);
        let Some(at) = next.into_iter().chain(self.wake).min() else {
            return false;
        };
        if at > self.scenario.until {
            self.timeline.note(self.scenario.until, "until here");
            return false;
        }
        self.now = at;
        self.wake = None;
        if next == Some(at)
            && let Some((_, pending)) = self.pending.pop_first()
        {
            self.happen(pending);
        }
        self.plan_and_apply()
    }

    fn happen(&mut self, pending: Pending) {
        match pending {
            Pending::Observe(observation) => self.observe(&observation),
            Pending::Outside(event) => self.outside(event),
            Pending::ProcessEnds { container, attempt, exit } => {
                if self.alive.get(&container).is_some_and(|p| p.attempt == attempt) {
                    self.end(&container, exit);
                }
            }
        }
    }

    fn outside(&mut self, event: Event) {
        match event {
            Event::Delete { grace } => {
                let grace = grace.unwrap_or(self.scenario.spec.termination_grace_period);
                self.observe(&Observation::DeletionRequested { grace });
            }
            Event::LoseSandbox => {
                if let SandboxState::Ready { attempt, .. } = self.observed.sandbox {
                    self.alive.clear();
                    self.pending.retain(|_, p| matches!(p, Pending::Outside(_)));
                    self.observe(&Observation::SandboxLost { attempt });
                }
            }
            Event::RestartEngine => {
                self.pending.retain(|_, p| !matches!(p, Pending::Observe(_)));
                self.observe(&Observation::Accepted);
                if let SandboxState::Ready { attempt, ip, .. } = self.observed.sandbox.clone() {
                    let containers = self.alive.values().cloned().collect();
                    self.observe(&Observation::Adopted(SandboxSnapshot { attempt, ip, containers }));
                }
            }
        }
    }

    fn observe(&mut self, observation: &Observation) {
        self.timeline.observation(self.now, observation);
        self.checker.observation(self.now, observation);
        self.observed.observe(&self.scenario.spec, observation, self.moment());
    }

    /// One plan, its actions, and the check that planning again would add nothing.
    fn plan_and_apply(&mut self) -> bool {
        let spec = &self.scenario.spec;
        let planned = plan(spec, &self.observed, self.moment());
        for action in &planned.actions {
            self.timeline.action(self.now, action);
            self.checker.action(self.now, action);
            self.observed.issue(spec, action, self.moment());
            self.answer(action);
        }
        let settled = plan(spec, &self.observed, self.moment());
        assert_eq!(settled.actions, [], "not at the fixpoint at {:?}", self.now);
        self.timeline.status(self.now, &settled.status);
        self.checker.status(&settled.status);
        self.wake = settled.wake_after.map(|after| self.now + after);
        if settled.at_rest {
            self.timeline.note(self.now, "at rest");
            let deletion_to_come =
                self.pending.values().any(|p| matches!(p, Pending::Outside(Event::Delete { .. })));
            return deletion_to_come && self.observed.deletion.is_none();
        }
        true
    }

    fn answer(&mut self, action: &Action) {
        match action {
            Action::SetUpVolumes => self.soon(Observation::VolumesReady),
            Action::CreateSandbox { attempt } => {
                self.soon(Observation::SandboxCreated { attempt: *attempt, ip: "127.0.0.1".to_owned() });
            }
            Action::EnsureImage { container, .. } => self.ensure_image(container),
            Action::StartContainer { container, attempt, .. } => self.start(container, *attempt),
            Action::RunHook { container, attempt, hook, timeout } => {
                self.run_hook(container, *attempt, *hook, *timeout);
            }
            Action::RunStartupProbe { container, attempt, .. } => self.run_probe(container, *attempt),
            Action::SignalContainer { container, attempt } => {
                let behaviour = self.behaviour(container);
                let exit = ExitScript::Code(behaviour.term_exit);
                if let Some(after) = behaviour.term {
                    self.ends(after, container, *attempt, exit);
                }
            }
            Action::KillContainer { container, attempt } => {
                self.ends(Duration::ZERO, container, *attempt, ExitScript::Code(137));
            }
            Action::RemoveContainer { container, attempt } => {
                self.soon(Observation::ContainerRemoved { container: container.clone(), attempt: *attempt });
            }
            Action::StopSandbox { attempt } => self.soon(Observation::SandboxStopped { attempt: *attempt }),
            Action::RemoveVolumes => self.soon(Observation::VolumesRemoved),
        }
    }

    fn ensure_image(&mut self, container: &ContainerName) {
        let count = self.count(container, "pull");
        let container = container.clone();
        let outcome = match nth(&self.behaviour(&container).pull, count) {
            None => Observation::ImageReady { container, image_id: IMAGE_ID.to_owned(), pulled: None },
            Some(reason) => Observation::ImageFailed { container, reason, message: "scripted".to_owned() },
        };
        self.soon(outcome);
    }

    fn start(&mut self, container: &ContainerName, attempt: u32) {
        let count = self.count(container, "start");
        let behaviour = self.behaviour(container);
        match nth(&behaviour.start, count) {
            StartScript::CreateFails => {
                let reason = "CreateContainerError".to_owned();
                let message = "scripted".to_owned();
                let container = container.clone();
                return self.soon(Observation::ContainerCreateFailed { container, attempt, reason, message });
            }
            StartScript::ExecFails => {
                let exit = Exit { reason: ExitReason::StartError, started: None, ..self.exit(128) };
                let container = container.clone();
                return self.soon(Observation::ContainerExited { container, attempt, exit });
            }
            StartScript::Ok => {}
        }
        let lives = self.count(container, "run");
        let (run, exit) = (nth(&behaviour.run, lives), nth(&behaviour.exit, lives));
        let id = format!("{container}-{attempt}");
        let started = self.moment();
        let record =
            ContainerRecord { name: container.clone(), attempt, id: id.clone(), pid: 1, started, exit: None };
        self.alive.insert(container.clone(), record);
        self.soon(Observation::ContainerStarted { container: container.clone(), attempt, id });
        if let Some(run) = run {
            self.ends(run, container, attempt, exit);
        }
    }

    fn run_hook(&mut self, container: &ContainerName, attempt: u32, hook: Hook, timeout: Option<Duration>) {
        let (script, key) = match hook {
            Hook::PostStart => (self.behaviour(container).post_start.clone(), "poststart"),
            Hook::PreStop => (self.behaviour(container).pre_stop.clone(), "prestop"),
        };
        let (takes, succeeds) = nth(&script, self.count(container, key));
        let cut = timeout.is_some_and(|limit| takes > limit);
        let takes = timeout.map_or(takes, |limit| takes.min(limit));
        let failure = (cut || !succeeds).then(|| "scripted".to_owned());
        let container = container.clone();
        let finished = Observation::HookFinished { container, attempt, hook, failure };
        self.expect(self.now + takes, Pending::Observe(finished));
    }

    fn run_probe(&mut self, container: &ContainerName, attempt: u32) {
        let count = self.count(container, "startup");
        let outcome = if nth(&self.behaviour(container).startup, count) {
            ProbeOutcome::Success
        } else {
            ProbeOutcome::Failure("scripted".to_owned())
        };
        self.soon(Observation::ProbeFinished { container: container.clone(), attempt, outcome });
    }

    fn end(&mut self, container: &ContainerName, exit: ExitScript) {
        let Some(process) = self.alive.remove(container) else { return };
        let exit = match exit {
            ExitScript::Code(code) => self.exit(code),
            ExitScript::Oom(code) => Exit { reason: ExitReason::OOMKilled, ..self.exit(code) },
        };
        let exit = Exit { started: Some(process.started), ..exit };
        let attempt = process.attempt;
        self.observe(&Observation::ContainerExited { container: container.clone(), attempt, exit });
    }

    fn exit(&self, code: i32) -> Exit {
        let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
        let signal = (code > 128).then_some(code - 128);
        Exit { code, signal, reason, message: String::new(), started: None, finished: self.moment() }
    }

    fn behaviour(&self, container: &ContainerName) -> &'s Behaviour {
        self.scenario.behaviour(container).unwrap_or_else(|| panic!("no container {container}"))
    }

    /// How often this has happened before.
    fn count(&mut self, container: &ContainerName, what: &'static str) -> usize {
        let count = self.counts.entry((container.clone(), what)).or_default();
        *count += 1;
        *count - 1
    }

    fn ends(&mut self, after: Duration, container: &ContainerName, attempt: u32, exit: ExitScript) {
        let container = container.clone();
        self.expect(self.now + after, Pending::ProcessEnds { container, attempt, exit });
    }

    fn soon(&mut self, observation: Observation) {
        self.expect(self.now, Pending::Observe(observation));
    }

    fn expect(&mut self, at: Duration, pending: Pending) {
        self.sequence += 1;
        self.pending.insert((at, self.sequence), pending);
    }

    fn moment(&self) -> Moment {
        let nanos = i64::try_from(self.now.as_nanos()).unwrap_or(i64::MAX);
        Moment { boot: BootTime(nanos), wall: WallTime(nanos) }
    }
}

/// The value for the `n`-th time; the last one repeats.
fn nth<T: Clone>(script: &[T], n: usize) -> T {
    script.get(n).or(script.last()).cloned().unwrap_or_else(|| panic!("an empty script"))
}
