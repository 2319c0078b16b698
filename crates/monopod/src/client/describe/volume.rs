//! Volumes in words.

use podspec::json::{fields, flag, integer, list, text};
use serde_json::Value;

use super::Lines;

/// What a line is called, and the field that it shows.
type Shown = (&'static str, &'static str);

/// Types of which every field is a line as it is: the field, the type, and what it is.
const KNOWN: [(&str, &str, &[Shown]); 9] = [
    (
        "hostPath",
        "HostPath (a file or directory of the machine)",
        &[("Path", "path"), ("HostPathType", "type")],
    ),
    (
        "emptyDir",
        "EmptyDir (made with the pod, gone with the pod)",
        &[("Medium", "medium"), ("SizeLimit", "sizeLimit")],
    ),
    ("secret", "Secret (files from a Secret)", &[("SecretName", "secretName"), ("Optional", "optional")]),
    ("configMap", "ConfigMap (files from a ConfigMap)", &[("Name", "name"), ("Optional", "optional")]),
    (
        "persistentVolumeClaim",
        "PersistentVolumeClaim (storage that a claim in this namespace has)",
        &[("ClaimName", "claimName"), ("ReadOnly", "readOnly")],
    ),
    ("image", "Image (files of an image)", &[("Reference", "reference"), ("PullPolicy", "pullPolicy")]),
    ("csi", "CSI (by a driver)", &[("Driver", "driver"), ("FSType", "fsType"), ("ReadOnly", "readOnly")]),
    ("nfs", "NFS (of a server)", &[("Server", "server"), ("Path", "path"), ("ReadOnly", "readOnly")]),
    ("ephemeral", "EphemeralVolume (a claim of the pod's own)", &[]),
];

pub(super) fn describe(out: &mut Lines, volumes: &[Value]) {
    if volumes.is_empty() {
        return out.field(0, "Volumes", "<none>");
    }
    out.line(0, "Volumes:");
    for volume in volumes {
        out.line(1, &format!("{}:", text(volume, "name")));
        source(out, volume);
    }
}

fn source(out: &mut Lines, volume: &Value) {
    for (field, kind, lines) in KNOWN {
        let source = &volume[field];
        if source.is_null() {
            continue;
        }
        out.field(2, "Type", kind);
        for (title, name) in lines {
            out.field(2, title, &shown(&source[*name], name));
        }
        return;
    }
    if volume["projected"].is_object() {
        out.field(2, "Type", "Projected (files from several sources)");
        list(&volume["projected"], "sources").iter().for_each(|source| projected(out, source));
    } else if volume["downwardAPI"].is_object() {
        out.field(2, "Type", "DownwardAPI (files about the pod)");
        out.line(2, "Items:");
        for item in list(&volume["downwardAPI"], "items") {
            let from = match text(&item["fieldRef"], "fieldPath") {
                "" => text(&item["resourceFieldRef"], "resource"),
                path => path,
            };
            out.line(3, &format!("{from} -> {}", text(item, "path")));
        }
    } else {
        let kind = fields(volume).keys().find(|key| *key != "name");
        out.field(2, "Type", kind.map_or("<unknown>", String::as_str));
    }
}

fn projected(out: &mut Lines, source: &Value) {
    for (field, title) in [("secret", "SecretName"), ("configMap", "ConfigMapName")] {
        if source[field].is_object() {
            out.field(2, title, text(&source[field], "name"));
            out.field(2, "Optional", if flag(&source[field], "optional") { "true" } else { "false" });
        }
    }
    if source["downwardAPI"].is_object() {
        out.field(2, "DownwardAPI", "true");
    }
    if let Some(seconds) = integer(&source["serviceAccountToken"], "expirationSeconds") {
        out.field(2, "TokenExpirationSeconds", &seconds.to_string());
    }
}

/// Of what is not set, what that means.
fn shown(value: &Value, name: &str) -> String {
    match (value, name) {
        (Value::String(text), "type") if text.is_empty() => "<none>".to_owned(),
        (Value::String(text), _) => text.clone(),
        (Value::Null, "optional" | "readOnly") => "false".to_owned(),
        (Value::Null, "sizeLimit") => "<unset>".to_owned(),
        (Value::Null, "type") => "<none>".to_owned(),
        (Value::Null, _) => String::new(),
        (other, _) => other.to_string(),
    }
}
