//! A pod to which everything can happen at any time. Nothing takes time of its own: between two events
//! the clock stands still, until one of them is that time passes.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use lifecycle::Observation;
use podspec::{Container, ContainerKind, ContainerName, PodSpec};

use simulation::Event as Outside;

use crate::exhaustive::effect::{EXIT_TERMINATED, Effect, End};
use crate::exhaustive::graph::{Choice, Model};
use crate::exhaustive::machine::{Machine, SLACK};
use crate::timeline::Timeline;

/// How many events one world has at most, and how many of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of any kind.
    pub events: usize,
    /// Processes that end by themselves, but for init containers that succeed in their turn.
    pub ends: usize,
    /// Mishaps (an effect fails, the sandbox or the engine dies), and what does not wait for its turn: it
    /// comes while something is under way that began before.
    pub irregular: usize,
    /// After so many events it is tried whether the pod comes to rest when it is deleted.
    pub rests: usize,
}

/// More steps than any small pod takes to come to rest.
const STEPS_MAX: usize = 100;
/// From stop signal to SIGKILL at least.
const FLOOR: Duration = Duration::from_secs(2);

pub(super) struct Orders<'s> {
    pub(super) spec: &'s PodSpec,
    pub(super) changes: &'s [PodSpec],
    /// What comes from outside, in this order, at any time.
    pub(super) outside: Vec<&'s Outside>,
    pub(super) bounds: Bounds,
}

#[derive(Clone)]
pub(super) struct State<'s> {
    machine: Machine<'s>,
    irregular_left: usize,
    ends_left: usize,
    /// How much has come from outside.
    outside: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Outside(Outside),
    Done(Effect),
    Fails(Effect),
    IsNotExecuted(Effect),
    StartsAndEnds(Effect, End),
    Ends(ContainerName, End),
    /// Until the plan asked to be woken.
    TimePasses,
    Deleted,
    SandboxLost,
    EngineDies {
        carried_out: bool,
    },
    EngineReturns,
}

impl<'s> Model for Orders<'s> {
    type State = State<'s>;
    type Event = Event;

    fn beginning(&self, timeline: &mut Timeline) -> State<'s> {
        let Bounds { irregular, ends, .. } = self.bounds;
        let machine = Machine::new(self.spec, timeline);
        State { machine, irregular_left: irregular, ends_left: ends, outside: 0 }
    }

    fn key(&self, state: &State<'s>, hasher: &mut impl Hasher) {
        let State { machine, irregular_left, ends_left, outside } = state;
        machine.key(hasher);
        (irregular_left, ends_left, outside).hash(hasher);
    }

    fn choices(&self, state: &State<'s>) -> Vec<Choice<Event>> {
        let mut choices = Vec::new();
        self.of_effects(state, &mut choices);
        self.of_processes(state, &mut choices);
        self.of_the_rest(state, &mut choices);
        choices
    }

    fn after(&self, state: &State<'s>, event: &Event, timeline: &mut Timeline) -> State<'s> {
        let mut after = state.clone();
        after.irregular_left -= usize::from(state.is_irregular(event));
        after.ends_left -= usize::from(self.is_end(state, event));
        match event {
            Event::Outside(outside) => {
                after.outside += 1;
                after.machine.outside(outside, self.changes, timeline);
            }
            _ => after.machine.happen(event, timeline),
        }
        if after.irregular_left == 0 && !after.machine.engine_is_down {
            after.machine.forget_records();
        }
        after
    }

    fn settle(&self, state: &mut State<'s>, timeline: &mut Timeline) {
        state.machine.settle(timeline);
    }

    fn judge(&self, state: &State<'s>, events: usize, timeline: &mut Timeline) {
        if events <= self.bounds.rests {
            comes_to_rest(state.machine.clone(), true, timeline);
            comes_to_rest(state.machine.clone(), false, timeline);
        }
    }
}

impl Orders<'_> {
    /// What can come of what the engine has begun.
    fn of_effects(&self, state: &State<'_>, choices: &mut Vec<Choice<Event>>) {
        for effect in &state.machine.effects {
            self.offer(state, choices, Event::Done(effect.clone()));
            if effect.can_fail() {
                self.offer(state, choices, Event::Fails(effect.clone()));
            }
            let Effect::Start { container, .. } = effect else { continue };
            self.offer(state, choices, Event::IsNotExecuted(effect.clone()));
            for end in ends(self.container(container)) {
                self.offer(state, choices, Event::StartsAndEnds(effect.clone(), end));
            }
        }
    }

    fn of_processes(&self, state: &State<'_>, choices: &mut Vec<Choice<Event>>) {
        for name in state.machine.alive.keys() {
            for end in ends(self.container(name)) {
                self.offer(state, choices, Event::Ends(name.clone(), end));
            }
        }
    }

    fn of_the_rest(&self, state: &State<'_>, choices: &mut Vec<Choice<Event>>) {
        let machine = &state.machine;
        if machine.sandbox.is_some() {
            self.offer(state, choices, Event::SandboxLost);
        }
        if machine.engine_is_down {
            return self.offer(state, choices, Event::EngineReturns);
        }
        if machine.settled.wake.is_some() {
            self.offer(state, choices, Event::TimePasses);
        }
        if machine.engine.observed.deletion.is_none() {
            self.offer(state, choices, Event::Deleted);
        }
        if let Some(outside) = self.outside.get(state.outside) {
            self.offer(state, choices, Event::Outside((*outside).clone()));
        }
        if !machine.settled.at_rest {
            self.offer(state, choices, Event::EngineDies { carried_out: false });
            if machine.effects.iter().any(Effect::outlives_the_engine) {
                self.offer(state, choices, Event::EngineDies { carried_out: true });
            }
        }
    }

    fn offer(&self, state: &State<'_>, choices: &mut Vec<Choice<Event>>, event: Event) {
        let is_over = (state.is_irregular(&event) && state.irregular_left == 0)
            || (self.is_end(state, &event) && state.ends_left == 0);
        if !is_over {
            let counted = !self.is_expected(state, &event);
            choices.push(Choice { event, counted });
        }
    }

    /// What happens when nothing disturbs: the oldest effect is done; when nothing is under way, the init
    /// container succeeds.
    fn is_expected(&self, state: &State<'_>, event: &Event) -> bool {
        match event {
            Event::Done(effect) => state.machine.effects.first() == Some(effect),
            Event::Ends(name, End { code: 0, oom: false }) => {
                let kind = self.container(name).kind;
                kind == ContainerKind::Init && !state.is_busy() && !state.machine.engine_is_down
            }
            Event::EngineReturns => true,
            _ => false,
        }
    }

    fn is_end(&self, state: &State<'_>, event: &Event) -> bool {
        matches!(event, Event::Ends(..)) && !self.is_expected(state, event)
    }

    fn container(&self, name: &ContainerName) -> &Container {
        self.spec.container(name).unwrap_or_else(|| panic!("there is no container {name}"))
    }
}

/// How a process can end by itself. All codes but zero are alike where no rule names them.
fn ends(container: &Container) -> impl Iterator<Item = End> {
    let oom = (container.kind == ContainerKind::Init).then_some(End::OOM_OF_A_CHILD);
    let rules = container.restart.rules.iter().flat_map(|rule| &rule.values);
    let named = rules.filter(|code| ![0, 1].contains(*code)).map(|&code| End { code, oom: false });
    [End::SUCCESS, End::FAILURE].into_iter().chain(oom).chain(named)
}

impl State<'_> {
    /// Something is under way that is done as soon as nothing disturbs it.
    fn is_busy(&self) -> bool {
        !self.machine.engine_is_down && !self.machine.effects.is_empty()
    }

    fn is_irregular(&self, event: &Event) -> bool {
        let first = |effect| self.machine.effects.first() == Some(effect);
        match event {
            Event::Done(effect) | Event::Fails(effect @ Effect::Probe { .. }) => !first(effect),
            Event::Fails(_) | Event::IsNotExecuted(_) | Event::StartsAndEnds(..) => true,
            Event::SandboxLost | Event::EngineDies { .. } => true,
            Event::Ends(..) | Event::TimePasses | Event::Deleted | Event::Outside(_) => self.is_busy(),
            Event::EngineReturns => false,
        }
    }
}

impl Machine<'_> {
    fn happen(&mut self, event: &Event, timeline: &mut Timeline) {
        match event {
            Event::Done(effect) => self.done(effect, timeline),
            Event::Fails(effect) => self.fails(effect, timeline),
            Event::IsNotExecuted(effect) => self.is_not_executed(effect, timeline),
            Event::StartsAndEnds(effect, end) => self.starts_and_ends(effect, *end, timeline),
            Event::Ends(container, end) => self.end(container, *end, timeline),
            Event::TimePasses => self.now = self.settled.wake.unwrap_or(self.now),
            Event::Deleted => {
                // Never in the very moment of the deadline.
                self.now += Duration::from_nanos(1);
                let grace = self.engine.spec.termination_grace_period;
                self.observe(&Observation::DeletionRequested { grace }, timeline);
            }
            Event::Outside(_) => {}
            Event::SandboxLost => self.lose_sandbox(timeline),
            Event::EngineDies { carried_out } => self.lose_engine(*carried_out, timeline),
            Event::EngineReturns => self.engine_returns(timeline),
        }
    }
}

/// Once it is deleted, whether its processes heed their stop signal or not.
fn comes_to_rest(mut machine: Machine<'_>, heeds: bool, timeline: &mut Timeline) {
    if machine.engine_is_down {
        machine.happen(&Event::EngineReturns, timeline);
        machine.settle(timeline);
    }
    if machine.engine.observed.deletion.is_none() {
        machine.happen(&Event::Deleted, timeline);
        machine.settle(timeline);
    }
    let grace = machine.engine.spec.termination_grace_period.max(Duration::from_secs(1));
    let latest = machine.now + grace + FLOOR + SLACK;
    for _ in 0..STEPS_MAX {
        let ignored = |effect: &&Effect| matches!(effect, Effect::End { code: EXIT_TERMINATED, .. });
        let next = machine.effects.iter().find(|effect| heeds || !ignored(effect)).cloned();
        if machine.settled.at_rest && next.is_none() {
            assert!(machine.now <= latest, "it took until {:?} to come to rest, not {latest:?}", machine.now);
            return;
        }
        machine.happen(&next.map_or(Event::TimePasses, Event::Done), timeline);
        machine.settle(timeline);
    }
    panic!("the pod was deleted and does not come to rest in {STEPS_MAX} steps");
}
