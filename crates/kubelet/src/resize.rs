//! The events of a resize, told from one status to the next (KEP-1287). Whether one is granted is not the kubelet's to
//! say; what it was granted it has from then on.

use lifecycle::{ConditionKind, Phase};
use podspec::{Container, ContainerName, Moment, Pod, PodSpec, Resources};
use serde_json::{Value, json};

use crate::events::{Event, EventType};
use crate::render::resource_requirements;
use crate::status::PodView;

/// What has been told of one pod.
#[derive(Clone, Debug)]
pub struct ResizeEvents {
    granted: Granted,
    /// `metadata.generation` of the pod whose resize is under way.
    under_way: Option<i64>,
    failure: Option<String>,
}

/// The resources of a pod and of its containers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    of_pod: Option<Resources>,
    containers: Vec<(ContainerName, Resources)>,
}

impl Granted {
    #[must_use]
    pub fn of(spec: &PodSpec) -> Self {
        let containers = spec.init_and_app_containers();
        Self {
            of_pod: spec.resources,
            containers: containers.map(|container| (container.name.clone(), container.resources)).collect(),
        }
    }

    /// Gives a pod of the same containers these resources.
    pub fn put(&self, spec: &mut PodSpec) {
        spec.resources = self.of_pod;
        for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
            let held = self.containers.iter().find(|(name, _)| *name == container.name);
            container.resources = held.map_or(container.resources, |(_, resources)| *resources);
        }
    }
}

impl ResizeEvents {
    /// From the pod as it is taken in or over; what came before is not told again.
    #[must_use]
    pub fn new(pod: &Pod) -> Self {
        Self { granted: Granted::of(&pod.spec), under_way: None, failure: None }
    }

    /// The generation that is under way: what the condition is about may have changed since otherwise.
    #[must_use]
    pub fn under_way(&self) -> Option<i64> {
        self.under_way
    }

    /// The events of a new status, in order.
    pub fn see(&mut self, view: &PodView, at: Moment) -> Vec<Event> {
        let pod = &view.pod.pod;
        let mut events = Vec::new();
        let granted = Granted::of(&pod.spec);
        if granted != self.granted {
            self.granted = granted;
            (self.under_way, self.failure) = (Some(pod.generation), None);
            events.push(event(
                at,
                EventType::Normal,
                "ResizeStarted",
                message(pod, "started", pod.generation, None),
            ));
        }
        let over = matches!(view.status.phase, Phase::Succeeded | Phase::Failed);
        let condition = view.status.conditions.iter().find(|c| c.kind == ConditionKind::PodResizeInProgress);
        match (condition, self.under_way) {
            (Some(condition), held) => {
                let generation = held.unwrap_or(pod.generation);
                self.under_way = Some(generation);
                if condition.message != self.failure {
                    self.failure.clone_from(&condition.message);
                    if let Some(failure) = &condition.message {
                        let message = message(pod, "error", generation, Some(failure));
                        events.push(event(at, EventType::Warning, "ResizeError", message));
                    }
                }
            }
            (None, Some(generation)) => {
                (self.under_way, self.failure) = (None, None);
                if !over {
                    let message = message(pod, "completed", generation, None);
                    events.push(event(at, EventType::Normal, "ResizeCompleted", message));
                }
            }
            (None, None) => {}
        }
        events
    }
}

/// That a resize waits, or waits in vain. `pod`: as it is wanted.
#[must_use]
pub fn pending_event(pod: &Pod, infeasible: bool, why: &str, at: Moment) -> Event {
    let (reason, word) =
        if infeasible { ("ResizeInfeasible", "Infeasible") } else { ("ResizeDeferred", "Deferred") };
    event(at, EventType::Warning, reason, message(pod, word, pod.generation, Some(why)))
}

fn event(at: Moment, kind: EventType, reason: &'static str, message: String) -> Event {
    Event { at, kind, reason, message, field_path: None }
}

/// `Pod resize started: {"containers":[{"name":"main","resources":{..}}],"generation":2}`
fn message(pod: &Pod, what: &str, generation: i64, error: Option<&str>) -> String {
    // Written by hand where the order of fields is a kubelet's and not the alphabet's.
    let list = |name: &str, containers: &[Container]| match containers {
        [] => String::new(),
        containers => {
            let containers: Vec<String> = containers.iter().map(summary).collect();
            format!("\"{name}\":[{}],", containers.join(","))
        }
    };
    let (init, apps) =
        (list("initContainers", &pod.spec.init_containers), list("containers", &pod.spec.containers));
    let error = error.map_or(String::new(), |error| format!(",\"error\":{}", json!(error)));
    format!("Pod resize {what}: {{{init}{apps}\"generation\":{generation}{error}}}")
}

fn summary(container: &Container) -> String {
    let resources = Value::Object(resource_requirements(&container.resources, &container.other_resources));
    format!("{{\"name\":{},\"resources\":{resources}}}", json!(container.name.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use lifecycle::{Condition, ConditionKind, Observed, Phase};
    use podspec::{IDENTITY_BYTES, Moment, Pod};
    use ports::PodContext;

    use super::{Granted, PodView, ResizeEvents, pending_event};

    fn pod(cpu: &str, generation: i64) -> Pod {
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{initContainers: [{{name: s, image: i, \
             restartPolicy: Always}}], containers: [{{name: a, image: i, resources: {{requests: {{cpu: {cpu}, \
             memory: 1Mi}}, limits: {{memory: 3Mi}}}}}}]}}}}"
        );
        let loaded = podspec::load_pods("test", &text, || [7; IDENTITY_BYTES]).unwrap().remove(0);
        Pod { generation, ..loaded.admitted.pod }
    }

    fn view(pod: Pod, progress: Option<Option<&str>>) -> PodView {
        let mut status = lifecycle::plan(&pod.spec, &Observed::default(), Moment::default()).status;
        status.phase = Phase::Running;
        status.conditions.extend(progress.map(|message| Condition {
            kind: ConditionKind::PodResizeInProgress,
            status: true,
            reason: message.map(|_| "Error".to_owned()),
            message: message.map(str::to_owned),
        }));
        let [pod_dir, run_dir, log_dir] = ["pod", "run", "log"].map(Into::into);
        let pod = Arc::new(PodContext { pod, pod_dir, run_dir, log_dir, bound: true });
        PodView { pod, status, conditions: BTreeMap::new(), deleting: false, at_rest: false, seq: 0 }
    }

    const OF_A: &str = r#"{"initContainers":[{"name":"s","resources":{}}],"containers":[{"name":"a","resources":{"limits":{"memory":"3Mi"},"requests":{"cpu":"2","memory":"1Mi"}}}],"generation":"#;

    fn told(events: &mut ResizeEvents, view: &PodView) -> Vec<String> {
        let told = events.see(view, Moment::default());
        told.iter().map(|event| format!("{} {}", event.reason, event.message)).collect()
    }

    #[test]
    fn a_resize_is_told_from_its_start_to_its_end() {
        let mut events = ResizeEvents::new(&pod("1", 1));
        assert_eq!(told(&mut events, &view(pod("1", 1), None)), [""; 0]);
        let started = format!("ResizeStarted Pod resize started: {OF_A}2}}");
        assert_eq!(told(&mut events, &view(pod("2", 2), Some(None))), [started.as_str()]);
        let failing = view(pod("2", 3), Some(Some("no \"room\"")));
        let failed = format!("ResizeError Pod resize error: {OF_A}2,\"error\":\"no \\\"room\\\"\"}}");
        assert_eq!(told(&mut events, &failing), [failed.as_str()]);
        assert_eq!(told(&mut events, &failing), [""; 0]);
        assert_eq!(events.under_way(), Some(2));
        let completed = format!("ResizeCompleted Pod resize completed: {OF_A}2}}");
        assert_eq!(told(&mut events, &view(pod("2", 3), None)), [completed.as_str()]);
        assert_eq!(events.under_way(), None);
        // One that is over before anybody looked.
        let found = told(&mut events, &view(pod("1", 4), None));
        assert!(
            matches!(found.as_slice(), [a, b] if a.contains("started") && b.contains("completed")),
            "{found:?}"
        );
    }

    #[test]
    fn a_pod_that_ends_completes_nothing() {
        let mut events = ResizeEvents::new(&pod("1", 1));
        told(&mut events, &view(pod("2", 2), Some(None)));
        let mut over = view(pod("2", 2), None);
        over.status.phase = Phase::Failed;
        assert_eq!(told(&mut events, &over), [""; 0]);
    }

    #[test]
    fn a_resize_that_waits_says_what_for() {
        let event = pending_event(&pod("2", 5), false, "why", Moment::default());
        assert_eq!(event.reason, "ResizeDeferred");
        assert_eq!(event.message, format!("Pod resize Deferred: {OF_A}5,\"error\":\"why\"}}"));
        assert_eq!(pending_event(&pod("2", 5), true, "", Moment::default()).reason, "ResizeInfeasible");
    }

    #[test]
    fn resources_are_put_where_they_were() {
        let (mut one, two) = (pod("1", 1), pod("2", 1));
        Granted::of(&two.spec).put(&mut one.spec);
        assert_eq!(one, two);
    }
}
