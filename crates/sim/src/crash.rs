//! The engine dies, and what that loses: as `kubelet/src/worker.rs` says, it writes what it knows after a plan
//! and before the first effect of it.

use std::time::Duration;

use lifecycle::Observed;

use crate::engine::Engine;
use crate::script::{CrashPoint, Event};
use crate::world::{Pending, World};

/// What the engine takes in before it plans.
#[derive(Default)]
pub(crate) struct Turn<'s> {
    /// As it was before, where it may die before it has written that.
    written: Option<Engine<'s>>,
    /// How much had been observed before.
    observations: usize,
    /// What somebody told it who tells the next engine, too.
    pub(crate) told: Vec<Event>,
}

impl<'s> World<'s> {
    pub(crate) fn begin_turn(&self) -> Turn<'s> {
        let to_come = |point| matches!(point, CrashPoint::Observation(n) if n > self.observations);
        let may_die = self.scenario.crashes.iter().any(|crash| to_come(crash.point));
        Turn {
            written: may_die.then(|| self.engine.clone()),
            observations: self.observations,
            told: Vec::new(),
        }
    }

    pub(crate) fn crash_at(&self, point: CrashPoint) -> Option<Duration> {
        self.scenario.crashes.iter().find(|crash| crash.point == point).map(|crash| crash.down)
    }

    /// `kill -9`, and `down` later a new engine. The sandbox and what runs in it go on.
    pub(crate) fn die(&mut self, down: Duration) {
        self.note("the engine is killed");
        self.crashed += 1;
        self.wake = None;
        self.pending
            .retain(|_, pending| !matches!(pending, Pending::Observe(_) | Pending::ProcessBegins { .. }));
        self.engine.observed = written_and_read(&self.engine.observed);
        self.engine_returns = Some(self.now + down);
        self.expect(self.now + down, Pending::EngineReturns);
    }

    /// Before it has written what it took in during this turn. The pod itself is written before that.
    pub(crate) fn die_if_scripted(&mut self) {
        let taken_in = self.turn.observations + 1..=self.observations;
        let Some(down) = taken_in.into_iter().find_map(|n| self.crash_at(CrashPoint::Observation(n))) else {
            return;
        };
        let Some(written) = self.turn.written.take() else { return };
        let spec = self.engine.spec;
        self.engine = written;
        if !std::ptr::eq(self.engine.spec, spec) {
            self.engine.change_spec(spec);
        }
        self.die(down);
        for event in std::mem::take(&mut self.turn.told) {
            if !matches!(event, Event::Change(_)) {
                self.expect(self.now + down, Pending::Outside(event));
            }
        }
    }
}

/// What a new engine knows of it.
fn written_and_read(observed: &Observed) -> Observed {
    let written = serde_json::to_vec(observed).expect("plain data");
    serde_json::from_slice(&written).expect("what was written can be read")
}
