//! What will not work in a pod, or was hardly meant, said as warnings: a pod that only waits gives no error anywhere.

use ::lint::Context;
use serde_json::Value;
use store::Tx;

use super::view;
use crate::request::Attributes;

/// About a pod that is new, or whose spec has changed: otherwise it would be said again what was said before.
pub(super) fn warnings(
    attributes: &Attributes<'_>,
    view: &Tx<'_>,
    pod: &Value,
    old: Option<&Value>,
) -> Vec<String> {
    if old.is_some_and(|old| old.get("spec") == pod.get("spec")) {
        return Vec::new();
    }
    let services = view::names(view, "", "services", attributes.namespace).into_iter().collect();
    // The next object may be the Service that a name is of.
    lint::warnings(pod, &Context { services, complete: false })
}
