//! One line for `kubectl describe`, where somebody looks who has never heard of `monopod why`.

use std::time::Duration;

use journal::Record;

use super::case::Case;
use super::explanation::Health;
use super::{Surroundings, worst};

/// As `Unhealthy` and `BackOff` it says what the pod is, not what was done; no other event is called so, so nothing that matches on
/// those of a kubelet sees more of them.
pub const NOTICE_REASON: &str = "Stuck";
/// A wait that has lasted so long is said, unless it is a usual one. Images are pulled and databases started in less.
pub const NOTICE_AFTER: Duration = Duration::from_secs(30);
/// Events take no more than 1024 bytes.
const CHARS_MAX: usize = 700;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// The cause and what mends it, in one line.
    pub message: String,
    /// While this is the same, the notice is not repeated.
    pub cause: String,
}

/// What is to be said of the pod now, if anything is: at once where it is sure that it never goes on, otherwise when it has
/// `waited` long enough. What a kubelet's own events say already (images, crashes, mounts) is not said again.
#[must_use]
pub fn notice(record: &Record, around: &Surroundings, waited: Duration) -> Option<Notice> {
    let case = Case::new(record, around);
    let trouble = worst(&case, None)?;
    let lasts = trouble.certain || waited >= NOTICE_AFTER;
    if !lasts || !matches!(trouble.health, Health::Waiting | Health::Stuck) {
        return None;
    }
    let remedy =
        trouble.remedies.first().map(|remedy| format!(". Remedy: {}", remedy.text)).unwrap_or_default();
    let message: String = format!("{}{remedy}", trouble.cause).chars().take(CHARS_MAX).collect();
    Some(Notice { message, cause: kind(&trouble.cause) })
}

/// Without numbers: a count that goes up is no other cause.
fn kind(cause: &str) -> String {
    cause.chars().filter(|c| !c.is_ascii_digit()).collect()
}
