//! Standard output, and standard error for what is not the answer.

use std::fmt;
use std::io::{self, Write as _};

use crate::client::failure::{Failure, Result};
use crate::outcome;

pub(super) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::of_output)
}

pub(super) fn text(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

pub(super) fn line(line: fmt::Arguments<'_>) -> Result<()> {
    text(&format!("{line}\n"))
}

/// A line on standard error.
pub(super) fn note(line: fmt::Arguments<'_>) {
    outcome::say(line);
}

/// What the server, or this program, warns of.
pub(super) fn warning(text: &str) {
    outcome::say(format_args!("Warning: {text}"));
}
