//! Waiting for a condition, never for luck: every wait has a deadline and says what it waited for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition that no descriptor announces is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How many times longer than on a machine of its own every deadline is.
static PATIENCE: AtomicU32 = AtomicU32::new(1);

/// For an emulated machine: once, before anything is waited for.
pub(crate) fn set_patience(factor: u32) {
    PATIENCE.store(factor.max(1), Ordering::Relaxed);
}

/// The deadline on this machine.
pub(crate) fn patient(deadline: Duration) -> Duration {
    deadline * PATIENCE.load(Ordering::Relaxed)
}

/// Looks until `condition` gives a value; fails with `what` at the deadline.
pub(crate) fn until<T>(what: &str, deadline: Duration, condition: impl FnMut() -> Option<T>) -> Result<T> {
    every(LOOK_EVERY, what, deadline, condition)
}

/// [`until`], for what costs more to look at.
pub(crate) fn every<T>(
    interval: Duration,
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T> {
    let deadline = patient(deadline);
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if Instant::now() >= end {
            bail!("waited {}s for: {what}", deadline.as_secs_f32());
        }
        std::thread::sleep(interval);
    }
}
