//! When two checkers of the same pod promise the same from here on.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use lifecycle::ProbeKind;
use podspec::{BootTime, Container, RestartPolicy};

use super::process::{LastExit, Life, Process};
use super::retries::RETRY;
use super::{Checker, Stop};

impl Checker<'_> {
    /// Adds what tells this checker at `now` from another.
    pub(crate) fn key(&self, now: BootTime, hasher: &mut impl Hasher) {
        let now = Duration::from_nanos(u64::try_from(now.0).unwrap_or(0));
        let Self { spec, processes, run, accepted, volumes, sandbox, sandbox_attempt, .. } = self;
        let Self { had_processes, stop, resumed, restarting_all, retries, last, .. } = self;
        let Self { gates, limits, evicted, deadline: _, .. } = self;
        now.saturating_sub(*resumed).hash(hasher);
        (run, accepted.is_some(), volumes, sandbox, sandbox_attempt).hash(hasher);
        self.overdue_at.map(|at| at.saturating_sub(now)).hash(hasher);
        (had_processes, restarting_all, last, self.finished).hash(hasher);
        restarting_all.then(|| now.saturating_sub(self.restart_asked)).hash(hasher);
        retries.key(now, hasher);
        if let Some(Stop { began, grace: _, why, told_by }) = stop {
            let by = self.by().map(|by| by.saturating_sub(now));
            (*began < now, by, why, told_by.is_some()).hash(hasher);
        }
        (gates, limits, evicted.map(|at| now.saturating_sub(at))).hash(hasher);
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
        let Self { since, image, resources, resizing, unsure, resize_failed, superseded, .. } = self;
        let Self { post_start_failed, .. } = self;
        (life, attempt, post_start, pre_stop, signalled.map(ago), killed).hash(hasher);
        (image_ready, begun_in_run, passed_in_run, tried_in_run).hash(hasher);
        (image, resources, resizing, unsure, superseded.map(ago), post_start_failed.map(ago)).hash(hasher);
        superseded.map(|_| ago(self.counts_since(container))).hash(hasher);
        resize_failed.map(|failed| (failed + RETRY).saturating_sub(now)).hash(hasher);
        for kind in ProbeKind::ALL {
            if let Some(probe) = kind.of(container).filter(|_| *life == Life::Running) {
                self.probing(kind).key(probe, *since, now, hasher);
            }
        }
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
