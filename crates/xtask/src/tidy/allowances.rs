//! The list of what is larger than its limit: `SIZE PATH` or `SIZE PATH::FUNCTION`, one a line.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::tidy::Source;

const FILE: &str = "crates/xtask/allowances.txt";

#[derive(Debug)]
pub(super) struct Allowances {
    left: BTreeMap<String, usize>,
}

impl Allowances {
    pub(super) fn load(sources: &[Source]) -> Result<Self> {
        let text = sources.iter().find(|source| source.path == FILE).map_or("", |source| &source.text);
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let left = lines.map(|line| {
            let entry =
                line.split_once(' ').and_then(|(size, name)| Some((name.to_owned(), size.parse().ok()?)));
            entry.with_context(|| format!("{FILE}: {line:?} is not SIZE NAME"))
        });
        Ok(Self { left: left.collect::<Result<_>>()? })
    }

    /// A complaint when `name` is larger than it may be, or smaller than its allowance says.
    pub(super) fn judge(&mut self, name: &str, size: usize, limit: usize, unit: &str) -> Option<String> {
        let allowed = self.left.remove(name);
        match allowed {
            None if size > limit => Some(format!("{name}: {size} {unit}, the limit is {limit}: split it")),
            Some(allowed) if size > allowed => {
                Some(format!("{name}: {size} {unit}, its allowance is {allowed}: split it"))
            }
            Some(_) if size <= limit => Some(format!("{FILE}: {name} is within its limit: remove the line")),
            Some(allowed) if size < allowed => {
                Some(format!("{FILE}: {name} shrank: lower {allowed} to {size}"))
            }
            _ => None,
        }
    }

    /// Names that are no more.
    pub(super) fn unused(&self) -> Vec<String> {
        self.left.keys().map(|name| format!("{FILE}: there is no {name}: remove the line")).collect()
    }
}
