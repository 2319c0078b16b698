//! One line for `kubectl describe`, where somebody looks who has never heard of `monopod why`.

use std::time::Duration;

use journal::Record;
use podspec::{ContainerKind, ContainerName, Pod};

use super::case::Case;
use super::explanation::Health;
use super::{Surroundings, manifest, worst};

/// The rule that finds them.
const ENDLESS: &str = "sidecar-as-init";

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
    /// It has not lasted long enough before that.
    pub due_in: Duration,
}

/// What is to be said of the pod, if anything is: at once where it is sure that it never goes on, otherwise when it has lasted
/// for [`NOTICE_AFTER`].
#[must_use]
pub fn notice(record: &Record, around: &Surroundings) -> Option<Notice> {
    let case = Case::new(record, around);
    let trouble = worst(&case, None)?;
    if !matches!(trouble.health, Health::Waiting | Health::Stuck) {
        return None;
    }
    let oldest =
        trouble.chain.iter().filter_map(|link| link.since).map(|since| since.seconds.saturating_neg()).max();
    let lasts = Duration::from_secs(u64::try_from(oldest.unwrap_or(0)).unwrap_or(0));
    let due_in = if trouble.certain { Duration::ZERO } else { NOTICE_AFTER.saturating_sub(lasts) };
    let remedy =
        trouble.remedies.first().map(|remedy| format!(". Remedy: {}", remedy.text)).unwrap_or_default();
    let message: String = format!("{}{remedy}", trouble.cause).chars().take(CHARS_MAX).collect();
    Some(Notice { message, cause: kind(&trouble.cause), due_in })
}

/// The ordinary init containers of a pod that are sure never to end.
#[must_use]
pub fn endless_inits(pod: &Pod) -> Vec<ContainerName> {
    let inits = &pod.spec.init_containers;
    if !inits.iter().any(|container| container.kind == ContainerKind::Init) {
        return Vec::new();
    }
    let findings = lint::check(&manifest::of(pod), &lint::Context::default());
    let endless: Vec<String> = findings
        .iter()
        .filter(|finding| finding.rule.id == ENDLESS)
        .map(|finding| finding.path.to_string())
        .collect();
    let is_endless = |at: usize| {
        let path = format!("spec.initContainers[{at}]");
        endless.iter().any(|found| *found == path || found.starts_with(&format!("{path}.")))
    };
    let named = inits.iter().enumerate().filter(|(at, _)| is_endless(*at));
    named.map(|(_, container)| container.name.clone()).collect()
}

/// Without numbers: a count that goes up is no other cause.
fn kind(cause: &str) -> String {
    cause.chars().filter(|c| !c.is_ascii_digit()).collect()
}
