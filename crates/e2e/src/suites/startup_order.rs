//! In which order the containers of a pod start, and what holds back the next one. Each test has many pods side by side.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::lasting::container;
use crate::pod::{Pod, both, exec, hooks, probe};
use crate::pods::{Pods, expect_exit, expect_restarts};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    init_containers_and_sidecars_take_turns,
    hooks_and_probes_hold_back_the_next,
    sidecars_restart_under_every_policy,
    failing_probes_of_sidecars,
    failing_init_containers,
    images_that_are_not_there,
    completed_init_containers_stay_completed,
];

pub(crate) const POLICIES: [&str; 3] = ["Never", "OnFailure", "Always"];

/// A name for a pod of that policy.
pub(crate) fn under(policy: &str, name: &str) -> String {
    format!("{name}-{}", policy.to_lowercase())
}

/// A container takes a moment until it has started.
const UP_LATER: &str = "(sleep 0.6; mark up; touch /tmp/up) & ";

fn when_up() -> Value {
    probe("startupProbe", &exec("[ -e /tmp/up ]"), &json!({"failureThreshold": 60}))
}

/// Three init containers with two sidecars between them, then an app: each entry waits for the one before.
fn init_containers_and_sidecars_take_turns(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    for policy in POLICIES {
        let main = if policy == "Always" { "live" } else { "mark start; sleep 0.3; mark end" };
        let turn = "mark start; sleep 0.2; mark end";
        let pod = Pod::new(&under(policy, "turns"))
            .spec(&json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 30}))
            .init("i1", turn)
            .sidecar_with("s1", &format!("{UP_LATER} live"), &when_up())
            .init("i2", turn)
            .sidecar_with("s2", &format!("{UP_LATER} live"), &when_up())
            .init("i3", turn)
            .app("main", main);
        pods.create(&pod)?;
    }
    let name = under("Always", "turns");
    pods.wait_ready(&name)?;
    pods.delete(&name, None)?;
    pods.wait_gone(&name)?;
    for policy in POLICIES {
        let name = under(policy, "turns");
        if policy != "Always" {
            let status = pods.wait_phase(&name, "Succeeded")?;
            expect_exit(&status, "s1", 0, "Completed")?;
        }
        let end = if policy == "Always" { "main stop" } else { "main end" };
        let history = pods.history(&name);
        history.expect_order(&[
            "i1 start",
            "i1 end",
            "s1 start",
            "s1 up",
            "i2 start",
            "i2 end",
            "s2 start",
            "s2 up",
            "i3 start",
            "i3 end",
            "main start",
            end,
            "s2 stop",
            "s1 stop",
        ])?;
        ensure!(history.0.len() == 14, "something ran twice:\n{history}");
    }
    pods.finish()
}

/// postStart and the startup probe of a sidecar, and postStart of an app, end before the next one starts. A hook runs beside
/// its container.
fn hooks_and_probes_hold_back_the_next(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hook = hooks(&[("postStart", exec("mark hook; sleep 0.7; mark hook-end"))]);
    let lives = "mark start; while :; do mark tick; sleep 0.1; done";
    pods.create(
        &Pod::new("app-hook")
            .init("init", "mark start; sleep 0.2; mark end")
            .app_with("first", lives, &hook)
            .app("second", "live"),
    )?;
    pods.create(
        &Pod::new("side-hook")
            .sidecar_with("side", "live", &hook)
            .init("init", "mark start")
            .app("main", "live"),
    )?;
    // The probe succeeds in the middle of the hook.
    let quick = probe("startupProbe", &exec("mark probe"), &json!({}));
    pods.create(
        &Pod::new("side-hook-and-probe")
            .sidecar_with("side", "live", &both(&hook, &quick))
            .init("init", "mark start")
            .app("main", "live"),
    )?;
    // And the hook ends long before the probe succeeds.
    let quick_hook = hooks(&[("postStart", exec("mark hook-end"))]);
    pods.create(
        &Pod::new("side-probe")
            .sidecar_with("side", &format!("{UP_LATER} live"), &both(&quick_hook, &when_up()))
            .app("main", "live"),
    )?;
    for pod in ["app-hook", "side-hook", "side-hook-and-probe", "side-probe"] {
        let status = pods.wait_ready(pod)?;
        ensure!(status["phase"] == "Running", "{status:#}");
    }
    pods.history("app-hook").expect_order(&[
        "init start",
        "init end",
        "first start",
        "first hook",
        "first tick",
        "first hook-end",
        "second start",
    ])?;
    for pod in ["side-hook", "side-hook-and-probe"] {
        let expected = ["side start", "side hook-end", "init start", "main start"];
        pods.history(pod).expect_order(&expected)?;
    }
    pods.history("side-hook-and-probe").expect_order(&["side probe", "init start"])?;
    pods.history("side-probe").expect_order(&["side hook-end", "side up", "main start"])?;
    pods.finish()
}

/// Before a sidecar has started, while a later init container runs, and while the app does; by either exit code.
fn sidecars_restart_under_every_policy(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let cases: Vec<(&str, u32)> = POLICIES.iter().flat_map(|policy| [(*policy, 0), (*policy, 1)]).collect();
    for (policy, code) in &cases {
        let side = format!(
            "trap 'mark stop; exit {code}' TERM; mark start; marked 'side start' 2 || exit {code}; touch /tmp/up
             until marked 'init start' 1; do sleep 0.1; done; marked 'side start' 3 || exit {code}
             until marked 'main start' 1; do sleep 0.1; done; marked 'side start' 4 || exit {code}
             sleep 1000000 & wait $!"
        );
        let until = |count: u32| format!("mark start; until marked 'side start' {count}; do sleep 0.1; done");
        let main = if *policy == "Always" { "live".to_owned() } else { until(4) + "; mark end" };
        let pod = Pod::new(&under(policy, &format!("side-{code}")))
            .spec(&json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 30}))
            .sidecar_with("side", &side, &when_up())
            .init("init", &(until(3) + "; mark end"))
            .app("main", &main);
        pods.create(&pod)?;
    }
    for (policy, code) in &cases {
        let name = under(policy, &format!("side-{code}"));
        let status = if *policy == "Always" {
            pods.wait_marks(&name, "side start", 4)?;
            pods.wait_ready(&name)?
        } else {
            let status = pods.wait_phase(&name, "Succeeded")?;
            let reason = if *code == 0 { "Completed" } else { "Error" };
            expect_exit(&status, "side", i32::try_from(*code)?, reason)?;
            status
        };
        expect_restarts(&status, "side", 3)?;
        expect_restarts(&status, "init", 0)?;
        expect_restarts(&status, "main", 0)?;
        let history = pods.history(&name);
        history.expect_order(&[
            "side start",
            "side start",
            "init start",
            "side start",
            "init end",
            "main start",
            "side start",
        ])?;
        history.expect_count("init start", 1)?;
        history.expect_count("main start", 1)?;
    }
    pods.finish()
}

/// A failed startup probe holds back the rest, until the sidecar recovers; a failed liveness probe does not. Both run the
/// preStop hook and then send the signal.
fn failing_probes_of_sidecars(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hook = hooks(&[("preStop", exec("mark hook; sleep 0.3; mark hook-end"))]);
    for policy in POLICIES {
        let pod = |name: &str, kind: &str, script: &str| {
            let fields = both(&hook, &probe(kind, &exec(script), &json!({})));
            Pod::new(&under(policy, name))
                .spec(&json!({"restartPolicy": policy}))
                .sidecar_with("side", "live", &fields)
                .init("init", "mark start")
                .app("main", "live")
        };
        pods.create(&pod("startup", "startupProbe", "marked 'side start' 2 && [ -e /trace/$POD.go ]"))?;
        pods.create(&pod("liveness", "livenessProbe", "marked 'side start' 2"))?;
    }
    for policy in POLICIES {
        let name = under(policy, "startup");
        let history = pods.wait_marks(&name, "side start", 2)?;
        history.expect_order(&["side start", "side hook", "side hook-end", "side stop", "side start"])?;
        history.expect_absent("init start")?;
        let status = pods.status(&name)?;
        ensure!(status["phase"] == "Pending", "{status:#}");
        ensure!(container(&status, "side")["started"] == false, "{status:#}");
        pods.wait_event(&name, "Killing Init container side failed startup probe")?;
        pods.wait_event(&name, "Unhealthy Startup probe failed: ")?;
    }
    for policy in POLICIES {
        pods.tell(&under(policy, "startup"), "go")?;
    }
    for policy in POLICIES {
        let name = under(policy, "startup");
        pods.wait_ready(&name)?;
        let starts = u32::try_from(pods.history(&name).count("side start"))?;
        expect_restarts(&pods.status(&name)?, "side", starts - 1)?;
        let name = under(policy, "liveness");
        pods.wait_marks(&name, "side start", 2)?;
        let status = pods.wait_ready(&name)?;
        expect_restarts(&status, "side", 1)?;
        expect_restarts(&status, "main", 0)?;
        let history = pods.history(&name);
        history.expect_order(&["side start", "side hook", "side hook-end", "side stop", "side start"])?;
        history.expect_order(&["side start", "init start", "main start"])?;
        let (rest, stop) = (history.at("init start")?, history.at("side stop")?);
        ensure!(rest < stop, "the next one waited for the sidecar:\n{history}");
        history.expect_count("init start", 1)?;
        pods.wait_event(&name, "Killing Init container side failed liveness probe")?;
    }
    pods.finish()
}

/// With Never the pod fails and its sidecar is stopped; else it is tried again, and the sidecar does not notice.
fn failing_init_containers(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let pod = |policy: &str, name: &str, sidecar_first: bool| {
        let third = "marked 'init start' 3 && told go && exit 0; exit 1";
        let pod = Pod::new(&under(policy, name)).spec(&json!({"restartPolicy": policy}));
        if sidecar_first {
            let init = format!("mark start; until marked 'side start' 1; do sleep 0.1; done; {third}");
            pod.sidecar("side", "live").init("init", &init).init("later", "mark start").app("main", "live")
        } else {
            pod.init("init", &format!("mark start; {third}")).sidecar("side", "live").app("main", "live")
        }
    };
    for policy in POLICIES {
        pods.create(&pod(policy, "behind", true))?;
        pods.create(&pod(policy, "before", false))?;
    }
    for (name, starts) in [("behind", true), ("before", false)] {
        let never = under("Never", name);
        let status = pods.wait_phase(&never, "Failed")?;
        expect_exit(&status, "init", 1, "Error")?;
        let history = pods.history(&never);
        ["later start", "main start"].iter().try_for_each(|line| history.expect_absent(line))?;
        history.expect_count("side start", usize::from(starts))?;
        history.expect_count("side stop", usize::from(starts))?;
        history.expect_count("init start", 1)?;
    }
    for policy in ["OnFailure", "Always"] {
        for name in ["behind", "before"] {
            let name = under(policy, name);
            let fails = |status: &Value| container(status, "init")["restartCount"] == 2;
            let status = pods.wait(&name, "a second retry", fails)?;
            ensure!(status["phase"] == "Pending", "{status:#}");
            pods.history(&name).expect_absent("main start")?;
            pods.tell(&name, "go")?;
            let status = pods.wait_ready(&name)?;
            expect_restarts(&status, "init", 2)?;
            expect_restarts(&status, "side", 0)?;
            let history = pods.history(&name);
            history.expect_count("side start", 1)?;
            history.expect_order(&["init start", "init start", "init start", "main start"])?;
        }
    }
    pods.finish()
}

/// A sidecar that has no image holds back the rest, an app does not; either pod can be deleted.
fn images_that_are_not_there(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let missing = json!({"image": "localhost/nowhere:1"});
    pods.create(
        &Pod::new("bad-sidecar")
            .sidecar("one", "live")
            .sidecar_with("bad", "live", &missing)
            .app("main", "live"),
    )?;
    pods.create(
        &Pod::new("bad-app").sidecar("one", "live").app_with("bad", "live", &missing).app("main", "live"),
    )?;
    let waits = |status: &Value| {
        let reason = container(status, "bad")["state"]["waiting"]["reason"].clone();
        reason == "ErrImagePull" || reason == "ImagePullBackOff"
    };
    for pod in ["bad-sidecar", "bad-app"] {
        pods.wait_mark(pod, "one start")?;
        let status = pods.wait(pod, "no image", waits)?;
        ensure!(status["phase"] == "Pending", "{status:#}");
    }
    pods.wait_mark("bad-app", "main start")?;
    pods.history("bad-sidecar").expect_absent("main start")?;
    for pod in ["bad-sidecar", "bad-app"] {
        pods.delete(pod, None)?;
    }
    for pod in ["bad-sidecar", "bad-app"] {
        pods.wait_gone(pod)?;
        pods.history(pod).expect_count("one stop", 1)?;
    }
    pods.history("bad-app").expect_order(&["main stop", "one stop"])?;
    pods.finish()
}

/// When an app restarts, when an image is changed, and when the server comes back.
fn completed_init_containers_stay_completed(bed: &Bed) -> Result<()> {
    require_root()?;
    let images = ["localhost/test:1", "localhost/test:2"];
    images.iter().try_for_each(|image| super::images::load_with(bed, image, &json!({})))?;
    let mut pods = Pods::start(bed)?;
    let of = |image: &str| json!({"image": image, "volumeMounts": [crate::pod::mount("usr", "/usr")]});
    let pod = Pod::new("done")
        .spec(&json!({"restartPolicy": "Always"}))
        .volume(json!({"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}}))
        .init_with("init", "mark start", &of(images[0]))
        .sidecar_with("side", "live", &of(images[0]))
        .app_with("main", "mark start; marked 'main start' 3 && exec sleep 1000000; exit 3", &of(images[0]));
    pods.create(&pod)?;
    pods.wait_marks("done", "main start", 3)?;
    let before = pods.wait_ready("done")?;
    expect_restarts(&before, "main", 2)?;
    // A new image of a running container stops it and starts the next attempt; one of an init container that is done is noted.
    let spec = json!({"spec": {
        "initContainers": [{"name": "init", "image": images[1]}, {"name": "side", "image": images[1]}],
        "containers": [{"name": "main", "image": images[1]}]}});
    pods.patch("done", &spec)?;
    pods.wait_marks("done", "main start", 4)?;
    pods.wait_marks("done", "side start", 2)?;
    pods.wait_event("done", "Killing Container main definition changed, will be restarted")?;
    pods.wait_event("done", "Killing Init container side definition changed")?;
    let status = pods.wait("done", "Ready with the new image", |status| {
        crate::lasting::condition(status, "Ready") == "True"
            && container(status, "main")["image"] == images[1]
    })?;
    expect_restarts(&status, "main", 3)?;
    expect_restarts(&status, "side", 1)?;
    pods.serve_again()?;
    // A status that was not yet on the disk is written again.
    let restarts = |status: &Value, name: &str| container(status, name)["restartCount"].clone();
    let status = pods.wait("done", "as it was", |status| restarts(status, "main") == 3)?;
    expect_restarts(&status, "side", 1)?;
    expect_restarts(&status, "init", 0)?;
    ensure!(crate::lasting::condition(&status, "Ready") == "True", "{status:#}");
    pods.history("done").expect_count("init start", 1)?;
    pods.finish()
}
