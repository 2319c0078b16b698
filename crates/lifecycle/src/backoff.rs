//! The restart backoff: at once after the first exit, then 10 s doubling to 300 s, counted from the
//! exit; forgotten after 600 s between a restart and the exit that follows it.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>

use std::time::Duration;

use podspec::{BootTime, ContainerKind, Moment};

use crate::observed::{Attempt, Backoff};

pub const BACKOFF_INITIAL: Duration = Duration::from_secs(10);
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// When the container may be started again; `None` for at once.
pub(crate) fn restart_at(backoff: Option<Backoff>, finished: Moment) -> Option<BootTime> {
    let backoff = backoff.filter(|b| !expired(*b, finished))?;
    Some(finished.boot.after(backoff.delay))
}

/// The backoff after a restart decided at `now` that follows an exit at `finished`.
pub(crate) fn next(backoff: Option<Backoff>, finished: Moment, now: Moment) -> Backoff {
    let waited = backoff.filter(|b| !expired(*b, finished)).map(|b| b.delay);
    Backoff { delay: waited.map_or(BACKOFF_INITIAL, doubled), decided: now.boot, waited }
}

/// The delay after one more failure: of image pulls, and of restarts.
pub(crate) fn doubled(delay: Duration) -> Duration {
    delay.saturating_mul(2).min(BACKOFF_MAX)
}

/// The exit that decides the backoff of the next start. None for what begins anew: a container
/// restarted with all others in the same sandbox, and init containers and sidecars in a new sandbox.
/// That is no crash loop of their own.
pub(crate) fn exit_behind(
    kind: ContainerKind,
    attempt: &Attempt,
    run: u32,
    sandbox: Option<u32>,
) -> Option<Moment> {
    let begins_anew = attempt.run != run && (kind != ContainerKind::App || Some(attempt.sandbox) == sandbox);
    attempt.exit().filter(|_| !begins_anew).map(|exit| exit.finished)
}

fn expired(backoff: Backoff, finished: Moment) -> bool {
    finished.boot.since(backoff.decided) > BACKOFF_MAX.saturating_mul(2)
}
