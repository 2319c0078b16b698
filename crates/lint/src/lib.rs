//! What will not work, or was hardly meant, in a manifest: rules over a pod as JSON, each with a stable id and a page in
//! `docs/lint`.
//!
//! [`check`] looks at one pod, with its defaults or without them, and knows nothing of text: the admission of the API server calls it,
//! too. [`Finding::path`] says where; whoever has the text finds the place in it, and carries out a [`Fix`] there.
//! A rule that is not sure says nothing: words of commands are read as far as they are plain, and no further.

mod apply;
mod files;
mod finding;
mod hosts;
mod images;
mod listens;
mod pod;
mod program;
mod rule;
mod rules;
mod shell;

pub use apply::Misfit;
pub use finding::{At, Context, Edit, Finding, Fix};
pub use rule::{RULES, Rule, Severity};

use serde_json::Value;

/// More is more than anybody reads.
const FINDINGS_MAX: usize = 1_000;

/// Everything that the rules find in a v1.Pod, in the order of the rules. Of a pod that is not valid, whatever can be found.
#[must_use]
pub fn check(pod: &Value, context: &Context) -> Vec<Finding> {
    let pod = pod::Pod::of(pod);
    let mut findings = Vec::new();
    for check in rules::CHECKS {
        check(&pod, context, &mut findings);
        findings.truncate(FINDINGS_MAX);
    }
    findings.sort_by_key(|finding| RULES.iter().position(|rule| rule.id == finding.rule.id));
    findings
}
