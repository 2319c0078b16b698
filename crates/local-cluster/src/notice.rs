//! The event that says why a pod waits, for whoever looks with `kubectl describe`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use explain::why::{NOTICE_AFTER, NOTICE_REASON, Surroundings, endless_inits, notice};
use kubelet::events::{Event, EventType};
use kubelet::{Node, PodView};
use lifecycle::{ConditionKind, ContainerState, Phase};
use podspec::ContainerName;
use podspec::json::{list, text};
use ports::PodContext;
use store::{Resource, Store};
use tokio::time::{Instant, sleep_until};

use crate::cluster::Shared;
use crate::record;

/// When one pod is looked at, and what was said of it. A pod that is well has no timer.
pub(crate) struct Noticer {
    /// Ordinary init containers that are sure never to end.
    endless: Vec<ContainerName>,
    due: Option<Instant>,
    /// The cause that was told last: it is told again only when there was another between.
    told: Option<String>,
}

impl Noticer {
    pub(crate) fn new(pod: &PodContext) -> Self {
        Self { endless: endless_inits(&pod.pod), due: None, told: None }
    }

    /// Takes in a new status.
    pub(crate) fn see(&mut self, view: &PodView) {
        if is_well(view) {
            self.due = None;
        } else if self.told.is_none() && self.never_goes_on(view) {
            self.due = Some(Instant::now());
        } else {
            self.due.get_or_insert_with(|| Instant::now() + NOTICE_AFTER);
        }
    }

    fn never_goes_on(&self, view: &PodView) -> bool {
        let mut inits = view.status.init_containers.iter();
        inits.any(|init| {
            matches!(init.state, ContainerState::Running { .. }) && self.endless.contains(&init.name)
        })
    }

    /// Waits until the pod has to be looked at; for ever, when it need not be.
    pub(crate) async fn due(&self) {
        match self.due {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Looks, and says what is to be told. Until the pod's next change it is looked at again only where something has not lasted long enough.
    pub(crate) async fn look<N: Node>(&mut self, shared: &Shared<N>, pod: &Arc<PodContext>) -> Option<Event> {
        self.due = None;
        let around = surroundings(&shared.store, &pod.pod.namespace);
        let context = Arc::clone(pod);
        let noticed = tokio::task::spawn_blocking(move || {
            let record = record::read(&context).ok()?;
            Some((notice(&record, &around)?, record.now))
        });
        let (notice, at) = noticed.await.ok()??;
        if notice.due_in > Duration::ZERO {
            self.due = Some(Instant::now() + notice.due_in);
            return None;
        }
        if self.told.replace(notice.cause.clone()) == Some(notice.cause) {
            return None;
        }
        let (kind, message) = (EventType::Warning, notice.message);
        Some(Event { at, kind, reason: NOTICE_REASON, message, field_path: None })
    }
}

/// Nothing is to be said of what is ready, has ended, or is to go.
fn is_well(view: &PodView) -> bool {
    let status = &view.status;
    let is_ready =
        status.conditions.iter().any(|condition| condition.kind == ConditionKind::Ready && condition.status);
    is_ready || view.deleting || view.at_rest || matches!(status.phase, Phase::Succeeded | Phase::Failed)
}

fn surroundings(store: &Store, namespace: &str) -> Surroundings {
    let all = |resource| store.list(Resource::new(resource), Some(namespace), None, None, |_| true).objects;
    let mut services: BTreeMap<String, usize> =
        all("services").iter().map(|service| (service.key.name.to_string(), 0)).collect();
    for slice in all("endpointslices.discovery.k8s.io") {
        let Ok(slice) = apiserver::objects::value(&slice) else { continue };
        let service = text(&slice["metadata"]["labels"], "kubernetes.io/service-name");
        let Some(ready) = services.get_mut(service) else { continue };
        *ready += list(&slice, "endpoints").iter().filter(|e| e["conditions"]["ready"] != false).count();
    }
    Surroundings { services, complete: true }
}
