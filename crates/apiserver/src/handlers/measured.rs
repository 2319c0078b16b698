//! `metrics.k8s.io`: what pods and nodes use, measured when somebody asks
//! (<https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/>).

use std::sync::Arc;

use apimachinery::Status;
use apimachinery::meta;
use http::{Response, StatusCode};
use podspec::json::text;
use podspec::quantity::Quantity;
use podspec::time::go_duration;
use serde_json::{Value, json};
use store::Object;

use super::form::{Shaper, label};
use super::list::selected;
use super::options::ListOptions;
use crate::api::Call;
use crate::backend::{BackendError, Measured, PodTarget, PodUsage, Used};
use crate::body::Body;
use crate::kinds::Kind;
use crate::negotiate::Form;
use crate::route::Resource;
use crate::{change, entropy, respond};

pub(super) async fn list(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
) -> Result<Response<Body>, Status> {
    let shaper = Shaper::of(call, kind)?;
    let options = ListOptions::of(&call.query, kind)?;
    let measured = measured_kind(kind);
    let objects = selected(call.api, measured, &resource.namespace, &options.selection);
    let items = measure(call, kind, objects).await?;
    let answer = match shaper.form {
        Form::Json => {
            let (name, version) = (format!("{}List", kind.kind), kind.api_version());
            json!({"kind": name, "apiVersion": version, "metadata": {}, "items": items})
        }
        Form::Table(version) => shaper.table(version, items, json!({}), true),
        Form::Partial(version) => {
            let items: Vec<Value> = items.iter().map(|item| shaper.partial(version, item)).collect();
            let version = version.api_version();
            json!({
                "kind": "PartialObjectMetadataList", "apiVersion": version, "metadata": {}, "items": items,
            })
        }
    };
    let mut response = respond::json(StatusCode::OK, &answer, call.style);
    label(&mut response, shaper.form);
    Ok(response)
}

pub(super) async fn get(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
) -> Result<Response<Body>, Status> {
    let shaper = Shaper::of(call, kind)?;
    let key = change::key_of(measured_kind(kind), &resource.namespace, &resource.name);
    // metrics-server names the namespace too.
    let name = if kind.namespaced {
        format!("{}/{}", resource.namespace, resource.name)
    } else {
        resource.name.clone()
    };
    let object = call.api.store.get(&key).ok_or_else(|| change::not_found(kind, &name))?;
    let measured = measure(call, kind, vec![object]).await?.pop();
    let measured = measured.ok_or_else(|| change::not_found(kind, &name))?;
    let mut response = respond::json(StatusCode::OK, &shaper.one(measured), call.style);
    label(&mut response, shaper.form);
    Ok(response)
}

/// Whose usage it is.
fn measured_kind(kind: &Kind) -> &'static Kind {
    Kind::find("", "v1", kind.plural).expect("pods and nodes are served")
}

/// Of those that use something on this machine; each with the labels of what it is about.
async fn measure(call: &Call<'_>, kind: &Kind, objects: Vec<Arc<Object>>) -> Result<Vec<Value>, Status> {
    let backend = &call.api.backend;
    let failed = |error: BackendError| Status::service_unavailable(error.to_string());
    if !kind.namespaced {
        let here = objects.into_iter().filter(|node| *node.key.name == call.api.node_name);
        let here: Vec<Arc<Object>> = here.collect();
        if here.is_empty() {
            return Ok(Vec::new());
        }
        let usage = backend.node_usage().await.map_err(failed)?;
        return here.iter().map(|node| node_metrics(kind, node, &usage)).collect();
    }
    let is_here = |pod: &Arc<Object>| {
        pod.fields.iter().any(|(name, value)| *name == "spec.nodeName" && *value == call.api.node_name)
    };
    let here: Vec<Arc<Object>> = objects.into_iter().filter(is_here).collect();
    let target = |pod: &Arc<Object>| PodTarget {
        namespace: pod.key.namespace.to_string(),
        name: pod.key.name.to_string(),
        uid: pod.uid.to_string(),
    };
    let usage = backend.pod_usage(here.iter().map(target).collect()).await.map_err(failed)?;
    let pairs = here.iter().zip(usage).filter_map(|(pod, usage)| Some((pod, usage?)));
    pairs.map(|(pod, usage)| pod_metrics(kind, pod, &usage)).collect()
}

fn node_metrics(kind: &Kind, node: &Object, usage: &Measured<Used>) -> Result<Value, Status> {
    let mut metrics = about(kind, node, usage)?;
    metrics["usage"] = resources(usage.used);
    Ok(metrics)
}

fn pod_metrics(kind: &Kind, pod: &Object, usage: &PodUsage) -> Result<Value, Status> {
    let mut metrics = about(kind, pod, usage)?;
    let container = |(name, used): &(String, Used)| json!({"name": name, "usage": resources(*used)});
    metrics["containers"] = usage.used.iter().map(container).collect();
    Ok(metrics)
}

fn about<T>(kind: &Kind, object: &Object, usage: &Measured<T>) -> Result<Value, Status> {
    let object = change::parse(object)?;
    let held = &object["metadata"];
    let mut metadata = json!({
        "name": meta::name(&object), "creationTimestamp": entropy::now().rfc3339_seconds(),
    });
    if kind.namespaced {
        metadata["namespace"] = text(held, "namespace").into();
    }
    if held["labels"].is_object() {
        metadata["labels"] = held["labels"].clone();
    }
    Ok(json!({
        "kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata,
        "timestamp": usage.at.rfc3339_seconds(), "window": go_duration(usage.window),
    }))
}

fn resources(used: Used) -> Value {
    let cpu = Quantity::parse(&format!("{}n", used.cpu_nanocores));
    let memory = Quantity::parse(&format!("{}Ki", used.memory_bytes / 1_024));
    let text =
        |quantity: Result<Quantity, _>| quantity.map(|quantity| quantity.to_string()).unwrap_or_default();
    json!({"cpu": text(cpu), "memory": text(memory)})
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::Method;
    use podspec::WallTime;
    use serde_json::{Value, json};

    use crate::backend::{
        Answer, Connection, ContainerTarget, ExitCode, LogOptions, LogStream, Measured, NoNode, NodeBackend,
        Page, PodTarget, PodUsage, ProcessIo, Used,
    };
    use crate::testing::{Bed, NODE, pod};

    /// Measures the pods whose names begin with `busy`, and the node.
    #[derive(Debug)]
    struct Meter;

    impl NodeBackend for Meter {
        fn logs(&self, container: ContainerTarget, options: LogOptions) -> Answer<'_, LogStream> {
            NoNode.logs(container, options)
        }

        fn exec(&self, _: ContainerTarget, _: Vec<String>, _: ProcessIo) -> Answer<'_, ExitCode> {
            Box::pin(std::future::pending())
        }

        fn attach(&self, _: ContainerTarget, _: ProcessIo) -> Answer<'_, ()> {
            Box::pin(std::future::pending())
        }

        fn dial(&self, _: PodTarget, _: u16) -> Answer<'_, Box<dyn Connection>> {
            Box::pin(std::future::pending())
        }

        fn page(&self, _: String, _: String) -> Answer<'_, Page> {
            Box::pin(std::future::pending())
        }

        fn pod_usage(&self, pods: Vec<PodTarget>) -> Answer<'_, Vec<Option<PodUsage>>> {
            let container =
                |name: &str, cpu| (name.to_owned(), Used { cpu_nanocores: cpu, memory_bytes: 3 << 20 });
            let usage = move |pod: PodTarget| {
                let used = vec![container("a", 250_000_000), container("b", 1)];
                pod.name.starts_with("busy").then(|| measured(used))
            };
            Box::pin(async move { Ok(pods.into_iter().map(usage).collect()) })
        }

        fn node_usage(&self) -> Answer<'_, Measured<Used>> {
            Box::pin(async { Ok(measured(Used { cpu_nanocores: 1_500_000_000, memory_bytes: 4_096 })) })
        }
    }

    fn measured<T>(used: T) -> Measured<T> {
        Measured { at: WallTime(1_800_000_000_000_000_000), window: Duration::from_millis(512), used }
    }

    const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

    async fn bed() -> Bed {
        let bed = Bed::with(Arc::new(Meter)).await;
        for (name, node) in [("busy-1", NODE), ("busy-2", "other"), ("idle", NODE)] {
            let mut object = pod(name);
            object["metadata"]["labels"] = json!({"app": name});
            object["spec"]["nodeName"] = node.into();
            bed.post("/api/v1/namespaces/a/pods", &object).await.expect(201);
        }
        for name in [NODE, "other"] {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
            bed.post("/api/v1/nodes", &node).await.expect(201);
        }
        bed
    }

    fn names(list: &Value) -> Vec<&str> {
        let items = list["items"].as_array().into_iter().flatten();
        items.filter_map(|item| item["metadata"]["name"].as_str()).collect()
    }

    #[tokio::test]
    async fn pods_of_this_node_are_measured() {
        let bed = bed().await;
        let list = bed.get(&format!("{METRICS}/pods")).await.expect(200);
        assert_eq!(
            (&list["kind"], &list["apiVersion"]),
            (&json!("PodMetricsList"), &json!("metrics.k8s.io/v1beta1"))
        );
        assert_eq!(names(&list), ["busy-1"]);
        let item = &list["items"][0];
        assert_eq!(item["metadata"]["namespace"], "a");
        assert_eq!(item["metadata"]["labels"], json!({"app": "busy-1"}));
        assert_eq!((&item["timestamp"], &item["window"]), (&json!("2027-01-15T08:00:00Z"), &json!("512ms")));
        let expected = json!([
            {"name": "a", "usage": {"cpu": "250m", "memory": "3Mi"}},
            {"name": "b", "usage": {"cpu": "1n", "memory": "3Mi"}},
        ]);
        assert_eq!(item["containers"], expected);
        let one = bed.get(&format!("{METRICS}/namespaces/a/pods/busy-1")).await.expect(200);
        assert_eq!((&one["kind"], &one["containers"]), (&json!("PodMetrics"), &expected));
    }

    #[tokio::test]
    async fn selectors_choose_by_the_pods_own_labels_and_names() {
        let bed = bed().await;
        for (query, expected) in [
            ("labelSelector=app%3Dbusy-1", &["busy-1"][..]),
            ("labelSelector=app%3Didle", &[]),
            ("fieldSelector=metadata.name%3Dbusy-1", &["busy-1"]),
            ("fieldSelector=metadata.name!%3Dbusy-1", &[]),
        ] {
            let list = bed.get(&format!("{METRICS}/namespaces/a/pods?{query}")).await.expect(200);
            assert_eq!(names(&list), expected, "{query}");
        }
        let list = bed.get(&format!("{METRICS}/namespaces/other/pods")).await.expect(200);
        assert!(names(&list).is_empty());
        bed.get(&format!("{METRICS}/pods?fieldSelector=spec.nodeName%3Dx")).await.failure(400);
    }

    #[tokio::test]
    async fn what_cannot_be_measured_is_not_found() {
        let bed = bed().await;
        for (path, name) in [
            ("namespaces/a/pods/none", "pods.metrics.k8s.io \"a/none\" not found"),
            ("namespaces/a/pods/idle", "pods.metrics.k8s.io \"a/idle\" not found"),
            ("nodes/other", "nodes.metrics.k8s.io \"other\" not found"),
        ] {
            assert_eq!(bed.get(&format!("{METRICS}/{path}")).await.failure(404), name);
        }
        let watched = bed.get(&format!("{METRICS}/pods?watch=true")).await.failure(405);
        assert!(watched.contains("watch"), "{watched}");
        let without = Bed::new().await;
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        without.post("/api/v1/nodes", &node).await.expect(201);
        without.get(&format!("{METRICS}/nodes")).await.failure(503);
    }

    #[tokio::test]
    async fn nodes_are_measured_and_shown_in_tables() {
        let bed = bed().await;
        let list = bed.get(&format!("{METRICS}/nodes")).await.expect(200);
        assert_eq!(names(&list), [NODE]);
        assert_eq!(list["items"][0]["usage"], json!({"cpu": "1500m", "memory": "4Ki"}));
        let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
        for (path, cells) in [
            ("nodes", json!([NODE, "1500m", "4Ki", "512ms"])),
            ("namespaces/a/pods", json!(["busy-1", "250000001n", "6Mi", "512ms"])),
        ] {
            let table = bed.call(Method::GET, &format!("{METRICS}/{path}"), &accept, "").await.expect(200);
            assert_eq!(table["rows"][0]["cells"], cells);
            let columns = table["columnDefinitions"].as_array().into_iter().flatten();
            let columns: Vec<&Value> = columns.map(|column| &column["name"]).collect();
            assert_eq!(columns, ["Name", "cpu", "memory", "Window"]);
        }
    }
}
