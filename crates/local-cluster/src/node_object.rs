//! This machine as a `v1.Node`.

use podspec::WallTime;
use serde_json::{Map, Value, json};

use crate::machine::Machine;

/// Pods on one node at most, unless it is set otherwise.
pub const PODS_MAX: u64 = 2_000;

/// What a kubelet says of its node when all is well: type, status, reason, message.
const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
];

/// The node as it is to be in the store: `stored` is what is there, with labels, annotations and taints of
/// others, which stay. `version`: what `kubeletVersion` says.
#[must_use]
pub fn node_object(stored: Option<&Value>, machine: &Machine, version: &str, now: WallTime) -> Value {
    let mut node = stored.cloned().unwrap_or_else(
        || json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": machine.name}, "spec": {}}),
    );
    let labels = &mut node["metadata"]["labels"];
    if !labels.is_object() {
        *labels = json!({});
    }
    for (name, value) in labels_of(machine) {
        labels[name] = value.into();
    }
    match machine.pod_ranges.first() {
        Some(first) => {
            node["spec"]["podCIDR"] = json!(first);
            node["spec"]["podCIDRs"] = json!(machine.pod_ranges);
        }
        None => {
            for name in ["podCIDR", "podCIDRs"] {
                node["spec"].as_object_mut().map(|spec| spec.remove(name));
            }
        }
    }
    node["status"] = status(&node["status"], machine, version, now);
    node
}

fn labels_of(machine: &Machine) -> [(&'static str, &str); 5] {
    [
        ("kubernetes.io/hostname", &machine.name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", machine.architecture),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", machine.architecture),
    ]
}

fn status(stored: &Value, machine: &Machine, version: &str, now: WallTime) -> Value {
    let mut status = stored.as_object().cloned().unwrap_or_default();
    let mut capacity = status.get("capacity").and_then(Value::as_object).cloned().unwrap_or_default();
    capacity.extend(resources(machine));
    let mut allocatable = status.get("allocatable").and_then(Value::as_object).cloned().unwrap_or_default();
    allocatable.extend(resources(machine));
    status.insert("capacity".into(), capacity.into());
    status.insert("allocatable".into(), allocatable.into());
    status.insert("conditions".into(), conditions(stored, now));
    let internal = |address| json!({"type": "InternalIP", "address": address});
    let hostname = json!({"type": "Hostname", "address": machine.name});
    status.insert("addresses".into(), machine.addresses.iter().map(internal).chain([hostname]).collect());
    status.insert(
        "nodeInfo".into(),
        json!({
            "machineID": machine.machine_id,
            "systemUUID": machine.system_uuid,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel,
            "osImage": machine.os_image,
            "containerRuntimeVersion": format!("monopod://{}", env!("CARGO_PKG_VERSION")),
            "kubeletVersion": version,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": machine.architecture,
        }),
    );
    Value::Object(status)
}

/// What others have added (extended resources) is not named here and stays.
fn resources(machine: &Machine) -> Map<String, Value> {
    let text = |value: String| Value::String(value);
    Map::from_iter([
        ("cpu".to_owned(), text(machine.cpus.to_string())),
        ("memory".to_owned(), text(format!("{}Ki", machine.memory_bytes / 1_024))),
        ("ephemeral-storage".to_owned(), text(format!("{}Ki", machine.storage_bytes / 1_024))),
        ("pods".to_owned(), text(PODS_MAX.to_string())),
    ])
}

/// The times of the last change stay while the status does.
fn conditions(stored: &Value, now: WallTime) -> Value {
    let now = now.rfc3339_seconds();
    let held: Vec<Value> = stored["conditions"].as_array().cloned().unwrap_or_default();
    let mut conditions: Vec<Value> = held
        .iter()
        .filter(|condition| CONDITIONS.iter().all(|(ty, ..)| condition["type"] != *ty))
        .cloned()
        .collect();
    for (ty, status, reason, message) in CONDITIONS {
        let same = held.iter().find(|condition| condition["type"] == ty && condition["status"] == status);
        let since = same.map_or_else(|| json!(now), |condition| condition["lastTransitionTime"].clone());
        conditions.push(json!({
            "type": ty, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": since,
        }));
    }
    conditions.into()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use podspec::WallTime;
    use serde_json::json;

    use super::node_object;
    use crate::machine::Machine;

    fn machine() -> Machine {
        Machine {
            name: "box".to_owned(),
            addresses: vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))],
            pod_ranges: vec!["10.200.0.0/16".to_owned(), "fd00:1::/64".to_owned()],
            cpus: 4,
            memory_bytes: 8 << 30,
            storage_bytes: 100 << 30,
            kernel: "6.1.0".to_owned(),
            architecture: "amd64",
            os_image: "Debian".to_owned(),
            machine_id: "m".to_owned(),
            system_uuid: "s".to_owned(),
            boot_id: "b".to_owned(),
        }
    }

    #[test]
    fn a_new_node_says_what_the_machine_has() {
        let node = node_object(None, &machine(), "v1.36.2+monopod.0.1.0", WallTime(0));
        assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "box");
        assert_eq!(node["status"]["capacity"]["memory"], "8388608Ki");
        assert_eq!(node["status"]["allocatable"]["pods"], "2000");
        assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.36.2+monopod.0.1.0");
        assert_eq!(node["status"]["conditions"][3]["type"], "Ready");
    }

    #[test]
    fn what_others_gave_the_node_stays() {
        let first = node_object(None, &machine(), "v1", WallTime(0));
        let mut changed = first.clone();
        changed["metadata"]["labels"]["disk"] = json!("ssd");
        changed["spec"]["unschedulable"] = json!(true);
        changed["status"]["capacity"]["example.com/gpu"] = json!("2");
        changed["status"]["conditions"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "Odd", "status": "True"}));
        let again = node_object(Some(&changed), &machine(), "v1", WallTime(90_000_000_000));
        assert_eq!(again["metadata"]["labels"]["disk"], "ssd");
        assert_eq!(again["spec"]["unschedulable"], true);
        assert_eq!(again["status"]["capacity"]["example.com/gpu"], "2");
        let ready = again["status"]["conditions"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(ready["lastTransitionTime"], first["status"]["conditions"][3]["lastTransitionTime"]);
        assert_ne!(ready["lastHeartbeatTime"], ready["lastTransitionTime"]);
        assert_eq!(again["status"]["conditions"][0]["type"], "Odd");
    }
}
