//! What a world asks of whoever decides for the pod in it.

use std::time::Duration;

use lifecycle::{Action, Observation, Observed};
use podspec::{BootTime, Moment, PodSpec, WallTime};

/// The other side of a [`crate::World`]: takes in what happens, plans, and is told each step. An engine that can die says when.
pub trait Engine {
    /// The pod as it is now.
    fn spec(&self) -> &PodSpec;

    fn observed(&self) -> &Observed;

    /// The pod becomes the one that [`crate::Event::Change`] means.
    fn change_spec(&mut self, which: usize);

    fn observe(&mut self, now: Duration, observation: &Observation);

    /// What is to be done; nothing of it is issued yet.
    fn plan(&mut self, now: Duration) -> Vec<Action>;

    fn issue(&mut self, now: Duration, action: &Action);

    /// All that [`Engine::plan`] wanted is issued and begun.
    fn settle(&mut self, now: Duration) -> Settled;

    /// Nothing is under way, and nothing is waited for.
    fn idle(&mut self, _now: Duration) {}

    /// It has seen as much as it wants to see.
    fn has_enough(&self) -> bool {
        false
    }

    /// Something that it could not observe.
    fn note(&mut self, _now: Duration, _text: &str) {}

    /// Observations follow, and then a plan.
    fn begin_turn(&mut self, _now: Duration) {}

    /// It dies before it has written down what it took in during this turn, and forgets that; for how long nobody follows it.
    fn dies_unwritten(&mut self) -> Option<Duration> {
        None
    }

    /// It dies when it has begun this action, and none after it.
    fn dies_after(&mut self, _action: &Action) -> Option<Duration> {
        None
    }

    /// What is left of it is what is written.
    fn killed(&mut self, _now: Duration) {}
}

/// What is left to do after a plan's actions are issued.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Settled {
    /// Nothing is to be done before.
    pub wake: Option<Duration>,
    pub at_rest: bool,
}

/// Both clocks begin at zero.
#[must_use]
pub fn moment(now: Duration) -> Moment {
    let nanos = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    Moment { boot: BootTime(nanos), wall: WallTime(nanos) }
}
