//! Kinds with no rules of their own.

use crate::kinds::Rules;

/// Metadata is all that is looked at.
#[derive(Debug)]
pub(crate) struct Plain;

impl Rules for Plain {}

/// A workload kind: clients may look for it, and find that there is none.
#[derive(Debug)]
pub(crate) struct NotRun;

impl Rules for NotRun {
    fn refusal(&self) -> Option<&'static str> {
        Some("this engine runs Pods: create the Pods of its template, each with a name of its own")
    }
}
