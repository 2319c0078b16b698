//! The first thing that this version says otherwise, with what it is said from.

use std::collections::BTreeSet;

use journal::{Entry, Happening};
use lifecycle::{Action, Decision, Observed};
use podspec::{ContainerName, Moment};
use serde::Serialize;
use serde_json::{Map, Value};

use super::words;

/// Fields of states that differ; the rest is not shown.
const FIELDS_MAX: usize = 20;
/// What a plan goes by beside the containers it speaks of.
const OF_THE_POD: [&str; 12] = [
    "accepted",
    "resumed",
    "deadline",
    "deletion",
    "eviction",
    "volumes",
    "sandbox",
    "run",
    "initialized",
    "pulls",
    "gates",
    "finished",
];

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Of the entry that is otherwise.
    pub seq: u64,
    pub at: Moment,
    pub what: Otherwise,
    /// What is on record and is not said now; then what is said now and is not on record.
    pub recorded: Vec<String>,
    pub now: Vec<String>,
    /// What was known then, as far as it is about what differs.
    pub known: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Otherwise {
    /// The plan decides or does something else.
    Plan,
    /// The same things lead to another state.
    State,
}

impl Difference {
    /// `recorded` begins with the first entry of the plan that was made at `at`.
    pub(super) fn of_plan(
        (observed, before): (&Observed, u64),
        recorded: &[Entry],
        expected: &[Happening],
        at: Moment,
    ) -> Box<Self> {
        let seq = recorded.first().map_or(before, |entry| entry.seq);
        let of_this_plan = |(index, entry): &(usize, &Entry)| {
            let decides = matches!(entry.what, Happening::Decided(_));
            let does = matches!(entry.what, Happening::Issued(_));
            entry.at == at && (*index == 0 || does) && (decides || does || entry.what == Happening::Settled)
        };
        let of_it = recorded.iter().enumerate().take_while(of_this_plan);
        let recorded: Vec<&Happening> = of_it.map(|(_, entry)| &entry.what).collect();
        let expected: Vec<&Happening> = expected.iter().collect();
        let (was, is) = (lines(&recorded, at), lines(&expected, at));
        let only = |these: &[String], those: &[String]| {
            these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>()
        };
        let (mut only_was, mut only_is) = (only(&was, &is), only(&is, &was));
        if only_was.is_empty() && only_is.is_empty() {
            // The same in another order, or at another time.
            (only_was, only_is) = (was, is);
        }
        let mut named = BTreeSet::new();
        recorded.iter().chain(&expected).for_each(|what| name_containers(what, &mut named));
        Box::new(Self {
            seq,
            at,
            what: Otherwise::Plan,
            recorded: only_was,
            now: only_is,
            known: known(observed, &named),
        })
    }

    pub(super) fn of_state(
        entry: &Entry,
        recorded: (&Observed, &[Decision]),
        folded: (&Observed, &[Decision]),
    ) -> Box<Self> {
        let value = |(observed, decisions): (&Observed, &[Decision])| serde_json::json!({ "observed": observed, "decisions": decisions });
        let mut fields = Vec::new();
        unequal("", &value(recorded), &value(folded), &mut fields);
        let (mut was, mut is) = (Vec::new(), Vec::new());
        for (path, recorded, folded) in fields {
            was.push(format!("{path}: {}", words::plain(&recorded, entry.at)));
            is.push(format!("{path}: {}", words::plain(&folded, entry.at)));
        }
        if was.is_empty() {
            was.push("the pod itself is another".to_owned());
        }
        Box::new(Self {
            seq: entry.seq,
            at: entry.at,
            what: Otherwise::State,
            recorded: was,
            now: is,
            known: Value::Null,
        })
    }
}

/// Each decision and each action is a line of its own.
fn lines(happenings: &[&Happening], at: Moment) -> Vec<String> {
    let mut lines = Vec::new();
    for happening in happenings {
        match happening {
            Happening::Decided(decisions) => {
                lines.extend(decisions.iter().map(|held| format!("decided: {}", words::decision(held, at))));
            }
            other => lines.push(words::happening(other, at)),
        }
    }
    if lines.is_empty() {
        lines.push("nothing new".to_owned());
    }
    lines
}

fn name_containers(what: &Happening, named: &mut BTreeSet<ContainerName>) {
    match what {
        Happening::Decided(decisions) => named.extend(decisions.iter().filter_map(|d| d.container.clone())),
        Happening::Issued(
            Action::EnsureImage { container, .. }
            | Action::StartContainer { container, .. }
            | Action::RunHook { container, .. }
            | Action::RunProbe { container, .. }
            | Action::ResizeContainer { container, .. }
            | Action::SignalContainer { container, .. }
            | Action::KillContainer { container, .. }
            | Action::RemoveContainer { container, .. },
        ) => {
            named.insert(container.clone());
        }
        _ => {}
    }
}

fn known(observed: &Observed, named: &BTreeSet<ContainerName>) -> Value {
    let Ok(Value::Object(mut all)) = serde_json::to_value(observed) else { return Value::Null };
    let mut known = Map::new();
    for field in OF_THE_POD {
        let value = all.remove(field).filter(|value| !value.is_null() && !is_empty(value));
        known.extend(value.map(|value| (field.to_owned(), value)));
    }
    if let Some(Value::Object(containers)) = all.remove("containers") {
        let of_them = containers.into_iter().filter(|(name, _)| named.contains(&ContainerName::new(name)));
        known.insert("containers".to_owned(), Value::Object(of_them.collect()));
    }
    Value::Object(known)
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

/// The innermost fields that are unequal, by their paths.
fn unequal(path: &str, left: &Value, right: &Value, out: &mut Vec<(String, Value, Value)>) {
    if left == right || out.len() >= FIELDS_MAX {
        return;
    }
    let (Value::Object(these), Value::Object(those)) = (left, right) else {
        return out.push((path.trim_start_matches('.').to_owned(), left.clone(), right.clone()));
    };
    for key in these.keys().chain(those.keys()).collect::<BTreeSet<_>>() {
        let field = |of: &Map<String, Value>| of.get(key).cloned().unwrap_or_default();
        unequal(&format!("{path}.{key}"), &field(these), &field(those), out);
    }
}
