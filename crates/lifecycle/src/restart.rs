//! Whether an exited container is started again.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>,
//! KEP-5307 (container restart rules), KEP-5532 (restart of all containers).

use podspec::{
    Container, ContainerKind, ExitCodeOperator, Moment, RestartPolicy, RestartRule, RestartRuleAction,
};

use crate::observed::Exit;
use crate::view::{Progress, View};

/// The first rule that matches decides, then the container's policy, then the pod's. Sidecars are
/// always restarted. An ordinary init container that succeeded never runs again, and the pod's
/// `Always` means `OnFailure` to it.
pub(crate) fn should_restart(pod_policy: RestartPolicy, container: &Container, exit: &Exit) -> bool {
    let failed = exit.failed(container.kind);
    match container.kind {
        ContainerKind::Sidecar => return true,
        ContainerKind::Init if !failed => return false,
        ContainerKind::Init | ContainerKind::App => {}
    }
    if matching_rule(container, exit).is_some() {
        return true;
    }
    match container.restart.policy.unwrap_or(pod_policy) {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => failed,
        RestartPolicy::Never => false,
    }
}

/// The container of this run whose exit asks for a restart of all, and when it exited. Of several
/// the first in spec order.
pub(crate) fn restart_all_trigger<'a>(view: &View<'a>) -> Option<(&'a Container, Moment)> {
    view.spec.all_containers().find_map(|container| {
        let Progress::Exited(exit) = view.progress(container) else { return None };
        let counts = container.kind != ContainerKind::Init || exit.failed(ContainerKind::Init);
        let rule = matching_rule(container, exit)?;
        (counts && rule.action == RestartRuleAction::RestartAllContainers)
            .then_some((container, exit.finished))
    })
}

fn matching_rule<'a>(container: &'a Container, exit: &Exit) -> Option<&'a RestartRule> {
    container.restart.rules.iter().find(|rule| {
        let listed = rule.values.contains(&exit.code);
        match rule.operator {
            ExitCodeOperator::In => listed,
            ExitCodeOperator::NotIn => !listed,
        }
    })
}
