//! What this engine does not do yet and one field alone does not show.

use serde_json::Value;

use crate::field::{FieldError, FieldPath};
use crate::json::{flag, integer, list};

pub(super) fn validate(pod: &Value, errors: &mut Vec<FieldError>) {
    let spec = &pod["spec"];
    let path = FieldPath::root().child("spec");
    if flag(spec, "hostNetwork") {
        return;
    }
    for section in ["containers", "initContainers"] {
        for (i, container) in list(spec, section).iter().enumerate() {
            host_ports(container, &path.child(section).index(i).child("ports"), errors);
        }
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
