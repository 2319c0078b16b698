//! What a worker would write of every scenario and of random pods, with crashes and changes, is decided again the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use explain::redact::{self, Keep};
use explain::replay::{Replayed, replay};
use journal::{Entry, Happening, Occasion, Record, Snapshot};
use lifecycle::{Action, Decision, Observation, Observed, Plan, plan};
use podspec::{Moment, Pod, PodSpec, PodUid};
use sim::{CrashPoint, Scenario, random};
use simulation::{Engine, Settled, World, moment};

const STEPS_MAX: u64 = 100_000;
const SEEDS: u64 = 1_000;
/// Small, so that most pods have several generations.
const GENERATION: usize = 30;

/// Writes down what a kubelet's worker writes down, and loses what that loses when it dies.
struct Chronicle<'s> {
    scenario: &'s Scenario,
    spec: &'s PodSpec,
    observed: Observed,
    decisions: Vec<Decision>,
    entries: Vec<Entry>,
    begun: bool,
    since_snapshot: usize,
    /// As it was before this turn.
    written: (Observed, usize),
    observations: usize,
    observed_before: usize,
    actions: usize,
    crashes: usize,
}

impl<'s> Chronicle<'s> {
    fn new(scenario: &'s Scenario) -> Self {
        Self {
            scenario,
            spec: &scenario.spec,
            observed: Observed::default(),
            decisions: Vec::new(),
            entries: Vec::new(),
            begun: false,
            since_snapshot: 0,
            written: (Observed::default(), 0),
            observations: 0,
            observed_before: 0,
            actions: 0,
            crashes: 0,
        }
    }

    fn pod(&self) -> Pod {
        Pod {
            namespace: "default".to_owned(),
            name: "pod".to_owned(),
            uid: PodUid::new("uid"),
            generation: 1,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec: self.spec.clone(),
        }
    }

    fn note(&mut self, at: Moment, what: Happening) {
        let seq = self.entries.last().map_or(1, |entry| entry.seq + 1);
        self.since_snapshot += 1;
        self.entries.push(Entry { seq, at, what });
    }

    fn snapshot(&mut self, now: Duration, occasion: Occasion) {
        let (pod, observed) = (self.pod(), self.observed.as_recorded());
        let decisions = self.decisions.clone();
        self.note(
            moment(now),
            Happening::Snapshot(Box::new(Snapshot { occasion, pod, observed, decisions })),
        );
        self.since_snapshot = 0;
    }

    fn begin(&mut self, now: Duration) {
        if !std::mem::replace(&mut self.begun, true) {
            self.snapshot(now, Occasion::Engine);
        }
    }

    fn decide(&mut self, now: Duration) -> Plan {
        let plan = plan(self.spec, &self.observed, moment(now));
        if plan.decisions != self.decisions {
            self.decisions.clone_from(&plan.decisions);
            self.note(moment(now), Happening::Decided(plan.decisions.clone()));
        }
        plan
    }

    fn crash_at(&self, point: CrashPoint) -> Option<Duration> {
        self.scenario.crashes.iter().find(|crash| crash.point == point).map(|crash| crash.down)
    }

    fn record(&self) -> Record {
        let (pod, observed, entries) = (self.pod(), self.observed.as_recorded(), self.entries.clone());
        Record { pod, observed, entries, now: Moment::default(), live: None, logs: BTreeMap::new() }
    }
}

impl Engine for Chronicle<'_> {
    fn spec(&self) -> &PodSpec {
        self.spec
    }

    fn observed(&self) -> &Observed {
        &self.observed
    }

    fn change_spec(&mut self, which: usize) {
        self.spec = &self.scenario.changes[which];
        let pod = self.pod();
        self.note(Moment::default(), Happening::Changed(Box::new(pod)));
    }

    fn begin_turn(&mut self, now: Duration) {
        self.written = (self.observed.clone(), self.entries.len());
        self.observed_before = self.observations;
        self.begin(now);
    }

    fn observe(&mut self, now: Duration, observation: &Observation) {
        // It may have been killed and be back within one turn.
        self.begin(now);
        self.observations += 1;
        let known = journal::says_nothing_new(&self.observed, observation);
        self.observed.observe(self.spec, observation, moment(now));
        if !known {
            self.note(moment(now), Happening::Observed(observation.clone()));
        }
    }

    fn plan(&mut self, now: Duration) -> Vec<Action> {
        self.decide(now).actions
    }

    fn issue(&mut self, now: Duration, action: &Action) {
        self.observed.issue(self.spec, action, moment(now));
        if !journal::is_left_out(action) {
            self.note(moment(now), Happening::Issued(action.clone()));
        }
    }

    fn settle(&mut self, now: Duration) -> Settled {
        let plan = self.decide(now);
        assert_eq!(plan.actions, []);
        self.observed.keep_conditions(&plan.status, moment(now));
        if self.entries.len() > self.written.1 {
            self.note(moment(now), Happening::Settled);
        }
        if self.since_snapshot >= GENERATION {
            self.snapshot(now, Occasion::Generation);
        }
        Settled { wake: plan.wake_after.map(|after| now + after), at_rest: plan.at_rest }
    }

    fn dies_unwritten(&mut self) -> Option<Duration> {
        let mut taken_in = self.observed_before + 1..=self.observations;
        let down = taken_in.find_map(|n| self.crash_at(CrashPoint::Observation(n)))?;
        self.observed = self.written.0.clone();
        Some(down)
    }

    fn dies_after(&mut self, _action: &Action) -> Option<Duration> {
        self.actions += 1;
        self.crash_at(CrashPoint::Action(self.actions))
    }

    /// The checkpoint is written before the journal.
    fn killed(&mut self, _now: Duration) {
        self.crashes += 1;
        self.entries.truncate(self.written.1);
        let text = serde_json::to_vec(&self.observed).expect("plain data");
        self.observed = serde_json::from_slice(&text).expect("what was written can be read");
        let last = self.entries.iter().rev().find_map(|entry| match &entry.what {
            Happening::Decided(decisions) => Some(decisions.clone()),
            Happening::Snapshot(snapshot) => Some(snapshot.decisions.clone()),
            _ => None,
        });
        (self.decisions, self.begun) = (last.unwrap_or_default(), false);
    }
}

/// Plays a scenario, and what was written of it again.
fn replayed(scenario: &Scenario, what: &str) -> (Replayed, usize) {
    let mut world = World::new(&scenario.script, Chronicle::new(scenario));
    world.play(STEPS_MAX);
    let chronicle = world.into_engine();
    let mut record = chronicle.record();
    let text = serde_json::to_vec(&record).expect("plain data");
    assert_eq!(serde_json::from_slice::<Record>(&text).expect("it can be read"), record, "{what}");
    let replayed = replay(&record);
    assert_eq!(replayed.difference, None, "{what}");
    assert_eq!((replayed.entries, replayed.left_out), (record.entries.len(), 0), "{what}");
    redact::record(&mut record, Keep::default());
    assert_eq!(replay(&record), replayed, "{what}, redacted");
    (replayed, chronicle.crashes)
}

#[test]
fn scenarios_are_decided_again_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut played = 0;
    for file in fs::read_dir(folder).expect("the scenarios folder").flatten() {
        let text = fs::read_to_string(file.path()).expect("a scenario");
        let script = text.split_once("---\n").map_or(text.as_str(), |(script, _)| script);
        let scenario = Scenario::parse(script).expect("a scenario");
        replayed(&scenario, &file.path().display().to_string());
        played += 1;
    }
    assert!(played > 50, "{played} scenarios");
}

#[test]
fn random_pods_are_decided_again_the_same() {
    let (mut decisions, mut crashes) = (0, 0);
    for seed in 0..SEEDS {
        let scenario = Scenario::parse(&random::scenario(seed)).expect("it is written to be read");
        let (replayed, died) = replayed(&scenario, &format!("seed {seed}"));
        decisions += replayed.decisions;
        crashes += died;
    }
    assert!(decisions > 10_000 && crashes > 200, "{decisions} decisions, {crashes} crashes");
}
