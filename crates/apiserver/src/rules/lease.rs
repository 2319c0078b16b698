//! Leases.

use podspec::FieldError;
use podspec::json::integer;
use serde_json::Value;

use super::edit::path;
use crate::kinds::Rules;

pub static LEASES: Leases = Leases;

#[derive(Debug)]
pub struct Leases;

impl Rules for Leases {
    fn validate(&self, lease: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let spec = &lease["spec"];
        if let Some(seconds) = integer(spec, "leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
            let at = path(&["spec", "leaseDurationSeconds"]);
            errors.push(FieldError::invalid(at, seconds, "must be greater than 0"));
        }
        if let Some(count) = integer(spec, "leaseTransitions").filter(|count| *count < 0) {
            let at = path(&["spec", "leaseTransitions"]);
            errors.push(FieldError::invalid(at, count, "must be greater than or equal to 0"));
        }
        errors
    }
}
