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
const LINE_BYTES_MAX: usize = 1_000;

/// Everything that the rules find in a v1.Pod, in the order of the rules. Of a pod that is not valid, whatever can be found.
#[must_use]
pub fn check(pod: &Value, context: &Context) -> Vec<Finding> {
    let json = pod;
    let pod = pod::Pod::of(json);
    let mut findings = Vec::new();
    for check in rules::CHECKS {
        check(&pod, context, &mut findings);
        findings.truncate(FINDINGS_MAX);
    }
    for finding in &mut findings {
        // Something of another type may be in the way.
        finding.fix.take_if(|fix| !fix.fits(json));
        let related = finding.related.iter_mut().map(|(_, words)| words);
        let title = finding.fix.iter_mut().map(|fix| &mut fix.title);
        [&mut finding.message, &mut finding.help]
            .into_iter()
            .chain(related)
            .chain(title)
            .for_each(keep_to_a_line);
    }
    findings.sort_by_key(|finding| RULES.iter().position(|rule| rule.id == finding.rule.id));
    findings
}

/// What comes from a manifest may be of any length, and have any characters.
fn keep_to_a_line(text: &mut String) {
    if text.len() > LINE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
        text.push_str("...");
    }
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, "?");
    }
}
