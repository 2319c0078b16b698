//! `status.phase`.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>. A pod is not
//! `Succeeded` or `Failed` before its last container has ended: others may be waiting for what it holds.

use podspec::ContainerKind;

use crate::decision::StopPodReason;
use crate::observed::Finished;
use crate::pod_status::with_kinds;
use crate::status::{ContainerState, ContainerStatus, Phase};
use crate::termination;
use crate::view::View;

const DEADLINE_REASON: &str = "DeadlineExceeded";
const EVICTED_REASON: &str = "Evicted";
const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";

/// How the pod ended, once it has.
pub(crate) fn ended(view: &View<'_>) -> Option<Finished> {
    if view.observed.finished.is_some() {
        return view.observed.finished.clone();
    }
    (!view.any_alive() && termination::pod_stop(view).is_some()).then(|| outcome(view))
}

/// How the pod ends when it ends now: sidecars and their exit codes never count.
pub(crate) fn outcome(view: &View<'_>) -> Finished {
    if let Some(finished) = &view.observed.finished {
        return finished.clone();
    }
    let cut_short = termination::pod_stop(view).and_then(|stop| match stop.reason {
        StopPodReason::DeadlineExceeded => Some((DEADLINE_REASON, DEADLINE_MESSAGE)),
        StopPodReason::Evicted => {
            let eviction = view.observed.eviction.as_ref();
            Some((EVICTED_REASON, eviction.map_or("", |eviction| &eviction.message)))
        }
        _ => None,
    });
    let apps_succeeded = view
        .spec
        .containers
        .iter()
        .all(|c| view.attempt(c).and_then(|a| a.exit()).is_some_and(|exit| exit.code == 0));
    Finished {
        at: view.now,
        succeeded: apps_succeeded && cut_short.is_none() && termination::failed_init(view).is_none(),
        reason: cut_short.map(|(reason, _)| reason.to_owned()),
        message: cut_short.map(|(_, message)| message.to_owned()),
    }
}

pub(crate) fn phase(
    view: &View<'_>,
    ended: Option<&Finished>,
    init_containers: &[ContainerStatus],
    containers: &[ContainerStatus],
) -> Phase {
    match ended {
        Some(Finished { succeeded: true, .. }) => return Phase::Succeeded,
        Some(_) => return Phase::Failed,
        None => {}
    }
    let init_pending = with_kinds(view, init_containers).any(|(kind, c)| match kind {
        ContainerKind::Sidecar => !view.observed.initialized && sidecar_pending(c),
        ContainerKind::Init | ContainerKind::App | ContainerKind::Ephemeral => {
            never_ran(c) || matches!(c.state, ContainerState::Running { .. })
        }
    });
    if init_pending || containers.iter().any(never_ran) { Phase::Pending } else { Phase::Running }
}

fn never_ran(container: &ContainerStatus) -> bool {
    matches!(container.state, ContainerState::Waiting { .. }) && container.last_state.is_none()
}

/// One that has exited does not hold the phase back, even if others wait for its restart.
fn sidecar_pending(sidecar: &ContainerStatus) -> bool {
    never_ran(sidecar) || (matches!(sidecar.state, ContainerState::Running { .. }) && !sidecar.started)
}
