//! postStart holds back the next container; preStop runs before the stop signal.

use anyhow::Result;
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::{hook, require_root};

pub(crate) const TESTS: &[Test] = tests![
    post_start_blocks_the_next_container,
    failing_post_start_kills_the_container,
    pre_stop_runs_before_the_signal,
    pre_stop_is_cut_off_by_the_grace_period,
    pre_stop_does_not_run_after_an_own_exit,
];

fn post_start_blocks_the_next_container(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("post-start")
        .app_with("first", "sleep 1.5; say end", &hook("postStart", "say start; sleep 1; say end"))
        .app("second", "say start");
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["hook start", "hook end", "second start"])
}

fn failing_post_start_kills_the_container(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("bad-post-start").app_with("main", "serve 3", &hook("postStart", "say ran; exit 1"));
    bed.run_pod(&pod)?.expect_code(1)?.expect_output("PostStartHook")?;
    bed.trace.expect_order(&["hook ran"])
}

fn pre_stop_runs_before_the_signal(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod =
        Pod::new("pre-stop").app_with("main", "serve", &hook("preStop", "say start; sleep 0.5; say end"));
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    bed.interrupt(engine)?.expect_code(0)?;
    bed.trace.expect_order(&["hook start", "hook end", "main stop"])
}

/// The signal still comes, and the container still has its two seconds.
fn pre_stop_is_cut_off_by_the_grace_period(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("long-pre-stop").spec(&json!({"terminationGracePeriodSeconds": 2})).app_with(
        "main",
        "serve",
        &hook("preStop", "say start; sleep 600; say end"),
    );
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("main start", SOON)?;
    bed.interrupt(engine)?.expect_code(0)?;
    bed.trace.expect_order(&["hook start", "main stop"])?;
    bed.trace.expect_absent("hook end")
}

fn pre_stop_does_not_run_after_an_own_exit(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("own-exit").app_with("main", "say end", &hook("preStop", "say ran"));
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_absent("hook ran")
}
