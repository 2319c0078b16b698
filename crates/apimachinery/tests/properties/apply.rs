//! Server-side apply.

use api_schema::{Schema, Type};
use apimachinery::apply::{Writer, apply, track_update};
use podspec::WallTime;
use serde_json::Value;

use crate::draw::Draw;

const ROUNDS: u64 = 200;

pub(crate) fn writer(manager: &str, second: i64) -> Writer<'_> {
    let now = WallTime::from_unix(second, 0);
    Writer { manager, api_version: "v1", subresource: "", reset: &["status"], now }
}

fn pod_type() -> &'static Type {
    Schema::get().kind("", "v1", "Pod").unwrap()
}

fn forced(live: Option<&Value>, applied: &Value, manager: &str, second: i64) -> Value {
    apply(pod_type(), live, applied, &writer(manager, second), true).unwrap()
}

fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    object
}

/// Lists stand in the order of the last who applied them.
fn unordered(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => {
            *items = items.drain(..).map(unordered).collect();
            items.sort_by_key(ToString::to_string);
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| *value = unordered(value.take())),
        _ => {}
    }
    value
}

#[test]
fn an_only_manager_gets_what_it_applies() {
    for seed in 0..ROUNDS {
        let mut draw = Draw(seed);
        let (first, second) = (draw.pod(), draw.pod());
        let live = forced(None, &first, "x", 1);
        assert_eq!(bare(&live), first, "seed {seed}");
        assert_eq!(forced(Some(&live), &first, "x", 2), live, "seed {seed}");
        let unforced = apply(pod_type(), Some(&live), &second, &writer("x", 3), false).unwrap();
        assert_eq!(bare(&unforced), second, "seed {seed}");
    }
}

#[test]
fn who_applies_by_force_has_no_conflict_afterwards() {
    for seed in 0..ROUNDS {
        let mut draw = Draw(seed);
        let (ours, theirs) = (draw.pod(), draw.pod());
        let live = forced(None, &theirs, "y", 1);
        let live = forced(Some(&live), &ours, "x", 2);
        let again = apply(pod_type(), Some(&live), &ours, &writer("x", 3), false);
        assert_eq!(again.as_ref(), Ok(&live), "seed {seed}");
        // Whatever y had is there unless x has it another way: y takes nothing away by applying it again.
        let back = forced(Some(&live), &theirs, "y", 4);
        let back = forced(Some(&back), &ours, "x", 5);
        let names = |object: &Value| -> Vec<Value> {
            object["spec"]["containers"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect()
        };
        let (all, wanted) = (names(&back), [names(&ours), names(&theirs)].concat());
        assert!(wanted.iter().all(|name| all.contains(name)), "seed {seed}");
    }
}

#[test]
fn without_force_nothing_of_others_changes() {
    for seed in 0..ROUNDS {
        let mut draw = Draw(seed);
        let (ours, theirs) = (draw.pod(), draw.pod());
        let live = forced(None, &theirs, "y", 1);
        match apply(pod_type(), Some(&live), &ours, &writer("x", 2), false) {
            Ok(object) => {
                // Then y finds its fields as they were, and x is not in its way.
                let again = apply(pod_type(), Some(&object), &theirs, &writer("y", 3), false);
                assert_eq!(
                    again.map(|again| unordered(bare(&again))),
                    Ok(unordered(bare(&object))),
                    "seed {seed}"
                );
            }
            Err(status) => {
                let causes = status.details.map(|details| details.causes).unwrap_or_default();
                assert!(status.code == 409 && !causes.is_empty(), "seed {seed}");
                assert!(causes.iter().all(|cause| cause.message == "conflict with \"y\""), "seed {seed}");
            }
        }
    }
}

/// Each field belongs to the last who changed it, and to all who applied it as it is.
#[test]
fn what_x_updates_y_does_not_own() {
    for seed in 0..ROUNDS {
        let mut draw = Draw(seed);
        let (first, second, third) = (draw.pod(), draw.pod(), draw.pod());
        let created = track_update(pod_type(), None, first.clone(), &writer("x", 1));
        let updated = track_update(pod_type(), Some(&created), second.clone(), &writer("y", 2));
        assert_eq!(bare(&updated), second, "seed {seed}");
        let back = track_update(pod_type(), Some(&updated), first, &writer("x", 3));
        let again = track_update(pod_type(), Some(&back), bare(&back), &writer("y", 4));
        assert_eq!(again, back, "seed {seed}: nothing has changed");
        let applied = forced(Some(&back), &third, "z", 5);
        assert_eq!(forced(Some(&applied), &third, "z", 6), applied, "seed {seed}");
        let status = apply(pod_type(), Some(&back), &third, &writer("z", 5), false);
        let causes = status.err().and_then(|status| status.details).map(|d| d.causes).unwrap_or_default();
        assert!(
            causes.iter().all(|cause| ["conflict with \"x\" using v1", "conflict with \"y\" using v1"]
                .contains(&cause.message.as_str())),
            "seed {seed}"
        );
    }
}
