//! Claims to storage, and what volumes have in common with them
//! (<https://kubernetes.io/docs/concepts/storage/persistent-volumes/>).

use serde_json::Value;

use super::{format, invalid};
use crate::field::{FieldError, FieldPath};
use crate::json::{list, object, text};
use crate::quantity::Quantity;

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// Of a claim, or of a template of one.
#[must_use]
pub fn claim_spec(spec: &Value, at: &FieldPath) -> Vec<FieldError> {
    let mut errors = access_modes(spec, at);
    storage(&spec["resources"]["requests"], &at.child("resources"), &mut errors);
    volume_mode(spec, at, &mut errors);
    for name in ["dataSource", "dataSourceRef"] {
        if object(spec, name).is_some() {
            errors
                .push(FieldError::not_yet(at.child(name), "volumes that begin with what another one holds"));
        }
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        invalid(&mut errors, &at.child("storageClassName"), class, format::dns_subdomain(class));
    }
    errors
}

/// `accessModes` of a claim or a volume.
#[must_use]
pub fn access_modes(spec: &Value, at: &FieldPath) -> Vec<FieldError> {
    let (mut errors, at) = (Vec::new(), at.child("accessModes"));
    let modes: Vec<&str> = list(spec, "accessModes").iter().filter_map(Value::as_str).collect();
    if modes.is_empty() {
        errors.push(FieldError::required(at, "at least 1 access mode is required"));
        return errors;
    }
    for mode in modes.iter().filter(|mode| !ACCESS_MODES.contains(*mode)) {
        errors.push(FieldError::not_supported(at.clone(), mode, &ACCESS_MODES));
    }
    if modes.len() > 1 && modes.contains(&"ReadWriteOncePod") {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(at, detail));
    }
    errors
}

/// The amount of storage that is asked for, or is there.
pub fn storage(amounts: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let at = at.key("storage");
    let Some(amount) = amounts
        .get("storage")
        .map(|amount| amount.as_str().map_or_else(|| amount.to_string(), str::to_owned))
    else {
        return errors.push(FieldError::required(at, ""));
    };
    match Quantity::parse(&amount) {
        Ok(quantity) if quantity.is_negative() || quantity.is_zero() => {
            errors.push(FieldError::invalid(at, amount, "must be greater than zero"));
        }
        Ok(_) => {}
        Err(error) => errors.push(FieldError::invalid(at, amount, &error.to_string())),
    }
}

/// `volumeMode` of a claim or a volume.
pub fn volume_mode(spec: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    let at = at.child("volumeMode");
    match text(spec, "volumeMode") {
        "" | "Filesystem" => {}
        "Block" => errors.push(FieldError::not_yet(at, "block volumes")),
        other => errors.push(FieldError::not_supported(at, other, &["Block", "Filesystem"])),
    }
}
