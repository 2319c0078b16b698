//! The size of the release binary.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::report::{Report, Row};

const MB_MAX: f64 = 25.0;

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
pub(crate) fn measure(program: &Path, report: &mut Report) -> Result<()> {
    let bytes = fs::metadata(program).with_context(|| format!("cannot look at {}", program.display()))?.len();
    report.add(Row::of("binary", "release binary", "MB", vec![bytes as f64 / 1e6]));
    report.at_most("binary", MB_MAX);
    Ok(())
}
