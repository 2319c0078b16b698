//! Everything a change has to pass.

use anyhow::Result;

use crate::shell::{cargo, run};
use crate::suites::{Skips, all};
use crate::tidy;

pub(crate) fn check() -> Result<()> {
    cheap_checks()?;
    all(Skips::Refused)?.conclude()
}

/// The cheap ones first.
fn cheap_checks() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    tidy::run()?;
    run(&mut cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // Links that lead nowhere.
    run(cargo(&["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}
