//! postStart holds back the next container; preStop runs before the stop signal.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::history::now_s;
use crate::lasting::container;
use crate::pod::{Pod, both, exec, hooks};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::{hook, require_root};

pub(crate) const TESTS: &[Test] = tests![
    post_start_blocks_the_next_container,
    failing_post_start_kills_the_container,
    pre_stop_runs_before_the_signal,
    pre_stop_is_cut_off_by_the_grace_period,
    pre_stop_does_not_run_after_an_own_exit,
    hooks_by_request,
    hooks_that_sleep,
    failing_hooks,
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

/// A request succeeds with whatever answer; the next container and the stop signal wait for it.
fn hooks_by_request(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let get = |path: &str, port: u16| json!({"httpGet": {"path": path, "port": port}});
    let requests = hooks(&[("postStart", get("/after/700", 8080)), ("preStop", get("/after/600", 8080))]);
    pods.create(
        &Pod::new("http").answers_beside("web").app_with("main", "live", &requests).app("next", "live"),
    )?;
    let secure = json!({"httpGet": {"path": "/after/500", "port": "tls", "scheme": "HTTPS"}});
    let port = json!({"ports": [{"name": "tls", "containerPort": 8443}]});
    let fields = both(&hooks(&[("postStart", secure), ("preStop", get("/500", 8080))]), &port);
    pods.create(
        &Pod::new("https").answers_beside("web").app_with("main", "live", &fields).app("next", "live"),
    )?;
    // It has nobody to ask: the container is not left to run, the signal comes all the same.
    let nobody = |kind: &str| hooks(&[(kind, get("/", 8081))]);
    let restarts = json!({"restartPolicy": "Always"});
    pods.create(&Pod::new("no-start").spec(&restarts).app_with("main", "live", &nobody("postStart")))?;
    pods.create(&Pod::new("no-stop").app_with("main", "live", &nobody("preStop")))?;
    for name in ["http", "https", "no-stop"] {
        pods.wait_ready(name)?;
        pods.wait_mark(name, "main start")?;
        pods.delete(name, None)?;
    }
    for name in ["http", "https", "no-stop"] {
        pods.wait_gone(name)?;
    }
    let history = pods.history("http");
    let (post, pre) = ("web http /after/700 kube-lifecycle/1.36", "web http /after/600 kube-lifecycle/1.36");
    history.expect_order(&["web start", post, "next start", pre, "main stop", "web stop"])?;
    history.expect_between(post, "next start", 0.7, 5.0)?;
    history.expect_between(pre, "main stop", 0.6, 5.0)?;
    let history = pods.history("https");
    let (post, pre) = ("web http /after/500 kube-lifecycle/1.36", "web http /500 kube-lifecycle/1.36");
    history.expect_order(&[post, "next start", pre, "main stop"])?;
    history.expect_between(post, "next start", 0.5, 5.0)?;
    pods.history("no-stop").expect_count("main stop", 1)?;
    pods.wait_event("no-stop", "FailedPreStopHook ")?;
    pods.wait_event("no-start", "FailedPostStartHook ")?;
    pods.wait("no-start", "PostStartHookError", |status| {
        let main = container(status, "main");
        main["state"]["waiting"]["reason"] == "PostStartHookError" || main["restartCount"] == 2
    })?;
    pods.finish()
}

fn hooks_that_sleep(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let sleep = |seconds: u32| json!({"sleep": {"seconds": seconds}});
    let grace = json!({"terminationGracePeriodSeconds": 60});
    let first = hooks(&[("postStart", sleep(1)), ("preStop", sleep(2))]);
    pods.create(&Pod::new("sleeps").spec(&grace).app_with("main", "live", &first).app("next", "live"))?;
    pods.create(&Pod::new("not-at-all").spec(&grace).app_with(
        "main",
        "live",
        &hooks(&[("preStop", sleep(0))]),
    ))?;
    pods.create(&Pod::new("cut").spec(&grace).app_with("main", "live", &hooks(&[("preStop", sleep(50))])))?;
    pods.create(&Pod::new("gone").spec(&grace).app_with(
        "main",
        "mark start; told go; mark end",
        &hooks(&[("preStop", sleep(50))]),
    ))?;
    for name in ["sleeps", "not-at-all", "cut", "gone"] {
        pods.wait_ready(name)?;
        pods.wait_mark(name, "main start")?;
    }
    pods.history("sleeps").expect_between("main start", "next start", 0.9, 5.0)?;
    let asked_s = now_s()?;
    for (name, grace_s) in [("sleeps", None), ("not-at-all", None), ("cut", Some(3)), ("gone", None)] {
        pods.delete(name, grace_s)?;
    }
    // A hook that only sleeps ends with its container.
    pods.tell("gone", "go")?;
    for (name, stop, least_s) in [
        ("sleeps", "main stop", 1.95),
        ("not-at-all", "main stop", 0.0),
        ("cut", "main stop", 2.95),
        ("gone", "main end", 0.0),
    ] {
        pods.wait_gone(name)?;
        let told = pods.history(name).at(stop)? - asked_s;
        ensure!((least_s..least_s + 3.0).contains(&told), "{name}: {stop} after {told:.2} s");
    }
    let took = now_s()? - asked_s;
    ensure!(took < 20.0, "a pod whose containers had ended was gone after {took:.2} s");
    pods.finish()
}

/// A failed postStart kills the container without its preStop hook; a failed preStop changes nothing.
fn failing_hooks(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let fails = hooks(&[
        ("postStart", exec("mark post; marked 'main post' 2")),
        ("preStop", exec("mark pre; exit 1")),
    ]);
    pods.create(
        &Pod::new("post")
            .spec(&json!({"restartPolicy": "Always"}))
            .app_with("main", "live", &fails)
            .app("next", "live"),
    )?;
    pods.create(&Pod::new("side").sidecar_with("main", "live", &fails).app("next", "live"))?;
    for name in ["post", "side"] {
        pods.wait_marks(name, "main start", 2)?;
        let status = pods.wait_ready(name)?;
        ensure!(container(&status, "main")["restartCount"] == 1, "{status:#}");
        pods.wait_event(name, "FailedPostStartHook ")?;
        pods.delete(name, None)?;
    }
    for name in ["post", "side"] {
        pods.wait_gone(name)?;
        let history = pods.history(name);
        // A postStart hook and its container begin side by side: either may be the first to say so.
        for begins in ["main start", "main post"] {
            history.expect_order(&[begins, begins, "main pre", "main stop"])?;
        }
    }
    // An app that fails does not hold back the others; a sidecar does.
    pods.history("side").expect_order(&["main post", "main post", "next start"])?;
    pods.finish()
}
