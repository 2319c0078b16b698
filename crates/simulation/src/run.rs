//! One pod, played to its end under assumptions.

use std::collections::BTreeMap;
use std::time::Duration;

use journal::Record;
use lifecycle::{Phase, PodStatus};
use podspec::{Moment, Pod};

use crate::assumed::{self, Assumed};
use crate::assumption::{Assumptions, UNTIL_MAX};
use crate::engine::moment;
use crate::recorder::Recorder;
use crate::script::{Event, Script};
use crate::warning::{Warning, ends, kills};
use crate::world::{Ended, World};

/// Steps of one simulation. Each takes in an event or a time that has come.
pub const STEPS_MAX: u64 = 200_000;
/// Beyond its grace a stop takes the floor of each container's, and no more.
const STOP_TAKES: Duration = Duration::from_secs(3_600);

/// What will happen to a pod, if all goes as assumed.
#[derive(Clone, PartialEq, Debug)]
pub struct Simulated {
    /// As a kubelet would write it. Time begins at zero on both clocks.
    pub record: Record,
    /// Each status that is another than the one before it, and since when it holds.
    pub statuses: Vec<(Moment, PodStatus)>,
    pub assumed: Vec<Assumed>,
    pub warnings: Vec<Warning>,
    pub ended: Ended,
}

impl Simulated {
    /// The pod is over, and not as it should be, without anybody having stopped it.
    #[must_use]
    pub fn failed(&self) -> bool {
        let deleted = self.deleted();
        let by_itself = |at: &Moment| deleted.is_none_or(|deleted| at.boot < deleted.boot);
        let last = self.statuses.iter().rev().find(|(at, _)| by_itself(at));
        last.is_some_and(|(_, status)| status.phase == Phase::Failed)
    }

    /// When somebody asked for the pod's deletion.
    #[must_use]
    pub fn deleted(&self) -> Option<Moment> {
        self.record.observed.deletion.map(|deletion| deletion.requested)
    }
}

/// Plays a pod that was admitted, from the moment a node takes it. What is assumed of containers that it does not have changes
/// nothing; [`Assumptions::misfits`] finds those.
#[must_use]
pub fn run(pod: &Pod, assumptions: &Assumptions) -> Simulated {
    let (mut script, assumed) = assumed::script(pod, assumptions);
    script.until = script.until.min(UNTIL_MAX);
    script.events.sort_by_key(|(at, _)| *at);
    let mut world = World::new(&script, Recorder::new(pod));
    let (ended, _) = world.play(STEPS_MAX);
    let now = if ended == Ended::Until { script.until } else { world.now() };
    let recorder = world.into_engine();
    let mut warnings = kills(pod, &recorder.entries);
    warnings.extend(ends(pod, &recorder, ended));
    if ended != Ended::AtRest && recorder.observed.deletion.is_none() {
        warnings.extend(kills_when_deleted(pod, &script, now));
    }
    let Recorder { observed, entries, statuses, .. } = recorder;
    let (now, logs) = (moment(now), BTreeMap::new());
    let record = Record { pod: pod.clone(), observed, entries, now, live: None, logs };
    Simulated { record, statuses, assumed, warnings, ended }
}

/// Nobody is said to delete it; but somebody will.
fn kills_when_deleted(pod: &Pod, script: &Script, at: Duration) -> Vec<Warning> {
    let mut script = script.clone();
    // What has just begun goes on for a moment.
    let at = at.saturating_add(Duration::from_secs(1));
    script.events.push((at, Event::Delete { grace: None }));
    script.until = at.saturating_add(pod.spec.termination_grace_period).saturating_add(STOP_TAKES);
    let mut world = World::new(&script, Recorder::new(pod));
    world.play(STEPS_MAX);
    let mut entries = world.into_engine().entries;
    entries.retain(|entry| entry.at.boot >= moment(at).boot);
    let mut warnings = kills(pod, &entries);
    for warning in &mut warnings {
        (warning.at, warning.text) = (None, format!("if it is deleted: {}", warning.text));
    }
    warnings
}
