//! A pod against a policy.

use serde_json::Value;

use crate::checks::{CHECKS, Pod};
use crate::level::{Level, Policy};

/// What a check has against a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The same for all pods: `host namespaces`.
    pub reason: &'static str,
    /// What of this one: `hostNetwork=true`.
    pub detail: String,
}

/// What `policy` has against a pod with this `metadata` and `spec`: nothing when it is allowed. Those of the baseline come
/// first.
#[must_use]
pub fn evaluate(policy: Policy, metadata: &Value, spec: &Value) -> Vec<Violation> {
    let Policy { level, version } = policy;
    let pod = Pod { metadata, spec, version };
    let counts = |check: &&crate::checks::Check| {
        let is_stricter =
            || level == Level::Restricted && check.replaced_in.is_some_and(|minor| version.has(minor));
        check.level <= level && version.has(check.since) && !is_stricter()
    };
    CHECKS.iter().filter(counts).filter_map(|check| (check.run)(&pod)).collect()
}

/// `host namespaces, privileged`: short, for what several pods have in common.
#[must_use]
pub fn reasons(violations: &[Violation]) -> String {
    violations.iter().map(|violation| violation.reason).collect::<Vec<_>>().join(", ")
}

/// `host namespaces (hostNetwork=true), privileged (...)`: for one pod.
#[must_use]
pub fn details(violations: &[Violation]) -> String {
    let shown = violations.iter().map(|Violation { reason, detail }| format!("{reason} ({detail})"));
    shown.collect::<Vec<_>>().join(", ")
}

/// Why a pod is refused.
#[must_use]
pub fn denial(policy: Policy, violations: &[Violation]) -> String {
    format!("violates PodSecurity \"{policy}\": {}", details(violations))
}

/// What is said of a pod that is let through.
#[must_use]
pub fn warning(policy: Policy, violations: &[Violation]) -> String {
    format!("would violate PodSecurity \"{policy}\": {}", details(violations))
}
