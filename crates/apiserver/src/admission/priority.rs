//! The priority of a pod, from its class
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/>).

use apimachinery::Status;
use podspec::json::{flag, integer, text};
use serde_json::Value;
use store::Tx;

use super::{refuse, view};
use crate::request::Attributes;

const GROUP: &str = "scheduling.k8s.io";
const PREEMPTS: &str = "PreemptLowerPriority";

pub(super) fn admit(attributes: &Attributes<'_>, view: &Tx<'_>, pod: &mut Value) -> Result<(), Status> {
    let named = text(&pod["spec"], "priorityClassName").to_owned();
    let class = if named.is_empty() {
        default_class(view)
    } else {
        let class = view::get(view, GROUP, "priorityclasses", "", &named);
        let missing = || refuse(attributes, pod, &format!("no PriorityClass with name {named} was found"));
        Some(class.ok_or_else(missing)?)
    };
    let value = class.as_ref().and_then(|class| integer(class, "value")).unwrap_or(0);
    let policy = class.as_ref().map_or(PREEMPTS, |class| text(class, "preemptionPolicy"));
    let policy = if policy.is_empty() { PREEMPTS } else { policy };
    if let Some(given) = integer(&pod["spec"], "priority").filter(|given| *given != value) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {value} from the given PriorityClass name"
        );
        return Err(refuse(attributes, pod, &why));
    }
    let given = text(&pod["spec"], "preemptionPolicy");
    if !given.is_empty() && given != policy {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {policy} from the given PriorityClass name"
        );
        return Err(refuse(attributes, pod, &why));
    }
    if let Some(class) = &class {
        pod["spec"]["priorityClassName"] = text(&class["metadata"], "name").into();
    }
    pod["spec"]["priority"] = value.into();
    pod["spec"]["preemptionPolicy"] = policy.into();
    Ok(())
}

/// Of several, the one of the lowest value.
fn default_class(view: &Tx<'_>) -> Option<Value> {
    let classes = view::list(view, GROUP, "priorityclasses", None).into_iter();
    let defaults = classes.filter(|class| flag(class, "globalDefault"));
    defaults.min_by_key(|class| integer(class, "value").unwrap_or(0))
}

/// Only one class is the default.
pub(super) fn admit_class(attributes: &Attributes<'_>, view: &Tx<'_>, class: &Value) -> Result<(), Status> {
    if !flag(class, "globalDefault") {
        return Ok(());
    }
    let own = text(&class["metadata"], "name");
    let other = default_class(view).filter(|other| text(&other["metadata"], "name") != own);
    other.map_or(Ok(()), |other| {
        let name = text(&other["metadata"], "name");
        let why = format!("PriorityClass {name} is already marked as default. Only one default can exist");
        Err(refuse(attributes, class, &why))
    })
}
