//! The pure crates reach neither clock nor disk nor environment: by their dependencies, by what their code
//! names, and by a `clippy.toml` of their own that bans the calls.

use cargo_metadata::{DependencyKind, Package};

use crate::tidy::{Source, code_lines};

/// Each pure crate and all that it may depend on.
const PURE: [(&str, &[&str]); 6] = [
    ("lifecycle", &["podspec", "serde"]),
    ("container-config", &["podspec", "serde", "serde_json", "thiserror"]),
    ("cri-log", &["podspec", "memchr", "thiserror"]),
    ("pod-security", &["podspec", "serde_json"]),
    ("lint", &["podspec", "serde", "serde_json", "thiserror"]),
    ("apimachinery", &["podspec", "api-schema", "serde_json", "thiserror"]),
];

const BANNED: [&str; 14] = [
    "std::fs",
    "std::net",
    "std::os",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "thread_local!",
    "static mut",
    "println!",
    "async fn",
];

/// What each `clippy.toml` must ban at least.
const CLIPPY_BANS: [&str; 4] =
    ["std::time::Instant::now", "std::time::SystemTime::now", "std::fs::File", "std::collections::HashMap"];

pub(super) fn check(packages: &[Package], sources: &[Source]) -> Vec<String> {
    let mut complaints = vec![];
    for (name, allowed) in PURE {
        for package in packages.iter().filter(|package| package.name.as_str() == name) {
            complaints.extend(foreign_dependencies(package, allowed));
        }
        complaints.extend(banned_names(name, sources));
        complaints.extend(missing_bans(name, sources));
    }
    complaints
}

fn foreign_dependencies(package: &Package, allowed: &[&str]) -> Vec<String> {
    let normal =
        package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    normal
        .filter(|dependency| !allowed.contains(&dependency.name.as_str()))
        .map(|dependency| {
            format!(
                "crates/{}/Cargo.toml: a pure crate may not depend on `{}`",
                package.name, dependency.name
            )
        })
        .collect()
}

fn banned_names(crate_name: &str, sources: &[Source]) -> Vec<String> {
    let prefix = format!("crates/{crate_name}/src/");
    let mut complaints = vec![];
    for Source { path, text } in sources.iter().filter(|source| source.path.starts_with(&prefix)) {
        for (n, line) in code_lines(text).enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for banned in BANNED.iter().filter(|banned| code.contains(*banned)) {
                complaints.push(format!("{path}:{}: a pure crate may not name `{banned}`", n + 1));
            }
        }
    }
    complaints
}

fn missing_bans(crate_name: &str, sources: &[Source]) -> Vec<String> {
    let path = format!("crates/{crate_name}/clippy.toml");
    let text = sources.iter().find(|source| source.path == path).map_or("", |source| &source.text);
    let missing = CLIPPY_BANS.iter().filter(|ban| !text.contains(*ban));
    missing.map(|ban| format!("{path}: must ban {ban}")).collect()
}
