//! The end of the sandbox: everything in it is killed and reaped, then what held it is removed.

use std::fs;
use std::io;
use std::time::Duration;

use lifecycle::Observation;
use podspec::BootTime;
use shim_protocol::{ReplyBody, SOCKET_NAME, SandboxRecord};

use crate::clock;
use crate::note;
use crate::supervisor::Shim;

/// Killed processes are gone within milliseconds; one that is not is stuck in the kernel.
const REAP_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Stop {
    /// The requests to answer.
    requests: Vec<u64>,
    /// When processes that cannot be killed are given up.
    pub(crate) deadline: BootTime,
}

impl Shim {
    pub(crate) fn begin_stop(&mut self, request: Option<u64>) {
        let stop = self.stop.get_or_insert_with(|| Stop {
            requests: Vec::new(),
            deadline: clock::boot().after(REAP_TIMEOUT),
        });
        stop.requests.extend(request);
        self.kill_all_execs();
        for live in self.containers.values().filter_map(|supervised| supervised.live.as_ref()) {
            if let Err(error) = live.container.kill_all() {
                note::error("cannot kill a container", &error);
            }
        }
    }

    /// Goes on when the last process has been reaped, so that every exit is recorded and reported. True
    /// when the sandbox has ended by it.
    pub(crate) fn advance_stop(&mut self) -> bool {
        let Some(stop) = &self.stop else { return false };
        let living = self.containers.values().any(|supervised| supervised.live.is_some());
        let busy = living || !self.execs.is_empty() || !self.lingering.is_empty();
        if busy && clock::boot() < stop.deadline {
            return false;
        }
        let requests = self.stop.take().map(|stop| stop.requests).unwrap_or_default();
        let leftovers = self.destroy_sandbox();
        for error in &leftovers {
            note::warning(error);
        }
        let reply = match &leftovers[..] {
            [] => ReplyBody::Done,
            some => ReplyBody::Failed { message: some.join("; ") },
        };
        for id in requests {
            self.reply(id, reply.clone());
        }
        match &mut self.orphan {
            Some(orphan) => orphan.take_in(Observation::SandboxStopped { attempt: self.launch.attempt }),
            None => self.over = true,
        }
        true
    }

    /// Goes on past errors and returns them all.
    fn destroy_sandbox(&mut self) -> Vec<String> {
        self.listener = None;
        let teardown = self.sandbox.take().map(|sandbox| sandbox.destroy()).unwrap_or_default();
        let mut errors: Vec<String> = teardown.iter().map(|error| note::chain(error)).collect();
        // The record first: an engine that finds none looks no further.
        for path in [SandboxRecord::path(&self.launch.pod_dir), self.launch.run_dir.join(SOCKET_NAME)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    errors.push(format!("cannot remove {}: {error}", path.display()));
                }
                _ => {}
            }
        }
        errors
    }
}
