//! Bringing what an earlier engine wrote down up to date with what the shim knows.

use podspec::{ContainerName, Moment, PodSpec};

use crate::fold::killed;
use crate::observed::{
    Attempt, AttemptState, ContainerObserved, ContainerRecord, ExitReason, Observed, SandboxSnapshot,
    SandboxState,
};

impl Observed {
    /// The shim's records are the truth about processes; the checkpoint about everything else.
    pub(crate) fn adopt(&mut self, spec: &PodSpec, snapshot: &SandboxSnapshot, at: Moment) {
        self.forget_in_flight(at);
        let since = match self.sandbox {
            SandboxState::Ready { since, .. } => since,
            _ => at,
        };
        self.sandbox = SandboxState::Ready { attempt: snapshot.attempt, since, ips: snapshot.ips.clone() };
        let mut records: Vec<&ContainerRecord> = snapshot.containers.iter().collect();
        // In the order in which an engine would have learned of them: one end may be due to another.
        records.sort_by_key(|record| record.exit.as_ref().map(|exit| exit.finished.boot));
        for record in records {
            self.count_start(spec, &record.name, record.attempt, at);
            self.adopt_record(record, snapshot.attempt);
            if let Some(exit) = &record.exit {
                self.exited(spec, &record.name, record.attempt, exit, at);
            }
        }
        let known = |name: &ContainerName, number: u32| {
            snapshot.containers.iter().any(|r| r.name == *name && r.attempt == number)
        };
        for (name, container) in &mut self.containers {
            container.forget_unknown(|number| known(name, number), at);
        }
    }

    fn adopt_record(&mut self, record: &ContainerRecord, sandbox: u32) {
        let run = self.run;
        let container = self.containers.entry(record.name.clone()).or_default();
        let newest = container.current.as_ref().map(|a| a.number);
        if newest.is_none_or(|number| number < record.attempt) {
            let attempt = Attempt::starting(record.attempt, run, sandbox, "");
            container.previous = container.current.replace(Box::new(attempt));
        }
        self.update(&record.name, record.attempt, |attempt| {
            if attempt.alive() {
                record.id.clone_into(&mut attempt.id);
                attempt.user.clone_from(&record.user);
                attempt.state = AttemptState::Running { since: record.started };
                // What was issued may never have been sent.
                attempt.stop_signal_sent = record.stop_signal_sent;
                attempt.kill_sent = record.kill_sent;
            }
        });
    }
}

impl ContainerObserved {
    /// An attempt the shim never heard of was not started; one it no longer knows is dead.
    fn forget_unknown(&mut self, known: impl Fn(u32) -> bool, at: Moment) {
        let Some(attempt) = self.current.as_mut().filter(|a| a.alive() && !known(a.number)) else { return };
        if attempt.state == AttemptState::Starting {
            self.roll_back();
        } else {
            let mut exit = killed(attempt, "The container could not be located when the pod was adopted", at);
            exit.reason = ExitReason::ContainerStatusUnknown;
            attempt.state = AttemptState::Exited(exit);
        }
    }
}
