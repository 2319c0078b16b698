//! What is wrong with a value, and what becomes of it.

use api_schema::{ISSUES_MAX, Schema, Shape, check, check_shape};
use serde_json::{Value, json};

fn issues(api_version: &str, kind: &str, value: &mut Value) -> Vec<String> {
    let ty = Schema::get().kind_of(api_version, kind).expect("a kind");
    check(ty, value).iter().map(ToString::to_string).collect()
}

#[test]
fn says_what_a_client_of_kubernetes_sees() {
    let cases = [
        (json!({}), vec![]),
        (json!([]), vec!["json: cannot unmarshal array into Go value of type v1.Pod"]),
        (
            json!({"spec": 1}),
            vec!["json: cannot unmarshal number into Go struct field Pod.spec of type v1.PodSpec"],
        ),
        (
            json!({"spec": {"containers": [{"command": "sh"}]}}),
            vec![
                "json: cannot unmarshal string into Go struct field Container.spec.containers.command of type []string",
            ],
        ),
        (
            json!({"spec": {"containers": {}}}),
            vec![
                "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
            ],
        ),
        (
            json!({"spec": {"containers": ["x"]}}),
            vec![
                "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type v1.Container",
            ],
        ),
        (
            json!({"spec": {"containers": [{"ports": [{"containerPort": "80"}]}]}}),
            vec![
                "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
            ],
        ),
        (
            json!({"spec": {"terminationGracePeriodSeconds": 1.5, "priority": 3_000_000_000_u64}}),
            vec![
                "json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32",
                "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
            ],
        ),
        (
            json!({"metadata": {"labels": {"a": 1, "b": null}, "annotations": []}}),
            vec![
                "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.annotations of type map[string]string",
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            ],
        ),
        (
            json!({"spec": {"hostNetwork": "yes"}}),
            vec!["json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool"],
        ),
        (
            json!({"spec": {"containers": [{"foo": 1}, {"livenessProbe": {"exec": {"bar": null}}}], "Containers": []}}),
            vec![
                "unknown field \"spec.Containers\"",
                "unknown field \"spec.containers[0].foo\"",
                "unknown field \"spec.containers[1].livenessProbe.exec.bar\"",
            ],
        ),
        (
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}}),
            vec![
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ],
        ),
        (
            json!({"metadata": {"creationTimestamp": "now"}}),
            vec!["parsing time \"now\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"now\" as \"2006\""],
        ),
        (
            json!({"metadata": {"creationTimestamp": 5}}),
            vec!["json: cannot unmarshal number into Go value of type string"],
        ),
        (
            json!({"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": true}}}]}}),
            vec!["json: cannot unmarshal bool into Go value of type int32"],
        ),
    ];
    for (mut value, expected) in cases {
        let text = value.to_string();
        assert_eq!(issues("v1", "Pod", &mut value), expected, "{text}");
    }
}

#[test]
fn brings_values_into_their_form() {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "status": null, "extra": {"deep": []},
        "metadata": {"creationTimestamp": null, "name": "p", "labels": {"a": null}},
        "spec": {
            "terminationGracePeriodSeconds": 3.0,
            "containers": [null, {
                "args": ["a", null],
                "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi", "x/y": null}},
                "livenessProbe": {"exec": {"command": []}, "tcpSocket": {"port": "http"}, "periodSeconds": 1},
            }],
        },
    });
    assert_eq!(issues("v1", "Pod", &mut pod), ["unknown field \"extra\""]);
    let expected = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "labels": {"a": ""}},
        "spec": {
            "terminationGracePeriodSeconds": 3,
            "containers": [{}, {
                "args": ["a", ""],
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi", "x/y": "0"}},
                "livenessProbe": {"exec": {}, "tcpSocket": {"port": "http"}, "periodSeconds": 1},
            }],
        },
    });
    assert_eq!(pod, expected);
}

#[test]
fn bytes_are_base64() {
    let mut secret = json!({"data": {"a": "aGVs\nbG8=", "b": ""}, "stringData": {"c": "d"}});
    assert_eq!(issues("v1", "Secret", &mut secret), [""; 0]);
    assert_eq!(secret["data"]["a"], "aGVsbG8=");
    for (text, at) in [("a", 1), ("aGk", 3), ("a*==", 1), ("aGk=aGk=", 3), ("\u{e9}", 0)] {
        let mut secret = json!({"data": {"a": text}});
        assert_eq!(
            issues("v1", "Secret", &mut secret),
            [format!("illegal base64 data at input byte {at}")],
            "{text}"
        );
    }
}

#[test]
fn times_are_printed_as_go_prints_them() {
    let mut lease = json!({
        "metadata": {"deletionTimestamp": "2026-01-01T01:00:00.9+01:00"},
        "spec": {"renewTime": "2026-01-01T00:00:00Z"},
    });
    assert_eq!(issues("coordination.k8s.io/v1", "Lease", &mut lease), [""; 0]);
    assert_eq!(lease["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(lease["spec"]["renewTime"], "2026-01-01T00:00:00.000000Z");
}

#[test]
fn what_is_open_is_not_looked_into() {
    let mut object = json!({"data": {"anything": [1, null]}, "revision": 1});
    assert_eq!(issues("apps/v1", "ControllerRevision", &mut object), [""; 0]);
    assert_eq!(object["data"]["anything"], json!([1, null]));
}

#[test]
fn issues_are_bounded_and_all_unknown_fields_go() {
    let fields = (0..1_000).map(|i| (format!("f{i}"), Value::from(i))).collect();
    let mut pod = Value::Object(fields);
    assert_eq!(issues("v1", "Pod", &mut pod).len(), ISSUES_MAX);
    assert_eq!(pod, json!({}));
}

#[test]
fn a_field_is_checked_alone() {
    let issues = check_shape(Shape::List(&Shape::String), &mut json!(["a", 1]));
    let texts: Vec<String> = issues.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["json: cannot unmarshal number into Go value of type string"]);
    assert_eq!(issues[0].path.to_string(), "[1]");
}

/// `kubectl diff` sends `annotations: {}` to objects without annotations, and has to see no difference.
#[test]
fn drops_empty_lists_and_maps_that_may_be_missing() {
    let mut pod = json!({
        "metadata": {"annotations": {}, "labels": {"a": ""}, "finalizers": []},
        "spec": {
            "containers": [{"command": [], "resources": {"limits": {}}}],
            "volumes": [{"emptyDir": {}}],
            "nodeSelector": {},
        },
    });
    assert_eq!(issues("v1", "Pod", &mut pod), Vec::<String>::new());
    let left = json!({
        "metadata": {"labels": {"a": ""}},
        "spec": {"containers": [{"resources": {}}], "volumes": [{"emptyDir": {}}]},
    });
    assert_eq!(pod, left);
    let mut pod = json!({"spec": {"containers": []}});
    assert_eq!(issues("v1", "Pod", &mut pod), Vec::<String>::new());
    assert_eq!(pod, json!({"spec": {"containers": []}}), "Kubernetes always prints it");
}
