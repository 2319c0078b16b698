//! Logs: how fast a container can write one, how fast it is read back, and how soon a line is seen by who follows it.

mod cat;
mod follow;
mod lines;
mod peer;
mod pods;
mod taken;

use anyhow::Result;

use super::Size;
use crate::bed::Bed;
use crate::report::Report;

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    taken::measure(bed, size, report)?;
    cat::measure(bed, size, report)?;
    follow::measure(bed, size, report)
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn mib_per_second(bytes: u64, ns: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20) / (ns as f64 / 1e9)
}
