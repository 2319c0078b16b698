//! Plays a scenario: what comes of it as a text, or its checks alone.

use crate::crash::Mortal;
use crate::script::Scenario;
use crate::timeline::Timeline;
use simulation::{Ended, World};

/// More steps than any sane scenario takes: a plan that never settles is a bug.
const STEPS_MAX: u64 = 100_000;

/// Plays the scenario and returns its timeline.
///
/// # Panics
/// When a plan is not at its fixpoint after its actions, breaks a promise, or never settles.
#[must_use]
pub fn run(scenario: &Scenario) -> String {
    let (mut engine, _) = play(scenario, Timeline::new(scenario.show_messages));
    engine.timeline.take_text()
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
    let (engine, steps) = play(scenario, Timeline::silent());
    let (actions, observations) = (engine.actions as u64, engine.observations as u64);
    Steps { steps, actions, observations, crashes: engine.crashed }
}

fn play(scenario: &Scenario, timeline: Timeline) -> (Mortal<'_>, u64) {
    let mut world = World::new(&scenario.script, Mortal::new(scenario, timeline));
    let (ended, steps) = world.play(STEPS_MAX);
    assert_ne!(ended, Ended::Steps, "the pod does not settle within {STEPS_MAX} steps");
    (world.into_engine(), steps)
}
