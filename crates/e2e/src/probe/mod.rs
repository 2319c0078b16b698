//! `e2e probe FILE`: a container's program that writes down, as one JSON object, what it finds: for
//! comparing containers that different runtimes made of one configuration. It tries what a container
//! may try, and leaves nothing but the file.
//!
//! An outcome is a text: `ok`, or the number of the errno.

mod devices;
mod files;
mod kernel;
mod process;
mod syscalls;

use std::fmt::Debug;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Writes the whole file at once: whoever waits for it finds all of it.
pub(crate) fn run(file: &Path) -> Result<()> {
    let found = json!({
        // First, while there are no descriptors of our own.
        "descriptors": files::descriptors(),
        "status": process::status(),
        "process": process::attributes(),
        "limits": process::limits(),
        "session": process::session(),
        "namespaces": kernel::namespaces(),
        "cgroup": kernel::cgroup(),
        "mounts": kernel::mounts(),
        "paths": files::paths(),
        "created": files::created(),
        "dev": devices::dev(),
        "devices": devices::reach(),
        "syscalls": syscalls::outcomes(),
    });
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec_pretty(&found)?)
        .and_then(|()| fs::rename(&new, file))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn outcome<T>(result: Result<T, rustix::io::Errno>) -> String {
    result.map_or_else(errno, |_| "ok".to_owned())
}

fn errno(errno: rustix::io::Errno) -> String {
    format!("errno {}", errno.raw_os_error())
}

/// The text of a file without its last line break, or why there is none.
fn text(path: impl AsRef<Path>) -> String {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
        Err(error) => failure(&error),
    }
}

fn failure(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |number| format!("errno {number}"))
}

fn debug<T: Debug>(result: Result<T, rustix::io::Errno>) -> String {
    result.map_or_else(errno, |value| format!("{value:?}"))
}

fn object(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(entries.into_iter().collect::<Map<_, _>>())
}
