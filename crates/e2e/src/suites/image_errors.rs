//! Images that cannot be had: the reason is Kubernetes', and the message says what to do.

use anyhow::Result;
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] =
    tests![never_pulled, invalid_name, pull_fails, one_bad_image_does_not_stop_the_others];

fn expect_reason(bed: &Bed, image: &str, policy: &str, reason: &str) -> Result<()> {
    require_root()?;
    let fields = json!({"image": image, "imagePullPolicy": policy});
    let mut engine = bed.start_pod(&Pod::new("image").app_with("main", "say start", &fields))?;
    engine.wait_output(reason, SOON)?;
    bed.interrupt(engine)?;
    bed.trace.expect_absent("main start")
}

fn never_pulled(bed: &Bed) -> Result<()> {
    expect_reason(bed, "registry.invalid/team/app:1", "Never", "ErrImageNeverPull")
}

fn invalid_name(bed: &Bed) -> Result<()> {
    expect_reason(bed, "Not/A:Valid::Name", "IfNotPresent", "InvalidImageName")
}

fn pull_fails(bed: &Bed) -> Result<()> {
    expect_reason(bed, "registry.invalid/team/app:1", "IfNotPresent", "ErrImagePull")
}

fn one_bad_image_does_not_stop_the_others(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("half")
        .app_with("bad", "say start", &json!({"image": "registry.invalid/x:1", "imagePullPolicy": "Never"}))
        .app("good", "serve");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("good start", SOON)?;
    bed.interrupt(engine)?;
    bed.trace.expect_order(&["good start", "good stop"])?;
    bed.trace.expect_absent("bad start")
}
