//! How a command ends.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::remedy;

/// A pod failed, or something went wrong.
pub(crate) const FAILURE: u8 = 1;
/// The command line or a manifest was refused; nothing was begun.
pub(crate) const REFUSED: u8 = 2;

#[derive(Debug)]
pub(crate) struct Outcome {
    /// A pod that nobody stopped has failed.
    failed: bool,
    /// What the engine could not do, beside.
    failures: Vec<anyhow::Error>,
    refused: bool,
}

impl Outcome {
    pub(crate) fn of(failed: bool, failures: Vec<anyhow::Error>) -> Self {
        Self { failed, failures, refused: false }
    }

    /// Nothing was begun, and it was said why.
    pub(crate) fn refused() -> Self {
        Self { failed: false, failures: Vec::new(), refused: true }
    }

    pub(crate) fn report(self) -> ExitCode {
        for error in &self.failures {
            report(error);
        }
        if self.refused {
            return ExitCode::from(REFUSED);
        }
        if self.failed || !self.failures.is_empty() { ExitCode::from(FAILURE) } else { ExitCode::SUCCESS }
    }
}

/// Whether the user has not asked for plain text (<https://no-color.org>).
pub(crate) fn may_color() -> bool {
    let asked_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !asked_for_none && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}

/// The whole chain of an error, once, in one line: `error: outer: inner`; and in one of its own what to do
/// about it, unless the error says that itself.
pub(crate) fn report(error: &anyhow::Error) {
    let text = format!("{error:#}");
    match remedy::by_errno(&text).filter(|_| !text.contains("\nremedy: ")) {
        Some(remedy) => say(format_args!("error: {text}\nremedy: {remedy}")),
        None => say(format_args!("error: {text}")),
    }
}

/// A line on standard output. A reader that has gone is no failure.
pub(crate) fn print_line(line: fmt::Arguments<'_>) -> anyhow::Result<()> {
    print(format!("{line}\n").as_bytes())
}

/// On standard output. A reader that has gone is no failure.
pub(crate) fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// A line on standard error. When that is full or closed there is nobody left to tell.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
