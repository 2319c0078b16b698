//! What will not work, or was hardly meant, in a manifest: rules over a pod as JSON, each with a stable id and a page in
//! `docs/lint`.
//!
//! [`check`] looks at one pod, with its defaults or without them, and knows nothing of text: the admission of the API server calls it,
//! too. [`Finding::path`] says where; whoever has the text finds the place in it, and carries out a [`Fix`] there.

mod finding;
mod rule;

pub use finding::{At, Context, Edit, Finding, Fix};
pub use rule::{RULES, Rule, Severity};

use serde_json::Value;

/// Everything that the rules find in a v1.Pod, in the order of the rules. Of a pod that is not valid, whatever can be found.
#[must_use]
pub fn check(pod: &Value, context: &Context) -> Vec<Finding> {
    let _ = (pod, context);
    Vec::new()
}
