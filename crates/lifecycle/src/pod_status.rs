//! The whole status, from the same view the actions came from.

use podspec::ContainerKind;

use crate::condition;
use crate::container_status::container_status;
use crate::observed::SandboxState;
use crate::phase;
use crate::status::{ContainerStatus, PodStatus};
use crate::view::View;

pub(crate) fn pod_status(view: &View<'_>) -> PodStatus {
    let ended = phase::ended(view);
    let status = |container| container_status(view, container, ended.as_ref());
    let init_containers: Vec<ContainerStatus> = view.spec.init_containers.iter().map(status).collect();
    let mut containers: Vec<ContainerStatus> = view.spec.containers.iter().map(status).collect();
    let mut ephemeral_containers: Vec<ContainerStatus> =
        view.spec.ephemeral_containers.iter().map(status).collect();
    let phase = phase::phase(view, ended.as_ref(), &init_containers, &containers);
    let conditions = condition::conditions(view, phase, &init_containers, &containers);
    let said = |statuses| if view.observed.rejected { Vec::new() } else { statuses };
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    ephemeral_containers.sort_by(|a, b| a.name.cmp(&b.name));
    PodStatus {
        phase,
        reason: ended.as_ref().and_then(|e| e.reason.clone()),
        message: ended.and_then(|e| e.message),
        start_time: view.observed.accepted,
        pod_ips: match &view.observed.sandbox {
            SandboxState::Ready { ips, .. } => ips.clone(),
            _ => Vec::new(),
        },
        conditions,
        init_containers: said(init_containers),
        containers: said(containers),
        ephemeral_containers: said(ephemeral_containers),
    }
}

/// The statuses of a pod's init containers with their kinds.
pub(crate) fn with_kinds<'a>(
    view: &View<'a>,
    init_containers: &'a [ContainerStatus],
) -> impl Iterator<Item = (ContainerKind, &'a ContainerStatus)> {
    view.spec.init_containers.iter().map(|c| c.kind).zip(init_containers)
}
