//! Init containers run one after another to completion; a sidecar among them has to be started
//! before the next begins, and is kept running from then on.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/>, KEP-753.

use podspec::{Container, ContainerKind};

use crate::decision::{Verdict, Wait};
use crate::plan::Draft;
use crate::start;
use crate::view::{Progress, View};

/// Advances initialisation and keeps sidecars running. True when app containers may start.
pub(crate) fn advance(view: &View<'_>, draft: &mut Draft) -> bool {
    if view.initialized() {
        for sidecar in view.spec.sidecars() {
            keep_running(view, sidecar, draft);
        }
        return true;
    }
    let containers = &view.spec.init_containers;
    let furthest =
        containers.iter().rposition(|c| !matches!(view.progress(c), Progress::NotStarted)).unwrap_or(0);
    for sidecar in containers.iter().take(furthest).filter(|c| c.kind == ContainerKind::Sidecar) {
        keep_running(view, sidecar, draft);
    }
    containers.iter().skip(furthest).all(|container| passed(view, container, draft))
}

/// Whether what comes after this container may start; if not, takes its next step.
fn passed(view: &View<'_>, container: &Container, draft: &mut Draft) -> bool {
    match (container.kind, view.progress(container)) {
        (ContainerKind::Init, Progress::Exited(exit)) if !exit.failed(ContainerKind::Init) => return true,
        (ContainerKind::Init, Progress::Running(_) | Progress::Starting) => {
            draft.wait(container, Wait::InitContainer { name: container.name.clone() });
        }
        (_, Progress::NotStarted | Progress::Exited(_)) => {
            start::step(view, container, draft);
        }
        (_, Progress::Running(attempt)) if attempt.started(container) => return true,
        (_, Progress::Running(attempt)) => {
            start::post_start_done(container, attempt, draft);
            draft.wait(container, Wait::SidecarStartup { name: container.name.clone() });
        }
        (_, Progress::Starting) => {
            draft.wait(container, Wait::SidecarStartup { name: container.name.clone() });
        }
    }
    false
}

/// A sidecar is restarted whenever it exits, whatever the pod's policy, and holds nobody up.
fn keep_running(view: &View<'_>, sidecar: &Container, draft: &mut Draft) {
    match view.progress(sidecar) {
        Progress::NotStarted | Progress::Exited(_) => {
            start::step(view, sidecar, draft);
        }
        Progress::Running(attempt) => {
            start::post_start_done(sidecar, attempt, draft);
        }
        Progress::Starting => draft.decide(Some(sidecar), Verdict::Wait(Wait::Sandbox)),
    }
}
