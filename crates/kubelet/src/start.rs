//! The parts of a pod's start as spans, whose target is `start`: who collects them knows where its time went. Where nobody does, none
//! is made.

use lifecycle::{Action, Hook};
use podspec::Pod;
use tracing::{Span, trace_span};

/// Of an action that a start is made of; none for others.
pub(crate) fn span_of(action: &Action, pod: &Pod) -> Span {
    let uid = pod.uid.as_str();
    match action {
        Action::SetUpVolumes => trace_span!(target: "start", parent: None, "SetUpVolumes", pod = uid),
        Action::CreateSandbox { .. } => {
            trace_span!(target: "start", parent: None, "CreateSandbox", pod = uid)
        }
        Action::EnsureImage { container, .. } => {
            trace_span!(target: "start", parent: None, "EnsureImage", pod = uid, of = container.as_str())
        }
        Action::StartContainer { container, .. } => {
            trace_span!(target: "start", parent: None, "StartContainer", pod = uid, of = container.as_str())
        }
        Action::RunHook { container, hook: Hook::PostStart, .. } => {
            trace_span!(target: "start", parent: None, "PostStart", pod = uid, of = container.as_str())
        }
        _ => Span::none(),
    }
}
