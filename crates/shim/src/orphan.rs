//! A bound pod whose engine is gone: this process decides for it until nothing of it is left.
//!
//! It goes on from the engine's checkpoint with the same [`lifecycle::plan`], so that no rule of
//! termination exists twice, and applies the actions that a pod on its way out can need.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use lifecycle::{Action, Observation, Observed};
use linux_sys::remove_tree::{RemoveError, remove_tree_between};
use podspec::{BootTime, Moment, Pod};
use shim_protocol::{
    CHECKPOINT_NAME, OWNER_LOCK_NAME, POD_RECORD_NAME, RecordError, ReplyBody, checkpoint_path, pod_path,
    read_record, write_record,
};

use crate::clock;
use crate::hook::Sleeping;
use crate::note;
use crate::supervisor::Shim;

/// A plan that still has actions after so many rounds does not converge.
const ROUNDS_MAX: usize = 1_000;
/// How long after its grace period a pod may take to be gone before it is taken down by force.
const FORCE_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Orphan {
    observed: Observed,
    inbox: VecDeque<Observation>,
    /// At most two for each container.
    sleeping: Vec<Sleeping>,
    wake_at: Option<BootTime>,
    force_at: BootTime,
}

impl Orphan {
    pub(crate) fn take_in(&mut self, observation: Observation) {
        self.inbox.push_back(observation);
    }

    fn wake(&mut self, now: BootTime) {
        let over = self.sleeping.extract_if(.., |hook| hook.until <= now);
        self.inbox.extend(over.map(|hook| hook.then));
    }

    pub(crate) fn wake_at(&self) -> Option<BootTime> {
        let sleeping = self.sleeping.iter().map(|hook| hook.until);
        sleeping.chain(self.wake_at).chain([self.force_at]).min()
    }
}

impl Shim {
    /// A pod that is being stopped by request goes on to be stopped, and is then removed all the same.
    pub(crate) fn become_orphan(&mut self) {
        if self.orphan.is_some() || self.over {
            return;
        }
        note::warning("the engine of this bound pod is gone: stopping the pod");
        // No other engine may take over a pod that is on its way out.
        self.listener = None;
        self.kill_execs_of_lost_engines();
        // It may have been changed since the sandbox was made.
        match read_record::<Pod>(&pod_path(&self.launch.pod_dir)) {
            Ok(pod) => self.launch.pod = pod,
            Err(error) => note::error("the pod is stopped as it was when its sandbox was made", &error),
        }
        let spec = &self.launch.pod.spec;
        let now = clock::now();
        let mut observed = checkpoint(&checkpoint_path(&self.launch.pod_dir));
        observed.observe(spec, &Observation::Accepted, now);
        observed.observe(spec, &Observation::Adopted(self.snapshot()), now);
        let grace = spec.termination_grace_period;
        if observed.deletion.is_none() {
            observed.observe(spec, &Observation::DeletionRequested { grace }, now);
        }
        let force_at = now.boot.after(grace).after(FORCE_AFTER);
        self.orphan = Some(Box::new(Orphan {
            observed,
            inbox: VecDeque::new(),
            sleeping: Vec::new(),
            wake_at: None,
            force_at,
        }));
    }

    /// Takes in what happened, plans and applies until there is nothing to do but wait.
    pub(crate) fn advance_orphan(&mut self) {
        let Some(mut orphan) = self.orphan.take() else { return };
        let now = clock::now();
        orphan.wake(now.boot);
        let at_rest = self.plan_until_settled(&mut orphan, now);
        let forced = now.boot >= orphan.force_at;
        if forced && self.sandbox.is_some() {
            note::warning("the pod did not end in time: taking it down by force");
            orphan.force_at = now.boot.after(FORCE_AFTER);
            self.orphan = Some(orphan);
            return self.begin_stop(None);
        }
        self.orphan = Some(orphan);
        if at_rest || (forced && self.sandbox.is_none()) {
            self.remove_pod();
        }
    }

    fn plan_until_settled(&mut self, orphan: &mut Orphan, now: Moment) -> bool {
        let spec = self.launch.pod.spec.clone();
        for _ in 0..ROUNDS_MAX {
            while let Some(observation) = orphan.inbox.pop_front() {
                orphan.observed.observe(&spec, &observation, now);
            }
            let plan = lifecycle::plan(&spec, &orphan.observed, now);
            orphan.wake_at = plan.wake_after.map(|after| now.boot.after(after));
            if plan.at_rest || plan.actions.is_empty() {
                return plan.at_rest;
            }
            for action in plan.actions {
                orphan.observed.issue(&spec, &action, now);
                orphan.inbox.extend(self.apply(action, &mut orphan.sleeping));
            }
        }
        note::warning("the plan for the pod's end does not settle");
        false
    }

    /// What an action brings about at once; the rest is observed later.
    fn apply(&mut self, action: Action, sleeping: &mut Vec<Sleeping>) -> Option<Observation> {
        match action {
            Action::RunHook { container, attempt, hook, timeout } => {
                self.run_hook((container, attempt), hook, timeout, sleeping)
            }
            Action::SignalContainer { container, attempt } => {
                note_failure(self.signal(&(container, attempt)));
                None
            }
            Action::KillContainer { container, attempt } => {
                note_failure(self.kill(&(container, attempt)));
                None
            }
            Action::StopSandbox { attempt } if self.sandbox.is_none() => {
                Some(Observation::SandboxStopped { attempt })
            }
            Action::StopSandbox { .. } => {
                self.begin_stop(None);
                None
            }
            Action::RemoveVolumes => {
                remove_tree(&self.launch.pod_dir.join("volumes"));
                Some(Observation::VolumesRemoved)
            }
            // All files of the pod go at its end.
            Action::RemoveContainer { container, attempt } => {
                Some(Observation::ContainerRemoved { container, attempt })
            }
            // Nobody is left who asks whether the pod is ready.
            Action::RunProbe { .. } => None,
            // A deleted pod is not brought up.
            Action::SetUpVolumes
            | Action::CreateSandbox { .. }
            | Action::EnsureImage { .. }
            | Action::StartContainer { .. }
            | Action::ResizeContainer { .. } => {
                note::warning(&format!("the plan for the pod's end asks for {action:?}"));
                None
            }
        }
    }

    /// The pod's directory last: as long as it is there, the rest can be found from it.
    fn remove_pod(&mut self) {
        for dir in [&self.launch.log_dir, &self.launch.run_dir] {
            remove_tree(dir);
        }
        self.keep_explained();
        note_left(&remove_tree_between(&self.launch.pod_dir, POD_RECORD_NAME, OWNER_LOCK_NAME));
        self.over = true;
    }

    /// So that the pod can be explained when it is gone, also its end, which no engine has seen.
    fn keep_explained(&self) {
        let pod_dir = &self.launch.pod_dir;
        if let Some(orphan) = &self.orphan
            && let Err(error) = write_record(&checkpoint_path(pod_dir), &orphan.observed)
        {
            note::error("the end of the pod is not kept", &error);
        }
        let records = [POD_RECORD_NAME, CHECKPOINT_NAME];
        if let Err(error) = journal::keep(pod_dir, records, clock::now().wall) {
            note::error("nothing is kept of the pod", &error);
        }
    }
}

/// Without a readable checkpoint the snapshot of what lives has to do.
fn checkpoint(path: &Path) -> Observed {
    match read_record(path) {
        Ok(observed) => observed,
        Err(RecordError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Observed::default()
        }
        Err(error) => {
            note::error("stopping the pod without what its engine knew", &error);
            Observed::default()
        }
    }
}

fn remove_tree(dir: &Path) {
    note_left(&linux_sys::remove_tree::remove_tree(dir));
}

fn note_left(errors: &[RemoveError]) {
    for error in errors {
        note::error("a removed pod leaves something", error);
    }
}

fn note_failure(reply: ReplyBody) {
    if let ReplyBody::Failed { message } = reply {
        note::warning(&message);
    }
}
