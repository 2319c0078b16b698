//! What a pod's runtime costs, and where it is
//! (<https://kubernetes.io/docs/concepts/containers/runtime-class/>).

use apimachinery::Status;
use podspec::json::{fields, list, text};
use serde_json::{Map, Value};
use store::Tx;

use super::{refuse, view};
use crate::request::Attributes;
use crate::rules::parsed;

pub(super) fn admit(attributes: &Attributes<'_>, view: &Tx<'_>, pod: &mut Value) -> Result<(), Status> {
    let name = text(&pod["spec"], "runtimeClassName").to_owned();
    let given = parsed(&pod["spec"]["overhead"]);
    if name.is_empty() {
        if !given.is_empty() {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return Err(refuse(attributes, pod, why));
        }
        return Ok(());
    }
    let Some(class) = view::get(view, "node.k8s.io", "runtimeclasses", "", &name) else {
        return Err(refuse(attributes, pod, &format!("pod rejected: RuntimeClass \"{name}\" not found")));
    };
    let overhead = &class["overhead"]["podFixed"];
    if fields(overhead).is_empty() {
        if !given.is_empty() {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return Err(refuse(attributes, pod, why));
        }
    } else if !given.is_empty() && given != parsed(overhead) {
        let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
        return Err(refuse(attributes, pod, why));
    } else {
        pod["spec"]["overhead"] = overhead.clone();
    }
    placement(attributes, pod, &class["scheduling"])
}

/// The pod may only go where its runtime is.
fn placement(attributes: &Attributes<'_>, pod: &mut Value, scheduling: &Value) -> Result<(), Status> {
    for (key, value) in fields(&scheduling["nodeSelector"]) {
        let value = value.as_str().unwrap_or("");
        let own = pod["spec"]["nodeSelector"].get(key).and_then(Value::as_str);
        if let Some(own) = own.filter(|own| *own != value) {
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
            );
            return Err(refuse(attributes, pod, &why));
        }
        let selector = &mut pod["spec"]["nodeSelector"];
        if selector.is_null() {
            *selector = Value::Object(Map::new());
        }
        selector[key] = value.into();
    }
    let mut tolerations = list(&pod["spec"], "tolerations").to_vec();
    for toleration in list(scheduling, "tolerations") {
        if !tolerations.contains(toleration) {
            tolerations.push(toleration.clone());
        }
    }
    if !tolerations.is_empty() {
        pod["spec"]["tolerations"] = tolerations.into();
    }
    Ok(())
}
