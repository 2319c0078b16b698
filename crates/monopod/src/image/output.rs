//! What `monopod image` says.

use std::io::{ErrorKind, IsTerminal as _};

use anyhow::{Context as _, Result};
use images::Progress;
use serde::Serialize;

use crate::outcome::say;

/// Says what is being done, where somebody is watching.
pub(super) fn progress() -> impl FnMut(&Progress<'_>) {
    let is_watched = std::io::stderr().is_terminal();
    move |progress| {
        if !is_watched {
            return;
        }
        match progress {
            Progress::Reading => say(format_args!("reading the archive")),
            Progress::Unpacking { image, number, count } => {
                say(format_args!("{image}: layer {number} of {count}"));
            }
            Progress::Present { image, number, count } => {
                say(format_args!("{image}: layer {number} of {count} is there already"));
            }
        }
    }
}

/// What to do about a full disk.
pub(super) fn with_remedy(error: anyhow::Error) -> anyhow::Error {
    let is_full = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| matches!(cause.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded));
    if !is_full {
        return error;
    }
    let text = format!(
        "{error:#}\nremedy: make room there, for instance with `monopod image rm`, or keep images elsewhere with \
         --data-dir"
    );
    anyhow::Error::msg(text)
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value).context("cannot print as JSON")?;
    text.push('\n');
    Ok(text)
}
