//! What a shim says of the time that its steps took, among the spans of a start.

use podspec::BootTime;
use shim_protocol::{RequestBody, Times};
use tracing::Level;

/// Somebody follows where the time of starts goes, and this is a part of one.
pub(crate) fn wanted(request: &RequestBody) -> bool {
    tracing::enabled!(target: "start", Level::TRACE)
        && matches!(request, RequestBody::CreateSandbox(_) | RequestBody::StartContainer { .. })
}

/// As steps of the current span, with the way there and back.
pub(crate) fn tell(asked: BootTime, times: &Times, answered: BootTime) {
    let mut at = asked.0;
    let mut step = |name: &str, until: i64| {
        tracing::trace!(target: "start", step = name, from_ns = at, until_ns = until);
        at = until;
    };
    step("until the shim begins", times.begun.0);
    let mut done = times.begun.0;
    for shims in &times.steps {
        done = done.saturating_add(shims.nanoseconds);
        step(&shims.step, done);
    }
    step("answer", answered.0);
}
