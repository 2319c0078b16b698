//! Comparing what two containers found, and judging each difference by a list of known ones.

mod known;
mod seen;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

pub(crate) use known::{judge, known_differences};
pub(crate) use seen::{Names, normalised};

/// One value that is not the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Difference {
    /// The keys that lead to it, with blanks between them.
    pub(crate) what: String,
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

/// What a value is called that only the other side has.
const ABSENT: &str = "absent";

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: here {}, there {}", self.what, self.ours, self.theirs)
    }
}

/// Objects are compared key by key, everything else as a whole.
pub(crate) fn differences(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(&mut Vec::new(), Some(ours), Some(theirs), &mut found);
    found
}

fn walk<'v>(
    path: &mut Vec<&'v str>,
    ours: Option<&'v Value>,
    theirs: Option<&'v Value>,
    found: &mut Vec<Difference>,
) {
    if ours == theirs {
        return;
    }
    if let (Some(Value::Object(ours)), Some(Value::Object(theirs))) = (ours, theirs) {
        let only_theirs = theirs.keys().filter(|key| !ours.contains_key(*key));
        for key in ours.keys().chain(only_theirs) {
            path.push(key);
            walk(path, ours.get(key), theirs.get(key), found);
            path.pop();
        }
        return;
    }
    found.push(Difference { what: path.join(" "), ours: shown(ours), theirs: shown(theirs) });
}

/// On one line; texts without quotes, and lists without brackets.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => ABSENT.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) => list.iter().map(|item| shown(Some(item))).collect::<Vec<_>>().join(" "),
        Some(other) => other.to_string(),
    }
}
