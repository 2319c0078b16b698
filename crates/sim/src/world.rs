//! The scripted world: jumps from event to event, and plays the engine.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{
    BackoffLimits, ContainerRecord, Exit, ExitReason, Observation, SandboxSnapshot, SandboxState,
};
use podspec::{ContainerName, Moment};

use crate::crash::Turn;
use crate::engine::{self, Engine};
use crate::quiet;
use crate::script::{CrashPoint, Event, ExitScript, Scenario};
use crate::timeline::Timeline;

/// More steps than any sane scenario takes: a plan that never settles is a bug.
const STEPS_MAX: u64 = 100_000;
/// Exits move the clock on by a nanosecond each; what is due then still counts as due at the end.
const UNTIL_SLACK: Duration = Duration::from_micros(10);
/// Of the timeline, when a promise is broken.
const LINES_SHOWN: usize = 30;

/// Plays the scenario and returns its timeline.
///
/// # Panics
/// When a plan is not at its fixpoint after its actions, breaks a promise, or never settles.
#[must_use]
pub fn run(scenario: &Scenario) -> String {
    let mut world = World::new(scenario, Timeline::new(scenario.show_messages));
    world.play();
    world.timeline.take_text()
}

/// What one play was made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Steps {
    /// Something happened, or a time came, and a plan was made and carried out.
    pub steps: u64,
    pub actions: u64,
    pub observations: u64,
    pub crashes: u64,
}

impl std::ops::AddAssign for Steps {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.actions += other.actions;
        self.observations += other.observations;
        self.crashes += other.crashes;
    }
}

/// Plays the scenario for its checks alone.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn check(scenario: &Scenario) -> Steps {
    let mut world = World::new(scenario, Timeline::silent());
    let steps = world.play();
    let (actions, observations) = (world.actions as u64, world.observations as u64);
    Steps { steps, actions, observations, crashes: world.crashed }
}

pub(crate) enum Pending {
    /// The outcome of an effect of the engine: lost when the engine dies.
    Observe(Observation),
    Outside(Event),
    /// A process is made; the engine had asked for it.
    ProcessBegins {
        container: ContainerName,
        attempt: u32,
    },
    ProcessEnds {
        container: ContainerName,
        attempt: u32,
        exit: ExitScript,
    },
    EngineReturns,
}

pub(crate) struct World<'s> {
    pub(crate) scenario: &'s Scenario,
    pub(crate) now: Duration,
    pub(crate) engine: Engine<'s>,
    pub(crate) turn: Turn<'s>,
    timeline: Timeline,
    pub(crate) pending: BTreeMap<(Duration, u64), Pending>,
    sequence: u64,
    pub(crate) wake: Option<Duration>,
    /// The attempt of the living sandbox.
    pub(crate) sandbox: Option<u32>,
    pub(crate) alive: BTreeMap<ContainerName, ContainerRecord>,
    /// What the sandbox has recorded of ended processes.
    pub(crate) ended: Vec<ContainerRecord>,
    /// How often each scripted thing has happened, by container; by nobody for the pod.
    pub(crate) counts: BTreeMap<(Option<ContainerName>, &'static str), usize>,
    /// When the next engine takes over; there is none until then.
    pub(crate) engine_returns: Option<Duration>,
    /// What is said of the readiness gates.
    gates: BTreeMap<String, String>,
    /// What an engine is told of how restarts are delayed.
    backoff: Option<BackoffLimits>,
    actions: usize,
    pub(crate) observations: usize,
    pub(crate) crashed: u64,
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario, timeline: Timeline) -> Self {
        let mut world = Self {
            scenario,
            now: Duration::ZERO,
            engine: Engine::new(&scenario.spec),
            turn: Turn::default(),
            timeline,
            pending: BTreeMap::new(),
            sequence: 0,
            wake: None,
            sandbox: None,
            alive: BTreeMap::new(),
            ended: Vec::new(),
            counts: BTreeMap::new(),
            engine_returns: None,
            gates: BTreeMap::new(),
            backoff: scenario.backoff,
            actions: 0,
            observations: 0,
            crashed: 0,
        };
        world.expect(Duration::ZERO, Pending::EngineReturns);
        for (at, event) in &scenario.events {
            world.expect(*at, Pending::Outside(event.clone()));
        }
        world
    }

    /// To its end; the number of steps that took.
    fn play(&mut self) -> u64 {
        for steps in 1..=STEPS_MAX {
            if !self.step() {
                return steps;
            }
        }
        panic!("the pod does not settle within {STEPS_MAX} steps");
    }

    /// Takes the next event or wake-up. False at the end.
    fn step(&mut self) -> bool {
        let next = self.pending.first_key_value().map(|((at, _), _)| *at);
        let Some(at) = next.into_iter().chain(self.wake).min() else {
            self.timeline.note(self.now, "nothing more to come");
            self.engine.idle();
            return false;
        };
        if at > self.scenario.until + UNTIL_SLACK {
            self.timeline.note(self.scenario.until, "until here");
            return false;
        }
        self.now = self.now.max(at);
        self.wake = None;
        self.turn = self.begin_turn();
        while self.pending.first_key_value().is_some_and(|((next, _), _)| *next <= at) {
            if let Some((_, pending)) = self.pending.pop_first() {
                self.happen(pending);
            }
            if !self.scenario.together {
                break;
            }
        }
        self.die_if_scripted();
        self.engine_returns.is_some() || self.plan_and_apply()
    }

    fn happen(&mut self, pending: Pending) {
        match pending {
            Pending::Observe(observation) => {
                match observation {
                    Observation::SandboxCreated { attempt, .. } => self.sandbox = Some(attempt),
                    Observation::SandboxStopped { .. } => self.sandbox = None,
                    _ => {}
                }
                self.observe(&observation);
            }
            Pending::Outside(event) => self.outside(event),
            Pending::ProcessBegins { container, attempt } => self.begin(&container, attempt, Duration::ZERO),
            Pending::ProcessEnds { container, attempt, exit } => {
                if self.alive.get(&container).is_some_and(|p| p.attempt == attempt) {
                    self.end(&container, exit);
                }
            }
            Pending::EngineReturns => self.engine_returns(),
        }
    }

    fn outside(&mut self, event: Event) {
        match event {
            Event::LoseSandbox => return self.lose_sandbox(),
            Event::Exit { container, exit } => return self.end(&container, exit),
            Event::RestartEngine { .. } if self.engine_returns.is_some() => return,
            Event::RestartEngine { down } => return self.die(down),
            _ => {}
        }
        // Whoever has something to say to an engine waits until there is one.
        match self.engine_returns {
            Some(at) => self.expect(at, Pending::Outside(event)),
            None => self.tell(event),
        }
    }

    fn tell(&mut self, event: Event) {
        // Nothing else comes in the very same moment: which of two came first would be anybody's guess.
        self.now += Duration::from_nanos(1);
        self.turn.told.push(event.clone());
        match event {
            Event::Delete { grace } => {
                let grace = grace.unwrap_or(self.scenario.spec.termination_grace_period);
                self.observe(&Observation::DeletionRequested { grace });
            }
            Event::Change(which) => {
                self.engine.change_spec(&self.scenario.changes[which]);
                self.observe(&Observation::SpecChanged);
            }
            Event::Gate { gate, status } => {
                match status {
                    Some(status) => drop(self.gates.insert(gate, status)),
                    None => drop(self.gates.remove(&gate)),
                }
                self.observe(&Observation::GatesChanged { gates: self.gates.clone() });
            }
            Event::Configure(backoff) => {
                self.backoff = Some(backoff);
                self.observe(&Observation::Configured { backoff });
            }
            Event::Evict => self.observe(&Observation::Evicted { message: "scripted".to_owned() }),
            Event::LoseSandbox | Event::Exit { .. } | Event::RestartEngine { .. } => {}
        }
    }

    /// Its shim dies and every process with it. What the engine does elsewhere goes on.
    fn lose_sandbox(&mut self) {
        let Some(attempt) = self.sandbox.take() else { return };
        self.alive.clear();
        self.ended.clear();
        self.pending.retain(|_, pending| match pending {
            Pending::ProcessBegins { .. } | Pending::ProcessEnds { .. } => false,
            Pending::Observe(observation) => !matches!(
                observation,
                Observation::ContainerStarted { .. }
                    | Observation::ContainerRemoved { .. }
                    | Observation::HookFinished { .. }
                    | Observation::ProbeFinished { .. }
            ),
            Pending::Outside(_) | Pending::EngineReturns => true,
        });
        if self.engine_returns.is_none() {
            self.observe(&Observation::SandboxLost { attempt });
        }
    }

    fn engine_returns(&mut self) {
        self.engine_returns = None;
        if let Some(backoff) = self.backoff {
            self.observe(&Observation::Configured { backoff });
        }
        self.observe(&Observation::Accepted);
        let (SandboxState::Creating { attempt }
        | SandboxState::Ready { attempt, .. }
        | SandboxState::Stopping { attempt }) = self.engine.observed.sandbox
        else {
            return;
        };
        if self.sandbox == Some(attempt) {
            let containers = self.ended.iter().chain(self.alive.values()).cloned().collect();
            let ips = vec![std::net::Ipv4Addr::LOCALHOST.into()];
            self.observe(&Observation::Adopted(SandboxSnapshot { attempt, ips, containers }));
        } else {
            self.observe(&Observation::SandboxLost { attempt });
        }
    }

    fn observe(&mut self, observation: &Observation) {
        self.observations += 1;
        self.engine.observe(self.now, observation, &mut self.timeline);
    }

    /// One plan, its actions, and the check that planning again would add nothing.
    fn plan_and_apply(&mut self) -> bool {
        let now = self.now;
        let mut crash = None;
        for action in &self.engine.plan(now).actions {
            self.engine.issue(now, action, &mut self.timeline);
            if crash.is_some() {
                continue;
            }
            self.answer(action);
            self.actions += 1;
            crash = self.crash_at(CrashPoint::Action(self.actions));
        }
        if let Some(down) = crash {
            self.die(down);
            return true;
        }
        let settled = self.engine.settle(now, &mut self.timeline);
        self.wake = settled.wake;
        let deletion_to_come =
            self.pending.values().any(|p| matches!(p, Pending::Outside(Event::Delete { .. })));
        !settled.at_rest || (deletion_to_come && self.engine.observed.deletion.is_none())
    }

    /// A process is made, and reported `report_after`.
    pub(crate) fn begin(&mut self, container: &ContainerName, attempt: u32, report_after: Duration) {
        let behaviour = self.behaviour(container);
        let lives = self.count(Some(container), "run");
        let (run, exit) = (nth(&behaviour.run, lives), nth(&behaviour.exit, lives));
        let (id, started) = (format!("{container}-{attempt}"), self.moment());
        let record = ContainerRecord {
            name: container.clone(),
            attempt,
            id: id.clone(),
            started,
            user: None,
            stop_signal: String::new(),
            stop_signal_sent: None,
            kill_sent: None,
            exit: None,
        };
        self.alive.insert(container.clone(), record);
        let started =
            Observation::ContainerStarted { container: container.clone(), attempt, id, started, user: None };
        self.expect(self.now + report_after, Pending::Observe(started));
        if let Some(run) = run {
            self.ends(run, container, attempt, exit);
        }
    }

    fn end(&mut self, container: &ContainerName, exit: ExitScript) {
        let Some(process) = self.alive.remove(container) else { return };
        let exit = match exit {
            ExitScript::Code(code) => self.exit(code),
            ExitScript::Oom(code) => Exit { reason: ExitReason::OOMKilled, ..self.exit(code) },
        };
        let exit = Exit { started: Some(process.started), ..exit };
        let attempt = process.attempt;
        self.ended.push(ContainerRecord { exit: Some(exit.clone()), ..process });
        if self.engine_returns.is_none() {
            self.observe(&Observation::ContainerExited { container: container.clone(), attempt, exit });
        }
    }

    /// No two processes end in the same nanosecond.
    pub(crate) fn exit(&mut self, code: i32) -> Exit {
        self.now += Duration::from_nanos(1);
        let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
        let signal = (code > 128).then_some(code - 128);
        Exit { code, signal, reason, message: String::new(), started: None, finished: self.moment() }
    }

    pub(crate) fn ends(
        &mut self,
        after: Duration,
        container: &ContainerName,
        attempt: u32,
        exit: ExitScript,
    ) {
        let container = container.clone();
        self.expect(self.now + after, Pending::ProcessEnds { container, attempt, exit });
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.timeline.note(self.now, text);
    }

    pub(crate) fn expect(&mut self, at: Duration, pending: Pending) {
        self.sequence += 1;
        self.pending.insert((at, self.sequence), pending);
    }

    pub(crate) fn moment(&self) -> Moment {
        engine::moment(self.now)
    }
}

/// A broken promise is shown with what led to it.
impl Drop for World<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !quiet::is_quiet() {
            eprintln!("{}", self.timeline.last_lines(LINES_SHOWN));
        }
    }
}

/// The value for the `n`-th time; the last one repeats.
pub(crate) fn nth<T: Clone>(script: &[T], n: usize) -> T {
    script.get(n).or(script.last()).cloned().unwrap_or_else(|| panic!("an empty script"))
}
