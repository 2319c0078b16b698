//! A crate depends only on crates of lower tiers; only the binary names concrete edges.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Package};

/// One complaint per dependency that goes sideways or up. A test may also use a crate of its own tier.
pub(super) fn check(packages: &[Package]) -> Result<Vec<String>> {
    let tiers = tiers(packages)?;
    let mut complaints = vec![];
    for package in packages {
        let own = tiers[package.name.as_str()];
        for dependency in &package.dependencies {
            let Some(&other) = tiers.get(dependency.name.as_str()) else { continue };
            let allowed = match dependency.kind {
                DependencyKind::Development => other <= own,
                _ => other < own,
            };
            if !allowed {
                complaints.push(format!(
                    "crates/{}/Cargo.toml: a crate of tier {own} may not depend on `{}` of tier {other}",
                    package.name, dependency.name
                ));
            }
        }
    }
    Ok(complaints)
}

fn tiers(packages: &[Package]) -> Result<BTreeMap<&str, u64>> {
    packages
        .iter()
        .map(|package| {
            let tier = package.metadata["monopod"]["tier"].as_u64();
            let tier =
                tier.with_context(|| format!("crates/{}: no [package.metadata.monopod] tier", package.name))?;
            Ok((package.name.as_str(), tier))
        })
        .collect()
}
