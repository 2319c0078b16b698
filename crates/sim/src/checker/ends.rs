//! What ends, and what a new engine finds.

use std::time::Duration;

use lifecycle::{ContainerRecord, Exit, ExitReason, SandboxSnapshot};
use podspec::{BootTime, ContainerName, Moment, RestartRuleAction};

use super::{Checker, Part, process};

impl Checker<'_> {
    pub(super) fn exited(&mut self, name: &ContainerName, exit: &Exit, at: Duration) {
        if !self.processes[name].alive() {
            return;
        }
        self.count_restart(name, at);
        // Whoever is stopped because all are restarted has failed, however it ends.
        let stopped = self.restarting_all && self.processes[name].signalled.is_some();
        let exit = Exit { code: if stopped { 137 } else { exit.code }, ..exit.clone() };
        let finished = moment(exit.finished);
        let (run, sandbox) = (self.run, self.sandbox_attempt);
        self.with(name, |process, spec| process.exited(spec, &exit, finished, run, sandbox));
        let asks =
            process::rule(self.container(name), exit.code) == Some(RestartRuleAction::RestartAllContainers);
        if asks && self.stop.is_none() && !self.restarting_all {
            (self.restarting_all, self.restart_asked) = (true, finished);
            self.retries.restart_of_all_asked(finished);
        }
    }

    pub(super) fn sandbox_lost(&mut self, at: Duration) {
        self.sandbox =
            if self.sandbox == Part::Coming && self.stop.is_some() { Part::Gone } else { Part::Lost };
        self.retries.sandbox_lost(at);
        let names: Vec<ContainerName> = self.processes.keys().cloned().collect();
        for name in names {
            self.with(&name, |process, _| process.roll_back());
            self.exited(&name, &killed(at), at);
        }
    }

    pub(super) fn adopted(&mut self, at: Duration, snapshot: &SandboxSnapshot) {
        self.sandbox = Part::Ready;
        let mut records = snapshot.containers.clone();
        records.sort_by_key(|record| record.exit.as_ref().map(|exit| exit.finished.boot));
        for record in &records {
            if self.processes[&record.name].attempt != Some(record.attempt) {
                continue;
            }
            match &record.exit {
                Some(exit) => {
                    self.sent(record);
                    self.exited(&record.name, exit, at);
                    self.look_for_stop(moment(exit.finished));
                }
                None => {
                    self.count_restart(&record.name, at);
                    let since = moment(record.started);
                    self.with(&record.name, |process, spec| process.started(spec, since));
                    self.sent(record);
                }
            }
        }
        let known = |name: &ContainerName, attempt| {
            records.iter().any(|r| r.name == *name && Some(r.attempt) == attempt)
        };
        for (name, process) in &mut self.processes {
            if !known(name, process.attempt) {
                process.roll_back();
            }
        }
    }

    /// What was issued may have died with its engine; the sandbox knows what it sent.
    fn sent(&mut self, record: &ContainerRecord) {
        self.with(&record.name, |process, _| {
            (process.signalled, process.killed) =
                (record.stop_signal_sent.map(boot), record.kill_sent.is_some());
        });
    }
}

fn killed(at: Duration) -> Exit {
    let nanos = i64::try_from(at.as_nanos()).unwrap_or(i64::MAX);
    let finished = Moment { boot: BootTime(nanos), wall: podspec::WallTime(nanos) };
    let (code, reason) = (137, ExitReason::Error);
    Exit { code, signal: Some(9), reason, message: String::new(), started: None, finished }
}

pub(super) fn moment(at: Moment) -> Duration {
    boot(at.boot)
}

fn boot(at: BootTime) -> Duration {
    Duration::from_nanos(u64::try_from(at.0).unwrap_or(0))
}
