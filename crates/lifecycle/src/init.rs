//! Init containers run one after another to completion; a sidecar among them has to be started
//! before the next begins, and is kept running from then on.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/>, KEP-753.

use podspec::{Container, ContainerKind};

use crate::decision::Wait;
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
    let furthest = furthest(view);
    for sidecar in containers.iter().take(furthest).filter(|c| c.kind == ContainerKind::Sidecar) {
        keep_running(view, sidecar, draft);
    }
    containers.iter().skip(furthest).all(|container| {
        let passed = passed(view, container);
        if !passed {
            step(view, container, draft);
        }
        passed
    })
}

/// Whether the pod has come as far as this container, so that it is being started or has been.
pub(crate) fn reached(view: &View<'_>, container: &Container) -> bool {
    if container.kind == ContainerKind::Ephemeral {
        return true;
    }
    let containers = &view.spec.init_containers;
    let furthest = furthest(view);
    let frontier = furthest + usize::from(containers.get(furthest).is_some_and(|c| passed(view, c)));
    let position = containers.iter().position(|c| c.name == container.name).unwrap_or(containers.len());
    view.initialized() || position <= frontier
}

/// Every init container has succeeded and every sidecar is started.
pub(crate) fn complete(view: &View<'_>) -> bool {
    view.spec.init_containers.iter().all(|container| passed(view, container))
}

/// The last entry that was begun in this run; those before it were passed then.
fn furthest(view: &View<'_>) -> usize {
    let begun = |c: &Container| !matches!(view.progress(c), Progress::NotStarted);
    view.spec.init_containers.iter().rposition(begun).unwrap_or(0)
}

/// Whether what comes after this container may start.
fn passed(view: &View<'_>, container: &Container) -> bool {
    match (container.kind, view.progress(container)) {
        (ContainerKind::Init, Progress::Exited(_, exit)) => !exit.failed(ContainerKind::Init),
        (ContainerKind::Sidecar, Progress::Running(attempt)) => attempt.started(container),
        _ => false,
    }
}

/// The next step of a container that is not passed.
fn step(view: &View<'_>, container: &Container, draft: &mut Draft) {
    match (container.kind, view.progress(container)) {
        (_, Progress::NotStarted | Progress::Exited(..)) => {
            start::step(view, container, draft);
        }
        (ContainerKind::Init, Progress::Running(_) | Progress::Starting) => {
            draft.wait(container, Wait::InitContainer { name: container.name.clone() });
        }
        (_, Progress::Running(attempt)) => {
            start::post_start_done(container, attempt, draft);
            draft.wait(container, Wait::SidecarStartup { name: container.name.clone() });
        }
        (_, Progress::Starting) => {
            draft.wait(container, Wait::SidecarStartup { name: container.name.clone() });
        }
    }
}

/// A sidecar is restarted whenever it exits, whatever the pod's policy, and holds nobody up.
fn keep_running(view: &View<'_>, sidecar: &Container, draft: &mut Draft) {
    match view.progress(sidecar) {
        Progress::NotStarted | Progress::Exited(..) => {
            start::step(view, sidecar, draft);
        }
        Progress::Running(attempt) => {
            start::post_start_done(sidecar, attempt, draft);
        }
        Progress::Starting => draft.wait(sidecar, Wait::SidecarStartup { name: sidecar.name.clone() }),
    }
}
