//! What is in a journal.
//!
//! Every input of [`lifecycle::plan`] is in it, so that what was decided can be decided again: a [`Snapshot`] first,
//! then what was observed and issued, in the order in which it was taken in. What is left out are probes that are begun, and
//! successes of a probe that has nothing to gain by them: they leave the recorded part of `Observed` as it was, and the
//! rest of it (which probes are under way, and when they began) decides about probes alone.

use lifecycle::{Action, Decision, Observation, Observed, ProbeOutcome, ProbeVerdict};
use podspec::{Moment, Pod};
use serde::{Deserialize, Serialize};

/// One line of the journal. `seq` counts from 1 without gaps over the pod's life, also across engines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub seq: u64,
    pub at: Moment,
    #[serde(flatten)]
    pub what: Happening,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// What everything after it goes on from.
    Snapshot(Box<Snapshot>),
    /// The pod has another spec from here on. [`Observation::SpecChanged`], which may follow later, is what the plan
    /// makes of it.
    Changed(Box<Pod>),
    Observed(Observation),
    Issued(Action),
    /// All decisions of a plan that decided otherwise than the plan before it.
    Decided(Vec<Decision>),
    /// The last plan of a turn in which something happened: it had nothing more to do, and decided as the one before.
    Settled,
}

/// All that a plan is made from, but the time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    pub occasion: Occasion,
    pub pod: Pod,
    pub observed: Observed,
    /// What was decided last: the same is not noted again.
    pub decisions: Vec<Decision>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// An engine begins with the pod, or goes on with it from what the one before has left on disk. It may follow from
    /// more than the entries before it: a crash loses the last ones, and a reboot moves all times.
    Engine,
    /// The journal goes on in another file. This is what the entries before have led to.
    Generation,
    /// Entries before this could not be written.
    Gap,
}

/// Of a probe its outcome is told, when it says something.
#[must_use]
pub fn is_left_out(action: &Action) -> bool {
    matches!(action, Action::RunProbe { .. })
}

/// Another success of a probe that succeeds: a pod that is well writes nothing. One that ends a row of failures that was
/// too short does count: the next row begins anew.
#[must_use]
pub fn says_nothing_new(observed: &Observed, observation: &Observation) -> bool {
    let Observation::ProbeFinished { container, attempt, probe, outcome: ProbeOutcome::Success } =
        observation
    else {
        return false;
    };
    let current = observed.containers.get(container).and_then(|c| c.current.as_ref());
    current.filter(|a| a.number == *attempt).map(|a| a.probe(*probe)).is_some_and(|state| {
        state.verdict == ProbeVerdict::Success && (state.failures, state.errors) == (0, 0)
    })
}
