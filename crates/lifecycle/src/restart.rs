//! Whether an exited container is started again.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy>,
//! KEP-5307 (container restart rules), KEP-5532 (restart of all containers).

use std::time::Duration;

use podspec::{
    Container, ContainerKind, ExitCodeOperator, Moment, PodSpec, RestartPolicy, RestartRule,
    RestartRuleAction,
};

use crate::observed::{Attempt, Exit, ProbeVerdict};
use crate::view::{Progress, View};

/// A restart of all containers is no crash loop, so nobody backs off. It begins no sooner than this
/// after the exit that asked for it, lest a pod that asks over and over keeps the machine busy.
pub(crate) const RESTART_ALL_PAUSE: Duration = Duration::from_secs(1);

/// The exit that asks for a restart of all containers.
#[derive(Clone, Copy)]
pub(crate) struct Trigger<'a> {
    pub(crate) container: &'a Container,
    pub(crate) at: Moment,
    /// It had been sent its stop signal.
    pub(crate) stopped: bool,
}

/// Whether a container that is being stopped alone is expected to start again, as the event of its
/// stop says: the policy's word, for without an exit code no rule can match yet.
#[must_use]
pub fn expects_restart(spec: &PodSpec, container: &Container) -> bool {
    container.restart.policy.unwrap_or(spec.restart_policy) != RestartPolicy::Never
}

/// The first rule that matches decides, then the container's policy, which is `Always` for a sidecar,
/// then the pod's. An ordinary init container that succeeded never runs again, and the pod's
/// `Always` means `OnFailure` to it. One that was stopped because a probe of it failed has failed whatever
/// its exit code, and one that was stopped because its definition changed starts again whatever the policy.
pub(crate) fn should_restart(pod_policy: RestartPolicy, container: &Container, attempt: &Attempt) -> bool {
    let Some(exit) = attempt.exit() else { return false };
    if container.kind == ContainerKind::Ephemeral {
        return false;
    }
    if attempt.superseded.is_some() {
        return true;
    }
    let probe_failed = [&attempt.startup, &attempt.liveness].map(|p| p.verdict == ProbeVerdict::Failure);
    let failed = exit.failed(container.kind) || probe_failed.contains(&true);
    if container.kind == ContainerKind::Init && !failed {
        return false;
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

/// The exit of this run that asks for a restart of all. Of several the first: those that are stopped
/// because of it may ask for the same.
pub(crate) fn restart_all_trigger<'a>(view: &View<'a>) -> Option<Trigger<'a>> {
    let triggers = view.spec.all_containers().filter_map(|container| {
        let Progress::Exited(attempt, exit) = view.progress(container) else { return None };
        let rule = matching_rule(container, exit)?;
        let trigger = Trigger { container, at: exit.finished, stopped: attempt.stop_signal_sent.is_some() };
        (rule.action == RestartRuleAction::RestartAllContainers).then_some(trigger)
    });
    triggers.min_by_key(|trigger| (trigger.at.boot, trigger.stopped))
}

/// Whether a rule of any container can restart them all.
pub(crate) fn can_restart_all(spec: &PodSpec) -> bool {
    let mut rules = spec.all_containers().flat_map(|container| &container.restart.rules);
    rules.any(|rule| rule.action == RestartRuleAction::RestartAllContainers)
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
