//! Events. One kind in two groups over one storage: they are kept in the form of the core group, and the other is made
//! from it (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).

use podspec::json::{fields, integer, text};
use podspec::{FieldError, format};
use serde_json::{Map, Value, json};

use super::edit::{IMMUTABLE, at, path, selectable, set};
use crate::kinds::Rules;

pub static EVENTS: Events = Events { strict: false };
/// Those of `events.k8s.io/v1`, in the form of the core group.
pub static NEW_EVENTS: Events = Events { strict: true };

#[derive(Debug)]
pub struct Events {
    strict: bool,
}

const NAME_BYTES_MAX: usize = 128;
const NOTE_BYTES_MAX: usize = 1_024;

/// Core's name of a field, and that of `events.k8s.io/v1`.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

const SELECTABLE: [&str; 9] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "type",
];

/// An event of the core group as one of `events.k8s.io/v1`.
#[must_use]
pub fn to_new(event: &Value) -> Value {
    renamed(event, "events.k8s.io/v1", |name| {
        RENAMED.iter().find(|(core, _)| *core == name).map(|(_, new)| *new)
    })
}

/// An event of `events.k8s.io/v1` as one of the core group.
#[must_use]
pub fn to_core(event: &Value) -> Value {
    renamed(event, "v1", |name| RENAMED.iter().find(|(_, new)| *new == name).map(|(core, _)| *core))
}

/// What a field selector of `events.k8s.io/v1` means in the core group.
#[must_use]
pub fn selector_to_core(name: &str) -> String {
    match name {
        "reportingController" => "reportingComponent".to_owned(),
        _ => match name.strip_prefix("regarding.") {
            Some(rest) => format!("involvedObject.{rest}"),
            None => name.to_owned(),
        },
    }
}

fn renamed(event: &Value, api_version: &str, name: impl Fn(&str) -> Option<&'static str>) -> Value {
    let mut out = Map::new();
    for (field, value) in fields(event) {
        out.insert(name(field).unwrap_or(field).to_owned(), value.clone());
    }
    let mut out = Value::Object(out);
    set(&mut out, "apiVersion", api_version);
    out
}

impl Rules for Events {
    /// Kubernetes' clients read these as never missing.
    fn default(&self, event: &mut Value) {
        let Some(event) = event.as_object_mut() else { return };
        for name in ["source", "involvedObject"] {
            super::set_default(event, name, json!({}));
        }
        for name in ["reportingComponent", "reportingInstance"] {
            event.entry(name).or_insert_with(|| "".into());
        }
        for name in ["firstTimestamp", "lastTimestamp", "eventTime"] {
            event.entry(name).or_insert(Value::Null);
        }
    }

    fn validate(&self, event: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let dated = !text(event, "eventTime").is_empty();
        let (own, about) =
            (text(&event["metadata"], "namespace"), text(&event["involvedObject"], "namespace"));
        let matches = match (dated, about) {
            (false, "") => ["", "default"].contains(&own),
            (true, "") => ["default", "kube-system"].contains(&own),
            (false, about) => own == about,
            (true, _) => true,
        };
        if !matches {
            let at = path(&["involvedObject", "namespace"]);
            errors.push(FieldError::invalid(at, about, "does not match event.namespace"));
        }
        if dated {
            self.dated(event, &mut errors);
        }
        if self.strict {
            strict(event, &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _: Option<&str>) -> Vec<FieldError> {
        if !self.strict {
            return self.validate(new);
        }
        let mut errors = Vec::new();
        if new.get("series") != old.get("series") {
            series(new, &mut errors);
        }
        let fixed = [
            "involvedObject",
            "reason",
            "message",
            "source",
            "firstTimestamp",
            "lastTimestamp",
            "count",
            "type",
            "eventTime",
            "action",
            "related",
            "reportingComponent",
            "reportingInstance",
        ];
        for name in fixed {
            if new[name] != old[name] {
                let shown = if name == "reportingComponent" { "reportingController" } else { name };
                errors.push(FieldError::invalid(path(&[shown]), new[name].clone(), IMMUTABLE));
            }
        }
        errors
    }

    fn fields(&self, event: &Value) -> Vec<(&'static str, String)> {
        let mut found = selectable(event, &SELECTABLE);
        let reporting = text(event, "reportingComponent");
        let component = text(at(event, &["source"]), "component");
        let source = if component.is_empty() { reporting } else { component };
        found.push(("source", source.to_owned()));
        found.push(("reportingComponent", reporting.to_owned()));
        found
    }
}

impl Events {
    /// What an event of the new kind, one with `eventTime`, has to say.
    fn dated(&self, event: &Value, errors: &mut Vec<FieldError>) {
        let controller = path(&[if self.strict { "reportingController" } else { "reportingComponent" }]);
        let reporting = text(event, "reportingComponent");
        if reporting.is_empty() {
            errors.push(FieldError::required(controller.clone(), ""));
        }
        super::edit::invalid(errors, &controller, reporting, format::qualified_name(reporting));
        for name in ["reportingInstance", "action", "reason"] {
            let value = text(event, name);
            if value.is_empty() {
                errors.push(FieldError::required(path(&[name]), ""));
            }
            longer(value, NAME_BYTES_MAX, name, errors);
        }
        longer(text(event, "message"), NOTE_BYTES_MAX, "message", errors);
    }
}

fn longer(value: &str, max: usize, name: &str, errors: &mut Vec<FieldError>) {
    if value.len() > max {
        errors.push(FieldError::invalid(path(&[name]), "", &format!("can have at most {max} characters")));
    }
}

fn strict(event: &Value, errors: &mut Vec<FieldError>) {
    series(event, errors);
    if text(event, "eventTime").is_empty() {
        errors.push(FieldError::required(path(&["eventTime"]), ""));
    }
    let kind = text(event, "type");
    if !["Normal", "Warning"].contains(&kind) {
        errors.push(FieldError::invalid(path(&["type"]), "", &format!("has invalid value: {kind}")));
    }
    for name in ["firstTimestamp", "lastTimestamp"] {
        if !text(event, name).is_empty() {
            errors.push(FieldError::invalid(path(&[name]), "", "needs to be unset"));
        }
    }
    if integer(event, "count").is_some_and(|count| count != 0) {
        errors.push(FieldError::invalid(path(&["count"]), "", "needs to be unset"));
    }
    if ["component", "host"].iter().any(|name| !text(&event["source"], name).is_empty()) {
        errors.push(FieldError::invalid(path(&["source"]), "", "needs to be unset"));
    }
}

fn series(event: &Value, errors: &mut Vec<FieldError>) {
    let Some(series) = event.get("series").filter(|series| series.is_object()) else { return };
    if integer(series, "count").unwrap_or(0) < 2 {
        errors.push(FieldError::invalid(path(&["series.count"]), "", "should be at least 2"));
    }
    if text(series, "lastObservedTime").is_empty() {
        errors.push(FieldError::required(path(&["series.lastObservedTime"]), ""));
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENTS, NEW_EVENTS, to_core, to_new};
    use crate::kinds::Rules as _;
    use serde_json::json;

    #[test]
    fn both_groups_say_the_same() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "n"},
            "involvedObject": {"kind": "Pod"}, "message": "m", "reportingComponent": "c", "source": {"component": "s"},
            "firstTimestamp": "a", "lastTimestamp": "b", "count": 2, "reason": "r", "type": "Normal",
        });
        let new = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "n"},
            "regarding": {"kind": "Pod"}, "note": "m", "reportingController": "c", "deprecatedSource": {"component": "s"},
            "deprecatedFirstTimestamp": "a", "deprecatedLastTimestamp": "b", "deprecatedCount": 2, "reason": "r",
            "type": "Normal",
        });
        assert_eq!(to_new(&core), new);
        assert_eq!(to_core(&new), core);
    }

    #[test]
    fn namespaces_agree_and_new_events_are_complete() {
        let texts =
            |errors: Vec<podspec::FieldError>| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        let other = json!({"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "b"}});
        assert_eq!(
            texts(EVENTS.validate(&other)),
            ["involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"]
        );
        let bare =
            json!({"metadata": {"namespace": "default"}, "involvedObject": {}, "type": "Odd", "count": 1});
        assert_eq!(
            texts(NEW_EVENTS.validate(&bare)),
            [
                "eventTime: Required value",
                "type: Invalid value: \"\": has invalid value: Odd",
                "count: Invalid value: \"\": needs to be unset",
            ]
        );
    }
}
