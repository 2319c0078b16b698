use serde_json::{Value, json};

use super::super::PODS;
use crate::kinds::Rules as _;

fn pod(containers: &Value, init: &Value, own: Option<Value>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "n", "name": "p", "uid": "u", "generation": 1, "labels": {"a": "b"}},
        "spec": {"containers": containers, "initContainers": init, "nodeName": "here"},
    });
    if let Some(own) = own {
        pod["spec"]["resources"] = own;
    }
    PODS.default(&mut pod);
    let class = super::qos_class(&pod["spec"]);
    pod["status"] = json!({"phase": "Running", "qosClass": class});
    pod
}

fn container(name: &str, requests: &Value, limits: &Value) -> Value {
    json!({"name": name, "image": "i:1", "resources": {"requests": requests, "limits": limits}})
}

/// Burstable, with an init container and a sidecar.
fn burstable() -> Value {
    let mut sidecar = container("side", &json!({"cpu": "1m"}), &json!({}));
    sidecar["restartPolicy"] = "Always".into();
    pod(
        &json!([
            container("a", &json!({"cpu": "10m", "memory": "10Mi"}), &json!({"cpu": "20m"})),
            container("b", &json!({"cpu": "10m", "ephemeral-storage": "1Gi"}), &json!({})),
        ]),
        &json!([container("first", &json!({"cpu": "1m"}), &json!({})), sidecar]),
        None,
    )
}

fn resize(old: &Value, change: impl Fn(&mut Value)) -> (Vec<String>, Value) {
    let mut new = old.clone();
    change(&mut new);
    PODS.default(&mut new);
    PODS.prepare_update(&mut new, old, Some("resize"));
    let errors = PODS.validate_update(&new, old, Some("resize"));
    (errors.iter().map(ToString::to_string).collect(), new)
}

#[test]
fn cpu_and_memory_may_be_changed_and_added() {
    let old = burstable();
    let (errors, new) = resize(&old, |pod| {
        let spec = &mut pod["spec"];
        spec["containers"][0]["resources"] =
            json!({"requests": {"cpu": "5m", "memory": "20Mi"}, "limits": {"cpu": "30m", "memory": "40Mi"}});
        spec["initContainers"][0]["resources"]["requests"]["cpu"] = "2m".into();
        spec["initContainers"][1]["resources"]["limits"]["memory"] = "5Mi".into();
        // None of these is a resize's to change.
        spec["containers"][0]["image"] = "other".into();
        spec["activeDeadlineSeconds"] = 5.into();
        pod["metadata"]["labels"]["a"] = "c".into();
        pod["status"]["phase"] = "Failed".into();
    });
    assert_eq!(errors, Vec::<String>::new());
    let mut expected = old;
    expected["metadata"]["generation"] = 2.into();
    for (pointer, value) in [
        ("containers/0/resources/requests", json!({"cpu": "5m", "memory": "20Mi"})),
        ("containers/0/resources/limits", json!({"cpu": "30m", "memory": "40Mi"})),
        ("initContainers/0/resources/requests", json!({"cpu": "2m"})),
        // A request that is not named is the limit.
        ("initContainers/1/resources/requests", json!({"cpu": "1m", "memory": "5Mi"})),
        ("initContainers/1/resources/limits", json!({"memory": "5Mi"})),
    ] {
        *expected.pointer_mut(&format!("/spec/{pointer}")).unwrap() = value;
    }
    assert_eq!(new, expected);
}

#[test]
fn what_is_no_resize_is_refused() {
    let at = |place: &str, value: Value| {
        let place = format!("/spec/{place}");
        move |pod: &mut Value| *pod.pointer_mut(&place).unwrap() = value.clone()
    };
    let old = burstable();
    let swapped = json!([old["spec"]["containers"][1], old["spec"]["containers"][0]]);
    type Change = Box<dyn Fn(&mut Value)>;
    let cases: Vec<(Change, &[&str])> = vec![
        (
            Box::new(at("containers/0/resources/limits", json!({}))),
            &["spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"],
        ),
        (
            Box::new(at("initContainers/1/resources/requests", json!({}))),
            &["spec.initContainers[1].resources.requests: Forbidden: resource requests cannot be removed"],
        ),
        (
            Box::new(at("containers/1/resources/requests/ephemeral-storage", json!("2Gi"))),
            &["spec: Forbidden: only cpu and memory resources are mutable"],
        ),
        (
            Box::new(|pod: &mut Value| {
                pod["spec"]["containers"][1]["resizePolicy"] =
                    json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
            }),
            &["spec: Forbidden: only cpu and memory resources are mutable"],
        ),
        (
            Box::new(at("containers", swapped)),
            &[
                "spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
                "spec.containers[1].name: Forbidden: containers may not be renamed or reordered on resize",
            ],
        ),
        (
            Box::new(at("initContainers", json!([]))),
            &["spec.initContainers: Forbidden: initContainers may not be added or removed on resize"],
        ),
        (
            Box::new(at("containers/0/resources/requests/cpu", json!("21m"))),
            &[
                "spec.containers[0].resources.requests: Invalid value: \"21m\": must be less than or equal to cpu limit of 20m",
            ],
        ),
    ];
    for (change, expected) in cases {
        let (errors, _) = resize(&old, change);
        let found: Vec<&str> = errors.iter().filter_map(|error| error.split('\n').next()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_class_of_a_pod_stays() {
    let best_effort = pod(&json!([container("a", &json!({}), &json!({}))]), &json!([]), None);
    let (errors, _) = resize(&best_effort, |pod| {
        pod["spec"]["containers"][0]["resources"]["requests"] = json!({"cpu": "1m"});
    });
    let changes = |class| {
        format!("spec: Invalid value: \"{class}\": Pod QOS Class may not change as a result of resizing")
    };
    assert_eq!(errors, [changes("BestEffort")]);
    let both = json!({"cpu": "1m", "memory": "1Mi"});
    let guaranteed = pod(&json!([container("a", &both, &both)]), &json!([]), None);
    let (errors, _) = resize(&guaranteed, |pod| {
        pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "2m".into();
    });
    assert_eq!(errors, [changes("Guaranteed")]);
}

#[test]
fn the_resources_of_the_pod_may_be_changed() {
    let own = json!({"requests": {"cpu": "20m"}, "limits": {"cpu": "40m"}});
    let old = pod(&json!([container("a", &json!({"cpu": "1m"}), &json!({}))]), &json!([]), Some(own));
    let (errors, new) = resize(&old, |pod| {
        pod["spec"]["resources"] =
            json!({"requests": {"cpu": "10m"}, "limits": {"cpu": "50m", "memory": "1Gi"}});
    });
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(new["spec"]["resources"]["limits"], json!({"cpu": "50m", "memory": "1Gi"}));
    assert_eq!(new["metadata"]["generation"], 2);
    let (errors, _) = resize(&old, |pod| pod["spec"]["resources"] = Value::Null);
    assert!(
        errors.contains(&"spec.resources: Forbidden: pod-level resources cannot be removed".to_owned()),
        "{errors:?}"
    );
    let (errors, _) = resize(&old, |pod| pod["spec"]["resources"] = json!({"limits": {"memory": "1Gi"}}));
    let removed =
        |kind| format!("spec.resources.{kind}: Forbidden: pod-level resource {kind} cannot be removed");
    assert!(errors.contains(&removed("limits")), "{errors:?}");
}
