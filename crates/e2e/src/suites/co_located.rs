//! The containers of `containers` run together for the pod's life.

use anyhow::Result;

use crate::bed::{Bed, SOON};
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use serde_json::json;

pub(crate) const TESTS: &[Test] = tests![run_together, one_ends_the_others_stay, several_pods];

/// Each waits for the other's file: if they did not overlap, neither would end.
fn run_together(bed: &Bed) -> Result<()> {
    require_root()?;
    let fields = json!({"volumeMounts": [mount("meet", "/meet")]});
    let script = |mine: &str, other: &str| {
        format!("say start; touch /meet/{mine}; until [ -e /meet/{other} ]; do sleep 0.05; done; say met")
    };
    let pod = Pod::new("together")
        .volume(json!({"name": "meet", "emptyDir": {}}))
        .app_with("left", &script("left", "right"), &fields)
        .app_with("right", &script("right", "left"), &fields);
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["left start", "left met"])?;
    bed.trace.expect_order(&["right start", "right met"])
}

fn one_ends_the_others_stay(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("outlive").app("short", "say start; say end").app(
        "long",
        "say start; until grep -q '^short end' /trace/log; do sleep 0.05; done; sleep 1; say end",
    );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["short end", "long end"])
}

/// Several files and several documents in one file, all at once.
fn several_pods(bed: &Bed) -> Result<()> {
    require_root()?;
    let script = |other: &str| {
        format!("say start; until grep -q '^{other} start' /trace/log; do sleep 0.05; done; say end")
    };
    let a = bed.manifest(&Pod::new("a").app("a-main", &script("c-main")))?;
    let trace_dir = bed.dir().join("trace").display().to_string();
    let b = Pod::new("b").app("b-main", &script("a-main")).manifest(&trace_dir);
    let c = Pod::new("c").app("c-main", &script("b-main")).manifest(&trace_dir);
    let both = bed.file("both.yaml", &format!("{b}\n---\n{c}\n"))?;
    let engine = bed.start(bed.run_command().arg(a).arg(both))?;
    engine.wait(SOON)?.expect_code(0)?;
    for name in ["a-main", "b-main", "c-main"] {
        bed.trace.expect_order(&[&format!("{name} start"), &format!("{name} end")])?;
    }
    Ok(())
}
