//! Which container of a pod is meant.

use podspec::json::{list, text};
use serde_json::Value;

use crate::client::failure::{Failure, Result};
use crate::client::print;

/// Names a container that is meant when none is named.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// In the order in which kubectl lists them, with what each is when it is no app container.
pub(super) fn names(pod: &Value) -> Vec<(String, &'static str)> {
    let of = |field: &str, kind: &'static str| -> Vec<(String, &'static str)> {
        list(&pod["spec"], field).iter().map(|container| (text(container, "name").to_owned(), kind)).collect()
    };
    [of("containers", ""), of("initContainers", " (init)"), of("ephemeralContainers", " (ephem)")].concat()
}

/// The one that is named, or else the one of the annotation, or the first; then it is said which, if there are several.
pub(super) fn choose(pod: &Value, named: Option<&str>) -> Result<String> {
    let names = names(pod);
    let pod_name = text(&pod["metadata"], "name");
    if let Some(named) = named {
        return match names.iter().any(|(name, _)| name == named) {
            true => Ok(named.to_owned()),
            false => Err(Failure::said(format!(
                "container {named} is not valid for pod {pod_name}, which has {}",
                shown(&names)
            ))),
        };
    }
    let annotated = text(&pod["metadata"]["annotations"], DEFAULT_CONTAINER);
    if names.iter().any(|(name, _)| name == annotated) {
        return Ok(annotated.to_owned());
    }
    let Some((first, _)) = names.first() else {
        return Err(Failure::said(format!("pod {pod_name} has no containers")));
    };
    if names.len() > 1 {
        print::note(format_args!("Defaulted container {first:?} out of: {}", shown(&names)));
    }
    Ok(first.clone())
}

fn shown(names: &[(String, &str)]) -> String {
    names.iter().map(|(name, kind)| format!("{name}{kind}")).collect::<Vec<_>>().join(", ")
}

/// The container of this name, wherever in the pod.
pub(super) fn of_name<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let spec = &pod["spec"];
    ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .flat_map(|field| list(spec, field))
        .find(|container| text(container, "name") == name)
        .unwrap_or(&Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::choose;

    fn pod(annotations: &Value) -> Value {
        json!({
            "metadata": {"name": "p", "annotations": annotations},
            "spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]},
        })
    }

    #[test]
    fn a_container_is_chosen() {
        assert_eq!(choose(&pod(&json!({})), None).unwrap(), "a");
        assert_eq!(choose(&pod(&json!({})), Some("i")).unwrap(), "i");
        assert!(choose(&pod(&json!({})), Some("x")).is_err());
        let named = |name: &str| pod(&json!({"kubectl.kubernetes.io/default-container": name}));
        assert_eq!(choose(&named("b"), None).unwrap(), "b");
        assert_eq!(choose(&named("x"), None).unwrap(), "a");
    }
}
