//! The documents that describe the API.

use std::collections::BTreeSet;

use api_schema::openapi::{Operation, hash, v2_document, v2_protobuf, v3_document};
use serde_json::{Value, json};

fn operation(path: &str, method: &'static str, action: &'static str, kind: &'static str) -> Operation {
    Operation { path: path.to_owned(), method, action, group: "", version: "v1", kind }
}

fn pods() -> Vec<Operation> {
    let all = "/api/v1/namespaces/{namespace}/pods";
    let one = "/api/v1/namespaces/{namespace}/pods/{name}";
    let mut operations = vec![
        operation(all, "GET", "list", "Pod"),
        operation(all, "POST", "post", "Pod"),
        operation(all, "DELETE", "deletecollection", "Pod"),
        operation(one, "GET", "get", "Pod"),
        operation(one, "PUT", "put", "Pod"),
        operation(one, "PATCH", "patch", "Pod"),
        operation(one, "DELETE", "delete", "Pod"),
        operation("/api/v1/pods", "GET", "list", "Pod"),
        operation(&format!("{one}/log"), "GET", "get", "Pod"),
        operation(&format!("{one}/exec"), "GET", "connect", "PodExecOptions"),
        operation(&format!("{one}/proxy/{{path}}"), "GET", "connect", "PodProxyOptions"),
    ];
    let eviction = operation(&format!("{one}/eviction"), "POST", "post", "Eviction");
    operations.push(Operation { group: "policy", ..eviction });
    operations
}

/// Every `$ref` in a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                found.insert(reference.to_owned());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for document in [v3_document(&pods()), v2_document(&pods())] {
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 100);
        for reference in found {
            let place = reference.strip_prefix('#').expect("in this document");
            assert!(document.pointer(place).is_some(), "{reference}");
        }
    }
}

#[test]
fn a_field_is_as_kubectl_looks_for_it() {
    let v3 = v3_document(&pods());
    let schemas = &v3["components"]["schemas"];
    let pod = &schemas["io.k8s.api.core.v1.Pod"];
    assert_eq!(
        pod["x-kubernetes-group-version-kind"],
        json!([{"group": "", "version": "v1", "kind": "Pod"}])
    );
    let spec = &schemas["io.k8s.api.core.v1.PodSpec"];
    assert_eq!(spec["required"], json!(["containers"]));
    let mut containers = spec["properties"]["containers"].clone();
    assert!(containers["description"].take().is_string());
    assert_eq!(
        containers,
        json!({
            "description": null,
            "type": "array",
            "items": {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-patch-strategy": "merge",
            "x-kubernetes-patch-merge-key": "name",
        })
    );
    assert_eq!(spec["properties"]["volumes"]["x-kubernetes-patch-strategy"], "merge,retainKeys");
    assert_eq!(spec["properties"]["nodeSelector"]["x-kubernetes-map-type"], "atomic");
    let port = &schemas["io.k8s.api.core.v1.ContainerPort"]["properties"];
    assert_eq!(port["protocol"]["default"], "TCP");
    assert_eq!(port["containerPort"]["format"], "int32");
    // Beside a reference nothing may stand in version 3.
    let probe = &schemas["io.k8s.api.core.v1.Container"]["properties"]["livenessProbe"];
    assert_eq!(probe["allOf"], json!([{"$ref": "#/components/schemas/io.k8s.api.core.v1.Probe"}]));
    assert!(probe.get("$ref").is_none());
    let options = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"];
    let of: Vec<&Value> = options["x-kubernetes-group-version-kind"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|kind| &kind["group"])
        .collect();
    assert_eq!(of, ["", "policy"]);
}

#[test]
fn operations_have_what_kubectl_asks_about() {
    for (document, is_v3) in [(v3_document(&pods()), true), (v2_document(&pods()), false)] {
        let item = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"];
        let names = |parameters: &Value| -> Vec<String> {
            let all = parameters.as_array().expect("a list").iter();
            all.map(|parameter| parameter["name"].as_str().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(names(&item["parameters"]), ["namespace", "name", "pretty"]);
        let patch = &item["patch"];
        let mut expected = vec!["dryRun", "fieldManager", "fieldValidation", "force"];
        if !is_v3 {
            expected.insert(0, "body");
        }
        assert_eq!(names(&patch["parameters"]), expected);
        assert_eq!(patch["x-kubernetes-action"], "patch");
        assert_eq!(
            patch["x-kubernetes-group-version-kind"],
            json!({"group": "", "version": "v1", "kind": "Pod"})
        );
    }
}

#[test]
fn operations_have_the_names_that_clients_have() {
    let v3 = v3_document(&pods());
    let mut names = vec![];
    for item in v3["paths"].as_object().expect("paths").values() {
        let operations = item.as_object().expect("an item").values();
        names.extend(operations.filter_map(|operation| operation["operationId"].as_str()));
    }
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "connectCoreV1GetNamespacedPodExec",
            "connectCoreV1GetNamespacedPodProxyWithPath",
            "createCoreV1NamespacedPod",
            "createCoreV1NamespacedPodEviction",
            "deleteCoreV1CollectionNamespacedPod",
            "deleteCoreV1NamespacedPod",
            "listCoreV1NamespacedPod",
            "listCoreV1PodForAllNamespaces",
            "patchCoreV1NamespacedPod",
            "readCoreV1NamespacedPod",
            "readCoreV1NamespacedPodLog",
            "replaceCoreV1NamespacedPod",
        ]
    );
}

#[test]
fn the_protobuf_form_begins_as_a_document() {
    let bytes = v2_protobuf(&v2_document(&pods()));
    // 1: swagger, 2: info {1: title, 2: version}, 8: paths.
    assert!(
        bytes.starts_with(b"\x0a\x032.0\x12\x13\x0a\x0aKubernetes\x12\x05v1.36\x42"),
        "{:?}",
        &bytes[..32]
    );
    let text = String::from_utf8_lossy(&bytes);
    for part in
        ["io.k8s.api.core.v1.Pod", "#/definitions/io.k8s.api.core.v1.PodSpec", "x-kubernetes-patch-merge-key"]
    {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn the_hash_follows_the_document() {
    assert_eq!(hash(b"a"), hash(b"a"));
    assert_ne!(hash(b"a"), hash(b"b"));
    assert_eq!(hash(b"").len(), 64);
}
