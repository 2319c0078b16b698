//! The node's own pages, as a kubelet has them (`nodes/NAME/proxy/...`).

use apiserver::backend::{BackendError, Page};
use apiserver::kinds::Kind;
use apiserver::objects;
use bytes::Bytes;
use linux_sys::cgroup::{Hierarchies, Usage};
use podspec::PodUid;
use serde_json::{Map, Value, json};
use store::Store;

use crate::node_object::PODS_MAX;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// Of the exposition format that Prometheus reads.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page of a path without its first slash.
///
/// # Errors
/// When there is no such page.
pub(crate) fn page(path: &str, store: &Store, node: &str) -> Result<Page, BackendError> {
    let (content_type, body) = match path.trim_end_matches('/') {
        "healthz" => (TEXT, "ok".to_owned()),
        "configz" => (JSON, configz().to_string()),
        "pods" => (JSON, pod_list(store, node).to_string()),
        "stats/summary" => (JSON, summary(store, node).to_string()),
        "metrics" => (METRICS, metrics(store, node)),
        _ => return Err(BackendError::NotFound(format!("the node has no page {path:?}"))),
    };
    Ok(Page { status: 200, content_type, body: Bytes::from(body) })
}

/// What of a kubelet's configuration is so here.
fn configz() -> Value {
    json!({"kubeletconfig": {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "maxPods": PODS_MAX,
        "containerLogMaxSize": "10Mi",
        "containerLogMaxFiles": 5,
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

/// stats/v1alpha1 `Summary`: what the kernel counts for the groups of pods and containers. What it does not count
/// is left out.
fn summary(store: &Store, node: &str) -> Value {
    let hierarchies = Hierarchies::detect().ok();
    let usage = |path: String| {
        let group = hierarchies.as_ref().map(|hierarchies| hierarchies.group(path));
        // A group that is gone has no numbers.
        group.and_then(|group| group.usage().ok()).unwrap_or_default()
    };
    let now = crate::sink::wall_now().rfc3339_seconds();
    let pods: Vec<Value> = pods(store, node).iter().map(|pod| pod_stats(pod, &now, usage)).collect();
    let mut of_node = measured(usage("monopod".to_owned()), &now);
    of_node.insert("nodeName".into(), node.into());
    json!({"node": of_node, "pods": pods})
}

fn pod_stats(pod: &Value, now: &str, usage: impl Fn(String) -> Usage) -> Value {
    let metadata = &pod["metadata"];
    let cgroup = container_config::pod_cgroup(&PodUid::new(metadata["uid"].as_str().unwrap_or_default()));
    let status = &pod["status"];
    let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
    let statuses = lists.iter().flat_map(|list| status[*list].as_array().into_iter().flatten());
    let running = statuses.filter(|container| container["state"]["running"].is_object());
    let containers: Vec<Value> = running
        .map(|container| {
            let name = container["name"].as_str().unwrap_or_default();
            let group = format!("{cgroup}/{name}-{}", container["restartCount"]);
            let mut stats = measured(usage(group), now);
            stats.insert("name".into(), name.into());
            stats.insert("startTime".into(), container["state"]["running"]["startedAt"].clone());
            stats.into()
        })
        .collect();
    let mut stats = measured(usage(cgroup), now);
    stats.insert(
        "podRef".into(),
        json!({"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}),
    );
    stats.insert("startTime".into(), status["startTime"].clone());
    stats.insert("containers".into(), containers.into());
    stats.into()
}

fn measured(usage: Usage, now: &str) -> Map<String, Value> {
    let mut stats = Map::new();
    if let Some(cpu_ns) = usage.cpu_ns {
        stats.insert("cpu".into(), json!({"time": now, "usageCoreNanoSeconds": cpu_ns}));
    }
    if let (Some(usage_bytes), Some(working_set)) = (usage.memory_bytes, usage.working_set_bytes) {
        let memory = json!({"time": now, "usageBytes": usage_bytes, "workingSetBytes": working_set});
        stats.insert("memory".into(), memory);
    }
    stats
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

#[cfg(test)]
mod tests {
    use linux_sys::cgroup::Usage;
    use serde_json::json;

    use super::pod_stats;

    #[test]
    fn a_pod_is_measured_by_its_groups() {
        let pod = json!({
            "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
            "status": {"startTime": "t0", "containerStatuses": [
                {"name": "main", "restartCount": 2, "state": {"running": {"startedAt": "t1"}}},
                {"name": "gone", "restartCount": 0, "state": {"terminated": {}}},
            ]},
        });
        let usage = |path: String| Usage {
            cpu_ns: Some(path.len() as u64),
            memory_bytes: (path == "monopod/podu1/main-2").then_some(10),
            working_set_bytes: Some(7),
            ..Usage::default()
        };
        let stats = pod_stats(&pod, "now", usage);
        assert_eq!(stats["podRef"]["uid"], "u1");
        assert_eq!(stats["cpu"]["usageCoreNanoSeconds"], "monopod/podu1".len());
        assert!(stats["memory"].is_null(), "what is not counted is left out");
        let containers = stats["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 1);
        assert_eq!(containers[0]["memory"], json!({"time": "now", "usageBytes": 10, "workingSetBytes": 7}));
    }
}
