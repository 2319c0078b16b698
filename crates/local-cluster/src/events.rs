//! A pod's journal as `v1.Event` objects.

use std::net::IpAddr;
use std::sync::Arc;

use apiserver::objects;
use container_config::{DnsWarning, dns_warnings, has_network};
use journal::{Entry, Happening};
use kubelet::Node;
use kubelet::events::{Event, EventSource, EventType};
use lifecycle::Observation;
use podspec::Pod;
use ports::PodContext;
use serde_json::{Value, json};
use store::Durability;
use tracing::{Instrument, trace_span};

use crate::cluster::Shared;
use crate::correlate::{Correlator, Told};
use crate::random;

/// Told of every entry from now on. What an engine before it has told is not told again: what it did not come to
/// tell is lost, as with a kubelet.
pub(crate) struct EventWriter {
    pod: Arc<PodContext>,
    source: EventSource,
    correlator: Correlator,
}

impl EventWriter {
    pub(crate) fn new(pod: &Arc<PodContext>) -> Self {
        Self {
            pod: Arc::clone(pod),
            source: EventSource::default(),
            correlator: Correlator::new(&pod.pod.name),
        }
    }

    /// Tells what entries of the journal are worth telling, in one write.
    pub(crate) async fn entries<N: Node>(&mut self, shared: &Shared<N>, entries: &[Arc<Entry>]) {
        // As it is now: it may have other images and more containers than in the beginning.
        if let Some(pod) = shared.kubelet.pod(&self.pod.pod.uid) {
            self.pod = pod;
        }
        let mut events = Vec::new();
        for entry in entries {
            events.extend(self.source.events(&self.pod.pod, entry));
            if let Happening::Observed(Observation::SandboxCreated { ips, .. }) = &entry.what {
                let warning = |DnsWarning { reason, message }| Event {
                    at: entry.at,
                    kind: EventType::Warning,
                    reason,
                    message,
                    field_path: None,
                };
                events.extend(self.of_names(shared, ips).into_iter().map(warning));
            }
        }
        self.events(shared, &events).await;
    }

    /// What the pod's resolvers lack, which its files were written without.
    fn of_names<N: Node>(&self, shared: &Shared<N>, ips: &[IpAddr]) -> Vec<DnsWarning> {
        let pod = &self.pod.pod;
        let of_host = runtime::host_resolv_conf;
        dns_warnings(pod, shared.kubelet.cluster_dns(), has_network(pod, ips), of_host)
    }

    pub(crate) async fn events<N: Node>(&mut self, shared: &Shared<N>, events: &[Event]) {
        let told = events.iter().filter_map(|event| Some((event, self.correlator.tell(event)?)));
        let objects: Vec<Value> =
            told.map(|(event, told)| object(&self.pod.pod, shared.node_name(), event, &told)).collect();
        if objects.is_empty() {
            return;
        }
        let span = trace_span!(target: "start", parent: None, "tell events", pod = self.pod.pod.uid.as_str());
        self.store(shared, objects).instrument(span).await;
    }

    async fn store<N: Node>(&self, shared: &Shared<N>, events: Vec<Value>) {
        let (kind, count) = (shared.event_kind, events.len());
        let written = shared.store.write(Durability::Lazy, move |tx| {
            for mut event in events {
                // Counted up, it is the same object still.
                if let Some(held) = tx.get(&objects::key(kind, &event))
                    && let Ok(held) = objects::value(&held)
                {
                    for name in ["uid", "creationTimestamp"] {
                        event["metadata"][name] = held["metadata"][name].clone();
                    }
                }
                objects::put(tx, kind, &mut event);
            }
            Ok::<_, ()>(())
        });
        if let Err(error) = written.await {
            tracing::warn!("{count} events of pod {} are lost: {error}", self.pod.pod.name);
        }
    }
}

fn object(pod: &Pod, node: &str, event: &Event, told: &Told) -> Value {
    let mut involved = json!({
        "kind": "Pod", "apiVersion": "v1", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid.as_str(),
    });
    if let Some(path) = &event.field_path {
        involved["fieldPath"] = path.as_str().into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": told.name,
            "namespace": pod.namespace,
            "uid": random::uid(),
            "creationTimestamp": told.first.wall.rfc3339_seconds(),
        },
        "involvedObject": involved,
        "reason": event.reason,
        "message": told.message,
        "source": { "component": "kubelet", "host": node },
        "firstTimestamp": told.first.wall.rfc3339_seconds(),
        "lastTimestamp": told.last.wall.rfc3339_seconds(),
        "count": told.count,
        "type": match event.kind { EventType::Normal => "Normal", EventType::Warning => "Warning" },
        "eventTime": null,
        "reportingComponent": "kubelet",
        "reportingInstance": node,
    })
}
