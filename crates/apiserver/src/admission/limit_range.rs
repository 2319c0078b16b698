//! Limits of one pod or container, and what it gets when it asks for nothing
//! (<https://kubernetes.io/docs/concepts/policy/limit-range/>).

use std::collections::BTreeMap;

use apimachinery::Status;
use podspec::json::{fields, list, text};
use podspec::quantity::Quantity;
use serde_json::{Map, Value};
use store::Tx;

use super::{refuse, view};
use crate::request::Attributes;
use crate::rules::parsed;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Quantity>;

pub(super) fn admit(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    pod: &mut Value,
    fill_in: bool,
) -> Result<(), Status> {
    let ranges = view::list(view, "", "limitranges", Some(attributes.namespace));
    if fill_in {
        ranges.iter().for_each(|range| defaults(range, pod));
    }
    let mut errors = Vec::new();
    for item in ranges.iter().flat_map(|range| list(&range["spec"], "limits")) {
        check(item, &pod["spec"], &mut errors);
    }
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(refuse(attributes, pod, one)),
        several => Err(refuse(attributes, pod, &format!("[{}]", several.join(", ")))),
    }
}

/// Sets requests and limits that containers leave open, and notes what it set.
fn defaults(range: &Value, pod: &mut Value) {
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for item in list(&range["spec"], "limits").iter().filter(|item| text(item, "type") == "Container") {
        requests.extend(fields(&item["defaultRequest"]).clone());
        limits.extend(fields(&item["default"]).clone());
    }
    let mut notes = Vec::new();
    for (section, words) in [("containers", "container"), ("initContainers", "init container")] {
        let containers = pod["spec"].get_mut(section).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = text(container, "name").to_owned();
            for (kind, what, values) in [("requests", "request", &requests), ("limits", "limit", &limits)] {
                let set = fill(container, kind, values);
                if !set.is_empty() {
                    notes.push(format!("{} {what} for {words} {name}", set.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        let annotations = &mut pod["metadata"]["annotations"];
        if annotations.is_null() {
            *annotations = Value::Object(Map::new());
        }
        annotations[ANNOTATION] = format!("LimitRanger plugin set: {}", notes.join("; ")).into();
    }
}

/// The names that were not there.
fn fill(container: &mut Value, kind: &str, values: &Map<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    for (name, value) in values {
        if container["resources"][kind].get(name).is_none() {
            if !container["resources"][kind].is_object() {
                container["resources"][kind] = Value::Object(Map::new());
            }
            container["resources"][kind][name] = value.clone();
            set.push(name.clone());
        }
    }
    set
}

fn check(item: &Value, spec: &Value, errors: &mut Vec<String>) {
    let kind = text(item, "type");
    match kind {
        "Container" => {
            for container in ["containers", "initContainers"].iter().flat_map(|section| list(spec, section)) {
                let resources = &container["resources"];
                constraints(
                    item,
                    kind,
                    &parsed(&resources["requests"]),
                    &parsed(&resources["limits"]),
                    errors,
                );
            }
        }
        "Pod" => constraints(item, kind, &total(spec, "requests"), &total(spec, "limits"), errors),
        _ => {}
    }
}

fn constraints(item: &Value, kind: &str, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
    for (name, min) in parsed(&item["min"]) {
        let head = format!("minimum {name} usage per {kind} is {min}");
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => errors.push(format!("{head}.  No request is specified")),
            (Some(request), _) if *request < min => errors.push(format!("{head}, but request is {request}")),
            (_, Some(limit)) if *limit < min => errors.push(format!("{head}, but limit is {limit}")),
            _ => {}
        }
    }
    for (name, max) in parsed(&item["max"]) {
        let head = format!("maximum {name} usage per {kind} is {max}");
        match (requests.get(&name), limits.get(&name)) {
            (_, None) => errors.push(format!("{head}.  No limit is specified")),
            (_, Some(limit)) if *limit > max => errors.push(format!("{head}, but limit is {limit}")),
            (Some(request), _) if *request > max => errors.push(format!("{head}, but request is {request}")),
            _ => {}
        }
    }
    for (name, max) in parsed(&item["maxLimitRequestRatio"]) {
        let head = format!("{name} max limit to request ratio per {kind} is {max}");
        let given = |amounts: &Amounts| amounts.get(&name).copied().filter(|amount| !amount.is_zero());
        match (given(requests), given(limits)) {
            (None, _) => errors.push(format!("{head}, but no request is specified or request is 0")),
            (_, None) => errors.push(format!("{head}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let ratio = ratio(limit, request);
                if ratio > thousandths(max) / 1_000.0 {
                    errors.push(format!("{head}, but provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}

fn ratio(limit: Quantity, request: Quantity) -> f64 {
    thousandths(limit) / thousandths(request)
}

#[expect(clippy::cast_precision_loss, reason = "a ratio is compared and printed to six places")]
fn thousandths(quantity: Quantity) -> f64 {
    quantity.to_milli() as f64
}

/// What the pod as a whole asks for, or may use: its containers and sidecars together, or an init container with the
/// sidecars before it where that is more.
pub(super) fn total(spec: &Value, kind: &str) -> Amounts {
    let (mut sidecars, mut largest) = (Amounts::new(), Amounts::new());
    for container in list(spec, "initContainers") {
        let mut here = parsed(&container["resources"][kind]);
        add(&mut here, &sidecars);
        for (name, amount) in &here {
            let held = largest.entry(name.clone()).or_insert(*amount);
            *held = (*held).max(*amount);
        }
        if text(container, "restartPolicy") == "Always" {
            sidecars = here;
        }
    }
    let mut sum = sidecars;
    for container in list(spec, "containers") {
        add(&mut sum, &parsed(&container["resources"][kind]));
    }
    for (name, amount) in largest {
        let held = sum.entry(name).or_insert(amount);
        *held = (*held).max(amount);
    }
    sum.extend(parsed(&spec["resources"][kind]));
    sum
}

pub(super) fn add(sum: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let held = sum.get(name).copied();
        sum.insert(name.clone(), held.map_or(*amount, |held| held.plus(*amount)));
    }
}
