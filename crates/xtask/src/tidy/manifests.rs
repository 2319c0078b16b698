//! Every crate takes the workspace's lints, so that `unsafe` stays where it belongs.

use crate::tidy::Source;

/// The one crate with `unsafe`: it has a table of its own.
const UNSAFE_CRATE: &str = "crates/linux-sys/Cargo.toml";
const INHERITS: &str = "[lints]\nworkspace = true";
const FORBIDS: &str = "unsafe_code = \"forbid\"";

pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let mut complaints = vec![];
    for Source { path, text } in sources {
        if path == "Cargo.toml" && !text.contains(FORBIDS) {
            complaints.push(format!("{path}: [workspace.lints.rust] must have {FORBIDS}"));
        }
        let is_crate = path.starts_with("crates/") && path.ends_with("/Cargo.toml");
        if is_crate && path != UNSAFE_CRATE && !text.contains(INHERITS) {
            complaints.push(format!("{path}: must take the workspace's lints: [lints] workspace = true"));
        }
    }
    complaints
}
