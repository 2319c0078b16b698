//! Events, in the form of the core group.

use podspec::json::{integer, text};
use serde_json::Value;

use super::{Printed, column, moment, name, since, wide};
use crate::kinds::Column;

pub static EVENTS: Printed = Printed {
    columns: const {
        &[
            column("Last Seen", "How long ago it last happened"),
            column("Type", "Normal or Warning"),
            column("Reason", "Why, in one word"),
            column("Object", "What it happened to"),
            wide("Subobject", "Which part of the object"),
            wide("Source", "Who says so"),
            column("Message", "What happened"),
            wide("First Seen", "How long ago it first happened"),
            wide("Count", "How often"),
            Column {
                name: "Name",
                ty: "string",
                format: "name",
                priority: 1,
                description: "Of the event itself",
            },
        ]
    },
    cells: |event, now| {
        let dated = |field: &str, other: &str| {
            let value = &event[field];
            if moment(value).is_some() { value.clone() } else { event[other].clone() }
        };
        let first = dated("firstTimestamp", "eventTime");
        let series = event.get("series").filter(|series| series.is_object());
        let last = match series {
            Some(series) => series["lastObservedTime"].clone(),
            None if moment(&event["lastTimestamp"]).is_some() => event["lastTimestamp"].clone(),
            None => first.clone(),
        };
        let count = match (series, integer(event, "count").unwrap_or(0)) {
            (Some(series), _) => integer(series, "count").unwrap_or(0),
            (None, 0) => 1,
            (None, count) => count,
        };
        vec![
            since(&last, now).into(),
            text(event, "type").into(),
            text(event, "reason").into(),
            object(&event["involvedObject"]).into(),
            text(&event["involvedObject"], "fieldPath").into(),
            source(event).into(),
            text(event, "message").trim().into(),
            since(&first, now).into(),
            count.into(),
            name(event),
        ]
    },
};

fn object(about: &Value) -> String {
    let kind = text(about, "kind").to_lowercase();
    match text(about, "name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

fn source(event: &Value) -> String {
    let either = |own, other| {
        if text(&event["source"], own).is_empty() { text(event, other) } else { text(&event["source"], own) }
    };
    match (either("component", "reportingComponent"), either("host", "reportingInstance")) {
        (component, "") => component.to_owned(),
        (component, instance) => format!("{component}, {instance}"),
    }
}
