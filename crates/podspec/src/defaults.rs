//! What the API server fills in before it validates and stores a pod
//! (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>, "defaults to").

use serde_json::{Map, Value, json};

use crate::demand::{OF_PODS, of_containers};
use crate::field::{FieldError, FieldPath};
use crate::quantity::Quantity;

const FILE_MODE: u32 = 0o644;
const TOKEN_SECONDS: u32 = 3_600;

/// Fills in a pod whose types have been checked. Fields of another type than v1.Pod's are left alone.
pub(crate) fn fill_in(pod: &mut Value) {
    if let Some(metadata) = object(pod, "metadata") {
        set(metadata, "namespace", "default");
    }
    let Some(spec) = object(pod, "spec") else { return };
    set(spec, "restartPolicy", "Always");
    set(spec, "terminationGracePeriodSeconds", 30);
    // As Kubernetes reads one that is negative.
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds < 0) {
        spec.insert("terminationGracePeriodSeconds".to_owned(), 1.into());
    }
    set(spec, "dnsPolicy", "ClusterFirst");
    set(spec, "schedulerName", "default-scheduler");
    set(spec, "securityContext", json!({}));
    set(spec, "enableServiceLinks", true);
    account(spec);
    let host_network = spec.get("hostNetwork").and_then(Value::as_bool).unwrap_or(false);
    for section in ["initContainers", "containers"] {
        each(spec, section, |fields| container(fields, host_network));
    }
    each(spec, "volumes", volume);
    pod_requests(spec);
}

/// Requests of a pod with limits of its own: what its containers ask for, or else the limit (KEP-2837).
fn pod_requests(spec: &mut Map<String, Value>) {
    let items = |section| spec.get(section).and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    let asked: Vec<(&str, Quantity)> = (OF_PODS.iter())
        .filter_map(|name| {
            let sum = of_containers(items("initContainers"), items("containers"), "requests", name)?;
            Some((*name, sum))
        })
        .collect();
    let Some(resources) = child(spec, "resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    if limits.is_empty() {
        return;
    }
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    let Some(requests) = requests.as_object_mut() else { return };
    for (name, sum) in asked {
        requests.entry(name).or_insert_with(|| sum.to_string().into());
    }
    for (name, limit) in limits.into_iter().filter(|(name, _)| OF_PODS.contains(&name.as_str())) {
        requests.entry(name).or_insert(limit);
    }
}

/// Puts a pod that names no namespace into this one. Anything but text is left for the schema to refuse.
pub(crate) fn choose_namespace(pod: &mut Value, namespace: &str) -> Result<(), Vec<FieldError>> {
    if let Some(pod) = pod.as_object_mut() {
        pod.entry("metadata").or_insert_with(|| json!({}));
    }
    let Some(metadata) = object(pod, "metadata") else { return Ok(()) };
    match metadata.get("namespace") {
        Some(Value::String(own)) if !own.is_empty() && own != namespace => {
            let path = FieldPath::root().child("metadata").child("namespace");
            let detail = format!(
                "the namespace from the provided object \"{own}\" does not match the namespace \
                 \"{namespace}\". You must pass '--namespace={own}' to perform this operation."
            );
            Err(vec![FieldError::invalid(path, own.as_str(), &detail)])
        }
        None | Some(Value::Null | Value::String(_)) => {
            metadata.insert("namespace".to_owned(), namespace.into());
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

/// `serviceAccount` is the old name of `serviceAccountName`; the API server keeps them the same.
fn account(spec: &mut Map<String, Value>) {
    let old = spec.get("serviceAccount").cloned();
    if let Some(old) = old {
        set(spec, "serviceAccountName", old);
    }
    let new = spec.get("serviceAccountName").cloned();
    if let Some(new) = new {
        set(spec, "serviceAccount", new);
    }
}

fn container(fields: &mut Map<String, Value>, host_network: bool) {
    pull_policy(fields, "image", "imagePullPolicy");
    set(fields, "terminationMessagePath", "/dev/termination-log");
    set(fields, "terminationMessagePolicy", "File");
    set(fields, "resources", json!({}));
    each(fields, "env", |variable| {
        if let Some(source) = child(variable, "valueFrom") {
            downward(source);
        }
    });
    each(fields, "ports", |port| {
        set(port, "protocol", "TCP");
        if let (true, Some(number)) = (host_network, port.get("containerPort").cloned()) {
            set(port, "hostPort", number);
        }
    });
    if let Some(resources) = child(fields, "resources") {
        requests_from_limits(resources);
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(fields) = child(fields, name) {
            probe(fields);
        }
    }
    if let Some(lifecycle) = child(fields, "lifecycle") {
        for name in ["postStart", "preStop"] {
            if let Some(fields) = child(lifecycle, name) {
                http_get(fields);
            }
        }
    }
}

fn pull_policy(fields: &mut Map<String, Value>, image: &str, policy: &str) {
    let image = fields.get(image).and_then(Value::as_str).unwrap_or("");
    let default = if has_latest_tag(image) { "Always" } else { "IfNotPresent" };
    set(fields, policy, default);
}

fn probe(fields: &mut Map<String, Value>) {
    set(fields, "timeoutSeconds", 1);
    set(fields, "periodSeconds", 10);
    set(fields, "successThreshold", 1);
    set(fields, "failureThreshold", 3);
    http_get(fields);
    if let Some(fields) = child(fields, "grpc") {
        set(fields, "service", "");
    }
}

fn http_get(handler: &mut Map<String, Value>) {
    if let Some(fields) = child(handler, "httpGet") {
        set(fields, "path", "/");
        set(fields, "scheme", "HTTP");
    }
}

fn requests_from_limits(resources: &mut Map<String, Value>) {
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    let requests = resources.entry("requests").or_insert_with(|| json!({}));
    if let Some(requests) = requests.as_object_mut() {
        for (name, limit) in limits {
            requests.entry(name).or_insert(limit);
        }
    }
}

/// A volume that names no source is an emptyDir.
fn volume(fields: &mut Map<String, Value>) {
    if fields.keys().all(|name| name == "name") {
        fields.insert("emptyDir".to_owned(), json!({}));
    }
    if let Some(host_path) = child(fields, "hostPath") {
        set(host_path, "type", "");
    }
    for name in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(content) = child(fields, name) {
            // A pointer in Go: 0 is a value.
            content.entry("defaultMode").or_insert_with(|| FILE_MODE.into());
        }
    }
    if let Some(content) = child(fields, "downwardAPI") {
        each(content, "items", downward);
    }
    if let Some(content) = child(fields, "ephemeral")
        && let Some(template) = child(content, "volumeClaimTemplate")
        && let Some(spec) = child(template, "spec")
    {
        set(spec, "volumeMode", "Filesystem");
    }
    if let Some(content) = child(fields, "image") {
        pull_policy(content, "reference", "pullPolicy");
    }
    if let Some(content) = child(fields, "projected") {
        each(content, "sources", |source| {
            if let Some(content) = child(source, "downwardAPI") {
                each(content, "items", downward);
            }
            if let Some(token) = child(source, "serviceAccountToken") {
                token.entry("expirationSeconds").or_insert_with(|| TOKEN_SECONDS.into());
            }
        });
    }
}

/// What refers to a field of the pod.
fn downward(source: &mut Map<String, Value>) {
    if let Some(field) = child(source, "fieldRef") {
        set(field, "apiVersion", "v1");
    }
    if let Some(resource) = child(source, "resourceFieldRef") {
        // Not a pointer in Go, so that it is always there.
        set(resource, "divisor", "0");
    }
}

/// Whether a reference means the tag `latest`: it says so, or has neither tag nor digest.
fn has_latest_tag(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => digest.is_none(),
    }
}

/// Go's zero values count as not set.
fn set(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    let unset = match fields.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        // A pointer in Go: 0 is a value.
        Some(_) if name == "terminationGracePeriodSeconds" => false,
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        Some(_) => false,
    };
    if unset {
        fields.insert(name.to_owned(), value.into());
    }
}

fn object<'a>(value: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    value.get_mut(name).and_then(Value::as_object_mut)
}

fn child<'a>(fields: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    fields.get_mut(name).and_then(Value::as_object_mut)
}

fn each(fields: &mut Map<String, Value>, name: &str, apply: impl Fn(&mut Map<String, Value>)) {
    let items = fields.get_mut(name).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut).for_each(apply);
}

#[cfg(test)]
mod tests {
    use super::has_latest_tag;

    #[test]
    fn latest_is_the_tag_of_references_without_one() {
        for (image, latest) in [
            ("busybox", true),
            ("busybox:latest", true),
            ("busybox:1.36", false),
            ("localhost/host", true),
            ("registry.example:5000/app", true),
            ("registry.example:5000/app:v1", false),
            ("app@sha256:0123", false),
            ("app:latest@sha256:0123", true),
            ("", true),
        ] {
            assert_eq!(has_latest_tag(image), latest, "{image}");
        }
    }
}
