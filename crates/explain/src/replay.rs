//! Deciding again what was decided: whether this version says the same of what is on record.
//!
//! A record is played from its oldest snapshot on. At each moment at which something was decided or issued, or at which there was
//! nothing more to do, [`lifecycle::plan`] is asked again, with the same pod, the same `Observed` and the same time. Where a
//! journal goes on in another file, what was folded must be what it goes on from.

mod difference;
mod words;

use journal::{Entry, Happening, Occasion, Record, Snapshot};
use lifecycle::{Action, Decision, Observed, Plan, plan};
use podspec::{Moment, PodSpec};
use serde::Serialize;

pub use difference::Difference;
pub use words::words;

use crate::redact;

/// What came of playing a record.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Entries that were played.
    pub entries: usize,
    /// The first of them, and the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// Plans that were made anew, and what they decided and issued as it is on record.
    pub plans: usize,
    pub decisions: usize,
    pub actions: usize,
    /// Entries that follow from what is not on record: those before the oldest snapshot, and those between a gap and the
    /// snapshot after it.
    pub left_out: usize,
    /// The first one; nothing after it is played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// Plays all of a record.
#[must_use]
pub fn replay(record: &Record) -> Replayed {
    replay_until(record, u64::MAX)
}

/// Plays a record up to the entry with this number.
#[must_use]
pub fn replay_until(record: &Record, until: u64) -> Replayed {
    let within = record.entries.iter().take_while(|entry| entry.seq <= until).count();
    let mut replay = Replay { said: Replayed::default(), state: None };
    let mut rest = &record.entries[..within];
    while let [entry, ..] = rest {
        match replay.step(entry, rest) {
            Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
            Err(difference) => {
                replay.said.difference = Some(*difference);
                break;
            }
        }
    }
    replay.said
}

struct Replay<'r> {
    said: Replayed,
    state: Option<State<'r>>,
}

/// What the next plan is made from.
struct State<'r> {
    spec: &'r PodSpec,
    observed: Observed,
    decisions: Vec<Decision>,
    seq: u64,
}

impl<'r> Replay<'r> {
    /// Plays the first of `rest`, with those that come of the same plan, and says how many that were.
    fn step(&mut self, entry: &'r Entry, rest: &'r [Entry]) -> Result<usize, Box<Difference>> {
        if self.state.as_ref().is_some_and(|state| state.seq.checked_add(1) != Some(entry.seq)) {
            self.state = None;
        }
        let taken = match (&entry.what, &mut self.state) {
            (Happening::Snapshot(snapshot), state) => {
                if let Some(state) = state.as_ref().filter(|_| snapshot.occasion == Occasion::Generation) {
                    follows(entry, state, snapshot)?;
                }
                *state = Some(State {
                    spec: &snapshot.pod.spec,
                    observed: snapshot.observed.clone(),
                    decisions: snapshot.decisions.clone(),
                    seq: entry.seq,
                });
                1
            }
            (_, None) => {
                self.said.left_out += 1;
                return Ok(1);
            }
            (Happening::Changed(pod), Some(state)) => {
                state.spec = &pod.spec;
                1
            }
            (Happening::Observed(observation), Some(state)) => {
                state.observed.observe(state.spec, observation, entry.at);
                1
            }
            (Happening::Issued(_) | Happening::Decided(_) | Happening::Settled, Some(state)) => {
                state.decide(rest, &mut self.said)?
            }
        };
        let last = &rest[taken - 1];
        if let Some(state) = &mut self.state {
            state.seq = last.seq;
        }
        self.said.entries += taken;
        self.said.first.get_or_insert(entry.seq);
        self.said.last = Some(last.seq);
        Ok(taken)
    }
}

impl State<'_> {
    /// Plans as it was planned for the first of these entries, and compares them with what the plan says.
    fn decide(&mut self, recorded: &[Entry], said: &mut Replayed) -> Result<usize, Box<Difference>> {
        let [first, ..] = recorded else { return Ok(1) };
        let now = first.at;
        let plan = plan(self.spec, &self.observed, now);
        let expected = self.expected(&plan);
        said.plans += 1;
        if expected.is_empty() {
            if first.what != Happening::Settled {
                return Err(Difference::of_plan(self.facts(), recorded, &expected, now));
            }
            self.observed.keep_conditions(&plan.status, now);
            return Ok(1);
        }
        // The record may have been made while the plan was being noted: its end decides nothing.
        let there = expected.len().min(recorded.len());
        for (index, expected_one) in expected[..there].iter().enumerate() {
            let entry = &recorded[index];
            let in_order = entry.seq == first.seq.saturating_add(index as u64);
            if !in_order {
                // Some of it is missing: what follows is left out until the next snapshot.
                return Ok(index.max(1));
            }
            if entry.what != *expected_one || entry.at != now {
                return Err(Difference::of_plan(self.facts(), recorded, &expected, now));
            }
        }
        for happening in &expected[..there] {
            match happening {
                Happening::Decided(_) => said.decisions += 1,
                Happening::Issued(action) => {
                    said.actions += 1;
                    self.observed.issue(self.spec, action, now);
                }
                _ => {}
            }
        }
        self.decisions = plan.decisions;
        Ok(there)
    }

    /// What is noted of a plan.
    fn expected(&self, plan: &Plan) -> Vec<Happening> {
        let decided = (plan.decisions != self.decisions).then(|| Happening::Decided(plan.decisions.clone()));
        let noted = |action: &&Action| !journal::is_left_out(action);
        let issued = plan.actions.iter().filter(noted).cloned().map(Happening::Issued);
        decided.into_iter().chain(issued).collect()
    }

    fn facts(&self) -> (&Observed, u64) {
        (&self.observed, self.seq)
    }
}

/// Whether a snapshot is what the entries before have led to. Texts are no part of it, for they may have been left out.
fn follows(entry: &Entry, state: &State<'_>, snapshot: &Snapshot) -> Result<(), Box<Difference>> {
    let plain = |observed: &Observed| {
        let mut observed = observed.as_recorded();
        redact::observed(&mut observed);
        observed
    };
    let (recorded, folded) = (plain(&snapshot.observed), plain(&state.observed));
    if recorded == folded && snapshot.decisions == state.decisions && snapshot.pod.spec == *state.spec {
        return Ok(());
    }
    Err(Difference::of_state(entry, (&recorded, &snapshot.decisions), (&folded, &state.decisions)))
}

/// Of whatever is shown of a moment: the clock that counts begins anew with each boot.
fn since(start: Moment, at: Moment) -> std::time::Duration {
    at.boot.since(start.boot)
}
