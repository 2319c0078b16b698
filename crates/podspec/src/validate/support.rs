//! What this engine does not do yet and one field alone does not show.

use serde_json::Value;

use crate::field::{FieldError, FieldPath};
use crate::json::{flag, integer, list, object, text};

pub(super) fn validate(pod: &Value, errors: &mut Vec<FieldError>) {
    let spec = &pod["spec"];
    let path = FieldPath::root().child("spec");
    for (i, volume) in list(spec, "volumes").iter().enumerate() {
        size_limit(volume, &path.child("volumes").index(i), errors);
    }
    if flag(spec, "hostNetwork") {
        return;
    }
    for section in ["containers", "initContainers"] {
        for (i, container) in list(spec, section).iter().enumerate() {
            host_ports(container, &path.child(section).index(i).child("ports"), errors);
        }
    }
}

/// Nothing measures a directory on disk.
fn size_limit(volume: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(empty_dir) = object(volume, "emptyDir") else { return };
    if !text(empty_dir, "sizeLimit").is_empty() && text(empty_dir, "medium") != "Memory" {
        let error = FieldError::not_yet(path.child("emptyDir").child("sizeLimit"), "limits of disk space");
        errors.push(error.hint("it is enforced with medium: Memory"));
    }
}

fn host_ports(container: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (i, port) in list(container, "ports").iter().enumerate() {
        if integer(port, "hostPort").is_some_and(|number| number != 0) {
            let error = FieldError::not_yet(path.index(i).child("hostPort"), "host ports");
            errors.push(error.hint("with hostNetwork: true the container listens on the host itself"));
        }
    }
}
