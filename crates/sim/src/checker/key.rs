//! When two checkers of the same pod promise the same from here on.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use podspec::{BootTime, Container, RestartPolicy};

use super::process::{LastExit, Life, Process};
use super::{Checker, Stop};

impl Checker<'_> {
    /// Adds what tells this checker at `now` from another.
    pub(crate) fn key(&self, now: BootTime, hasher: &mut impl Hasher) {
        let now = Duration::from_nanos(u64::try_from(now.0).unwrap_or(0));
        let Self { spec, processes, run, accepted, volumes, sandbox, sandbox_attempt, .. } = self;
        let Self { had_processes, stop, resumed: _, restarting_all, retries, last, .. } = self;
        (run, accepted, volumes, sandbox, sandbox_attempt).hash(hasher);
        (had_processes, restarting_all, last).hash(hasher);
        retries.key(now, hasher);
        stop.map(|Stop { began, by, overdue }| (began < now, by.saturating_sub(now), overdue)).hash(hasher);
        for container in spec.all_containers() {
            processes[&container.name].key(container, spec.restart_policy, now, hasher);
        }
    }
}

impl Process {
    fn key(&self, container: &Container, policy: RestartPolicy, now: Duration, hasher: &mut impl Hasher) {
        let ago = |at: Duration| now.saturating_sub(at);
        let Self { life, attempt, before, last_exit, post_start, pre_stop, signalled, killed, .. } = self;
        let Self { image_ready, begun_in_run, passed_in_run, tried_in_run, backoff, .. } = self;
        let Self { probe_successes, probe_failures, probe_in_flight, .. } = self;
        (life, attempt, post_start, pre_stop, signalled.map(ago), killed).hash(hasher);
        (image_ready, begun_in_run, passed_in_run, tried_in_run).hash(hasher);
        (probe_successes, probe_failures, probe_in_flight).hash(hasher);
        backoff.map(|(delay, counted)| (delay, ago(counted) > Duration::from_secs(300))).hash(hasher);
        if let Some(LastExit { code, oom, at, run, sandbox }) = last_exit {
            (run, sandbox, self.is_restarted(container, policy)).hash(hasher);
            if *life != Life::Running {
                (code, oom, ago(*at)).hash(hasher);
            }
        }
        if let Some(before) = before.as_ref().filter(|_| *life == Life::Starting) {
            before.key(container, policy, now, hasher);
        }
    }
}
