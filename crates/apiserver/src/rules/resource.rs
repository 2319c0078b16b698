//! Dynamic resource allocation: kept and shown, never allocated. A pod that claims one stays pending.

use podspec::json::{list, text};
use podspec::{FieldError, format};
use serde_json::{Value, json};

use super::edit::{
    first_generation, immutable, keep, keep_apart, next_generation, path, selectable, set, set_default,
};
use crate::kinds::Rules;

pub static DEVICE_CLASSES: DeviceClasses = DeviceClasses;
pub static RESOURCE_CLAIMS: ResourceClaims = ResourceClaims;
pub static RESOURCE_CLAIM_TEMPLATES: ResourceClaimTemplates = ResourceClaimTemplates;
pub static RESOURCE_SLICES: ResourceSlices = ResourceSlices;

/// Requests, constraints and configurations of one claim.
const REQUESTS_MAX: usize = 32;

#[derive(Debug)]
pub struct DeviceClasses;

impl Rules for DeviceClasses {
    fn prepare_create(&self, class: &mut Value) {
        first_generation(class);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _: Option<&str>) {
        next_generation(new, old, &["spec"]);
    }
}

#[derive(Debug)]
pub struct ResourceClaims;

impl Rules for ResourceClaims {
    fn default(&self, claim: &mut Value) {
        default_requests(&mut claim["spec"]);
    }

    fn prepare_create(&self, claim: &mut Value) {
        set(claim, "status", json!({}));
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        keep_apart(new, old, subresource);
        if subresource == Some("status") {
            keep(&mut new["metadata"], &old["metadata"], "ownerReferences");
        }
    }

    fn validate(&self, claim: &Value) -> Vec<FieldError> {
        requests(&claim["spec"], &["spec", "devices", "requests"])
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        immutable(&mut errors, new, old, &["spec"]);
        errors
    }
}

#[derive(Debug)]
pub struct ResourceClaimTemplates;

impl Rules for ResourceClaimTemplates {
    fn default(&self, template: &mut Value) {
        if let Some(spec) = template.get_mut("spec").and_then(|spec| spec.get_mut("spec")) {
            default_requests(spec);
        }
    }

    fn validate(&self, template: &Value) -> Vec<FieldError> {
        requests(&template["spec"]["spec"], &["spec", "spec", "devices", "requests"])
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        immutable(&mut errors, new, old, &["spec"]);
        errors
    }
}

#[derive(Debug)]
pub struct ResourceSlices;

impl Rules for ResourceSlices {
    fn prepare_create(&self, slice: &mut Value) {
        first_generation(slice);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, _: Option<&str>) {
        next_generation(new, old, &["spec"]);
    }

    fn validate(&self, slice: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let driver = text(&slice["spec"], "driver");
        if driver.is_empty() {
            errors.push(FieldError::required(path(&["spec", "driver"]), ""));
        } else {
            super::edit::invalid(
                &mut errors,
                &path(&["spec", "driver"]),
                driver,
                format::dns_subdomain(driver),
            );
        }
        if text(&slice["spec"]["pool"], "name").is_empty() {
            errors.push(FieldError::required(path(&["spec", "pool", "name"]), ""));
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = self.validate(new);
        for name in ["driver", "nodeName"] {
            immutable(&mut errors, new, old, &["spec", name]);
        }
        immutable(&mut errors, new, old, &["spec", "pool", "name"]);
        errors
    }

    fn fields(&self, slice: &Value) -> Vec<(&'static str, String)> {
        selectable(slice, &["spec.nodeName", "spec.driver"])
    }
}

fn default_requests(spec: &mut Value) {
    let requests = spec.get_mut("devices").and_then(|devices| devices.get_mut("requests"));
    for request in requests.and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(exactly) = request.get_mut("exactly").and_then(Value::as_object_mut) else { continue };
        set_default(exactly, "allocationMode", "ExactCount");
        if exactly["allocationMode"] == "ExactCount" {
            set_default(exactly, "count", 1);
        }
    }
}

fn requests(spec: &Value, names: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = path(names);
    let requests = list(&spec["devices"], "requests");
    if requests.len() > REQUESTS_MAX {
        errors.push(FieldError::too_many(at.clone(), requests.len(), REQUESTS_MAX));
    }
    for (index, request) in requests.iter().enumerate().take(REQUESTS_MAX) {
        let at = at.index(index);
        let name = text(request, "name");
        if name.is_empty() {
            errors.push(FieldError::required(at.child("name"), ""));
        } else {
            super::edit::invalid(&mut errors, &at.child("name"), name, format::dns_label(name));
        }
        let (exactly, several) = (request.get("exactly"), list(request, "firstAvailable"));
        match (exactly, several.is_empty()) {
            (None, true) => {
                errors.push(FieldError::required(
                    at,
                    "exactly one of `exactly` or `firstAvailable` is required",
                ));
            }
            (Some(_), false) => {
                let detail =
                    "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
                errors.push(FieldError::invalid(at, Value::Null, detail));
            }
            (Some(exactly), true) if text(exactly, "deviceClassName").is_empty() => {
                errors.push(FieldError::required(at.child("exactly").child("deviceClassName"), ""));
            }
            _ => {}
        }
    }
    errors
}
