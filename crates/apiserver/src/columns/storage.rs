//! PersistentVolumes, PersistentVolumeClaims, StorageClasses.

use podspec::json::{flag, list, text};
use serde_json::Value;

use super::{AGE, NAME, Printed, age, column, name, or, wide};
use crate::kinds::Column;
use crate::rules::{is_default_class, quantity_text};

const UNSET: &str = "<unset>";

pub static PERSISTENT_VOLUMES: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Capacity", "How much there is"),
            column("Access Modes", "How it can be mounted"),
            column("Reclaim Policy", "What becomes of it when its claim is gone"),
            column("Status", "Available, Bound, Released or Failed"),
            column("Claim", "What it is bound to"),
            column("StorageClass", "The class that it belongs to"),
            column("VolumeAttributesClass", "The class of what can be changed of it"),
            column("Reason", "Why its state is what it is"),
            AGE,
            wide("VolumeMode", "Filesystem or Block"),
        ]
    },
    cells: |volume, now| {
        let (spec, status) = (&volume["spec"], &volume["status"]);
        let claim = &spec["claimRef"];
        let claimed = match text(claim, "name") {
            "" => String::new(),
            claimed => format!("{}/{claimed}", text(claim, "namespace")),
        };
        vec![
            name(volume),
            storage(&spec["capacity"]).into(),
            modes(spec).into(),
            text(spec, "persistentVolumeReclaimPolicy").into(),
            phase(volume).into(),
            claimed.into(),
            text(spec, "storageClassName").into(),
            or(text(spec, "volumeAttributesClassName"), UNSET).into(),
            text(status, "reason").into(),
            age(volume, now),
            or(text(spec, "volumeMode"), UNSET).into(),
        ]
    },
};

pub static PERSISTENT_VOLUME_CLAIMS: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Status", "Pending, Bound or Lost"),
            column("Volume", "What it is bound to"),
            column("Capacity", "How much there is"),
            column("Access Modes", "How it can be mounted"),
            column("StorageClass", "The class that it asks for"),
            column("VolumeAttributesClass", "The class of what can be changed of it"),
            AGE,
            wide("VolumeMode", "Filesystem or Block"),
        ]
    },
    cells: |claim, now| {
        let (spec, status) = (&claim["spec"], &claim["status"]);
        // Before it is bound, what it asks for is nobody's promise.
        let bound = !text(spec, "volumeName").is_empty();
        let held = |text: String| if bound { text } else { String::new() };
        vec![
            name(claim),
            phase(claim).into(),
            text(spec, "volumeName").into(),
            held(storage(&status["capacity"])).into(),
            held(modes(status)).into(),
            text(spec, "storageClassName").into(),
            or(text(spec, "volumeAttributesClassName"), UNSET).into(),
            age(claim, now),
            or(text(spec, "volumeMode"), UNSET).into(),
        ]
    },
};

pub static STORAGE_CLASSES: Printed = Printed {
    columns: const {
        &[
            NAME,
            column("Provisioner", "Who makes its volumes"),
            column("ReclaimPolicy", "What becomes of them when their claims are gone"),
            column("VolumeBindingMode", "When a claim is bound"),
            Column {
                name: "AllowVolumeExpansion",
                ty: "boolean",
                format: "",
                priority: 0,
                description: "Whether claims can grow",
            },
            AGE,
        ]
    },
    cells: |class, now| {
        let default = if is_default_class(class) { " (default)" } else { "" };
        vec![
            format!("{}{default}", text(&class["metadata"], "name")).into(),
            text(class, "provisioner").into(),
            or(text(class, "reclaimPolicy"), "Delete").into(),
            or(text(class, "volumeBindingMode"), "Immediate").into(),
            flag(class, "allowVolumeExpansion").into(),
            age(class, now),
        ]
    },
};

fn storage(amounts: &Value) -> String {
    amounts.get("storage").map(quantity_text).unwrap_or_default()
}

/// One that is being deleted and held says so.
fn phase(object: &Value) -> String {
    let deleted = object["metadata"].get("deletionTimestamp").is_some_and(|time| !time.is_null());
    if deleted { "Terminating".to_owned() } else { text(&object["status"], "phase").to_owned() }
}

/// In this order, each once.
fn modes(owner: &Value) -> String {
    let modes = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| list(owner, "accessModes").iter().any(|held| held == mode);
    modes.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}
