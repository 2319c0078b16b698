//! A resize is refused that the pod's node could never grant, whatever else is there.

use apimachinery::{Cause, Status};
use podspec::json::text;
use scheduler::{Requests, requests_from_json};
use serde_json::Value;
use store::Tx;

use super::{refuse, view};
use crate::request::Attributes;

const OS: &str = "kubernetes.io/os";

pub(super) fn admit(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    pod: &Value,
    old: Option<&Value>,
) -> Result<(), Status> {
    let node = text(&pod["spec"], "nodeName");
    if node.is_empty() || old.is_some_and(|old| old["spec"] == pod["spec"]) {
        return Ok(());
    }
    let Some(object) = view::get(view, "", "nodes", "", node) else {
        return Err(refuse(attributes, pod, &format!("node \"{node}\" not found")));
    };
    let os = text(&object["metadata"]["labels"], OS);
    if !["", "linux"].contains(&os) {
        let why = format!("pod resize is only supported on linux nodes, node \"{node}\" is \"{os}\"");
        return Err(refuse(attributes, pod, &why).with_cause(cause("UnsupportedPlatform")));
    }
    let has = scheduler::node_from_json(&object).allocatable;
    match lacking(&requests_from_json(&pod["spec"]), &has) {
        Some(why) => Err(refuse(attributes, pod, &why).with_cause(cause("NodeCapacity"))),
        None => Ok(()),
    }
}

/// What clients tell one refusal from another by.
fn cause(reason: &str) -> Cause {
    Cause { reason: reason.to_owned(), ..Cause::default() }
}

/// CPU in thousandths, memory in bytes.
fn lacking(asked: &Requests, has: &Requests) -> Option<String> {
    let lacks = |name: &&&str| asked.amount(name) > has.amount(name);
    let amounts =
        |name: &&str| format!("{name}, requested: {}, allocatable: {}", asked.amount(name), has.amount(name));
    let lacking: Vec<String> = ["cpu", "memory"].iter().filter(lacks).map(amounts).collect();
    let why = format!("node didn't have enough allocatable resources: {}", lacking.join("; "));
    (!lacking.is_empty()).then_some(why)
}
