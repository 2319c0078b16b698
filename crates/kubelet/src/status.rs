//! The pod's last status and when each condition last changed, which the pure plan cannot know.

use std::collections::BTreeMap;

use lifecycle::{ConditionKind, PodStatus};
use podspec::Moment;

/// A pod's status as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodView {
    pub status: PodStatus,
    /// `lastTransitionTime` of each condition.
    pub transitions: BTreeMap<ConditionKind, Moment>,
    /// Somebody asked for the pod's deletion.
    pub deleting: bool,
    /// Nothing of the pod runs and nothing more will be done for it.
    pub at_rest: bool,
    /// The journal's last entry when this was true.
    pub seq: u64,
}

/// Keeps the moments at which conditions changed between two statuses.
///
/// They are not on disk: a status that outlives an engine is kept by the store of objects above.
#[derive(Debug, Default)]
pub(crate) struct Transitions(BTreeMap<ConditionKind, (bool, Moment)>);

impl Transitions {
    /// The moment of the last change of each condition of `status`, a change being one of its `status`
    /// alone, as in Kubernetes.
    pub(crate) fn record(&mut self, status: &PodStatus, now: Moment) -> BTreeMap<ConditionKind, Moment> {
        let before = std::mem::take(&mut self.0);
        for condition in &status.conditions {
            let since = match before.get(&condition.kind) {
                Some((held, since)) if *held == condition.status => *since,
                _ => now,
            };
            self.0.insert(condition.kind, (condition.status, since));
        }
        self.0.iter().map(|(kind, (_, since))| (*kind, *since)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lifecycle::{Condition, ConditionKind, Phase, PodStatus};
    use podspec::Moment;

    use super::Transitions;

    fn status(ready: bool, reason: &str) -> PodStatus {
        PodStatus {
            phase: Phase::Running,
            reason: None,
            message: None,
            start_time: None,
            pod_ip: None,
            conditions: vec![Condition {
                kind: ConditionKind::Ready,
                status: ready,
                reason: Some(reason.to_owned()),
                message: None,
            }],
            init_containers: Vec::new(),
            containers: Vec::new(),
        }
    }

    #[test]
    fn a_condition_keeps_its_moment_until_its_status_changes() {
        let at = |seconds| Moment::default().after(Duration::from_secs(seconds));
        let mut transitions = Transitions::default();
        let mut since = |status: PodStatus, now| transitions.record(&status, now)[&ConditionKind::Ready];
        assert_eq!(since(status(false, "a"), at(1)), at(1));
        assert_eq!(since(status(false, "b"), at(2)), at(1));
        assert_eq!(since(status(true, "b"), at(3)), at(3));
        assert_eq!(since(status(true, "b"), at(4)), at(3));
    }
}
