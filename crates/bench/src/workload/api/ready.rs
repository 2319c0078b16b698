//! From the start of `monopod serve` until it says that it is ready, which is when it answers requests.

use std::path::Path;

use anyhow::Result;

use super::{Daemon, Size, ms};
use crate::bed::Bed;
use crate::report::{Report, Row};

const EMPTY_MS_MAX: f64 = 50.0;
const FULL_MS_MAX: f64 = 200.0;

/// Under roots in which nothing is, where keys and the first objects are made, and under one in use.
pub(super) fn measure(bed: &Bed, root: &Path, size: Size, report: &mut Report) -> Result<()> {
    let mut first = Row::new("serve.first", "monopod serve, until it is ready: empty root", "ms");
    let mut again = Row::new("serve.0", "  root in use, no pods", "ms");
    Daemon::start(bed, root)?.stop()?;
    for _ in 0..size.serves() {
        first.samples.push(ready(bed, &bed.new_cold_root()?)?);
        again.samples.push(ready(bed, root)?);
    }
    for row in [first, again] {
        let name = row.name.clone();
        report.add(row);
        report.at_most(&name, EMPTY_MS_MAX);
    }
    Ok(())
}

/// With as many pods in the store as there are to be.
pub(super) fn measure_full(bed: &Bed, root: &Path, size: Size, report: &mut Report) -> Result<()> {
    let pods = size.stored_pods();
    let name = format!("serve.{pods}");
    let samples = (0..size.serves()).map(|_| ready(bed, root)).collect::<Result<_>>()?;
    report.add(Row::of(&name, &format!("monopod serve, until it is ready: {pods} pods"), "ms", samples));
    report.at_most(&name, FULL_MS_MAX);
    Ok(())
}

fn ready(bed: &Bed, root: &Path) -> Result<f64> {
    let daemon = Daemon::start(bed, root)?;
    let took = ms(daemon.ready_ns);
    daemon.stop()?;
    Ok(took)
}
