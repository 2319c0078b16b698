//! The node's own pages, as a kubelet has them (`nodes/NAME/proxy/...`).

use apiserver::backend::{BackendError, Page};
use apiserver::kinds::Kind;
use apiserver::objects;
use bytes::Bytes;
use container_config::LogLimits;
use kubelet::Node;
use podspec::quantity::Quantity;
use serde_json::{Value, json};
use store::Store;

use crate::node_object::PODS_MAX;
use crate::stats::summary::summary;
use crate::stats::{Detail, Gatherer, prometheus};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// Of the exposition format that Prometheus reads.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// For who wants nothing of disks.
const LITTLE: &str = "only_cpu_and_memory=true";

/// The page of a path without its first slash.
///
/// # Errors
/// When there is no such page.
pub(crate) async fn page<N: Node>(
    path: &str,
    query: &str,
    store: &Store,
    gatherer: Gatherer<'_, N>,
) -> Result<Page, BackendError> {
    let node = gatherer.node_name;
    let (content_type, body) = match path.trim_end_matches('/') {
        "healthz" => (TEXT, "ok".to_owned()),
        "configz" => (JSON, configz(gatherer.kubelet.log_limits()).to_string()),
        "pods" => (JSON, pod_list(store, node).to_string()),
        "stats/summary" => {
            let detail =
                if query.split('&').any(|option| option == LITTLE) { Detail::Rates } else { Detail::All };
            (JSON, summary(&gatherer.gather(detail).await).to_string())
        }
        "metrics" => (METRICS, metrics(store, node)),
        "metrics/resource" => (METRICS, prometheus::text(&gatherer.gather(Detail::Counters).await)),
        _ => return Err(BackendError::NotFound(format!("the node has no page {path:?}"))),
    };
    Ok(Page { status: 200, content_type, body: Bytes::from(body) })
}

/// What of a kubelet's configuration is so here.
fn configz(logs: LogLimits) -> Value {
    json!({"kubeletconfig": {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "maxPods": PODS_MAX,
        "containerLogMaxSize": Quantity::from_bytes(logs.file_bytes_max).to_string(),
        "containerLogMaxFiles": logs.files_max,
        "seccompDefault": true,
        "cgroupDriver": "cgroupfs",
    }})
}

fn pods(store: &Store, node: &str) -> Vec<Value> {
    let kind = Kind::find("", "v1", "pods").expect("every server has it");
    let here = |object: &store::Object| {
        object.fields.iter().any(|(name, value)| *name == "spec.nodeName" && value == node)
    };
    let listing = store.list(kind.stored(), None, None, None, here);
    listing.objects.iter().filter_map(|object| objects::value(object).ok()).collect()
}

fn pod_list(store: &Store, node: &str) -> Value {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods(store, node)})
}

fn metrics(store: &Store, node: &str) -> String {
    let pods = pods(store, node);
    let running = |pod: &&Value| pod["status"]["phase"] == "Running";
    let containers: usize = pods
        .iter()
        .flat_map(|pod| pod["status"]["containerStatuses"].as_array().into_iter().flatten())
        .filter(|container| container["state"]["running"].is_object())
        .count();
    format!(
        "# HELP kubelet_running_pods Pods that run on this node.\n\
         # TYPE kubelet_running_pods gauge\n\
         kubelet_running_pods {}\n\
         # HELP kubelet_running_containers App containers that run on this node.\n\
         # TYPE kubelet_running_containers gauge\n\
         kubelet_running_containers{{container_state=\"running\"}} {containers}\n",
        pods.iter().filter(running).count()
    )
}
