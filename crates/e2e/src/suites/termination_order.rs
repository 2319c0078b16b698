//! In which order the containers of a pod end. Each test has many pods side by side.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bed::Bed;
use crate::history::{History, now_s};
use crate::pod::{Pod, exec, hooks};
use crate::pods::{Pods, expect_exit, expect_restarts};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::suites::startup_order::{POLICIES, under};

pub(crate) const TESTS: &[Test] = tests![
    sidecars_end_in_reverse_after_the_apps,
    all_hooks_begin_together,
    hooks_without_end_are_cut,
    sidecars_of_stubborn_apps_end_together,
    deletion_while_a_pod_initialises,
];

/// How much later things may come on a busy machine than they are due; `cargo xtask bench` says how much it is on a quiet one.
const TOLERANCE_S: f64 = 3.0;
/// And how much sooner after a mark, which may itself be late.
const EARLY_S: f64 = 0.8;
/// Takes a while to end after its signal.
const SLOW: &str = "trap 'mark term; sleep 0.4; mark end; exit 0' TERM; mark start; sleep 1000000 & wait $!";
/// Does not end before it is killed.
const STUBBORN: &str = "trap 'mark term' TERM; mark start; while :; do mark tick; sleep 0.1 & wait $!; done";

/// By deletion, and because the apps are done.
fn sidecars_end_in_reverse_after_the_apps(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let pod = |name: &str, policy: &str, app: &str| {
        Pod::new(name)
            .spec(&json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 30}))
            .sidecar("s1", SLOW)
            .sidecar("s2", SLOW)
            .init("init", "mark start")
            .sidecar("s3", SLOW)
            .app("a1", app)
            .app("a2", app)
    };
    for policy in POLICIES {
        pods.create(&pod(&under(policy, "deleted"), policy, SLOW))?;
        if policy != "Always" {
            pods.create(&pod(&under(policy, "done"), policy, "mark start; told go; mark end"))?;
        }
    }
    for policy in POLICIES {
        let name = under(policy, "deleted");
        pods.wait_ready(&name)?;
        ["s1", "s2", "s3"]
            .iter()
            .try_for_each(|side| pods.wait_mark(&name, &format!("{side} start")).map(drop))?;
        pods.delete(&name, None)?;
    }
    for policy in ["Never", "OnFailure"] {
        let name = under(policy, "done");
        pods.wait_ready(&name)?;
        ["s1", "s2", "s3"]
            .iter()
            .try_for_each(|side| pods.wait_mark(&name, &format!("{side} start")).map(drop))?;
        pods.tell(&name, "go")?;
    }
    let sidecars = ["s3 term", "s3 end", "s2 term", "s2 end", "s1 term", "s1 end"];
    for policy in POLICIES {
        let name = under(policy, "deleted");
        pods.wait_gone(&name)?;
        let history = pods.history(&name);
        for app in ["a1", "a2"] {
            let (term, end) = (format!("{app} term"), format!("{app} end"));
            history.expect_order(&[&[&*term, &*end], &sidecars[..]].concat())?;
        }
        // Apps are stopped at once.
        ensure!(history.at("a1 term")? < history.at("a2 end")?, "{history}");
        ensure!(history.at("a2 term")? < history.at("a1 end")?, "{history}");
    }
    for policy in ["Never", "OnFailure"] {
        let name = under(policy, "done");
        let status = pods.wait_phase(&name, "Succeeded")?;
        for sidecar in ["s1", "s2", "s3"] {
            expect_exit(&status, sidecar, 0, "Completed")?;
            expect_restarts(&status, sidecar, 0)?;
        }
        let history = pods.history(&name);
        for app in ["a1 end", "a2 end"] {
            history.expect_order(&[&[app], &sidecars[..]].concat())?;
        }
    }
    pods.finish()
}

fn began_within(history: &History, hooks: &[&str], most_s: f64) -> Result<()> {
    let began: Vec<f64> = hooks.iter().map(|hook| history.at(hook)).collect::<Result<_>>()?;
    let first = began.iter().copied().fold(f64::INFINITY, f64::min);
    let last = began.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    ensure!(last - first < most_s, "hooks began within {:.2} s\n{history}", last - first);
    Ok(())
}

/// Also those of sidecars, whose signals wait for their turn.
fn all_hooks_begin_together(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hook = |time: &str| hooks(&[("preStop", exec(&format!("mark hook; sleep {time}; mark hook-end")))]);
    let pod = |name: &str, app: &str| {
        Pod::new(name)
            .spec(&json!({"terminationGracePeriodSeconds": 30}))
            .sidecar_with("s1", SLOW, &hook("0.5"))
            .sidecar_with("s2", SLOW, &hook("2"))
            .sidecar_with("s3", SLOW, &hook("0.2"))
            .app_with("main", app, &hook("1"))
    };
    pods.create(&pod("deleted", SLOW))?;
    pods.create(&pod("done", "mark start; told go; mark end"))?;
    for name in ["deleted", "done"] {
        pods.wait_ready(name)?;
        ["s1", "s2", "s3"]
            .iter()
            .try_for_each(|side| pods.wait_mark(name, &format!("{side} start")).map(drop))?;
    }
    pods.delete("deleted", None)?;
    pods.tell("done", "go")?;
    pods.wait_gone("deleted")?;
    pods.wait_phase("done", "Succeeded")?;
    for name in ["deleted", "done"] {
        let history = pods.history(name);
        began_within(&history, &["s1 hook", "s2 hook", "s3 hook"], 1.0)?;
        let first: &[&str] = if name == "deleted" { &["main hook-end", "main term"] } else { &[] };
        let rest = ["main end", "s3 term", "s3 end", "s2 term", "s2 end", "s1 term", "s1 end"];
        history.expect_order(&[first, &rest].concat())?;
        history.expect_order(&["s2 hook-end", "s2 term"])?;
    }
    let deleted = pods.history("deleted");
    began_within(&deleted, &["main hook", "s1 hook"], 1.0)?;
    pods.history("done").expect_absent("main hook")?;
    pods.finish()
}

/// The hooks are waited for until the grace is over, then the containers have their two seconds: all at once, since no time is
/// left for an order.
fn hooks_without_end_are_cut(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hook = hooks(&[("preStop", exec("while :; do mark hook; sleep 0.1; done"))]);
    let slow = "trap 'mark term; sleep 5; mark end; exit 0' TERM; mark start; sleep 1000000 & wait $!";
    let grace = json!({"terminationGracePeriodSeconds": 4});
    pods.create(
        &Pod::new("done")
            .spec(&grace)
            .sidecar_with("s1", slow, &hook)
            .sidecar_with("s2", slow, &hook)
            .sidecar_with("s3", slow, &hook)
            .app("main", "mark start; told go; mark end"),
    )?;
    pods.create(&Pod::new("deleted").kept().spec(&grace).app_with("main", slow, &hook).app("other", "live"))?;
    pods.create(&Pod::new("polite").kept().spec(&grace).app_with("main", "live", &hook))?;
    for name in ["done", "deleted", "polite"] {
        pods.wait_ready(name)?;
    }
    ["s1", "s2", "s3"]
        .iter()
        .try_for_each(|side| pods.wait_mark("done", &format!("{side} start")).map(drop))?;
    pods.tell("done", "go")?;
    pods.delete("deleted", None)?;
    pods.delete("polite", None)?;
    let status = pods.wait_phase("done", "Succeeded")?;
    let history = pods.history("done");
    let mut ends = vec![];
    for sidecar in ["s1", "s2", "s3"] {
        expect_exit(&status, sidecar, 137, "Error")?;
        let hook = format!("{sidecar} hook");
        let lived = history.last(&hook)? - history.at(&hook)?;
        ensure!(
            (6.0 - EARLY_S..6.0 + TOLERANCE_S).contains(&lived),
            "the hook of {sidecar} lived for {lived:.2} s\n{history}"
        );
        history.expect_between(&hook, &format!("{sidecar} term"), 4.0 - EARLY_S, 4.0 + TOLERANCE_S)?;
        ends.push(history.last(&hook)?);
    }
    ensure!(ends.iter().all(|end| (end - ends[0]).abs() < 1.0), "{history}");
    let status = pods.wait_ended("deleted")?;
    ensure!(status["phase"] == "Failed", "{status:#}");
    expect_exit(&status, "main", 137, "Error")?;
    let history = pods.history("deleted");
    history.expect_between("main hook", "main term", 4.0 - EARLY_S, 4.0 + TOLERANCE_S)?;
    history.expect_between("main hook", "other stop", -1.0, TOLERANCE_S)?;
    history.expect_absent("main end")?;
    let status = pods.wait_ended("polite")?;
    expect_exit(&status, "main", 0, "Completed")?;
    pods.history("polite").expect_between("main hook", "main stop", 4.0 - EARLY_S, 4.0 + TOLERANCE_S)?;
    pods.finish()
}

/// An app that does not end in time fails the pod; its sidecars have their two seconds after that, together.
fn sidecars_of_stubborn_apps_end_together(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let grace = json!({"terminationGracePeriodSeconds": 3});
    let pod = |name: &str, side: &str| {
        Pod::new(name).kept().spec(&grace).sidecar("s1", side).sidecar("s2", side).app("main", STUBBORN)
    };
    pods.create(&pod("one-stubborn", "live"))?;
    pods.create(&pod("all-stubborn", STUBBORN))?;
    // What is left of the grace after the hook.
    let hook = hooks(&[("preStop", exec("mark hook; sleep 2; mark hook-end"))]);
    pods.create(
        &Pod::new("hook").kept().spec(&grace).sidecar("s1", "live").app_with("main", STUBBORN, &hook),
    )?;
    for name in ["one-stubborn", "all-stubborn", "hook"] {
        pods.wait_ready(name)?;
        pods.wait_mark(name, "s1 start")?;
        pods.wait_mark(name, "main tick")?;
        if name != "hook" {
            pods.wait_mark(name, "s2 start")?;
        }
    }
    for name in ["one-stubborn", "all-stubborn", "hook"] {
        pods.delete(name, None)?;
    }
    for (name, signal) in [("one-stubborn", "stop"), ("all-stubborn", "term"), ("hook", "stop")] {
        let status = pods.wait_ended(name)?;
        ensure!(status["phase"] == "Failed", "{status:#}");
        expect_exit(&status, "main", 137, "Error")?;
        let history = pods.history(name);
        let began_s = history.at(if name == "hook" { "main hook" } else { "main term" })?;
        let killed = history.last("main tick")? - began_s;
        ensure!(
            (3.0 - EARLY_S..3.0 + TOLERANCE_S).contains(&killed),
            "killed after {killed:.2} s\n{history}"
        );
        let sidecars: &[&str] = if name == "hook" { &["s1"] } else { &["s1", "s2"] };
        for sidecar in sidecars {
            let told = history.at(&format!("{sidecar} {signal}"))? - began_s;
            ensure!(
                (3.0 - EARLY_S..3.0 + TOLERANCE_S).contains(&told),
                "{sidecar} was told after {told:.2} s\n{history}"
            );
            if signal == "term" {
                expect_exit(&status, sidecar, 137, "Error")?;
                let lived = history.last(&format!("{sidecar} tick"))? - began_s;
                ensure!(
                    (5.0 - EARLY_S..5.0 + TOLERANCE_S).contains(&lived),
                    "{sidecar} lived {lived:.2} s\n{history}"
                );
            } else {
                expect_exit(&status, sidecar, 0, "Completed")?;
            }
        }
    }
    pods.history("hook").expect_order(&["main hook", "main hook-end", "main term"])?;
    pods.finish()
}

/// Nobody waits for what was never started; a sidecar that runs and has not started yet gets its signal at once.
fn deletion_while_a_pod_initialises(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let never = crate::pod::probe("startupProbe", &exec("false"), &json!({"failureThreshold": 1000}));
    let grace = json!({"terminationGracePeriodSeconds": 10});
    // The first process of a namespace gets no signal that it has not asked for.
    let deaf = "mark start; exec sleep 1000000";
    pods.create(
        &Pod::new("first-init").spec(&grace).init("init", SLOW).sidecar("side", "live").app("main", "live"),
    )?;
    pods.create(
        &Pod::new("deaf-init")
            .spec(&json!({"terminationGracePeriodSeconds": 2}))
            .init("init", deaf)
            .sidecar("side", "live")
            .app("main", "live"),
    )?;
    pods.create(
        &Pod::new("later-init")
            .spec(&grace)
            .sidecar("side", SLOW)
            .init("init", SLOW)
            .sidecar("later", "live")
            .app("main", "live"),
    )?;
    pods.create(
        &Pod::new("not-started")
            .spec(&grace)
            .sidecar("one", SLOW)
            .sidecar_with("side", SLOW, &never)
            .sidecar("later", "live")
            .app("main", "live"),
    )?;
    let hooked = hooks(&[("postStart", exec("mark hook; sleep 1000"))]);
    pods.create(&Pod::new("in-hook").spec(&grace).sidecar_with("side", SLOW, &hooked).app("main", "live"))?;
    let waits = [
        ("first-init", "init start"),
        ("deaf-init", "init start"),
        ("later-init", "init start"),
        ("not-started", "side start"),
        ("in-hook", "side hook"),
    ];
    for (name, mark) in waits {
        pods.wait_mark(name, mark)?;
    }
    pods.wait_mark("later-init", "side start")?;
    pods.wait_mark("not-started", "one start")?;
    let asked_s = now_s()?;
    for (name, _) in waits {
        pods.delete(name, None)?;
    }
    for (name, _) in waits {
        pods.wait_gone(name)?;
        let took = now_s()? - asked_s;
        ensure!(took < 8.0, "{name} was gone after {took:.2} s\n{}", pods.history(name));
        for line in ["main start", "later start"] {
            pods.history(name).expect_absent(line)?;
        }
    }
    pods.history("first-init").expect_order(&["init term", "init end"])?;
    pods.history("first-init").expect_absent("side start")?;
    // An init container is nothing that a sidecar would have to outlive.
    let later = pods.history("later-init");
    later.expect_order(&["init term", "init end"])?;
    later.expect_order(&["side term", "side end"])?;
    later.expect_between("init term", "side term", -1.0, 1.0)?;
    pods.history("not-started").expect_order(&["side term", "side end", "one term", "one end"])?;
    pods.history("in-hook").expect_order(&["side hook", "side term", "side end"])?;
    pods.finish()
}
