//! The Table of each kind, as `kubectl get` shows it.
//!
//! One static per kind, to stand in the table of kinds.

mod cluster;
mod event;
mod metrics;
mod network;
mod node;
mod pod;
mod policy;
mod rbac;
mod service;
mod storage;
mod workload;

use podspec::WallTime;
use podspec::json::{list, text};
use serde_json::Value;

use crate::kinds::{Column, Columns};

pub use cluster::{CONFIG_MAPS, LEASES, NAMESPACES, SECRETS};
pub use event::EVENTS;
pub use metrics::{NODE_METRICS, POD_METRICS};
pub use network::{IP_ADDRESSES, NETWORK_POLICIES, SERVICE_CIDRS};
pub use node::NODES;
pub use pod::PODS;
pub use policy::{PRIORITY_CLASSES, RESOURCE_CLAIMS, RESOURCE_QUOTAS, RESOURCE_SLICES, RUNTIME_CLASSES};
pub use rbac::BINDINGS;
pub use service::{ENDPOINT_SLICES, ENDPOINTS, SERVICES};
pub use storage::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES};
pub use workload::POD_TEMPLATES;

/// Columns and what fills them.
pub struct Printed {
    columns: &'static [Column],
    cells: fn(&Value, WallTime) -> Vec<Value>,
}

impl std::fmt::Debug for Printed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Printed").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl Columns for Printed {
    fn columns(&self) -> &'static [Column] {
        self.columns
    }

    fn cells(&self, object: &Value, now: WallTime) -> Vec<Value> {
        (self.cells)(object, now)
    }
}

/// Name and age, for kinds that have no more to say.
pub static NAME_AND_AGE: Printed =
    Printed { columns: const { &[NAME, AGE] }, cells: |object, now| vec![name(object), age(object, now)] };

/// Name and the time of creation, for kinds with no columns of their own in Kubernetes.
pub static NAME_AND_CREATED: Printed = Printed {
    columns: const {
        &[
            NAME,
            Column {
                name: "Created At",
                ty: "date",
                format: "",
                priority: 0,
                description: "When it was created, in UTC",
            },
        ]
    },
    cells: |object, _| vec![name(object), object["metadata"]["creationTimestamp"].clone()],
};

const NAME: Column = Column {
    name: "Name",
    ty: "string",
    format: "name",
    priority: 0,
    description: "What the object is called; unique among those of its kind, in its namespace",
};

const AGE: Column = column("Age", "How long ago it was created");

const fn column(name: &'static str, description: &'static str) -> Column {
    Column { name, ty: "string", format: "", priority: 0, description }
}

const fn number(name: &'static str, description: &'static str) -> Column {
    Column { name, ty: "integer", format: "", priority: 0, description }
}

/// Shown with `-o wide`.
const fn wide(name: &'static str, description: &'static str) -> Column {
    Column { name, ty: "string", format: "", priority: 1, description }
}

fn name(object: &Value) -> Value {
    text(&object["metadata"], "name").into()
}

fn age(object: &Value, now: WallTime) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

/// The age of a timestamp; `<unknown>` without one.
fn since(timestamp: &Value, now: WallTime) -> String {
    apimachinery::duration::age(moment(timestamp), now)
}

fn moment(timestamp: &Value) -> Option<WallTime> {
    cri_log::parse_timestamp(timestamp.as_str()?.as_bytes())
}

/// A text, or what stands for none.
fn or(text: &str, none: &str) -> String {
    if text.is_empty() { none.to_owned() } else { text.to_owned() }
}

/// Labels as `a=b,c=d`; `<none>` without any.
fn labels(labels: &Value) -> String {
    let pairs = podspec::json::fields(labels).iter();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))).collect();
    or(&pairs.join(","), "<none>")
}

/// Names and images of containers, each list in one cell.
fn containers(spec: &Value) -> (String, String) {
    let all = |name| {
        list(spec, "containers").iter().map(|container| text(container, name)).collect::<Vec<_>>().join(",")
    };
    (all("name"), all("image"))
}
