//! Entries in words: the data itself, with times and amounts that people can read.

use std::fmt::Write as _;

use journal::{Entry, Happening, Occasion};
use lifecycle::{Action, Decision};
use podspec::time::go_duration;
use podspec::{BootTime, Moment};
use serde::Serialize;
use serde_json::Value;

use super::since;

/// Of a text; the rest is cut off.
const TEXT_CHARS_MAX: usize = 200;
/// Fields that hold a time on the boot clock by itself.
const TIMES: [&str; 8] =
    ["until", "kill_at", "decided", "since", "at", "stop_signal_sent", "kill_sent", "last_started"];

/// What an entry says, in one line; times count from `start`.
#[must_use]
pub fn words(entry: &Entry, start: Moment) -> String {
    happening(&entry.what, start)
}

pub(super) fn happening(what: &Happening, start: Moment) -> String {
    match what {
        Happening::Snapshot(snapshot) => {
            let why = match snapshot.occasion {
                Occasion::Engine => "an engine begins with what is known of the pod",
                Occasion::Generation => "the journal goes on in another file",
                Occasion::Gap => "entries before this are lost",
            };
            format!("snapshot: {why}")
        }
        Happening::Changed(pod) => format!("changed: the pod is of generation {} now", pod.generation),
        Happening::Observed(observation) => format!("observed: {}", plain(observation, start)),
        Happening::Issued(action) => issued(action, start),
        Happening::Decided(decisions) => {
            let decisions: Vec<String> = decisions.iter().map(|held| decision(held, start)).collect();
            format!(
                "decided: {}",
                if decisions.is_empty() { "nothing".to_owned() } else { decisions.join("; ") }
            )
        }
        Happening::Settled => "settled: nothing more to do".to_owned(),
    }
}

pub(super) fn issued(action: &Action, start: Moment) -> String {
    format!("issued: {}", plain(action, start))
}

pub(super) fn decision(decision: &Decision, start: Moment) -> String {
    let who = decision.container.as_ref().map_or("pod", |name| name.as_str());
    format!("{who}: {}", plain(&decision.verdict, start))
}

/// Any piece of a record.
pub(super) fn plain(data: &impl Serialize, start: Moment) -> String {
    // Data of a record always has a form in JSON.
    let value = serde_json::to_value(data).unwrap_or_default();
    let mut out = String::new();
    write(&mut out, "", &value, start);
    out
}

fn write(out: &mut String, key: &str, value: &Value, start: Moment) {
    match value {
        Value::Null => out.push_str("none"),
        Value::Bool(yes) => out.push_str(if *yes { "yes" } else { "no" }),
        Value::Number(number) => match number.as_i64().filter(|_| TIMES.contains(&key)) {
            Some(boot) => time(out, Moment { boot: BootTime(boot), ..start }, start),
            None => drop(write!(out, "{number}")),
        },
        Value::String(said) => text(out, said),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write(out, "", item, start);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let known = |name: &str| fields.get(name).and_then(Value::as_i64);
            match (fields.len(), known("boot"), known("secs"), known("nanos")) {
                (2, Some(boot), ..) => time(out, Moment { boot: BootTime(boot), ..start }, start),
                (2, _, Some(secs), Some(nanos)) => {
                    let nanos = u32::try_from(nanos).unwrap_or(0);
                    let secs = u64::try_from(secs).unwrap_or(0);
                    out.push_str(&go_duration(std::time::Duration::new(secs, nanos.min(999_999_999))));
                }
                _ => named(out, fields, start),
            }
        }
    }
}

/// A choice is its name and what it holds; anything else its fields.
fn named(out: &mut String, fields: &serde_json::Map<String, Value>, start: Moment) {
    for (index, (name, value)) in fields.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { " " });
        match value {
            _ if fields.len() == 1 && name.starts_with(|first: char| first.is_ascii_uppercase()) => {
                let _ = write!(out, "{name} ");
                write(out, name, value, start);
            }
            Value::Object(_) => {
                let _ = write!(out, "{name}=(");
                write(out, name, value, start);
                out.push(')');
            }
            _ => {
                let _ = write!(out, "{name}=");
                write(out, name, value, start);
            }
        }
    }
}

fn text(out: &mut String, said: &str) {
    let simple = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '=' | '(' | ')' | ',' | ';');
    if !said.is_empty() && said.len() <= TEXT_CHARS_MAX && said.chars().all(simple) {
        return out.push_str(said);
    }
    let cut: String = said.chars().take(TEXT_CHARS_MAX).collect();
    let dots = if cut.len() < said.len() { "..." } else { "" };
    let _ = write!(out, "{cut:?}{dots}");
}

fn time(out: &mut String, at: Moment, start: Moment) {
    let (before, after) = (since(at, start), since(start, at));
    if before > std::time::Duration::ZERO {
        let _ = write!(out, "-{:.3}s", before.as_secs_f64());
    } else {
        let _ = write!(out, "+{:.3}s", after.as_secs_f64());
    }
}
