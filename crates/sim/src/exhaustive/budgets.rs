//! A pod that is stopped: every way in which its processes and hooks can take their time, on virtual time.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use lifecycle::Observation;
use podspec::{ContainerName, PodSpec};

use crate::exhaustive::effect::{EXIT_TERMINATED, Effect, End};
use crate::exhaustive::graph::{Choice, Model};
use crate::exhaustive::machine::{Machine, SLACK};
use crate::timeline::Timeline;

/// What may come in between while a pod stops.
#[derive(Clone, Copy, Debug)]
pub struct Disturbances {
    /// How often the deletion is repeated, at most.
    pub deletions: usize,
    /// How often the engine dies, at most.
    pub deaths: usize,
}

/// Graces in seconds that a deletion is repeated with.
const GRACES: [u64; 3] = [0, 2, 60];
/// A new engine is there at once, or comes late.
const DOWN: [Duration; 2] = [Duration::ZERO, Duration::from_secs(4)];
/// From stop signal to SIGKILL at least.
const FLOOR: Duration = Duration::from_secs(2);
/// The shortest grace of a pod that is deleted.
const GRACE_MIN: Duration = Duration::from_secs(1);
const SECOND: Duration = Duration::from_secs(1);
/// More than the pods that are searched take to come up.
const STEPS_MAX: usize = 100;

pub(super) struct Budgets<'s> {
    pub(super) spec: &'s PodSpec,
    pub(super) disturbances: Disturbances,
}

#[derive(Clone)]
pub(super) struct State<'s> {
    machine: Machine<'s>,
    /// How that which is under way turns out; what is not in here has to be chosen.
    dues: Vec<(Effect, Due)>,
    /// When the next engine is there.
    returns: Option<Duration>,
    /// Everything has to be dead by then; not known before the pod stops.
    latest: Option<Duration>,
    /// The clock stands between two events.
    between: bool,
    left: Disturbances,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    At(Duration),
    /// Cut off.
    FailsAt(Duration),
    Never,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// It will turn out like this.
    Takes(Effect, Due),
    /// What is due now is over.
    Over(Effect, Due),
    /// The plan had asked for it.
    Wakes,
    /// And nothing happens in it.
    ASecondPasses,
    Deleted(Duration),
    /// All at once, each with success.
    AppsEnd,
    EngineDies {
        carried_out: bool,
        down: Duration,
    },
    EngineReturns,
}

impl<'s> Model for Budgets<'s> {
    type State = State<'s>;
    type Event = Event;

    /// All containers are up, or the first init container runs.
    fn beginning(&self, timeline: &mut Timeline) -> State<'s> {
        let mut machine = Machine::new(self.spec, timeline);
        machine.settle(timeline);
        for _ in 0..STEPS_MAX {
            let Some(effect) = machine.effects.first().cloned() else { break };
            machine.done(&effect, timeline);
            machine.settle(timeline);
        }
        assert_eq!(machine.effects, [], "the pod does not come up");
        // A second later, so that no two causes to stop are of the same moment.
        machine.now += SECOND;
        let left = self.disturbances;
        State { machine, dues: Vec::new(), returns: None, latest: None, between: false, left }
    }

    fn key(&self, state: &State<'s>, hasher: &mut impl Hasher) {
        let State { machine, dues, returns, latest, between, left } = state;
        machine.key(hasher);
        let to_come = |at: Duration| at.saturating_sub(machine.now);
        for (effect, due) in dues {
            effect.hash(hasher);
            match due {
                Due::At(at) => (0, to_come(*at)).hash(hasher),
                Due::FailsAt(at) => (1, to_come(*at)).hash(hasher),
                Due::Never => 2.hash(hasher),
            }
        }
        (returns.map(to_come), latest.map(to_come), between).hash(hasher);
        (left.deletions, left.deaths).hash(hasher);
    }

    fn choices(&self, state: &State<'s>) -> Vec<Choice<Event>> {
        let events = match state.undecided() {
            Some(effect) => self.durations(state, effect),
            None => self.what_comes(state),
        };
        events.into_iter().map(|event| Choice { event, counted: false }).collect()
    }

    fn after(&self, state: &State<'s>, event: &Event, timeline: &mut Timeline) -> State<'s> {
        let mut after = state.clone();
        after.between = false;
        after.happen(event, timeline);
        if after.left.deaths == 0 && !after.machine.engine_is_down {
            after.machine.forget_records();
        }
        after
    }

    fn settle(&self, state: &mut State<'s>, timeline: &mut Timeline) {
        state.machine.settle(timeline);
        let State { machine, dues, .. } = state;
        dues.retain(|(effect, _)| machine.effects.contains(effect));
        let overdue = state.latest.is_some_and(|latest| machine.now > latest + SLACK);
        assert!(!overdue || machine.alive.is_empty(), "alive later than at {:?}", state.latest);
    }

    fn judge(&self, state: &State<'s>, _events: usize, _timeline: &mut Timeline) {
        let idle = state.undecided().is_none() && self.what_comes(state).is_empty();
        assert!(!idle || state.machine.settled.at_rest, "nothing happens any more");
    }
}

impl Budgets<'_> {
    /// How long it may take.
    fn durations(&self, state: &State<'_>, effect: &Effect) -> Vec<Event> {
        let (now, grace) = (state.machine.now, self.spec.termination_grace_period);
        let mut dues = vec![Due::At(now)];
        match effect {
            Effect::End { code: EXIT_TERMINATED, .. } => {
                let times = BTreeSet::from([SECOND, grace.saturating_sub(SECOND), grace]);
                dues.extend(times.iter().filter(|time| !time.is_zero()).map(|&time| Due::At(now + time)));
                dues.push(Due::Never);
            }
            Effect::Hook { timeout: Some(timeout), .. } => {
                dues.extend(Some(Due::At(now + SECOND)).filter(|_| *timeout > SECOND));
                dues.extend([Due::FailsAt(now + *timeout), Due::Never]);
            }
            _ => {}
        }
        dues.into_iter().map(|due| Event::Takes(effect.clone(), due)).collect()
    }

    fn what_comes(&self, state: &State<'_>) -> Vec<Event> {
        let machine = &state.machine;
        if machine.settled.at_rest {
            return Vec::new();
        }
        let wake = machine.settled.wake.filter(|_| !machine.engine_is_down);
        let dues = state.dues.iter().filter_map(|(_, due)| due.at());
        let next = dues.chain(wake).chain(state.returns).min();
        let mut events = Vec::new();
        for (effect, due) in state.dues.iter().filter(|(_, due)| due.at().is_some() && due.at() == next) {
            events.push(Event::Over(effect.clone(), *due));
        }
        if wake.is_some() && wake == next {
            events.push(Event::Wakes);
        }
        if state.returns.is_some() && state.returns == next {
            events.push(Event::EngineReturns);
        }
        if machine.engine_is_down {
            return events;
        }
        if !state.between && next.is_some_and(|next| next > machine.now + SECOND) {
            events.push(Event::ASecondPasses);
        }
        self.disturb(state, &mut events);
        events
    }

    fn disturb(&self, state: &State<'_>, events: &mut Vec<Event>) {
        let machine = &state.machine;
        if state.latest.is_none() {
            events.push(Event::Deleted(self.spec.termination_grace_period));
            if self.spec.containers.iter().all(|c| machine.alive.contains_key(&c.name)) {
                events.push(Event::AppsEnd);
            }
        } else if state.left.deletions > 0 {
            events.extend(GRACES.map(|grace| Event::Deleted(Duration::from_secs(grace))));
        }
        if state.left.deaths > 0 {
            for down in DOWN {
                events.extend([true, false].map(|carried_out| Event::EngineDies { carried_out, down }));
            }
        }
    }
}

impl State<'_> {
    fn undecided(&self) -> Option<&Effect> {
        self.machine.effects.iter().find(|effect| !self.dues.iter().any(|(known, _)| known == *effect))
    }

    fn happen(&mut self, event: &Event, timeline: &mut Timeline) {
        match event {
            Event::Takes(effect, due) => self.dues.push((effect.clone(), *due)),
            Event::Over(effect, due) => {
                self.passes(due.at().unwrap_or(self.machine.now));
                match due {
                    Due::FailsAt(_) => self.machine.fails(effect, timeline),
                    Due::At(_) | Due::Never => self.machine.done(effect, timeline),
                }
            }
            Event::Wakes => self.passes(self.machine.settled.wake.unwrap_or(self.machine.now)),
            Event::ASecondPasses => {
                self.passes(self.machine.now + SECOND);
                self.between = true;
            }
            Event::Deleted(grace) => self.delete(*grace, timeline),
            Event::AppsEnd => {
                let apps: Vec<ContainerName> =
                    self.machine.engine.spec.containers.iter().map(|c| c.name.clone()).collect();
                apps.iter().for_each(|app| self.machine.end(app, End::SUCCESS, timeline));
                self.has_until(self.machine.engine.spec.termination_grace_period);
            }
            Event::EngineDies { carried_out, down } => {
                self.left.deaths -= 1;
                let returns = self.machine.now + *down;
                self.returns = Some(returns);
                // Whoever has not been told to end is told then.
                self.latest = self.latest.map(|latest| latest.max(returns + FLOOR));
                self.machine.lose_engine(*carried_out, timeline);
            }
            Event::EngineReturns => {
                self.machine.now = self.returns.take().unwrap_or(self.machine.now);
                self.machine.engine_returns(timeline);
                self.passes(self.machine.now);
            }
        }
    }

    /// A pod stops by itself when its deadline comes.
    fn passes(&mut self, until: Duration) {
        let spec = self.machine.engine.spec;
        self.machine.now = self.machine.now.max(until);
        if spec.active_deadline.is_some_and(|deadline| self.machine.now >= deadline)
            && !self.machine.engine_is_down
        {
            self.has_until(spec.termination_grace_period.max(GRACE_MIN));
        }
    }

    fn delete(&mut self, grace: Duration, timeline: &mut Timeline) {
        if self.latest.is_some() {
            self.left.deletions -= 1;
        }
        // Never in the very moment of the deadline.
        self.machine.now += Duration::from_nanos(1);
        self.has_until(grace.max(GRACE_MIN));
        self.machine.observe(&Observation::DeletionRequested { grace }, timeline);
    }

    fn has_until(&mut self, grace: Duration) {
        let latest = self.machine.now + grace + FLOOR;
        self.latest = Some(self.latest.map_or(latest, |earlier| earlier.min(latest)));
    }
}

impl Due {
    fn at(self) -> Option<Duration> {
        match self {
            Self::At(at) | Self::FailsAt(at) => Some(at),
            Self::Never => None,
        }
    }
}
