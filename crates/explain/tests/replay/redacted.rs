//! What is left of a record without what may be a secret.

use expect_test::expect;
use explain::redact::{self, Keep};
use explain::replay::replay;
use podspec::{IDENTITY_BYTES, Pod};
use serde_json::Value;

use crate::world::eventful;

#[test]
fn the_plan_says_the_same_of_it() {
    let record = eventful();
    assert!(serde_json::to_string(&record).unwrap().matches("hunter2").count() > 20);
    let mut redacted = record.clone();
    redact::record(&mut redacted, Keep::default());
    let text = serde_json::to_string(&redacted).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("token-in-annotation"), "{text}");
    assert!(text.contains("exit code 3") && text.contains("statuscode: 503"));
    assert_eq!(replay(&redacted), replay(&record));
    let mut twice = redacted.clone();
    redact::record(&mut twice, Keep::default());
    assert_eq!(twice, redacted);
    let mut all = record.clone();
    redact::record(&mut all, Keep { logs: true, env: true });
    assert_eq!(all, record);
}

/// A pod in which every text is a secret: what stays of it is on this list, and everybody who adds a field decides about it.
#[test]
fn every_text_of_a_pod_stays_or_goes_by_decision() {
    let text = include_str!("../../../podspec/tests/full.yaml");
    let pod = podspec::load_pods("full", text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod;
    let mut value = serde_json::to_value(&pod).unwrap();
    let mut count = 0;
    plant(&mut value, "", &mut count);
    let mut planted: Pod = serde_json::from_value(value).expect("texts are free");
    redact::pod(&mut planted);
    let mut stays = Vec::new();
    find(&serde_json::to_value(&planted).unwrap(), "", &mut stays);
    stays.sort();
    stays.dedup();
    assert!(count > 60, "{count}");
    expect![[r#"
        name
        namespace
        spec.containers.command
        spec.containers.env.name
        spec.containers.image
        spec.containers.liveness_probe.handler.HttpGet.path
        spec.containers.name
        spec.containers.ports.name
        spec.containers.post_start.HttpGet.path
        spec.containers.readiness_probe.handler.HttpGet.headers.name
        spec.containers.readiness_probe.handler.HttpGet.host
        spec.containers.readiness_probe.handler.HttpGet.path
        spec.containers.readiness_probe.handler.HttpGet.port.Name
        spec.containers.security.capabilities.add
        spec.containers.security.capabilities.drop
        spec.containers.stop_signal
        spec.containers.termination_message_path
        spec.containers.volume_mounts.mount_path
        spec.containers.volume_mounts.name
        spec.containers.volume_mounts.sub_path.Expression
        spec.containers.volume_mounts.sub_path.Literal
        spec.containers.working_dir
        spec.host_aliases.hostnames
        spec.host_aliases.ip
        spec.hostname
        spec.init_containers.command
        spec.init_containers.image
        spec.init_containers.name
        spec.init_containers.post_start.Exec.command
        spec.init_containers.pre_stop.Exec.command
        spec.init_containers.startup_probe.handler.Exec.command
        spec.init_containers.termination_message_path
        spec.os
        spec.readiness_gates
        spec.service_account
        spec.subdomain
        spec.volumes.name
        spec.volumes.source.HostPath.path
        spec.volumes.source.Image.reference
        uid"#]]
    .assert_eq(&stays.join("\n"));
}

/// Texts that choose one of several things, and addresses: no secret has a place in them.
const CHOICES: [&str; 14] = [
    "kind",
    "restart_policy",
    "policy",
    "action",
    "operator",
    "pull_policy",
    "protocol",
    "scheme",
    "medium",
    "dns_policy",
    "termination_message_policy",
    "host_ip",
    "seccomp",
    "app_armor",
];

fn plant(value: &mut Value, key: &str, count: &mut usize) {
    match value {
        Value::String(_) if CHOICES.contains(&key) => {}
        Value::String(text) => {
            *count += 1;
            *text = format!("planted{count}");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, key, count)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| plant(value, key, count)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn find(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains("planted") => out.push(path.trim_start_matches('.').to_owned()),
        Value::Array(items) => items.iter().for_each(|item| find(item, path, out)),
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| find(value, &format!("{path}.{key}"), out));
        }
        _ => {}
    }
}

#[test]
fn only_phrases_stay_of_a_text() {
    let said = |text: &str| redact::said(text);
    assert_eq!(said(""), "");
    assert_eq!(said("hunter2"), "(left out)");
    assert_eq!(said("exit code 127: sh: hunter2: not found"), "(left out) exit code 127 not found");
    assert_eq!(said("exit code 12345678"), "(left out)");
    assert_eq!(said("dial tcp 10.0.0.1:80: connection refused"), "(left out) connection refused");
    assert_eq!(said(&said("exit code 1: \u{1f512} timed out")), "(left out) exit code 1 timed out");
}
