//! Init containers run one after another, to completion, before any app container.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] =
    tests![in_order, failure_ends_a_never_pod, failure_is_retried, waits_for_an_init_that_never_ends];

fn in_order(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("order")
        .init("first", "say start; sleep 0.3; say end")
        .init("second", "say start; sleep 0.3; say end")
        .app("main", "say start");
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["first start", "first end", "second start", "second end", "main start"])
}

fn failure_ends_a_never_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("fails")
        .init("broken", "say start; exit 3")
        .init("later", "say start")
        .app("main", "say start");
    bed.run_pod(&pod)?.expect_code(1)?.expect_line(&["broken", "3"])?;
    bed.trace.expect_absent("later start")?;
    bed.trace.expect_absent("main start")
}

/// `OnFailure`: the first retry comes at once, and earlier init containers do not run again.
fn failure_is_retried(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("retries")
        .spec(&json!({"restartPolicy": "OnFailure"}))
        .init("once", "say start")
        .init("flaky", "say start; [ $(grep -c '^flaky start' /trace/log) -ge 2 ]")
        .app("main", "say start");
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["once start", "flaky start", "flaky start", "main start"])?;
    anyhow::ensure!(bed.trace.count("once start") == 1, "a completed init container ran again");
    Ok(())
}

/// An ordinary init container that stays up holds everything after it, and stops fast on Ctrl-C.
fn waits_for_an_init_that_never_ends(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("stuck").init("forever", "serve").app("main", "say start");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("forever start", SOON)?;
    let finished = bed.interrupt(engine)?;
    finished.expect_code(0)?;
    anyhow::ensure!(finished.elapsed < Duration::from_secs(20), "took {:?}", finished.elapsed);
    bed.trace.expect_order(&["forever start", "forever stop"])?;
    bed.trace.expect_absent("main start")
}
