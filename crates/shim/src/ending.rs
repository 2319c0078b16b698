//! The end of a container: its output is drained, its exit is on disk, and only then is it told.

use std::io;

use linux_sys::process::ExitStatus;
use podspec::TerminationMessagePolicy;
use shim_protocol::write_record;

use crate::clock;
use crate::exit;
use crate::message;
use crate::note;
use crate::supervisor::{ContainerKey, Shim};

impl Shim {
    /// The main process has been reaped.
    pub(crate) fn container_ended(&mut self, key: &ContainerKey, status: ExitStatus) {
        let at = clock::now();
        let message_path = self.attempt_dir(&key.0, key.1).join("termination-log");
        let log_path = self.log_path(key);
        let Some(supervised) = self.containers.get_mut(key) else { return };
        let Some(live) = supervised.live.take() else { return };
        let container = live.container;
        // In a shared process namespace it may leave processes behind, which go with it.
        if let Err(error) = container.kill_all() {
            note::error("cannot kill what a container left", &error);
        }
        let oom_killed = container.oom_killed().unwrap_or_else(|error| {
            note::error("cannot tell whether a container ran out of memory", &error);
            false
        });
        for error in container.remove_cgroup() {
            note::error("a container's end leaves something", &error);
        }
        let (loss, taps) = live.pump.finish(&mut self.scratch, &self.poller);
        let mut message = noted(message::of_file(&message_path));
        let falls_back = live.message_policy == TerminationMessagePolicy::FallbackToLogsOnError;
        if message.is_empty() && falls_back && exit::exit_code(status) != 0 {
            message = noted(message::of_log(&log_path));
        }
        let exit = exit::ended(status, oom_killed, message, supervised.record.started, at);
        supervised.record.exit = Some(exit.clone());
        let record = supervised.record.clone();
        if let Err(error) = write_record(&self.record_path(key), &record) {
            note::error("cannot record a container's exit", &error);
        }
        if let Some(loss) = loss {
            self.report_lost_output(key.clone(), &loss);
        }
        self.linger(taps);
        self.narrow_pod();
        self.report_exit(key.clone(), exit);
    }
}

fn noted(message: io::Result<String>) -> String {
    message.unwrap_or_else(|error| {
        note::error("cannot read a termination message", &error);
        String::new()
    })
}
