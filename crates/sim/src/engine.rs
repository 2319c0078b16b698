//! The engine's half of every simulation: observe, plan, issue, and the checks of each step.

use std::hash::Hasher;
use std::time::Duration;

use lifecycle::{Action, Observation, Observed, Plan, ProbeKind, ProbeState, plan};
use podspec::{BootTime, PodSpec};
use simulation::{Settled, moment};

use crate::checker::Checker;
use crate::exhaustive::key::Key;
use crate::timeline::Timeline;

/// Longer than anything is waited for.
const LONG: Duration = Duration::from_secs(86_400);

/// What `plan` decides from, and the checker that watches it.
#[derive(Clone, Debug)]
pub(crate) struct Engine<'s> {
    pub(crate) spec: &'s PodSpec,
    pub(crate) observed: Observed,
    checker: Checker<'s>,
}

impl<'s> Engine<'s> {
    pub(crate) fn new(spec: &'s PodSpec) -> Self {
        Self { spec, observed: Observed::default(), checker: Checker::new(spec) }
    }

    /// The pod is another from now on.
    pub(crate) fn change_spec(&mut self, spec: &'s PodSpec) {
        self.spec = spec;
        self.checker.change_spec(spec);
    }

    pub(crate) fn observe(&mut self, now: Duration, observation: &Observation, timeline: &mut Timeline) {
        let before = self.probe(observation).cloned();
        self.observed.observe(self.spec, observation, moment(now));
        match (observation, self.probe(observation)) {
            (Observation::ProbeFinished { probe: ProbeKind::Liveness | ProbeKind::Readiness, .. }, after) => {
                timeline.probed(now, observation, before.as_ref(), after);
            }
            _ => timeline.observation(now, observation),
        }
        self.checker.observation(now, observation);
    }

    /// What is known of the probe that this is about.
    fn probe(&self, observation: &Observation) -> Option<&ProbeState> {
        let Observation::ProbeFinished { container, attempt, probe, .. } = observation else { return None };
        let current = self.observed.containers.get(container)?.current.as_ref()?;
        (current.number == *attempt).then(|| current.probe(*probe))
    }

    pub(crate) fn plan(&self, now: Duration) -> Plan {
        plan(self.spec, &self.observed, moment(now))
    }

    pub(crate) fn issue(&mut self, now: Duration, action: &Action, timeline: &mut Timeline) {
        timeline.action(now, action);
        self.checker.action(now, action);
        self.observed.issue(self.spec, action, moment(now));
    }

    /// Called when all of a plan's actions are issued.
    ///
    /// # Panics
    /// When planning again would add something, now or before the time the plan asks to be woken at, or
    /// when the status breaks a promise.
    pub(crate) fn settle(&mut self, now: Duration, timeline: &mut Timeline) -> Settled {
        let settled = self.plan(now);
        assert_eq!(settled.actions, [], "not at the fixpoint at {now:?}");
        let wake = settled.wake_after.map(|after| now + after);
        assert_ne!(wake, Some(now), "woken at once, for nothing");
        let before = wake.map_or(now + LONG, |wake| wake - Duration::from_nanos(1));
        assert_eq!(self.plan(before).actions, [], "asked to be woken at {wake:?}, too late");
        timeline.status(now, &settled.status);
        self.checker.status(now, &settled.status);
        if settled.at_rest {
            timeline.note(now, "at rest");
            self.checker.at_rest(&settled.status);
        }
        Settled { wake, at_rest: settled.at_rest }
    }

    /// Called when nothing is under way and no time is waited for.
    pub(crate) fn idle(&self) {
        self.checker.idle();
    }
}

impl Engine<'_> {
    /// Adds what tells this engine at `now` from another.
    pub(crate) fn key(&self, now: BootTime, hasher: &mut impl Hasher) {
        let Self { spec, observed, checker } = self;
        Key { spec, now, hasher }.observed(observed);
        checker.key(now, hasher);
    }
}
