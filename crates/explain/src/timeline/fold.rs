//! The entries of a record, one after the other, into lanes.

use journal::{Entry, Happening, Record, Snapshot};
use lifecycle::{Decision, Observation, Verdict, Wait};
use podspec::{ContainerName, Moment};

use super::Timeline;
use super::clock::{moved, shifts};
use super::container::{ContainerFold, Surroundings, earlier, object, subject};
use super::pod::PodFold;

/// What happened to a pod, from all that is known of it.
#[must_use]
pub fn of(record: &Record) -> Timeline {
    let Record { pod, observed, entries, now, .. } = record;
    let cut = entries.first().is_none_or(|first| first.seq != 1);
    let shifts = shifts(entries, *now);
    let times: Vec<Moment> =
        entries.iter().zip(&shifts).map(|(entry, shift)| earlier(moved(entry.at, *shift), *now)).collect();
    let begin =
        times.iter().copied().reduce(earlier).or(observed.accepted).map_or(*now, |at| earlier(at, *now));
    let mut fold = Fold {
        begin,
        pod: PodFold::new(&pod.spec.readiness_gates, cut),
        containers: pod.spec.all_containers().map(|container| ContainerFold::new(container, cut)).collect(),
        decisions: &[],
    };
    if cut && !entries.first().is_some_and(|first| matches!(first.what, Happening::Snapshot(_))) {
        fold.pod.catch_up(observed, begin);
    }
    for ((entry, at), shift) in entries.iter().zip(&times).zip(&shifts) {
        fold.entry(entry, *at, *shift);
    }
    let at_rest = lifecycle::plan(&pod.spec, observed, *now).at_rest;
    let end = if at_rest { times.last().copied().unwrap_or(*now) } else { *now };
    for container in &mut fold.containers {
        container.catch_up(observed, end, 0, begin);
    }
    let mut lanes = vec![fold.pod.finish(end)];
    lanes.extend(fold.containers.into_iter().map(|container| container.finish(end)));
    Timeline {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        begin,
        end,
        cut,
        at_rest,
        lanes,
    }
}

struct Fold<'a> {
    begin: Moment,
    pod: PodFold,
    containers: Vec<ContainerFold>,
    /// The newest.
    decisions: &'a [Decision],
}

impl<'a> Fold<'a> {
    fn entry(&mut self, entry: &'a Entry, at: Moment, shift: i64) {
        let provisional = match &entry.what {
            Happening::Observed(observation) => {
                self.observed(observation, at, shift);
                true
            }
            Happening::Issued(action) => {
                self.pod.issued(action);
                if let Some(container) = object(action).and_then(|name| self.container(name)) {
                    container.issued(action, at);
                }
                false
            }
            Happening::Decided(decisions) => {
                self.decisions = decisions;
                self.pod.decided(decisions, at);
                false
            }
            Happening::Snapshot(snapshot) => {
                self.snapshot(snapshot, at, shift);
                false
            }
            // The pod that is shown is the newest.
            Happening::Changed(_) => return,
            Happening::Settled => false,
        };
        self.show(at, provisional);
    }

    /// What no entry has told of, since it is not kept or was never written.
    fn snapshot(&mut self, snapshot: &'a Snapshot, at: Moment, shift: i64) {
        let begin = self.begin;
        self.decisions = &snapshot.decisions;
        self.pod.catch_up(&snapshot.observed, begin);
        self.pod.decided(&snapshot.decisions, at);
        for container in &mut self.containers {
            container.catch_up(&snapshot.observed, at, shift, begin);
        }
    }

    fn observed(&mut self, observation: &Observation, at: Moment, shift: i64) {
        self.pod.observed(observation, at);
        let begin = self.begin;
        if let Some(container) = subject(observation).and_then(|name| self.container(name)) {
            container.observed(observation, at, shift, begin);
        }
        match observation {
            Observation::SandboxLost { .. } => {
                for container in &mut self.containers {
                    container.died(at, "the pod sandbox ended");
                }
            }
            Observation::Adopted(snapshot) => {
                for container in &mut self.containers {
                    container.adopted(snapshot, at, shift, begin);
                }
            }
            _ => {}
        }
    }

    fn show(&mut self, at: Moment, provisional: bool) {
        let turn = self.pod.turn().map(str::to_owned).or_else(|| self.frontier());
        let around =
            Surroundings { decisions: self.decisions, turn: turn.as_deref(), pod_stops: self.pod.stops() };
        for container in &mut self.containers {
            container.show(around, at, provisional);
        }
        let ready = self.containers.iter().all(ContainerFold::lets_pod_be_ready);
        self.pod.show(at, ready, provisional);
    }

    /// The plan speaks only of the init container that is next.
    fn frontier(&self) -> Option<String> {
        let of_init = |decision: &&Decision| {
            let init = self.containers.iter().filter(|container| container.is_init());
            decision.container.as_ref().is_some_and(|name| init.into_iter().any(|c| c.is(name)))
        };
        let mut decisions = self.decisions.iter().filter(of_init);
        let next = decisions.rfind(|decision| match &decision.verdict {
            Verdict::Start | Verdict::Restart { .. } | Verdict::Wait(Wait::InitContainer { .. }) => true,
            Verdict::Wait(wait) => {
                !matches!(wait, Wait::ReadinessProbe | Wait::Resize | Wait::ResizeRetry { .. })
            }
            _ => false,
        })?;
        next.container.as_ref().map(|name| format!("for init container {name}"))
    }

    fn container(&mut self, name: &ContainerName) -> Option<&mut ContainerFold> {
        self.containers.iter_mut().find(|container| container.is(name))
    }
}
