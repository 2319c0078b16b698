//! Sidecars (KEP-753): start before the app, run through its life, stop after it in reverse order.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    start_before_and_stop_after,
    stop_in_reverse_order_on_interrupt,
    sees_first_and_last_line,
    startup_probe_gates_what_follows,
    failing_startup_probe_restarts_it,
    restarted_while_the_app_runs,
    its_exit_code_does_not_count,
    stopped_when_an_init_container_fails,
];

fn start_before_and_stop_after(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("around")
        .init("prepare", "say start; say end")
        .sidecar("ship", "serve")
        .sidecar("proxy", "serve")
        .app(
            "main",
            "until grep -q '^proxy start' /trace/log; do sleep 0.05; done; say start; sleep 0.5; say end",
        );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&[
        "prepare end",
        "ship start",
        "main start",
        "main end",
        "proxy stop",
        "ship stop",
    ])
}

fn stop_in_reverse_order_on_interrupt(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("reverse")
        .sidecar("one", "serve")
        .sidecar("two", "serve")
        .sidecar("three", "serve")
        .app("main", "trap 'say term; sleep 1; say stop; exit 0' TERM; say start; sleep 1000 & wait");
    let engine = bed.start_pod(&pod)?;
    for name in ["main", "one", "two", "three"] {
        bed.trace.wait(&format!("{name} start"), SOON)?;
    }
    bed.interrupt(engine)?.expect_code(0)?;
    bed.trace.expect_order(&["main term", "main stop", "three stop", "two stop", "one stop"])
}

/// The shipper copies what the app wrote to a shared volume; it must not miss either end.
fn sees_first_and_last_line(bed: &Bed) -> Result<()> {
    require_root()?;
    let shared = json!({"volumeMounts": [mount("logs", "/logs")]});
    let ship = "trap 'stop=1' TERM; : >> /logs/app.log; exec 3< /logs/app.log
        while :; do
          last=$stop
          while read -r line <&3; do say shipped $line; done
          [ -n \"$last\" ] && exit 0
          sleep 0.05 & wait $!
        done";
    let pod = Pod::new("ends")
        .volume(json!({"name": "logs", "emptyDir": {}}))
        .sidecar_with("ship", ship, &shared)
        .app_with(
            "main",
            "for n in 1 2 3 4 5; do echo line-$n >> /logs/app.log; done; echo last >> /logs/app.log",
            &shared,
        );
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["ship shipped line-1", "ship shipped line-5", "ship shipped last"])
}

fn startup_probe_gates_what_follows(bed: &Bed) -> Result<()> {
    require_root()?;
    let probe = json!({"startupProbe": {
        "exec": {"command": ["sh", "-c", "[ -e /tmp/up ]"]}, "periodSeconds": 1, "failureThreshold": 30}});
    let pod = Pod::new("gate")
        .sidecar_with("db", "(sleep 2; say up; touch /tmp/up) & serve", &probe)
        .init("migrate", "say start")
        .app("main", "say start");
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["db start", "db up", "migrate start", "main start", "db stop"])
}

fn failing_startup_probe_restarts_it(bed: &Bed) -> Result<()> {
    require_root()?;
    let probe = json!({"startupProbe": {
        "exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2}});
    let pod = Pod::new("never-up").sidecar_with("db", "serve", &probe).app("main", "say start");
    let engine = bed.start_pod(&pod)?;
    bed.trace.wait_count("db start", 2, SOON)?;
    bed.interrupt(engine)?.expect_output("failed startup probe")?;
    bed.trace.expect_order(&["db start", "db stop", "db start"])?;
    bed.trace.expect_absent("main start")
}

/// Also in a pod that restarts nothing else.
fn restarted_while_the_app_runs(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("again")
        .sidecar("crash", "say start; [ $(grep -c '^crash start' /trace/log) -ge 2 ] || exit 1; serve")
        .app("main", "until [ $(grep -c '^crash start' /trace/log) -ge 2 ]; do sleep 0.05; done; say end");
    bed.run_pod(&pod)?.expect_code(0)?;
    bed.trace.expect_order(&["crash start", "crash start", "main end"])
}

fn its_exit_code_does_not_count(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("ignored")
        .sidecar("ship", "serve 7")
        .app("main", "until grep -q '^ship start' /trace/log; do sleep 0.05; done; say end");
    let finished = bed.run_pod(&pod)?;
    finished.expect_code(0)?;
    bed.trace.expect_order(&["main end", "ship stop"])?;
    ensure!(finished.elapsed < Duration::from_secs(20), "took {:?}", finished.elapsed);
    Ok(())
}

fn stopped_when_an_init_container_fails(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("init-fails")
        .sidecar("ship", "serve")
        .init("broken", "until grep -q '^ship start' /trace/log; do sleep 0.05; done; say end; exit 1")
        .app("main", "say start");
    bed.run_pod(&pod)?.expect_code(1)?;
    bed.trace.expect_order(&["ship start", "broken end", "ship stop"])?;
    bed.trace.expect_absent("main start")
}
