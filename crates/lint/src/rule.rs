//! The rules there are.

use serde::{Deserialize, Serialize};

/// How bad it is. Only errors change an exit code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will not work.
    Error,
    /// It works now and then, or otherwise than was most likely meant.
    Warning,
    /// It could be better.
    Hint,
}

/// One rule.
#[derive(PartialEq, Eq, Debug)]
pub struct Rule {
    /// Never changes, as people silence it by that: `sidecar-as-init`. Also the name of its page, `docs/lint/ID.md`.
    pub id: &'static str,
    pub severity: Severity,
    /// What is wrong, in a few words, for lists.
    pub summary: &'static str,
}

/// Every rule, by id.
pub static RULES: &[&Rule] = &[];
