use podspec::FieldError;
use serde_json::{Value, json};

use super::{PODS, bind, qos_class, set_condition};
use crate::kinds::Rules as _;

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn pod() -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "main", "image": "busybox:1"}]},
    });
    PODS.default(&mut pod);
    PODS.prepare_create(&mut pod);
    pod
}

#[test]
fn a_new_pod_is_pending_with_its_class() {
    let pod = pod();
    assert_eq!(pod["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    assert_eq!(pod["metadata"]["generation"], 1);
    assert_eq!(texts(&PODS.validate(&pod)), Vec::<String>::new());
    assert_eq!(PODS.fields(&pod)[4], ("status.phase", "Pending".to_owned()));
    let mut gated = json!({"spec": {"containers": [], "schedulingGates": [{"name": "a/b"}]}});
    PODS.prepare_create(&mut gated);
    assert_eq!(gated["status"]["conditions"][0]["reason"], "SchedulingGated");
}

#[test]
fn classes() {
    let container =
        |requests: Value, limits: Value| json!({"resources": {"requests": requests, "limits": limits}});
    let both = json!({"cpu": "1", "memory": "1Gi"});
    for (containers, init, class) in [
        (vec![container(json!({}), json!({}))], vec![], "BestEffort"),
        (vec![container(json!({"cpu": "0"}), json!({}))], vec![], "BestEffort"),
        (vec![container(json!({"ephemeral-storage": "1"}), json!({}))], vec![], "BestEffort"),
        (vec![container(both.clone(), both.clone())], vec![], "Guaranteed"),
        (vec![container(json!({"cpu": "1000m", "memory": "1024Mi"}), both.clone())], vec![], "Guaranteed"),
        (vec![container(both.clone(), both.clone())], vec![container(json!({}), json!({}))], "Burstable"),
        (vec![container(json!({"cpu": "1"}), json!({}))], vec![], "Burstable"),
        (vec![container(json!({"cpu": "1"}), json!({"cpu": "1"}))], vec![], "Burstable"),
        (vec![container(json!({"cpu": "500m", "memory": "1Gi"}), both.clone())], vec![], "Burstable"),
        (vec![container(json!({"cpu": "0", "memory": "1Gi"}), both)], vec![], "Burstable"),
    ] {
        let spec = json!({"containers": containers, "initContainers": init});
        assert_eq!(qos_class(&spec), class, "{spec}");
    }
}

/// A pod that has resources of its own is of their class, whatever its containers have.
#[test]
fn classes_of_pods_with_resources() {
    let both = json!({"cpu": "1", "memory": "1Gi"});
    for (own, class) in [
        (json!({}), "BestEffort"),
        (json!({"limits": {"cpu": "0"}}), "BestEffort"),
        (json!({"requests": {"cpu": "1"}}), "Burstable"),
        (json!({"requests": both, "limits": {"cpu": "1"}}), "Burstable"),
        (json!({"requests": {"cpu": "1", "memory": "1Mi"}, "limits": both}), "Burstable"),
        (json!({"requests": both}), "Burstable"),
        (json!({"requests": both, "limits": both}), "Guaranteed"),
    ] {
        for container in [json!({}), json!({"requests": {"cpu": "1"}})] {
            let spec = json!({"containers": [{"name": "main", "resources": container}], "resources": own});
            assert_eq!(qos_class(&spec), class, "{spec}");
        }
    }
}

/// What may change, and the message for the rest.
#[test]
fn updates() {
    let update = |old: &Value, change: fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        PODS.prepare_update(&mut new, old, None);
        (texts(&PODS.validate_update(&new, old, None)), new["metadata"]["generation"].clone())
    };
    let mut old = pod();
    old["spec"]["activeDeadlineSeconds"] = 10.into();
    let none: Vec<String> = Vec::new();
    assert_eq!(update(&old, |pod| pod["metadata"]["labels"] = json!({"a": "b"})), (none.clone(), 1.into()));
    assert_eq!(update(&old, |pod| pod["status"] = json!({})), (none.clone(), 1.into()));
    assert_eq!(
        update(&old, |pod| pod["spec"]["containers"][0]["image"] = "b:2".into()),
        (none.clone(), 2.into())
    );
    assert_eq!(update(&old, |pod| pod["spec"]["activeDeadlineSeconds"] = 5.into()), (none.clone(), 2.into()));
    let toleration =
        |pod: &mut Value| pod["spec"]["tolerations"] = json!([{"key": "a", "operator": "Exists"}]);
    assert_eq!(update(&old, toleration), (none, 2.into()));
    let (errors, _) = update(&old, |pod| pod["spec"]["activeDeadlineSeconds"] = 20.into());
    assert_eq!(
        errors,
        ["spec.activeDeadlineSeconds: Invalid value: 20: must be less than or equal to previous value"]
    );
    let (errors, _) = update(&old, |pod| pod["spec"]["containers"][0]["command"] = json!(["x"]));
    let forbidden = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,\
                     `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                     existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                     previously negative)\nchanged: spec.containers";
    assert_eq!(errors, [forbidden]);
    let (errors, _) = update(&old, |pod| {
        let more = json!({"name": "b", "image": "b:1"});
        pod["spec"]["containers"].as_array_mut().unwrap().push(more);
    });
    assert!(
        errors
            .contains(&"spec.containers: Forbidden: pod updates may not add or remove containers".to_owned())
    );
    old["spec"]["tolerations"] = json!([{"key": "a", "operator": "Exists"}]);
    let (errors, _) = update(&old, |pod| pod["spec"]["tolerations"] = json!([]));
    assert_eq!(
        errors,
        ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]
    );
}

#[test]
fn ephemeral_containers_are_only_added() {
    let old = pod();
    let mut new = old.clone();
    new["spec"]["restartPolicy"] = "Never".into();
    new["spec"]["ephemeralContainers"] =
        json!([{"name": "dbg", "image": "b:1", "targetContainerName": "main"}]);
    PODS.default(&mut new);
    PODS.prepare_update(&mut new, &old, Some("ephemeralcontainers"));
    assert_eq!(new["spec"]["restartPolicy"], "Always");
    assert_eq!(texts(&PODS.validate_update(&new, &old, Some("ephemeralcontainers"))), Vec::<String>::new());
    let mut less = new.clone();
    less["spec"]["ephemeralContainers"] = json!([]);
    assert_eq!(
        texts(&PODS.validate_update(&less, &new, Some("ephemeralcontainers"))),
        ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"dbg\" may not be removed\n"]
    );
    let mut wrong = old.clone();
    wrong["spec"]["ephemeralContainers"] = json!([{"name": "main", "image": "b", "targetContainerName": "x", "ports": [{"containerPort": 1, "protocol": "TCP"}]}]);
    PODS.default(&mut wrong);
    assert_eq!(
        texts(&PODS.validate_update(&wrong, &old, Some("ephemeralcontainers"))),
        [
            "spec.ephemeralContainers[0].name: Duplicate value: \"main\"",
            "spec.ephemeralContainers[0].targetContainerName: Not found: \"x\"",
            "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
        ]
    );
}

/// Of what an ephemeral container may not have, nothing but that is said.
#[test]
fn ephemeral_containers_have_no_probes() {
    let old = pod();
    let mut new = old.clone();
    new["spec"]["ephemeralContainers"] = json!([{
        "name": "dbg", "image": "b:1", "terminationMessagePolicy": "FallbackToLogsOnError",
        "livenessProbe": {"httpGet": {"port": 0}}, "startupProbe": {}, "lifecycle": {},
        "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}],
    }]);
    PODS.default(&mut new);
    let forbidden = ["lifecycle", "livenessProbe", "resizePolicy", "startupProbe"].map(|field| {
        format!("spec.ephemeralContainers[0].{field}: Forbidden: cannot be set for an Ephemeral Container")
    });
    assert_eq!(texts(&PODS.validate_update(&new, &old, Some("ephemeralcontainers"))), forbidden);
}

#[test]
fn conditions_move_when_their_status_does() {
    let mut pod = pod();
    let unready = |message: &str| json!({"type": "PodScheduled", "status": "False", "message": message});
    assert!(set_condition(&mut pod, unready("a"), "T1"));
    assert!(!set_condition(&mut pod, unready("a"), "T2"));
    assert!(set_condition(&mut pod, unready("b"), "T3"));
    assert_eq!(pod["status"]["conditions"][0]["lastTransitionTime"], "T1");
    bind(&mut pod, "node", "T4");
    assert_eq!(
        (&pod["spec"]["nodeName"], &pod["metadata"]["generation"], &pod["status"]["conditions"][0]),
        (
            &json!("node"),
            &json!(1),
            &json!({
                "type": "PodScheduled", "status": "True", "observedGeneration": 1, "lastProbeTime": null,
                "lastTransitionTime": "T4",
            })
        )
    );
}
