//! LimitRanges, ResourceQuotas, PriorityClasses, RuntimeClasses.

use std::collections::{BTreeMap, BTreeSet};

use podspec::json::{fields, flag, integer, list, text};
use podspec::quantity::Quantity;
use podspec::{FieldError, FieldPath, format};
use serde_json::{Map, Value, json};

use super::edit::{
    IMMUTABLE, first_generation, immutable, keep_apart, path, quantities, quantity_text, section, set,
    set_default,
};
use crate::kinds::Rules;

pub static LIMIT_RANGES: LimitRanges = LimitRanges;
pub static RESOURCE_QUOTAS: ResourceQuotas = ResourceQuotas;
pub static PRIORITY_CLASSES: PriorityClasses = PriorityClasses;
pub static RUNTIME_CLASSES: RuntimeClasses = RuntimeClasses;

#[derive(Debug)]
pub struct LimitRanges;

const LIMIT_TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];

impl Rules for LimitRanges {
    /// A limit that has no default is its maximum, a request without one the default limit, or else the minimum.
    fn default(&self, range: &mut Value) {
        let items =
            range.get_mut("spec").and_then(|spec| spec.get_mut("limits")).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten().filter(|item| text(item, "type") == "Container") {
            for (target, source) in
                [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")]
            {
                let values = fields(&item[source]).clone();
                let Some(target) = section(item, target) else { continue };
                for (name, value) in values {
                    target.entry(name).or_insert(value);
                }
            }
        }
    }

    fn validate(&self, range: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut types = BTreeSet::new();
        for (index, item) in list(&range["spec"], "limits").iter().enumerate() {
            let at = path(&["spec", "limits"]).index(index);
            let kind = text(item, "type");
            let messages = format::qualified_name(kind);
            if messages.is_empty() && !kind.contains('/') && !LIMIT_TYPES.contains(&kind) {
                let detail = "must be a standard limit type or fully qualified";
                errors.push(FieldError::invalid(at.child("type"), kind, detail));
            }
            super::edit::invalid(&mut errors, &at.child("type"), kind, messages);
            if !types.insert(kind) {
                errors.push(FieldError::duplicate(at.child("type"), kind));
            }
            for name in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
                quantities(&mut errors, &item[name], &at.child(name));
            }
            if kind == "Pod" {
                for name in ["default", "defaultRequest"] {
                    if !fields(&item[name]).is_empty() {
                        let detail = "may not be specified when `type` is 'Pod'";
                        errors.push(FieldError::forbidden(at.child(name), detail));
                    }
                }
            }
            order(item, &at, &mut errors);
        }
        errors
    }
}

/// min <= default request <= default <= max.
fn order(item: &Value, at: &FieldPath, errors: &mut Vec<FieldError>) {
    const ORDER: [(&str, &str, &str, &str, &str); 6] = [
        ("min", "max", "min", "min value", "max value"),
        ("min", "defaultRequest", "defaultRequest", "min value", "default request value"),
        ("defaultRequest", "max", "defaultRequest", "default request value", "max value"),
        ("defaultRequest", "default", "defaultRequest", "default request value", "default limit value"),
        ("min", "default", "default", "min value", "default value"),
        ("default", "max", "default", "default value", "max value"),
    ];
    let names: BTreeSet<&String> = ["min", "max", "default", "defaultRequest"]
        .iter()
        .flat_map(|kind| fields(&item[*kind]).keys())
        .collect();
    for name in names {
        let value =
            |kind: &str| item[kind].get(name).and_then(|value| Quantity::parse(&quantity_text(value)).ok());
        for (low, high, blamed, low_words, high_words) in ORDER {
            let (Some(lower), Some(higher)) = (value(low), value(high)) else { continue };
            if lower > higher {
                let detail = format!("{low_words} {lower} is greater than {high_words} {higher}");
                let shown =
                    if blamed == "defaultRequest" || blamed == low { value(blamed) } else { Some(lower) };
                let shown = shown.unwrap_or(lower).to_string();
                errors.push(FieldError::invalid(at.child(blamed).key(name), shown, &detail));
            }
        }
    }
    for (name, ratio) in fields(&item["maxLimitRequestRatio"]) {
        let Ok(ratio) = Quantity::parse(&quantity_text(ratio)) else { continue };
        if ratio < Quantity::from_units(1) {
            let at = at.child("maxLimitRequestRatio").key(name);
            errors.push(FieldError::invalid(at, ratio.to_string(), &format!("ratio {ratio} is less than 1")));
        }
    }
}

#[derive(Debug)]
pub struct ResourceQuotas;

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// Names without a prefix that a quota can be about.
const QUOTA_NAMES: [&str; 20] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "storage",
];

impl Rules for ResourceQuotas {
    fn prepare_create(&self, quota: &mut Value) {
        set(quota, "status", json!({}));
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, subresource: Option<&str>) {
        keep_apart(new, old, subresource);
    }

    fn validate(&self, quota: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let spec = &quota["spec"];
        let hard = path(&["spec", "hard"]);
        for name in fields(&spec["hard"]).keys() {
            let at = hard.key(name);
            super::edit::invalid(&mut errors, &at, name, format::qualified_name(name));
            let known = QUOTA_NAMES.contains(&name.as_str())
                || ["hugepages-", "requests.hugepages-", "count/"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix));
            if !known && !name.contains('/') {
                errors.push(FieldError::invalid(at, name.as_str(), "must be a standard resource for quota"));
            }
        }
        quantities(&mut errors, &spec["hard"], &hard);
        scopes(spec, &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if subresource == Some("status") {
            for name in ["hard", "used"] {
                quantities(&mut errors, &new["status"][name], &path(&["status", name]));
            }
            return errors;
        }
        errors.extend(self.validate(new));
        let set = |quota: &Value| -> BTreeSet<String> {
            list(&quota["spec"], "scopes").iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        if set(new) != set(old) {
            let scopes = new["spec"]["scopes"].clone();
            errors.push(FieldError::invalid(path(&["spec", "scopes"]), scopes, IMMUTABLE));
        }
        errors
    }
}

fn scopes(spec: &Value, errors: &mut Vec<FieldError>) {
    let at = path(&["spec", "scopes"]);
    let scopes: Vec<&str> = list(spec, "scopes").iter().filter_map(Value::as_str).collect();
    for _ in scopes.iter().filter(|scope| !SCOPES.contains(scope)) {
        errors.push(FieldError::invalid(at.clone(), spec["scopes"].clone(), "unsupported scope"));
    }
    for pair in [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]] {
        if pair.iter().all(|scope| scopes.contains(scope)) {
            errors.push(FieldError::invalid(at.clone(), spec["scopes"].clone(), "conflicting scopes"));
        }
    }
    let at = path(&["spec", "scopeSelector", "matchExpressions"]);
    for requirement in list(&spec["scopeSelector"], "matchExpressions") {
        let (scope, operator) = (text(requirement, "scopeName"), text(requirement, "operator"));
        let values = list(requirement, "values");
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid(at.child("scopeName"), scope, "unsupported scope"));
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail =
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(FieldError::required(at.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail =
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.push(FieldError::invalid(at.child("values"), requirement["values"].clone(), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(FieldError::invalid(
                    at.child("operator"),
                    other,
                    "not a valid selector operator",
                ));
            }
        }
    }
}

#[derive(Debug)]
pub struct PriorityClasses;

/// The highest value that is not the system's own.
const USER_PRIORITY_MAX: i64 = 1_000_000_000;
/// Classes that are always there, and their values.
pub(crate) const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

impl Rules for PriorityClasses {
    fn default(&self, class: &mut Value) {
        if let Some(class) = class.as_object_mut() {
            set_default(class, "preemptionPolicy", "PreemptLowerPriority");
            class.entry("value").or_insert_with(|| 0.into());
        }
    }

    fn prepare_create(&self, class: &mut Value) {
        first_generation(class);
    }

    fn validate(&self, class: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let (name, value) = (text(&class["metadata"], "name"), integer(class, "value").unwrap_or(0));
        if name.starts_with("system-") {
            let system = SYSTEM_CLASSES.contains(&(name, value)) && !flag(class, "globalDefault");
            if !system {
                let detail =
                    "priority class names with 'system-' prefix are reserved for system use only. error: ";
                let known = SYSTEM_CLASSES.iter().find(|(known, _)| *known == name);
                let reason = match known {
                    None => format!("{name} is not a known system priority class"),
                    Some((_, known)) if *known != value => {
                        format!("value of {name} PriorityClass must be {known}")
                    }
                    Some(_) => format!("globalDefault of {name} PriorityClass must be false"),
                };
                errors.push(FieldError::forbidden(path(&["metadata", "name"]), &format!("{detail}{reason}")));
            }
        } else if value > USER_PRIORITY_MAX {
            let detail = format!("maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}");
            errors.push(FieldError::forbidden(path(&["value"]), &detail));
        }
        let policy = text(class, "preemptionPolicy");
        if !["Never", "PreemptLowerPriority"].contains(&policy) {
            let supported = ["PreemptLowerPriority", "Never"];
            errors.push(FieldError::not_supported(path(&["preemptionPolicy"]), policy, &supported));
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if new["value"] != old["value"] {
            errors.push(FieldError::forbidden(path(&["value"]), "may not be changed in an update."));
        }
        immutable(&mut errors, new, old, &["preemptionPolicy"]);
        errors
    }
}

#[derive(Debug)]
pub struct RuntimeClasses;

impl Rules for RuntimeClasses {
    fn validate(&self, class: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let handler = text(class, "handler");
        super::edit::invalid(&mut errors, &path(&["handler"]), handler, format::dns_label(handler));
        let overhead = path(&["overhead", "podFixed"]);
        quantities(&mut errors, &class["overhead"]["podFixed"], &overhead);
        for (key, value) in fields(&class["scheduling"]["nodeSelector"]) {
            let at = path(&["scheduling", "nodeSelector"]);
            super::edit::invalid(&mut errors, &at, key, format::qualified_name(key));
            let value = value.as_str().unwrap_or("");
            super::edit::invalid(&mut errors, &at, value, format::label_value(value));
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = self.validate(new);
        immutable(&mut errors, new, old, &["handler"]);
        errors
    }
}

/// Quantities by name; what does not parse is left out.
pub(crate) fn parsed(map: &Value) -> BTreeMap<String, Quantity> {
    let entries = fields(map).iter();
    entries
        .filter_map(|(name, value)| Some((name.clone(), Quantity::parse(&quantity_text(value)).ok()?)))
        .collect()
}

/// The opposite of [`parsed`].
pub(crate) fn printed(quantities: &BTreeMap<String, Quantity>) -> Value {
    let entries = quantities.iter().map(|(name, quantity)| (name.clone(), quantity.to_string().into()));
    Value::Object(entries.collect::<Map<String, Value>>())
}
