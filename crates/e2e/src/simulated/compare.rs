//! The same events in the same order, where the order says something.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use journal::{Entry, Happening};
use kubelet::events::EventSource;
use lifecycle::{Action, Observation, ProbeOutcome};
use podspec::{BootTime, Pod};

/// Of two things of different containers that are simulated less than this apart, either may be first.
const TOLERANCE: Duration = Duration::from_millis(700);
/// And of two things of the same container.
const TOLERANCE_WITHIN: Duration = Duration::from_millis(250);

const DELETION: &str = "deletion";

/// What happened to a pod, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Story(Vec<Step>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Step {
    /// Since the pod was accepted.
    at: Duration,
    /// Of which container; empty for the pod.
    who: String,
    what: String,
}

impl Story {
    pub(crate) fn of(pod: &Pod, entries: &[Entry]) -> Self {
        let accepted =
            entries.iter().find(|entry| matches!(entry.what, Happening::Observed(Observation::Accepted)));
        let begin = accepted.map_or(BootTime(0), |entry| entry.at.boot);
        let mut events = EventSource::default();
        let mut steps = Vec::new();
        for entry in entries {
            let at = entry.at.boot.since(begin);
            let step = match &entry.what {
                Happening::Observed(observation) => observed(observation),
                Happening::Issued(action) => Some(issued(action)),
                _ => None,
            };
            // Whoever asks for the same deletion again changes nothing.
            let step =
                step.filter(|(_, what)| what != DELETION || steps.iter().all(|s: &Step| s.what != DELETION));
            steps.extend(step.map(|(who, what)| Step { at, who, what }));
            for event in events.events(pod, entry) {
                let who = event.field_path.as_deref().and_then(container_of).unwrap_or_default();
                steps.push(Step { at, who: who.to_owned(), what: format!("event {}", event.reason) });
            }
        }
        Self(steps)
    }

    /// When somebody asked for its deletion.
    pub(crate) fn deleted(&self) -> Option<Duration> {
        self.0.iter().find(|step| step.what == DELETION).map(|step| step.at)
    }

    /// How often each thing happens.
    fn counts(&self) -> BTreeMap<(&str, &str), usize> {
        let mut counts = BTreeMap::new();
        for step in &self.0 {
            *counts.entry((step.who.as_str(), step.what.as_str())).or_default() += 1;
        }
        counts
    }

    pub(crate) fn same_things(&self, other: &Self) -> bool {
        self.counts() == other.counts()
    }

    /// A preStop hook fails where its container ends, and the signal that follows it may come before or after that end: the
    /// kernel ends both, and who reads of it first decides.
    pub(crate) fn hangs_on_who_is_first(&self) -> bool {
        let near =
            |one: &Step, other: &Step| one.who == other.who && one.at.abs_diff(other.at) <= TOLERANCE_WITHIN;
        let is_near = |step: &Step, what: &str| {
            self.0.iter().any(|other| near(step, other) && other.what.contains(what))
        };
        self.0.iter().any(|step| {
            step.what.starts_with("-> signal") && is_near(step, "preStop failed") && is_near(step, " exited ")
        })
    }

    fn lines(&self) -> String {
        let mut text = String::new();
        for Step { at, who, what } in &self.0 {
            let _ = writeln!(text, "{:9.3} {who:10} {what}", at.as_secs_f64());
        }
        text
    }
}

/// `spec.containers{main}`
fn container_of(field_path: &str) -> Option<&str> {
    field_path.split_once('{')?.1.strip_suffix('}')
}

fn observed(observation: &Observation) -> Option<(String, String)> {
    let pod = |what: &str| Some((String::new(), what.to_owned()));
    let of = |container: &podspec::ContainerName, what: String| Some((container.to_string(), what));
    match observation {
        // When the engine tells of itself, and what comes by the way.
        Observation::Accepted
        | Observation::Configured { .. }
        | Observation::ObjectsChanged
        | Observation::GatesChanged { .. }
        | Observation::ImageProgress { .. } => None,
        Observation::DeletionRequested { .. } => pod(DELETION),
        Observation::VolumesReady => pod("volumes ready"),
        Observation::VolumesRemoved => pod("volumes removed"),
        Observation::SandboxCreated { attempt, .. } => pod(&format!("sandbox {attempt} created")),
        Observation::SandboxStopped { attempt } => pod(&format!("sandbox {attempt} stopped")),
        Observation::ImagePulling { container, .. } => of(container, "image pulling".to_owned()),
        Observation::ImageReady { container, .. } => of(container, "image ready".to_owned()),
        Observation::ImageFailed { container, reason, .. } => of(container, format!("image {reason}")),
        Observation::ContainerStarted { container, attempt, .. } => {
            of(container, format!("{attempt} started"))
        }
        Observation::ContainerExited { container, attempt, exit } => {
            of(container, format!("{attempt} exited {} {:?}", exit.code, exit.reason))
        }
        Observation::ContainerRemoved { container, attempt } => of(container, format!("{attempt} removed")),
        Observation::HookFinished { container, attempt, hook, failure } => {
            let how = if failure.is_some() { "failed" } else { "done" };
            of(container, format!("{attempt} {} {how}", hook.name()))
        }
        Observation::ProbeFinished { container, attempt, probe, outcome } => {
            let how = match outcome {
                ProbeOutcome::Success | ProbeOutcome::Warning(_) => "succeeded",
                ProbeOutcome::Failure(_) => "failed",
                ProbeOutcome::Error(_) => "errored",
            };
            of(container, format!("{attempt} {} {how}", probe.name()))
        }
        other => pod(&format!("{other:?}")),
    }
}

fn issued(action: &Action) -> (String, String) {
    let pod = |what: &str| (String::new(), what.to_owned());
    match action {
        Action::SetUpVolumes => pod("-> set up volumes"),
        Action::CreateSandbox { attempt } => pod(&format!("-> create sandbox {attempt}")),
        Action::StopSandbox { attempt } => pod(&format!("-> stop sandbox {attempt}")),
        Action::RemoveVolumes => pod("-> remove volumes"),
        Action::EnsureImage { container, .. } => (container.to_string(), "-> image".to_owned()),
        Action::StartContainer { container, attempt, .. } => {
            (container.to_string(), format!("-> start {attempt}"))
        }
        Action::RunHook { container, attempt, hook, .. } => {
            (container.to_string(), format!("-> {} {attempt}", hook.name()))
        }
        Action::SignalContainer { container, attempt } => {
            (container.to_string(), format!("-> signal {attempt}"))
        }
        Action::KillContainer { container, attempt } => (container.to_string(), format!("-> kill {attempt}")),
        Action::RemoveContainer { container, attempt } => {
            (container.to_string(), format!("-> remove {attempt}"))
        }
        other => pod(&format!("-> {other:?}")),
    }
}

/// What is not the same of a pod that was simulated and run; and both, to see how it came to that.
pub(crate) fn disagreement(simulated: &Story, real: &Story) -> Option<String> {
    let why = counts_differ(simulated, real).or_else(|| order_differs(simulated, real))?;
    Some(format!("{why}\nsimulated:\n{}real:\n{}", simulated.lines(), real.lines()))
}

fn counts_differ(simulated: &Story, real: &Story) -> Option<String> {
    let (expected, found) = (simulated.counts(), real.counts());
    let mut text = String::new();
    for key in expected.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>() {
        let [simulated, real] =
            [&expected, &found].map(|counts| counts.get(key).copied().unwrap_or_default());
        if simulated != real {
            let _ = writeln!(text, "{} {}: {simulated} times simulated, {real} times real", key.0, key.1);
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Both have the same things. What comes first in reality must not be simulated later, by more than is tolerated.
fn order_differs(simulated: &Story, real: &Story) -> Option<String> {
    let mut places: BTreeMap<(&str, &str), Vec<Duration>> = BTreeMap::new();
    for step in simulated.0.iter().rev() {
        places.entry((step.who.as_str(), step.what.as_str())).or_default().push(step.at);
    }
    let mut latest: BTreeMap<&str, (Duration, &Step)> = BTreeMap::new();
    for step in &real.0 {
        let at = places.get_mut(&(step.who.as_str(), step.what.as_str())).and_then(Vec::pop)?;
        for (who, (before, earlier)) in &latest {
            let tolerance = if *who == step.who { TOLERANCE_WITHIN } else { TOLERANCE };
            if *before > at + tolerance {
                return Some(format!(
                    "{} {} came before {} {}; it is simulated {:?} after it\n",
                    earlier.who,
                    earlier.what,
                    step.who,
                    step.what,
                    before.saturating_sub(at)
                ));
            }
        }
        let held = latest.entry(step.who.as_str()).or_insert((at, step));
        if at >= held.0 {
            *held = (at, step);
        }
    }
    None
}
