//! Why a pod is as it is: from its state to the cause, and what mends it.

mod explanation;

pub use explanation::{Explanation, Health, Link, LogLines, Remedy, When};

use journal::Record;
use lifecycle::{ContainerState, Phase, PodStatus};
use podspec::ContainerName;

/// Explains the pod, or one container of it.
#[must_use]
pub fn why(record: &Record, container: Option<&ContainerName>) -> Explanation {
    let plan = lifecycle::plan(&record.pod.spec, &record.observed, record.now);
    let waiting = waiting(&plan.status, container);
    let (health, cause) = match (plan.status.phase, waiting) {
        (Phase::Succeeded, _) => (Health::Ended, "it has succeeded".to_owned()),
        (Phase::Failed, _) => (Health::Failed, "it has failed".to_owned()),
        (_, Some((name, why))) => (Health::Waiting, format!("container {name} waits: {why}")),
        (_, None) => (Health::Well, "nothing is wrong".to_owned()),
    };
    Explanation {
        pod: format!("{}/{}", record.pod.namespace, record.pod.name),
        container: container.cloned(),
        health,
        cause,
        chain: Vec::new(),
        logs: None,
        remedies: Vec::new(),
    }
}

fn waiting(status: &PodStatus, only: Option<&ContainerName>) -> Option<(ContainerName, String)> {
    let asked = status.all_containers().filter(|container| only.is_none_or(|name| *name == container.name));
    asked.into_iter().find_map(|container| match &container.state {
        ContainerState::Waiting { reason, message } => {
            Some((container.name.clone(), message.clone().unwrap_or_else(|| reason.clone())))
        }
        _ => None,
    })
}
