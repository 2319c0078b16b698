//! Trouble nobody waits for, to standard error: the engine made that a file in the pod's directory.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};

/// Lines one shim writes in its life, so that a fault that repeats cannot fill a disk.
const LINES_MAX: u32 = 1_000;

static LINES: AtomicU32 = AtomicU32::new(0);

pub(crate) fn warning(text: &str) {
    match LINES.fetch_add(1, Ordering::Relaxed) {
        n if n < LINES_MAX => write_line(format_args!("{text}")),
        LINES_MAX => write_line(format_args!("further lines are left out")),
        // Stays over the limit, never wraps round.
        _ => LINES.store(LINES_MAX + 1, Ordering::Relaxed),
    }
}

/// A full disk takes no lines, and is no reason to end the pod.
fn write_line(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{} {text}", crate::clock::wall());
}

pub(crate) fn error(what: &str, error: &(dyn Error + 'static)) {
    warning(&format!("{what}: {}", chain(error)));
}

/// `outer: inner: innermost`
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
