//! A container's own `restartPolicy` and `restartPolicyRules` (KEP-753, KEP-5307).

use serde_json::Value;

use crate::field::{FieldError, FieldPath};
use crate::json::{list, object, text};

const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;

pub(super) fn validate(container: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let policy = container.get("restartPolicy").and_then(Value::as_str);
    let rules = list(container, "restartPolicyRules");
    let rules_path = path.child("restartPolicyRules");
    match policy {
        None if rules.is_empty() => return,
        None => {
            let detail = "must specify restartPolicy when restart rules are used";
            errors.push(FieldError::required(path.child("restartPolicy"), detail));
        }
        Some("Always" | "Never" | "OnFailure") => {}
        Some(other) => {
            let supported = ["Always", "Never", "OnFailure"];
            errors.push(FieldError::not_supported(path.child("restartPolicy"), other, &supported));
        }
    }
    if rules.len() > RULES_MAX {
        errors.push(FieldError::too_many(rules_path.clone(), rules.len(), RULES_MAX));
    }
    for (i, rule) in rules.iter().enumerate() {
        validate_rule(rule, &rules_path.index(i), errors);
    }
}

fn validate_rule(rule: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let action = text(rule, "action");
    if !["Restart", "RestartAllContainers"].contains(&action) {
        let supported = ["Restart", "RestartAllContainers"];
        errors.push(FieldError::not_supported(path.child("action"), action, &supported));
    }
    let path = path.child("exitCodes");
    let Some(exit_codes) = object(rule, "exitCodes") else {
        errors.push(FieldError::required(path, "must be specified"));
        return;
    };
    let operator = text(exit_codes, "operator");
    if !["In", "NotIn"].contains(&operator) {
        errors.push(FieldError::not_supported(path.child("operator"), operator, &["In", "NotIn"]));
    }
    let values = list(exit_codes, "values");
    if values.len() > EXIT_CODES_MAX {
        errors.push(FieldError::too_many(path.child("values"), values.len(), EXIT_CODES_MAX));
    }
}
