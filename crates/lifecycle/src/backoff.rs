//! The restart backoff: at once after the first exit, then 10 s doubling to 300 s, counted from the
//! exit; forgotten after 600 s between a restart and the exit that follows it.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>

use std::time::Duration;

use podspec::{BootTime, Moment};

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
    let delay = match backoff {
        Some(backoff) if !expired(backoff, finished) => doubled(backoff.delay),
        _ => BACKOFF_INITIAL,
    };
    Backoff { delay, decided: now.boot }
}

/// The delay after one more failure: of image pulls, and of restarts.
pub(crate) fn doubled(delay: Duration) -> Duration {
    delay.saturating_mul(2).min(BACKOFF_MAX)
}

/// The exit that decides the backoff of the next start. A container restarted with all others in
/// the same sandbox is started at once: that is no crash loop of its own.
pub(crate) fn exit_behind(attempt: &Attempt, run: u32, sandbox: Option<u32>) -> Option<Moment> {
    let restarting_all = attempt.run != run && Some(attempt.sandbox) == sandbox;
    attempt.exit().filter(|_| !restarting_all).map(|exit| exit.finished)
}

fn expired(backoff: Backoff, finished: Moment) -> bool {
    finished.boot.since(backoff.decided) > BACKOFF_MAX.saturating_mul(2)
}
