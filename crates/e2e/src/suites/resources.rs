//! Limits on memory and CPU.

use anyhow::Result;
use serde_json::json;

use crate::bed::Bed;
use crate::outcome::skip;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![over_the_memory_limit, limits_are_in_the_cgroup];

/// The kernel kills it; the reason says so, and its neighbour lives on.
fn over_the_memory_limit(bed: &Bed) -> Result<()> {
    require_root()?;
    if !std::path::Path::new("/usr/bin/perl").exists() {
        return skip("needs /usr/bin/perl");
    }
    let limit = json!({"resources": {"limits": {"memory": "32Mi"}}});
    let pod = Pod::new("oom")
        .app_with("hungry", "exec perl -e '$x = \"x\" x (256 << 20); sleep 60'", &limit)
        .app("neighbour", "sleep 2; say end");
    bed.run_pod(&pod)?
        .expect_code(1)?
        .expect_line(&["hungry", "OOMKilled"])?
        .expect_line(&["hungry", "137"])?;
    bed.trace.expect_order(&["neighbour end"])
}

fn limits_are_in_the_cgroup(bed: &Bed) -> Result<()> {
    require_root()?;
    let limits = json!({"resources": {"limits": {"memory": "64Mi", "cpu": "500m"}}});
    let pod = Pod::new("limits").app_with("main", "serve", &limits);
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait("main start", crate::bed::SOON)?;
    let found = crate::leaks::cgroup_values(
        &bed.uids(),
        &["memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max"],
    );
    bed.interrupt(engine)?.expect_code(0)?;
    let has = |value: &str| found.iter().any(|line| line.ends_with(value));
    anyhow::ensure!(has(" 67108864"), "no cgroup limits memory to 64Mi: {found:?}");
    anyhow::ensure!(has(" 50000") || has(" 50000 100000"), "no cgroup limits the CPU to 500m: {found:?}");
    Ok(())
}
