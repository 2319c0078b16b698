//! The loop of one pod: take in what happened, plan, carry it out.
//!
//! A worker wakes for two things alone: something in its inbox, or the time its last plan named. It
//! then takes in *all* that is there and plans until the plan has nothing more to do.
//!
//! # What a crash loses
//!
//! After each plan, in this order: the checkpoint is written, effects begin, the journal is appended,
//! the status is published. The engine may be killed between any two of these, and within an effect:
//!
//! * before the checkpoint: the observations of this turn are lost. What a shim saw is in the shim's
//!   records; the outcome of an effect is asked for again, because the last checkpoint still has the
//!   action as issued, and `Accepted` from a new engine makes every issued action due again.
//! * after the checkpoint, before or within an effect: the action counts as issued, and becomes due
//!   again the same way. Containers and sandboxes are the exception, for starting one twice would harm:
//!   for these the shim's records (`Adopted`) or the loss of the shim (`SandboxLost`) say what
//!   happened. Everything else is safe to do twice: ports are idempotent, hooks run at least once.
//! * before the journal: its last lines are missing. Nothing is decided from it.
//!
//! Nothing is synced to the disk: after a power loss no process is left whose state could differ from it.

use std::sync::Arc;
use std::time::Duration;

use lifecycle::{Action, Decision, Observation, Observed, Plan};
use podspec::Moment;
use ports::{Clock, PodContext};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, trace_span};

use crate::apply::Effects;
use crate::checkpoint::Saved;
use crate::status::PodView;
use crate::{Node, checkpoint, start};
use journal::{Entry, Happening, Journal, Occasion, Snapshot};

/// Plans made in a row without a new observation. `plan` converges in two or three; a plan that does
/// not is a defect, and must not keep a processor busy.
const PLANS_IN_A_ROW_MAX: u32 = 32;
/// After that many plans the pod waits this long for its defect to be over.
const DEFECT_PAUSE: Duration = Duration::from_secs(10);
/// Timers stand still while the machine sleeps and the boot clock does not: one that is far away is
/// looked at again this often.
const TIMER_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Worker<N: Node> {
    /// As it was when this turn began.
    pod: Arc<PodContext>,
    effects: Arc<Effects<N>>,
    /// Effects under way; they end with the worker.
    running: JoinSet<()>,
    observed: Observed,
    /// What the checkpoint on disk says.
    saved: Saved,
    disk_failing: bool,
    decisions: Vec<Decision>,
    journal: Journal,
    /// The journal has the snapshot that this worker began with.
    begun: bool,
    last_seq: u64,
    entries: broadcast::Sender<Arc<Entry>>,
    view: watch::Sender<Option<PodView>>,
}

impl<N: Node> Worker<N> {
    pub(crate) fn new(
        effects: Arc<Effects<N>>,
        observed: Observed,
        (journal, past): (Journal, &[Entry]),
        entries: broadcast::Sender<Arc<Entry>>,
        view: watch::Sender<Option<PodView>>,
    ) -> Self {
        let decisions = past.iter().rev().find_map(|entry| match &entry.what {
            Happening::Decided(decisions) => Some(decisions.clone()),
            Happening::Snapshot(snapshot) => Some(snapshot.decisions.clone()),
            _ => None,
        });
        Self {
            pod: effects.pod(),
            effects,
            running: JoinSet::new(),
            observed,
            saved: Saved::default(),
            disk_failing: false,
            decisions: decisions.unwrap_or_default(),
            journal,
            begun: false,
            last_seq: past.last().map_or(0, |entry| entry.seq),
            entries,
            view,
        }
    }

    /// Runs until the worker's task is aborted. A pod at rest costs nothing: no timer, no event.
    pub(crate) async fn run(mut self) {
        let mut wake_after = None;
        loop {
            let happened = self.next_observations(wake_after).await;
            while self.running.try_join_next().is_some() {}
            wake_after = self.turn(happened);
        }
    }

    async fn next_observations(&self, wake_after: Option<Duration>) -> Vec<(Observation, Moment)> {
        let Some(wake_after) = wake_after else { return self.effects.inbox.take().await };
        tokio::select! {
            happened = self.effects.inbox.take() => happened,
            () = tokio::time::sleep(wake_after.min(TIMER_MAX)) => Vec::new(),
        }
    }

    /// Takes in what happened and does what is to be done about it. Returns when to look again.
    fn turn(&mut self, happened: Vec<(Observation, Moment)>) -> Option<Duration> {
        let _turn = trace_span!(target: "start", "turn", pod = self.pod.pod.uid.as_str()).entered();
        let mut happenings = Vec::with_capacity(happened.len());
        let before = std::mem::replace(&mut self.pod, self.effects.pod());
        let inputs = self.changed_inputs(&before);
        if let Some(inputs) = inputs {
            let at = happened.first().map_or_else(|| self.effects.node.clock().now(), |(_, at)| *at);
            happenings.push((at, inputs));
        }
        for (observation, at) in happened {
            let known = journal::says_nothing_new(&self.observed, &observation);
            self.observed.observe(&self.pod.pod.spec, &observation, at);
            if !known {
                happenings.push((at, Happening::Observed(observation)));
            }
        }
        let (plan, actions, now) =
            trace_span!(target: "start", "plan").in_scope(|| self.settle(&mut happenings));
        let others = self.observed.keep_conditions(&plan.status, now);
        // What is left out of the journal changes nothing that is on record.
        if others || !happenings.is_empty() || self.disk_failing {
            trace_span!(target: "start", "checkpoint").in_scope(|| self.save_checkpoint());
        } else {
            debug_assert!(self.saved.is_of(&self.observed), "the checkpoint is another than that on disk");
        }
        for action in actions {
            let (effects, span) = (Arc::clone(&self.effects), start::span_of(&action, &self.pod.pod));
            self.running.spawn(async move { effects.apply(action).await }.instrument(span));
        }
        trace_span!(target: "start", "journal").in_scope(|| self.record(happenings, now));
        self.publish(&plan);
        plan.wake_after
    }

    /// What the plan is made from beside what is observed, where it is another than before this turn.
    fn changed_inputs(&mut self, before: &Arc<PodContext>) -> Option<Happening> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(self.snapshot(Occasion::Engine));
        }
        let same = Arc::ptr_eq(before, &self.pod) || before.pod.spec == self.pod.pod.spec;
        (!same).then(|| Happening::Changed(Box::new(self.pod.pod.clone())))
    }

    fn snapshot(&self, occasion: Occasion) -> Happening {
        let (pod, observed) = (self.pod.pod.clone(), self.observed.as_recorded());
        Happening::Snapshot(Box::new(Snapshot { occasion, pod, observed, decisions: self.decisions.clone() }))
    }

    /// Plans until there is nothing to do, and returns the last plan and its time, with the actions of all of them.
    fn settle(&mut self, happenings: &mut Vec<(Moment, Happening)>) -> (Plan, Vec<Action>, Moment) {
        let mut actions = Vec::new();
        let mut plans = 0;
        loop {
            let now = self.effects.node.clock().now();
            let mut plan = lifecycle::plan(&self.pod.pod.spec, &self.observed, now);
            plans += 1;
            if plan.decisions != self.decisions {
                self.decisions.clone_from(&plan.decisions);
                happenings.push((now, Happening::Decided(plan.decisions.clone())));
            }
            if plan.actions.is_empty() {
                if !happenings.is_empty() {
                    happenings.push((now, Happening::Settled));
                }
                return (plan, actions, now);
            }
            if plans == PLANS_IN_A_ROW_MAX {
                tracing::error!(pod = %self.pod.pod.name, "the plan does not settle: {:?}", plan.actions);
                plan.wake_after = Some(DEFECT_PAUSE);
                return (plan, actions, now);
            }
            for action in std::mem::take(&mut plan.actions) {
                self.observed.issue(&self.pod.pod.spec, &action, now);
                if !journal::is_left_out(&action) {
                    happenings.push((now, Happening::Issued(action.clone())));
                }
                actions.push(action);
            }
        }
    }

    /// A disk that fails must not keep a pod from being stopped: the pod goes on without.
    fn save_checkpoint(&mut self) {
        match checkpoint::save_observed(&self.pod.pod_dir, &self.observed, &mut self.saved) {
            Ok(is_written) => self.disk_failing &= !is_written,
            Err(error) => self.disk_failed(&error),
        }
    }

    fn record(&mut self, happenings: Vec<(Moment, Happening)>, now: Moment) {
        if happenings.is_empty() {
            return;
        }
        self.append(happenings);
        if let Some(occasion) = self.journal.snapshot_due() {
            self.append(vec![(now, self.snapshot(occasion))]);
        }
    }

    fn append(&mut self, happenings: Vec<(Moment, Happening)>) {
        let (entries, written) = self.journal.append(happenings);
        if let Err(error) = written {
            self.disk_failed(&error);
        }
        for entry in entries {
            self.last_seq = entry.seq;
            // An error says that nobody watches.
            let _ = self.entries.send(Arc::new(entry));
        }
    }

    fn publish(&mut self, plan: &Plan) {
        let view = PodView {
            pod: Arc::clone(&self.pod),
            status: plan.status.clone(),
            conditions: self.observed.conditions.clone(),
            deleting: self.observed.deletion.is_some(),
            at_rest: plan.at_rest,
            seq: self.last_seq,
        };
        self.view.send_if_modified(|held| {
            let changed = held.as_ref() != Some(&view);
            *held = Some(view);
            changed
        });
    }

    /// Said once, until it works again.
    fn disk_failed(&mut self, error: &(dyn std::error::Error + 'static)) {
        if !std::mem::replace(&mut self.disk_failing, true) {
            let error = ports::PortError::chain(error);
            tracing::error!(pod = %self.pod.pod.name, "the pod goes on, but would not survive the engine: {error}");
        }
    }
}
