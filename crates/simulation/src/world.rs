//! The scripted world: jumps from event to event, and does what the engine decides.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::{
    BackoffLimits, ContainerRecord, Exit, ExitReason, Observation, SandboxSnapshot, SandboxState,
};
use podspec::{ContainerName, Moment};

use crate::answers::EXIT_IS_TOLD_AFTER;
use crate::behaviour::{ExitScript, nth};
use crate::engine::{self, Engine};
use crate::script::{Event, Script};

/// Exits move the clock on by a nanosecond each; what is due then still counts as due at the end.
const UNTIL_SLACK: Duration = Duration::from_micros(10);

/// Why a world does not go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Everything the pod had is gone.
    AtRest,
    /// Nothing is under way, and nothing is waited for.
    NothingToCome,
    /// Its time is over.
    Until,
    /// The engine has seen enough.
    Enough,
    /// More steps were taken than were allowed.
    Steps,
}

#[derive(Debug)]
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

/// A sandbox, its processes, and what comes from outside, around one engine.
#[derive(Debug)]
pub struct World<'s, E> {
    pub(crate) script: &'s Script,
    pub(crate) engine: E,
    pub(crate) now: Duration,
    pub(crate) pending: BTreeMap<(Duration, u64), Pending>,
    sequence: u64,
    wake: Option<Duration>,
    /// The attempt of the living sandbox.
    sandbox: Option<u32>,
    pub(crate) alive: BTreeMap<ContainerName, ContainerRecord>,
    /// What the sandbox has recorded of ended processes.
    pub(crate) ended: Vec<ContainerRecord>,
    /// How often each scripted thing has happened, by container; by nobody for the pod.
    pub(crate) counts: BTreeMap<(Option<ContainerName>, &'static str), usize>,
    /// When the next engine takes over; there is none until then.
    engine_returns: Option<Duration>,
    /// What somebody told the engine in this turn who tells the next engine, too.
    told: Vec<Event>,
    /// What is said of the readiness gates.
    gates: BTreeMap<String, String>,
    /// What an engine is told of how restarts are delayed.
    backoff: Option<BackoffLimits>,
}

impl<'s, E: Engine> World<'s, E> {
    /// Its engine takes the pod over at the beginning.
    pub fn new(script: &'s Script, engine: E) -> Self {
        let mut world = Self {
            script,
            engine,
            now: Duration::ZERO,
            pending: BTreeMap::new(),
            sequence: 0,
            wake: None,
            sandbox: None,
            alive: BTreeMap::new(),
            ended: Vec::new(),
            counts: BTreeMap::new(),
            engine_returns: None,
            told: Vec::new(),
            gates: BTreeMap::new(),
            backoff: script.backoff,
        };
        world.expect(Duration::ZERO, Pending::EngineReturns);
        for (at, event) in &script.events {
            world.expect(*at, Pending::Outside(event.clone()));
        }
        world
    }

    /// To its end, in at most so many steps; why it ended, and the steps it took.
    pub fn play(&mut self, steps_max: u64) -> (Ended, u64) {
        for steps in 1..=steps_max {
            if let Some(ended) = self.step() {
                return (ended, steps);
            }
        }
        (Ended::Steps, steps_max)
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    pub fn into_engine(self) -> E {
        self.engine
    }

    /// Takes the next event or wake-up; or says that there is none.
    fn step(&mut self) -> Option<Ended> {
        let next = self.pending.first_key_value().map(|((at, _), _)| *at);
        let Some(at) = next.into_iter().chain(self.wake).min() else {
            self.engine.note(self.now, "nothing more to come");
            self.engine.idle(self.now);
            return Some(Ended::NothingToCome);
        };
        if at > self.script.until + UNTIL_SLACK {
            self.engine.note(self.script.until, "until here");
            return Some(Ended::Until);
        }
        self.now = self.now.max(at);
        self.wake = None;
        self.told.clear();
        self.engine.begin_turn(self.now);
        while self.pending.first_key_value().is_some_and(|((next, _), _)| *next <= at) {
            if let Some((_, pending)) = self.pending.pop_first() {
                self.happen(pending);
            }
            if !self.script.together {
                break;
            }
        }
        self.die_unwritten();
        if self.engine_returns.is_some() { None } else { self.plan_and_apply() }
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
        self.told.push(event.clone());
        match event {
            Event::Delete { grace } => {
                let grace = grace.unwrap_or(self.engine.spec().termination_grace_period);
                self.observe(&Observation::DeletionRequested { grace });
            }
            Event::Change(which) => {
                self.engine.change_spec(which);
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
            Event::Evict => self.observe(&Observation::Evicted { message: self.script.failure.to_owned() }),
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
        | SandboxState::Stopping { attempt }) = self.engine.observed().sandbox
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

    pub(crate) fn observe(&mut self, observation: &Observation) {
        self.engine.observe(self.now, observation);
    }

    /// One plan and its actions.
    fn plan_and_apply(&mut self) -> Option<Ended> {
        let now = self.now;
        let mut death = None;
        for action in &self.engine.plan(now) {
            self.engine.issue(now, action);
            if death.is_none() {
                self.answer(action);
                death = self.engine.dies_after(action);
            }
        }
        if let Some(down) = death {
            self.die(down);
            return None;
        }
        let settled = self.engine.settle(now);
        self.wake = settled.wake;
        let deletion_to_come =
            self.pending.values().any(|p| matches!(p, Pending::Outside(Event::Delete { .. })));
        if settled.at_rest && (!deletion_to_come || self.engine.observed().deletion.is_some()) {
            return Some(Ended::AtRest);
        }
        self.engine.has_enough().then_some(Ended::Enough)
    }

    /// `kill -9`, and `down` later a new engine. The sandbox and what runs in it go on.
    fn die(&mut self, down: Duration) {
        self.engine.note(self.now, "the engine is killed");
        self.wake = None;
        self.pending
            .retain(|_, pending| !matches!(pending, Pending::Observe(_) | Pending::ProcessBegins { .. }));
        self.engine.killed(self.now);
        self.engine_returns = Some(self.now + down);
        self.expect(self.now + down, Pending::EngineReturns);
    }

    /// The pod itself is written before what is said of it, so a change is told only once.
    fn die_unwritten(&mut self) {
        let Some(down) = self.engine.dies_unwritten() else { return };
        self.die(down);
        for event in std::mem::take(&mut self.told) {
            if !matches!(event, Event::Change(_)) {
                self.expect(self.now + down, Pending::Outside(event));
            }
        }
    }

    /// A process is made, and reported `report_after`.
    pub(crate) fn begin(&mut self, container: &ContainerName, attempt: u32, report_after: Duration) {
        let Some(behaviour) = self.script.behaviour(container) else { return };
        let lives = self.count(Some(container), "run");
        let run = nth(&behaviour.run, lives).flatten();
        let exit = nth(&behaviour.exit, lives).unwrap_or(ExitScript::Code(0));
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
        let attempt = self.alive.get(container).map(|process| process.attempt);
        if let Some(attempt) = attempt.filter(|_| self.script.lifelike)
            && self.end_sessions(container, attempt)
        {
            return self.ends(EXIT_IS_TOLD_AFTER, container, attempt, exit);
        }
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
        self.expect(self.now.saturating_add(after), Pending::ProcessEnds { container, attempt, exit });
    }

    pub(crate) fn expect(&mut self, at: Duration, pending: Pending) {
        self.sequence += 1;
        self.pending.insert((at, self.sequence), pending);
    }

    pub(crate) fn moment(&self) -> Moment {
        engine::moment(self.now)
    }
}
