//! An engine that writes down what a kubelet's worker writes down, and keeps what it says of the pod.

use std::time::Duration;

use journal::{Entry, Happening, Occasion, Snapshot};
use lifecycle::{Action, Decision, Observation, Observed, Plan, PodStatus, plan};
use podspec::{Moment, Pod, PodSpec};

use crate::engine::{Engine, Settled, moment};

/// What happens to one pod before its simulation is cut short.
pub const ENTRIES_MAX: usize = 20_000;

#[derive(Debug)]
pub(crate) struct Recorder<'p> {
    pod: &'p Pod,
    pub(crate) observed: Observed,
    pub(crate) entries: Vec<Entry>,
    /// Each status that is another than the one before it.
    pub(crate) statuses: Vec<(Moment, PodStatus)>,
    decisions: Vec<Decision>,
    /// How much was written down before this turn.
    before: usize,
}

impl<'p> Recorder<'p> {
    pub(crate) fn new(pod: &'p Pod) -> Self {
        Self {
            pod,
            observed: Observed::default(),
            entries: Vec::new(),
            statuses: Vec::new(),
            decisions: Vec::new(),
            before: 0,
        }
    }

    fn record(&mut self, at: Moment, what: Happening) {
        let seq = self.entries.len() as u64 + 1;
        self.entries.push(Entry { seq, at, what });
    }

    fn decide(&mut self, now: Duration) -> Plan {
        let plan = plan(&self.pod.spec, &self.observed, moment(now));
        if plan.decisions != self.decisions {
            self.decisions.clone_from(&plan.decisions);
            self.record(moment(now), Happening::Decided(plan.decisions.clone()));
        }
        plan
    }
}

impl Engine for Recorder<'_> {
    fn spec(&self) -> &PodSpec {
        &self.pod.spec
    }

    fn observed(&self) -> &Observed {
        &self.observed
    }

    /// What is simulated stays as it is.
    fn change_spec(&mut self, _which: usize) {}

    fn begin_turn(&mut self, now: Duration) {
        self.before = self.entries.len();
        if self.entries.is_empty() {
            let (occasion, pod, observed) = (Occasion::Engine, self.pod.clone(), self.observed.clone());
            let snapshot = Snapshot { occasion, pod, observed, decisions: Vec::new() };
            self.record(moment(now), Happening::Snapshot(Box::new(snapshot)));
        }
    }

    fn observe(&mut self, now: Duration, observation: &Observation) {
        let known = journal::says_nothing_new(&self.observed, observation);
        self.observed.observe(&self.pod.spec, observation, moment(now));
        if !known {
            self.record(moment(now), Happening::Observed(observation.clone()));
        }
    }

    fn plan(&mut self, now: Duration) -> Vec<Action> {
        self.decide(now).actions
    }

    fn issue(&mut self, now: Duration, action: &Action) {
        self.observed.issue(&self.pod.spec, action, moment(now));
        if !journal::is_left_out(action) {
            self.record(moment(now), Happening::Issued(action.clone()));
        }
    }

    fn settle(&mut self, now: Duration) -> Settled {
        let plan = self.decide(now);
        self.observed.keep_conditions(&plan.status, moment(now));
        if self.statuses.last().is_none_or(|(_, last)| *last != plan.status) {
            self.statuses.push((moment(now), plan.status));
        }
        if self.entries.len() > self.before {
            self.record(moment(now), Happening::Settled);
        }
        // A plan that wants more is asked once more; it converges, and steps are bounded.
        let wake_after = if plan.actions.is_empty() { plan.wake_after } else { Some(Duration::ZERO) };
        Settled { wake: wake_after.map(|after| now.saturating_add(after)), at_rest: plan.at_rest }
    }

    fn has_enough(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX
    }
}
