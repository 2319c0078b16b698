//! Which volume a claim gets, and what becomes of a volume: pure
//! (<https://kubernetes.io/docs/concepts/storage/persistent-volumes/#lifecycle-of-a-volume-and-claim>).

use apimachinery::selector::LabelSelector;
use podspec::json::{list, text};
use podspec::quantity::Quantity;
use serde_json::Value;

use super::{BIND_COMPLETED, PROVISIONED_BY, PROVISIONER, SELECTED_NODE};
use crate::rules::{annotation, quantity_text};

/// What is to be done for a claim.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step<'a> {
    /// It is bound to this one, and stays so.
    Bound(&'a Value),
    /// It was bound to a volume that is no more, or is another's.
    Lost(&'static str),
    Bind(&'a Value),
    /// A volume is to be made, by this class.
    Provision(&'a Value),
    Wait(Wait),
}

/// What is said of a claim that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wait {
    pub(super) is_warning: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

pub(super) fn step<'a>(claim: &Value, volumes: &'a [Value], classes: &'a [Value]) -> Step<'a> {
    let named = text(&claim["spec"], "volumeName");
    let of_name = volumes.iter().find(|volume| text(&volume["metadata"], "name") == named);
    if !annotation(claim, BIND_COMPLETED).is_empty() {
        return match of_name {
            Some(volume) if is_for(volume, claim) && !uid_of_claim(volume).is_empty() => Step::Bound(volume),
            Some(_) => Step::Lost("Bound claim is bound to a volume that is bound to another claim."),
            None => Step::Lost("Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
        };
    }
    let class_name = text(&claim["spec"], "storageClassName");
    let class = classes.iter().find(|class| text(&class["metadata"], "name") == class_name);
    let waits = class.is_some_and(waits_for_pods) && annotation(claim, SELECTED_NODE).is_empty();
    match best(claim, volumes) {
        // What somebody has chosen waits for nobody.
        Some(volume) if !waits || !named.is_empty() || has_claim(volume) => return Step::Bind(volume),
        _ if !named.is_empty() => {
            let message = match of_name {
                None => format!("volume \"{named}\" not found"),
                Some(_) => format!("volume \"{named}\" does not match the claim, or is another's"),
            };
            return wait(true, "FailedBinding", message);
        }
        _ => {}
    }
    match class {
        _ if class_name.is_empty() => {
            let message = "no persistent volumes available for this claim and no storage class is set";
            wait(false, "FailedBinding", message.to_owned())
        }
        None => {
            let message = format!("storageclass.storage.k8s.io \"{class_name}\" not found");
            wait(true, "ProvisioningFailed", message)
        }
        Some(_) if waits => {
            let message = "waiting for first consumer to be created before binding";
            wait(false, "WaitForFirstConsumer", message.to_owned())
        }
        Some(class) if makes_volumes(class) && claim["spec"]["selector"].is_object() => {
            let message = "claim.Spec.Selector is not supported for dynamic provisioning";
            wait(true, "ProvisioningFailed", message.to_owned())
        }
        Some(class) if makes_volumes(class) => Step::Provision(class),
        Some(class) => {
            let provisioner = text(class, "provisioner");
            let message = format!(
                "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by \
                 the system administrator. If volume creation is delayed, please verify that the provisioner is \
                 running and correctly registered."
            );
            wait(false, "ExternalProvisioning", message)
        }
    }
}

fn wait<'a>(is_warning: bool, reason: &'static str, message: String) -> Step<'a> {
    Step::Wait(Wait { is_warning, reason, message })
}

pub(super) fn waits_for_pods(class: &Value) -> bool {
    text(class, "volumeBindingMode") == "WaitForFirstConsumer"
}

/// Whether the provisioner is the one that is built in.
pub(super) fn makes_volumes(class: &Value) -> bool {
    text(class, "provisioner") == PROVISIONER
}

/// One that is kept for the claim; or else the smallest that will do, and of equals the first by name.
pub(super) fn best<'a>(claim: &Value, volumes: &'a [Value]) -> Option<&'a Value> {
    let key = |volume: &&Value| {
        (!has_claim(volume), capacity(volume), text(&volume["metadata"], "name").to_owned())
    };
    volumes.iter().filter(|volume| fits(claim, volume)).min_by_key(key)
}

fn fits(claim: &Value, volume: &Value) -> bool {
    let (wanted, spec) = (&claim["spec"], &volume["spec"]);
    let asked = wanted["resources"]["requests"].get("storage").map(quantity_text);
    let asked = asked.and_then(|text| Quantity::parse(&text).ok());
    let named = text(wanted, "volumeName");
    let has_mode = |mode: &Value| list(spec, "accessModes").contains(mode);
    let labels = volume["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let labels: std::collections::BTreeMap<String, String> =
        labels.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect();
    let selects = || match wanted.get("selector").filter(|selector| selector.is_object()) {
        Some(selector) => LabelSelector::from_json(selector).is_ok_and(|selector| selector.matches(&labels)),
        None => true,
    };
    volume["metadata"]["deletionTimestamp"].is_null()
        && (named.is_empty() || named == text(&volume["metadata"], "name"))
        && (!has_claim(volume) || is_for(volume, claim))
        && capacity(volume) >= asked
        && text(spec, "storageClassName") == text(wanted, "storageClassName")
        && text(spec, "volumeMode") == text(wanted, "volumeMode")
        && list(wanted, "accessModes").iter().all(has_mode)
        && selects()
}

fn capacity(volume: &Value) -> Option<Quantity> {
    Quantity::parse(&quantity_text(volume["spec"]["capacity"].get("storage")?)).ok()
}

pub(super) fn has_claim(volume: &Value) -> bool {
    !text(&volume["spec"]["claimRef"], "name").is_empty()
}

pub(super) fn uid_of_claim(volume: &Value) -> &str {
    text(&volume["spec"]["claimRef"], "uid")
}

/// Whether the volume's reference is to this claim; one without a uid is to whatever has its name.
pub(super) fn is_for(volume: &Value, claim: &Value) -> bool {
    let (held, metadata) = (&volume["spec"]["claimRef"], &claim["metadata"]);
    let same = |name| text(held, name) == text(metadata, name);
    same("name") && same("namespace") && (same("uid") || uid_of_claim(volume).is_empty())
}

/// What a volume is, and what is to be done about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    Available,
    Bound,
    /// Its claim is gone, and it is kept.
    Released,
    /// Its claim is gone, and it is to be deleted.
    Reclaim,
    /// It was to be deleted, and nobody can.
    Failed(String),
}

pub(super) fn state(volume: &Value, claims: &[Value]) -> State {
    if !has_claim(volume) || uid_of_claim(volume).is_empty() {
        return State::Available;
    }
    if claims.iter().any(|claim| is_for(volume, claim)) {
        return State::Bound;
    }
    if text(&volume["spec"], "persistentVolumeReclaimPolicy") != "Delete" {
        return State::Released;
    }
    if annotation(volume, PROVISIONED_BY) == PROVISIONER {
        return State::Reclaim;
    }
    let name = text(&volume["metadata"], "name");
    State::Failed(format!(
        "error getting deleter volume plugin for volume \"{name}\": no deletable volume plugin matched"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{State, Step, best, state, step};

    fn claim(class: &str, more: &Value) -> Value {
        let claim = json!({
            "metadata": {"namespace": "n", "name": "c", "uid": "u"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": class, "volumeMode": "Filesystem",
                "resources": {"requests": {"storage": "1Gi"}}},
        });
        apimachinery::patch::merge_patch(&claim, more).unwrap()
    }

    fn volume(name: &str, class: &str, storage: &str, more: &Value) -> Value {
        let volume = json!({
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "storageClassName": class,
                "volumeMode": "Filesystem", "capacity": {"storage": storage}},
        });
        apimachinery::patch::merge_patch(&volume, more).unwrap()
    }

    fn for_claim(name: &str, uid: &str) -> Value {
        json!({"spec": {"claimRef": {"namespace": "n", "name": name, "uid": uid}}})
    }

    #[test]
    fn the_smallest_that_will_do() {
        let none = json!({});
        let volumes = [
            volume("small", "s", "512Mi", &none),
            volume("b", "s", "2Gi", &none),
            volume("a", "s", "2Gi", &none),
            volume("large", "s", "1Ti", &json!({"metadata": {"labels": {"disk": "ssd"}}})),
            volume("other-class", "t", "1Gi", &none),
            volume("taken", "s", "1Gi", &for_claim("other", "o")),
            volume("going", "s", "1Gi", &json!({"metadata": {"deletionTimestamp": "t"}})),
        ];
        let kept = [volume("kept", "s", "1Ti", &for_claim("c", "")), volumes[2].clone()];
        let of = |more: &Value, volumes: &[Value]| {
            best(&claim("s", more), volumes)
                .map(|volume| volume["metadata"]["name"].as_str().unwrap().to_owned())
        };
        let spec = |spec: Value| json!({"spec": spec});
        for (more, expected) in [
            (none.clone(), Some("a")),
            (spec(json!({"accessModes": ["ReadOnlyMany"]})), Some("a")),
            (spec(json!({"accessModes": ["ReadWriteMany"]})), None),
            (spec(json!({"resources": {"requests": {"storage": "3Gi"}}})), Some("large")),
            (spec(json!({"selector": {"matchLabels": {"disk": "ssd"}}})), Some("large")),
            (spec(json!({"selector": {"matchLabels": {"disk": "hdd"}}})), None),
            (
                spec(json!({"selector": {"matchExpressions": [
                    {"key": "disk", "operator": "In", "values": ["ssd", "nvme"]},
                ]}})),
                Some("large"),
            ),
            (spec(json!({"volumeName": "b"})), Some("b")),
            (spec(json!({"volumeName": "small"})), None),
            (spec(json!({"volumeName": "taken"})), None),
            (spec(json!({"storageClassName": "t"})), Some("other-class")),
            (spec(json!({"storageClassName": ""})), None),
        ] {
            assert_eq!(of(&more, &volumes).as_deref(), expected, "{more}");
        }
        assert_eq!(of(&none, &kept).as_deref(), Some("kept"));
    }

    #[test]
    fn what_is_done_for_a_claim() {
        let class = |name: &str, provisioner: &str, mode: &str| json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode});
        let classes = [
            class("local", super::PROVISIONER, "WaitForFirstConsumer"),
            class("now", super::PROVISIONER, "Immediate"),
            class("foreign", "example.com/disks", "Immediate"),
        ];
        let volumes = [
            volume("v", "local", "1Gi", &json!({})),
            volume("mine", "x", "1Gi", &for_claim("c", "u")),
            volume("theirs", "x", "1Gi", &for_claim("d", "w")),
        ];
        let note = |more: Value| json!({"metadata": {"annotations": more}});
        let bound_to = |name: &str| {
            let mut more = note(json!({super::BIND_COMPLETED: "yes"}));
            more["spec"]["volumeName"] = name.into();
            more
        };
        let selected = note(json!({super::SELECTED_NODE: "a"}));
        let name = |volume: &Value| volume["metadata"]["name"].as_str().unwrap().to_owned();
        for (class, more, expected) in [
            ("local", json!({}), "wait WaitForFirstConsumer"),
            ("local", selected, "bind v"),
            ("local", json!({"spec": {"volumeName": "v"}}), "bind v"),
            ("local", json!({"spec": {"volumeName": "none"}}), "wait FailedBinding"),
            ("now", json!({}), "provision now"),
            ("now", json!({"spec": {"selector": {}}}), "wait ProvisioningFailed"),
            ("foreign", json!({}), "wait ExternalProvisioning"),
            ("none", json!({}), "wait ProvisioningFailed"),
            ("", json!({}), "wait FailedBinding"),
            ("x", bound_to("mine"), "bound mine"),
            ("x", bound_to("theirs"), "lost"),
            ("x", bound_to("none"), "lost"),
        ] {
            let found = match step(&claim(class, &more), &volumes, &classes) {
                Step::Bound(volume) => format!("bound {}", name(volume)),
                Step::Lost(_) => "lost".to_owned(),
                Step::Bind(volume) => format!("bind {}", name(volume)),
                Step::Provision(class) => format!("provision {}", name(class)),
                Step::Wait(wait) => format!("wait {}", wait.reason),
            };
            assert_eq!(found, expected, "{class} {more}");
        }
    }

    #[test]
    fn what_becomes_of_a_volume() {
        let claims = [claim("x", &json!({}))];
        let policy = |policy: &str, by: &str| {
            json!({"metadata": {"annotations": {super::PROVISIONED_BY: by}},
                "spec": {"persistentVolumeReclaimPolicy": policy}})
        };
        let of = |claim: Value, more: &Value| {
            let volume = volume("v", "x", "1Gi", &claim);
            state(&apimachinery::patch::merge_patch(&volume, more).unwrap(), &claims)
        };
        assert_eq!(of(json!({}), &json!({})), State::Available);
        assert_eq!(of(for_claim("c", ""), &json!({})), State::Available);
        assert_eq!(of(for_claim("c", "u"), &json!({})), State::Bound);
        // A claim that was made anew is another.
        assert_eq!(of(for_claim("c", "before"), &policy("Retain", super::PROVISIONER)), State::Released);
        assert_eq!(of(for_claim("d", "w"), &policy("Delete", super::PROVISIONER)), State::Reclaim);
        assert!(matches!(of(for_claim("d", "w"), &policy("Delete", "")), State::Failed(_)));
    }
}
