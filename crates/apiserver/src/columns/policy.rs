//! ResourceQuotas, PriorityClasses, RuntimeClasses, and what is claimed of devices.

use podspec::json::{fields, flag, integer, list, text};
use serde_json::Value;

use super::{AGE, NAME, Printed, age, column, name, number};
use crate::kinds::Column;
use crate::rules::quantity_text;

pub static RESOURCE_QUOTAS: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Request", "Used and allowed: requests and counts"),
            column("Limit", "Used and allowed: limits"),
            AGE,
        ]
    },
    cells: |quota, now| {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        for (name, hard) in fields(&quota["status"]["hard"]) {
            let used = quota["status"]["used"].get(name).map_or_else(|| "0".to_owned(), quantity_text);
            let target = if name.starts_with("limits.") { &mut limits } else { &mut requests };
            target.push(format!("{name}: {used}/{}", quantity_text(hard)));
        }
        vec![name(quota), requests.join(", ").into(), limits.join(", ").into(), age(quota, now)]
    },
};

pub static PRIORITY_CLASSES: Printed = Printed {
    columns: const {
        &[
            NAME,
            number("Value", "The priority of its pods"),
            Column {
                name: "Global-Default",
                ty: "boolean",
                format: "",
                priority: 0,
                description: "Whether pods that name no class have this one",
            },
            AGE,
            column("PreemptionPolicy", "Whether its pods may take the place of others"),
        ]
    },
    cells: |class, now| {
        vec![
            name(class),
            integer(class, "value").unwrap_or(0).into(),
            flag(class, "globalDefault").into(),
            age(class, now),
            text(class, "preemptionPolicy").into(),
        ]
    },
};

pub static RUNTIME_CLASSES: Printed = Printed {
    columns: const { &[NAME, column("Handler", "The runtime that it stands for"), AGE] },
    cells: |class, now| vec![name(class), text(class, "handler").into(), age(class, now)],
};

pub static RESOURCE_CLAIMS: Printed = Printed {
    columns: const { &[NAME, column("State", "How far it is allocated"), AGE] },
    cells: |claim, now| vec![name(claim), state(claim).into(), age(claim, now)],
};

pub static RESOURCE_SLICES: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Node", "Whose devices these are"),
            column("Driver", "Who offers them"),
            column("Pool", "What they belong to"),
            AGE,
        ]
    },
    cells: |slice, now| {
        let spec = &slice["spec"];
        vec![
            name(slice),
            text(spec, "nodeName").into(),
            text(spec, "driver").into(),
            text(&spec["pool"], "name").into(),
            age(slice, now),
        ]
    },
};

fn state(claim: &Value) -> String {
    let deleted = claim["metadata"].get("deletionTimestamp").is_some();
    let status = &claim["status"];
    let allocated = status.get("allocation").is_some_and(Value::is_object);
    let states = [
        (deleted, "deleted"),
        (!allocated && !deleted, "pending"),
        (allocated, "allocated"),
        (allocated && !list(status, "reservedFor").is_empty(), "reserved"),
    ];
    states.iter().filter(|(holds, _)| *holds).map(|(_, state)| *state).collect::<Vec<_>>().join(",")
}
