//! What the containers of a pod ask for, or may use, together
//! (<https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>).

use serde_json::Value;

use crate::json::text;
use crate::quantity::Quantity;

/// What a pod as a whole can have requests and limits of (KEP-2837), in the order of their names. Huge pages, which it
/// can have too, are not supported yet.
pub(crate) const OF_PODS: [&str; 2] = ["cpu", "memory"];

/// App containers and sidecars at once, or an init container with the sidecars before it where that is more. `list` is
/// `requests` or `limits`; `None` when no container says anything of the resource.
pub(crate) fn of_containers(init: &[Value], apps: &[Value], list: &str, resource: &str) -> Option<Quantity> {
    let of = |container: &Value| {
        let amount = container.get("resources")?.get(list)?.get(resource)?;
        Quantity::parse(amount.as_str()?).ok()
    };
    let (mut sidecars, mut largest) = (None, None);
    for container in init {
        let here = sum(of(container), sidecars);
        largest = larger(largest, here);
        if text(container, "restartPolicy") == "Always" {
            sidecars = here;
        }
    }
    let together = apps.iter().map(of).fold(None, sum);
    larger(sum(together, sidecars), largest)
}

fn sum(a: Option<Quantity>, b: Option<Quantity>) -> Option<Quantity> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.plus(b)),
        (one, none) => one.or(none),
    }
}

/// The first of two that are the same.
fn larger(a: Option<Quantity>, b: Option<Quantity>) -> Option<Quantity> {
    match (a, b) {
        (Some(a), Some(b)) if b > a => Some(b),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::of_containers;

    #[test]
    fn containers_at_once_or_one_before_them() {
        let init = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let sidecar = |cpu: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
        let none = || json!({"name": "a"});
        let cases: [(Vec<Value>, Vec<Value>, Option<&str>); 7] = [
            (vec![], vec![], None),
            (vec![none()], vec![none()], None),
            (vec![], vec![init("100m"), init("200m"), none()], Some("300m")),
            (vec![init("2")], vec![init("1")], Some("2")),
            (vec![sidecar("1")], vec![init("1")], Some("2")),
            (vec![sidecar("1"), init("2"), sidecar("500m")], vec![init("1")], Some("3")),
            (vec![init("2"), sidecar("1")], vec![init("500m")], Some("2")),
        ];
        for (init, apps, expected) in cases {
            let sum = of_containers(&init, &apps, "requests", "cpu").map(|sum| sum.to_string());
            assert_eq!(sum.as_deref(), expected, "{init:?} {apps:?}");
            assert_eq!(of_containers(&init, &apps, "limits", "cpu"), None);
        }
    }
}
