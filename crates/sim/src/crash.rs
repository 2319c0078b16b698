//! The engine dies, and what that loses: as `kubelet/src/worker.rs` says, it writes what it knows after a plan
//! and before the first effect of it.

use std::time::Duration;

use lifecycle::{Action, Observation, Observed};
use podspec::PodSpec;
use simulation::Settled;

use crate::engine::Engine;
use crate::quiet;
use crate::script::{CrashPoint, Scenario};
use crate::timeline::Timeline;

/// Of the timeline, when a promise is broken.
const LINES_SHOWN: usize = 30;

/// An engine that dies where its scenario says, checked and told of at every step.
pub(crate) struct Mortal<'s> {
    scenario: &'s Scenario,
    engine: Engine<'s>,
    pub(crate) timeline: Timeline,
    /// As it was before this turn, where it may die before it has written that.
    written: Option<Engine<'s>>,
    /// How much had been observed before this turn.
    observed_before: usize,
    pub(crate) observations: usize,
    pub(crate) actions: usize,
    pub(crate) crashed: u64,
}

impl<'s> Mortal<'s> {
    pub(crate) fn new(scenario: &'s Scenario, timeline: Timeline) -> Self {
        Self {
            scenario,
            engine: Engine::new(&scenario.spec),
            timeline,
            written: None,
            observed_before: 0,
            observations: 0,
            actions: 0,
            crashed: 0,
        }
    }

    fn crash_at(&self, point: CrashPoint) -> Option<Duration> {
        self.scenario.crashes.iter().find(|crash| crash.point == point).map(|crash| crash.down)
    }
}

impl simulation::Engine for Mortal<'_> {
    fn spec(&self) -> &PodSpec {
        self.engine.spec
    }

    fn observed(&self) -> &Observed {
        &self.engine.observed
    }

    fn change_spec(&mut self, which: usize) {
        self.engine.change_spec(&self.scenario.changes[which]);
    }

    fn observe(&mut self, now: Duration, observation: &Observation) {
        self.observations += 1;
        self.engine.observe(now, observation, &mut self.timeline);
    }

    fn plan(&mut self, now: Duration) -> Vec<Action> {
        self.engine.plan(now).actions
    }

    fn issue(&mut self, now: Duration, action: &Action) {
        self.engine.issue(now, action, &mut self.timeline);
    }

    fn settle(&mut self, now: Duration) -> Settled {
        self.engine.settle(now, &mut self.timeline)
    }

    fn idle(&mut self, _now: Duration) {
        self.engine.idle();
    }

    fn note(&mut self, now: Duration, text: &str) {
        self.timeline.note(now, text);
    }

    fn begin_turn(&mut self, _now: Duration) {
        let to_come = |point| matches!(point, CrashPoint::Observation(n) if n > self.observations);
        let may_die = self.scenario.crashes.iter().any(|crash| to_come(crash.point));
        self.written = may_die.then(|| self.engine.clone());
        self.observed_before = self.observations;
    }

    fn dies_unwritten(&mut self) -> Option<Duration> {
        let mut taken_in = self.observed_before + 1..=self.observations;
        let down = taken_in.find_map(|n| self.crash_at(CrashPoint::Observation(n)))?;
        let spec = self.engine.spec;
        self.engine = self.written.take()?;
        // The pod itself is written before that.
        if !std::ptr::eq(self.engine.spec, spec) {
            self.engine.change_spec(spec);
        }
        Some(down)
    }

    fn dies_after(&mut self, _action: &Action) -> Option<Duration> {
        self.actions += 1;
        self.crash_at(CrashPoint::Action(self.actions))
    }

    fn killed(&mut self, _now: Duration) {
        self.crashed += 1;
        self.engine.observed = written_and_read(&self.engine.observed);
    }
}

/// A broken promise is shown with what led to it.
impl Drop for Mortal<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !quiet::is_quiet() {
            eprintln!("{}", self.timeline.last_lines(LINES_SHOWN));
        }
    }
}

/// What a new engine knows of it.
fn written_and_read(observed: &Observed) -> Observed {
    let written = serde_json::to_vec(observed).expect("plain data");
    serde_json::from_slice(&written).expect("what was written can be read")
}
