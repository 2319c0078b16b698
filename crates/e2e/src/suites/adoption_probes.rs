//! An engine is killed and the next one goes on with probes, hooks and gates where they were: what was ready stays ready,
//! what is healthy is not restarted, and nothing that is done is done again.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::history::History;
use crate::lasting::{Lasting, condition, container};
use crate::pod::{Pod, both, exec, hooks, probe};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    what_is_ready_stays_ready,
    what_is_not_ready_does_not_become_so,
    a_gate_opens_once,
    what_fell_ill_unseen_is_restarted,
    a_restart_by_liveness_goes_on,
    sidecars_still_end_in_order,
    all_containers_still_restart,
    apps_that_crashed_beside_a_sidecar,
];

/// Waits until a line was marked that often.
fn wait_marks(bed: &Bed, pod: &str, line: &str, count: usize) -> Result<History> {
    let read = || History::read(&bed.dir().join("trace"), pod);
    wait::until(&format!("{count} x {line:?} of {pod}"), SOON, || {
        Some(read()).filter(|found| found.count(line) >= count)
    })
}

fn tell(bed: &Bed, pod: &str, word: &str) -> Result<()> {
    bed.file(&format!("trace/{pod}.{word}"), "").map(drop)
}

/// Every status that this engine has said of the pod.
pub(crate) fn statuses(lasting: &Lasting<'_>, pod: &str) -> Vec<Value> {
    let of_pod = |event: &Value| event["event"] == "status" && event["name"] == pod;
    lasting.events().into_iter().filter(of_pod).map(|mut event| event["status"].take()).collect()
}

/// Fails if this engine ever said that the pod is not ready, or that a container is not.
pub(crate) fn expect_always_ready(lasting: &Lasting<'_>, pod: &str) -> Result<()> {
    for status in statuses(lasting, pod) {
        ensure!(condition(&status, "Ready") == "True", "{pod} was not ready: {status:#}");
        ensure!(condition(&status, "ContainersReady") == "True", "{pod} was not ready: {status:#}");
    }
    Ok(())
}

/// Every kind of probe, each of which takes a moment, so that some are under way when the engine dies.
fn probed() -> Value {
    let asks = |kind: &str, fields: &Value| probe(kind, &exec(&format!("mark {kind}; sleep 0.15")), fields);
    let startup = asks("startupProbe", &json!({}));
    both(&both(&asks("livenessProbe", &json!({})), &asks("readinessProbe", &json!({}))), &startup)
}

fn what_is_ready_stays_ready(bed: &Bed) -> Result<()> {
    require_root()?;
    let slow = both(&probe("readinessProbe", &exec("mark slow"), &json!({"periodSeconds": 300})), &json!({}));
    let hooked = hooks(&[("postStart", exec("mark post"))]);
    let pod = Pod::new("ready")
        .spec(&json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 1}))
        .init("init", "mark start")
        .sidecar_with("side", "live", &both(&probed(), &hooked))
        .init("second", "mark start")
        .app_with("main", "live", &both(&probed(), &hooked))
        .app_with("rare", "live", &slow);
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod)?;
    let before = lasting.wait_ready("ready")?;
    for round in 0..6_u32 {
        if round % 2 == 0 {
            let asked = History::read(&bed.dir().join("trace"), "ready").count("main livenessProbe");
            wait_marks(bed, "ready", "main livenessProbe", asked + 1)?;
        }
        lasting.kill_and_start_again()?;
        let after = lasting.wait_ready("ready")?;
        ensure!(before == after, "{before:#}\nbecame\n{after:#}");
        expect_always_ready(&lasting, "ready")?;
    }
    // And they are asked on.
    for line in ["main livenessProbe", "main readinessProbe", "side livenessProbe", "side readinessProbe"] {
        let asked = History::read(&bed.dir().join("trace"), "ready").count(line);
        wait_marks(bed, "ready", line, asked + 2)?;
    }
    expect_always_ready(&lasting, "ready")?;
    let history = History::read(&bed.dir().join("trace"), "ready");
    for line in ["init start", "second start", "side start", "main start", "side post", "main post"] {
        history.expect_count(line, 1)?;
    }
    history.expect_count("main startupProbe", 1)?;
    lasting.end(&["ready"])
}

/// Not even for a moment; and the answers in a row that it has still count.
fn what_is_not_ready_does_not_become_so(bed: &Bed) -> Result<()> {
    require_root()?;
    let asks = exec("mark asked; [ -e /trace/$POD.well ]");
    let never = probe("readinessProbe", &asks, &json!({"successThreshold": 3}));
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&Pod::new("unready").app_with("main", "live", &never))?;
    wait_marks(bed, "unready", "main asked", 2)?;
    for _ in 0..3 {
        lasting.kill_and_start_again()?;
        let asked = History::read(&bed.dir().join("trace"), "unready").count("main asked");
        wait_marks(bed, "unready", "main asked", asked + 1)?;
        for status in statuses(&lasting, "unready") {
            ensure!(condition(&status, "Ready") == "False", "it was ready: {status:#}");
            ensure!(container(&status, "main")["started"] == true, "{status:#}");
        }
    }
    tell(bed, "unready", "well")?;
    let status = lasting.wait_ready("unready")?;
    ensure!(container(&status, "main")["restartCount"] == 0, "{status:#}");
    lasting.end(&["unready"])
}

/// A sidecar whose startup probe has not succeeded yet: it is not started again, and what follows starts once.
fn a_gate_opens_once(bed: &Bed) -> Result<()> {
    require_root()?;
    let gate =
        probe("startupProbe", &exec("mark asked; [ -e /trace/$POD.up ]"), &json!({"failureThreshold": 600}));
    let held = hooks(&[("postStart", exec("mark hook; told go; mark hook-end"))]);
    let pod = Pod::new("gate")
        .init("init", "mark start")
        .sidecar_with("side", "live", &gate)
        .init("second", "mark start")
        .app_with("main", "live", &held)
        .app("next", "live");
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod)?;
    wait_marks(bed, "gate", "side asked", 1)?;
    for _ in 0..3 {
        lasting.kill_and_start_again()?;
        let asked = wait_marks(bed, "gate", "side asked", 1)?.count("side asked");
        let history = wait_marks(bed, "gate", "side asked", asked + 1)?;
        history.expect_absent("second start")?;
        for status in statuses(&lasting, "gate") {
            ensure!(
                container(&status, "side")["started"] == false && status["phase"] == "Pending",
                "{status:#}"
            );
        }
    }
    lasting.kill()?;
    tell(bed, "gate", "up")?;
    lasting.again()?;
    wait_marks(bed, "gate", "main hook", 1)?;
    lasting.kill_and_start_again()?;
    // The hook begins again, the container does not.
    wait_marks(bed, "gate", "main hook", 2)?.expect_absent("next start")?;
    tell(bed, "gate", "go")?;
    let status = lasting.wait_ready("gate")?;
    for name in ["init", "side", "second", "main", "next"] {
        ensure!(container(&status, name)["restartCount"] == 0, "{status:#}");
        History::read(&bed.dir().join("trace"), "gate").expect_count(&format!("{name} start"), 1)?;
    }
    History::read(&bed.dir().join("trace"), "gate").expect_order(&[
        "side asked",
        "second start",
        "main start",
        "main hook-end",
        "next start",
    ])?;
    lasting.end(&["gate"])
}

fn sick(name: &str, fields: &Value) -> Pod {
    let well = exec("mark asked; marked 'main start' 2 || [ ! -e /trace/$POD.sick ]");
    let liveness = probe("livenessProbe", &well, &json!({"failureThreshold": 2}));
    Pod::new(name)
        .spec(&json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30}))
        .app_with("main", "live", &both(&liveness, fields))
        .app("other", "live")
}

fn what_fell_ill_unseen_is_restarted(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&sick("ill", &hooks(&[("preStop", exec("mark hook"))])))?;
    lasting.wait_ready("ill")?;
    wait_marks(bed, "ill", "main asked", 1)?;
    lasting.kill()?;
    tell(bed, "ill", "sick")?;
    let asked = History::read(&bed.dir().join("trace"), "ill").count("main asked");
    lasting.again()?;
    let history = wait_marks(bed, "ill", "main start", 2)?;
    history.expect_order(&["main start", "main hook", "main stop", "main start"])?;
    let before_hook = history.0.iter().take_while(|mark| mark.line != "main hook");
    let asked = before_hook.filter(|mark| mark.line == "main asked").count() - asked;
    ensure!(asked == 2, "it was asked {asked} times\n{history}");
    let status = lasting.wait_ready("ill")?;
    ensure!(container(&status, "main")["restartCount"] == 1, "{status:#}");
    ensure!(container(&status, "other")["restartCount"] == 0, "{status:#}");
    lasting.end(&["ill"])
}

/// While the hook of a container that failed its probe runs, and when it has got its signal.
fn a_restart_by_liveness_goes_on(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut lasting = Lasting::start(bed)?;
    let hook = hooks(&[("preStop", exec("mark hook; told go; mark hook-end"))]);
    let slow = "trap 'mark stop; told end; mark end; exit 4' TERM; mark start; sleep 1000000 & wait $!";
    lasting.add(&sick("ill", &hook))?;
    lasting.add(
        &Pod::new("slow")
            .spec(&json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 60}))
            .app_with(
                "main",
                slow,
                &probe(
                    "livenessProbe",
                    &exec("marked 'main start' 2 || [ ! -e /trace/$POD.sick ]"),
                    &json!({}),
                ),
            ),
    )?;
    lasting.wait_ready("ill")?;
    lasting.wait_ready("slow")?;
    tell(bed, "ill", "sick")?;
    tell(bed, "slow", "sick")?;
    wait_marks(bed, "ill", "main hook", 1)?;
    wait_marks(bed, "slow", "main stop", 1)?;
    lasting.kill_and_start_again()?;
    wait_marks(bed, "ill", "main hook", 2)?.expect_absent("main stop")?;
    tell(bed, "ill", "go")?;
    tell(bed, "slow", "end")?;
    let history = wait_marks(bed, "ill", "main start", 2)?;
    history.expect_order(&["main hook", "main hook-end", "main stop", "main start"])?;
    wait_marks(bed, "slow", "main start", 2)?.expect_count("main stop", 1)?;
    for (name, code) in [("ill", 0), ("slow", 4)] {
        let status = lasting.wait_status(name, "restarted and ready", |status| {
            condition(status, "Ready") == "True" && container(status, "main")["restartCount"] == 1
        })?;
        ensure!(container(&status, "main")["lastState"]["terminated"]["exitCode"] == code, "{status:#}");
    }
    lasting.end(&["ill", "slow"])
}

/// The engine dies when the apps have ended and the last sidecar is told to.
fn sidecars_still_end_in_order(bed: &Bed) -> Result<()> {
    require_root()?;
    let slow = "trap 'mark term; told $NAME; mark end; exit 0' TERM; mark start; sleep 1000000 & wait $!";
    let hook = hooks(&[("preStop", exec("mark hook"))]);
    let pod = |name: &str, app: &str| {
        Pod::new(name)
            .spec(&json!({"terminationGracePeriodSeconds": 60}))
            .sidecar_with("s1", slow, &hook)
            .sidecar_with("s2", slow, &hook)
            .sidecar_with("s3", slow, &hook)
            .app("main", app)
    };
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod("deleted", "live"))?;
    lasting.add(&pod("done", "mark start; told go; mark end"))?;
    for name in ["deleted", "done"] {
        lasting.wait_ready(name)?;
        for sidecar in ["s1", "s2", "s3"] {
            wait_marks(bed, name, &format!("{sidecar} start"), 1)?;
        }
    }
    wait_marks(bed, "deleted", "main start", 1)?;
    lasting.delete("deleted", 60)?;
    tell(bed, "done", "go")?;
    for sidecar in ["s3", "s2", "s1"] {
        for name in ["deleted", "done"] {
            wait_marks(bed, name, &format!("{sidecar} term"), 1)?;
        }
        lasting.kill_and_start_again()?;
        for name in ["deleted", "done"] {
            tell(bed, name, sidecar)?;
        }
    }
    lasting.wait_removed("deleted")?;
    let status = lasting.wait_status("done", "Succeeded", |status| status["phase"] == "Succeeded")?;
    for (name, first) in [("deleted", "main stop"), ("done", "main end")] {
        let history = History::read(&bed.dir().join("trace"), name);
        history.expect_order(&[first, "s3 term", "s3 end", "s2 term", "s2 end", "s1 term", "s1 end"])?;
        for sidecar in ["s1", "s2", "s3"] {
            history.expect_count(&format!("{sidecar} term"), 1)?;
            history.expect_count(&format!("{sidecar} hook"), 1)?;
        }
    }
    for name in ["s1", "s2", "s3", "main"] {
        ensure!(container(&status, name)["restartCount"] == 0, "{status:#}");
        ensure!(container(&status, name)["state"]["terminated"]["exitCode"] == 0, "{status:#}");
    }
    lasting.end(&["done"])
}

/// The engine dies while all of them are told to end because of one's exit code.
fn all_containers_still_restart(bed: &Bed) -> Result<()> {
    require_root()?;
    let rules = json!({"restartPolicy": "Never", "restartPolicyRules": [
        {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}]});
    let deaf = "trap 'mark term' TERM; mark start; while :; do sleep 0.1 & wait $!; done";
    let main = "mark start; marked 'main start' 2 && exec sleep 1000000; told go; exit 88";
    let pod = Pod::new("anew")
        .init("init", "mark start")
        .sidecar("side", "live")
        .app("deaf", deaf)
        .app_with("main", main, &rules);
    let mut lasting = Lasting::start(bed)?;
    lasting.add(&pod)?;
    lasting.wait_ready("anew")?;
    wait_marks(bed, "anew", "deaf start", 1)?;
    wait_marks(bed, "anew", "side start", 1)?;
    tell(bed, "anew", "go")?;
    wait_marks(bed, "anew", "deaf term", 1)?;
    lasting.kill_and_start_again()?;
    wait_marks(bed, "anew", "main start", 2)?;
    let status = lasting.wait_status("anew", "ready again", |status| {
        condition(status, "Ready") == "True" && container(status, "main")["restartCount"] == 1
    })?;
    for name in ["init", "side", "deaf", "main"] {
        ensure!(container(&status, name)["restartCount"] == 1, "{status:#}");
        History::read(&bed.dir().join("trace"), "anew").expect_count(&format!("{name} start"), 2)?;
    }
    ensure!(container(&status, "main")["lastState"]["terminated"]["exitCode"] == 88, "{status:#}");
    History::read(&bed.dir().join("trace"), "anew").expect_order(&[
        "deaf term",
        "init start",
        "side start",
        "main start",
    ])?;
    lasting.end(&["anew"])
}

/// Though only the sidecar still runs: a kubelet that was restarted takes such a pod for one that has yet to initialise.
fn apps_that_crashed_beside_a_sidecar(bed: &Bed) -> Result<()> {
    require_root()?;
    let crashes = "mark start; [ $(grep -c ' main start' /trace/$POD.marks) -ge $LIVES ] && exec sleep 1000000; told go; mark end; exit 3";
    let lives = |count: &str| json!({"env": [{"name": "LIVES", "value": count}]});
    let pod = |name: &str, count: &str| {
        Pod::new(name)
            .spec(&json!({"restartPolicy": "OnFailure"}))
            .init("init", "mark start")
            .sidecar("side", "live")
            .app_with("main", crashes, &lives(count))
    };
    let mut lasting = Lasting::start(bed)?;
    // One crashes while there is no engine, the other is in its backoff then.
    lasting.add(&pod("unseen", "2"))?;
    lasting.add(&pod("backoff", "3"))?;
    tell(bed, "backoff", "go")?;
    lasting.wait_ready("unseen")?;
    wait_marks(bed, "unseen", "side start", 1)?;
    wait_marks(bed, "backoff", "main end", 2)?;
    lasting.kill()?;
    tell(bed, "unseen", "go")?;
    wait_marks(bed, "unseen", "main end", 1)?;
    lasting.again()?;
    for (name, restarts) in [("unseen", 1), ("backoff", 2)] {
        let status = lasting.wait_status(name, "ready again", |status| {
            condition(status, "Ready") == "True" && container(status, "main")["restartCount"] == restarts
        })?;
        ensure!(container(&status, "main")["lastState"]["terminated"]["exitCode"] == 3, "{status:#}");
        let history = History::read(&bed.dir().join("trace"), name);
        history.expect_count("init start", 1)?;
        history.expect_count("side start", 1)?;
    }
    lasting.end(&["unseen", "backoff"])
}
