//! A test passes, is skipped for a reason, or fails.

use std::fmt;

#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    Skipped(String),
    /// The error's chain and what the test's engines printed.
    Failed(String),
}

/// Returned by a test as its error when this machine cannot run it: not a failure.
#[derive(Debug)]
pub(crate) struct Skip(pub(crate) String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// Ends a test as skipped.
pub(crate) fn skip<T>(reason: impl Into<String>) -> anyhow::Result<T> {
    Err(Skip(reason.into()).into())
}
