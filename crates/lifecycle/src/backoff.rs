//! The restart backoff: at once after the first exit, then 10 s doubling to 300 s, counted from the
//! exit; forgotten after 600 s between a restart and the exit that follows it. A node may have other limits.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>, KEP-4603.

use std::time::Duration;

use podspec::{BootTime, ContainerKind, Moment};
use serde::{Deserialize, Serialize};

use crate::observed::{Attempt, Backoff};

pub const BACKOFF_INITIAL: Duration = Duration::from_secs(10);
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Of stable running, after which an exit is the first one again. No setting changes it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// The first delay of a restart and the longest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct BackoffLimits {
    pub initial: Duration,
    pub max: Duration,
}

impl BackoffLimits {
    /// With this longest delay, as `crashLoopBackOff.maxContainerRestartPeriod` of a kubelet.
    #[must_use]
    pub fn up_to(max: Duration) -> Self {
        Self { initial: BACKOFF_INITIAL.min(max), max }
    }
}

impl Default for BackoffLimits {
    fn default() -> Self {
        Self::up_to(BACKOFF_MAX)
    }
}

/// When the container may be started again; `None` for at once.
pub(crate) fn restart_at(backoff: Option<Backoff>, finished: Moment) -> Option<BootTime> {
    let backoff = backoff.filter(|b| !expired(*b, finished))?;
    Some(finished.boot.after(backoff.delay))
}

/// The backoff after a restart decided at `now` that follows an exit at `finished`.
pub(crate) fn next(
    limits: BackoffLimits,
    backoff: Option<Backoff>,
    finished: Moment,
    now: Moment,
) -> Backoff {
    let waited = backoff.filter(|b| !expired(*b, finished)).map(|b| b.delay);
    let delay = waited.map_or(limits.initial, |delay| delay.saturating_mul(2).min(limits.max));
    Backoff { delay, decided: now.boot, waited }
}

/// The delay of an image pull after one more failure.
pub(crate) fn next_pull(delay: Duration) -> Duration {
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
    finished.boot.since(backoff.decided) > FORGOTTEN_AFTER
}
