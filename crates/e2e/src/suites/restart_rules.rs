//! Restarts by exit code, of one container or of all, and how long crashing ones wait. Each test has many pods side by side.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::history::History;
use crate::lasting::{condition, container};
use crate::pod::{Pod, both, exec, hooks, mount};
use crate::pods::{Pods, expect_exit, expect_restarts};
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::suites::startup_order::{POLICIES, under};

pub(crate) const TESTS: &[Test] = tests![
    rules_go_before_policies,
    policies_of_init_containers,
    all_containers_restart_at_once,
    an_init_container_restarts_all,
    a_development_server_waits_less,
    the_longest_wait_is_set,
];

fn rule(action: &str, operator: &str, values: &[u8]) -> Value {
    json!({"action": action, "exitCodes": {"operator": operator, "values": values}})
}

/// The first rule that matches decides, then the container's own policy, then the pod's.
fn rules_go_before_policies(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let exits = |codes: &str| {
        format!(
            "mark start; set -- {codes}; n=$(grep -c \" $NAME start\" /trace/$POD.marks); shift $((n-1)); mark exit; exit $1"
        )
    };
    let cases = [
        (
            "in",
            "Never",
            json!({"restartPolicy": "Never", "restartPolicyRules": [rule("Restart", "In", &[42])]}),
            "42 3",
            1,
            3,
        ),
        (
            "not-in",
            "Never",
            json!({"restartPolicy": "Never", "restartPolicyRules": [rule("Restart", "NotIn", &[0, 3])]}),
            "42 3",
            1,
            3,
        ),
        (
            "zero",
            "Never",
            json!({"restartPolicy": "Never", "restartPolicyRules": [rule("Restart", "In", &[0])]}),
            "0 4",
            1,
            4,
        ),
        ("own-on-failure", "Never", json!({"restartPolicy": "OnFailure"}), "1 0", 1, 0),
        ("own-never", "Always", json!({"restartPolicy": "Never"}), "5", 0, 5),
        (
            "no-match",
            "OnFailure",
            json!({"restartPolicy": "OnFailure", "restartPolicyRules": [rule("Restart", "In", &[42])]}),
            "7 0",
            1,
            0,
        ),
    ];
    for (name, policy, fields, codes, ..) in &cases {
        pods.create(&Pod::new(name).spec(&json!({"restartPolicy": policy})).app_with(
            "main",
            &exits(codes),
            fields,
        ))?;
    }
    for (name, _, _, _, restarts, code) in &cases {
        let phase = if *code == 0 { "Succeeded" } else { "Failed" };
        let status = pods.wait_phase(name, phase)?;
        expect_restarts(&status, "main", *restarts)?;
        expect_exit(&status, "main", *code, if *code == 0 { "Completed" } else { "Error" })?;
        pods.history(name).expect_count("main start", usize::try_from(*restarts)? + 1)?;
    }
    pods.finish()
}

/// An init container has its own policy, too; a success is never repeated.
fn policies_of_init_containers(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let twice = "mark start; marked 'init start' 2";
    let own = |policy: &str| json!({"restartPolicy": policy});
    pods.create(&Pod::new("retried").init_with("init", twice, &own("OnFailure")).app("main", "mark start"))?;
    pods.create(
        &Pod::new("left")
            .spec(&own("Always"))
            .init_with("init", twice, &own("Never"))
            .app("main", "mark start"),
    )?;
    let rules = json!({"restartPolicy": "Never", "restartPolicyRules": [rule("Restart", "In", &[1])]});
    pods.create(&Pod::new("by-rule").init_with("init", twice, &rules).app("main", "mark start"))?;
    for name in ["retried", "by-rule"] {
        let status = pods.wait_phase(name, "Succeeded")?;
        expect_restarts(&status, "init", 1)?;
        pods.history(name).expect_order(&["init start", "init start", "main start"])?;
    }
    let status = pods.wait_phase("left", "Failed")?;
    expect_exit(&status, "init", 1, "Error")?;
    pods.history("left").expect_absent("main start")?;
    pods.finish()
}

const KEPT: &str = "echo run >> /kept/runs; mark run-$(wc -l < /kept/runs)";

/// A pod that begins anew, in the sandbox and with the volumes it has, when `main` exits with 88.
fn restarting(name: &str, policy: &str, main: &str) -> Pod {
    let kept = json!({"volumeMounts": [mount("kept", "/kept")]});
    let rules =
        json!({"restartPolicy": policy, "restartPolicyRules": [rule("RestartAllContainers", "In", &[88])]});
    let hook = hooks(&[("preStop", exec("mark hook"))]);
    Pod::new(name)
        .spec(&json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 60}))
        .volume(json!({"name": "kept", "emptyDir": {}}))
        .init_with("first", KEPT, &kept)
        .sidecar_with("side", "echo life; live", &hook)
        .init("second", "mark run")
        .app_with("main", main, &rules)
        .app_with("other", "live", &hook)
}

fn all_containers_restart_at_once(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    // Not before everything runs: what was never started is not restarted.
    let all = "[ $(grep -c ' side start' /trace/$POD.marks) -ge $n ] && [ $(grep -c ' other start' /trace/$POD.marks) -ge $n ]";
    let main = |lives: u32| {
        format!(
            "mark start; told go; n=$(grep -c ' main start' /trace/$POD.marks); [ $n -ge {lives} ] && exec sleep 1000000
             until {all}; do sleep 0.05; done; mark exit; exit 88"
        )
    };
    for policy in POLICIES {
        pods.create(&restarting(&under(policy, "anew"), policy, &main(3)))?;
    }
    // What does not end at its signal is killed after two seconds.
    let stubborn = "trap 'mark term' TERM; mark start; while :; do sleep 0.1 & wait $!; done";
    pods.create(&restarting("stubborn", "Never", &main(2)).app("deaf", stubborn))?;
    let names: Vec<String> =
        POLICIES.iter().map(|policy| under(policy, "anew")).chain(["stubborn".to_owned()]).collect();
    let mut before = vec![];
    for name in &names {
        pods.wait_mark(name, "other start")?;
        pods.wait_mark(name, "side start")?;
        before.push(pods.wait_ready(name)?);
        pods.tell(name, "go")?;
    }
    for (name, before) in names.iter().zip(&before) {
        let times = if name == "stubborn" { 2 } else { 3 };
        let history = pods.wait_marks(name, "main start", times)?;
        let status = pods.wait_ready(name)?;
        let all = ["first", "second", "side", "main", "other"];
        for container_name in all {
            expect_restarts(&status, container_name, u32::try_from(times - 1)?)?;
        }
        ensure!(
            status["podIP"] == before["podIP"] && status["startTime"] == before["startTime"],
            "{status:#}"
        );
        let last = |name: &str| &container(&status, name)["lastState"]["terminated"];
        ensure!(last("main")["exitCode"] == 88, "{status:#}");
        ensure!(
            last("other")["exitCode"] == 137 && last("other")["reason"] == "RestartingAllContainers",
            "{status:#}"
        );
        ensure!(condition(&status, "AllContainersRestarting") != "True", "{status:#}");
        history.expect_absent("other hook")?;
        history.expect_absent("side hook")?;
        expect_lives(&history, times)?;
        let log = pods.log(name, "container=side&previous=true")?;
        ensure!(log == "life\n", "the previous log of the sidecar: {log:?}");
    }
    pods.finish()
}

/// Each life is whole, and begins when nothing is left of the one before.
fn expect_lives(history: &History, lives: usize) -> Result<()> {
    let life = ["side start", "second run", "main start"];
    let mut expected = vec![];
    let firsts: Vec<String> = (1..=lives).map(|n| format!("first run-{n}")).collect();
    for first in &firsts {
        expected.push(first.as_str());
        expected.extend(life);
    }
    history.expect_order(&expected)?;
    for first in firsts.iter().skip(1) {
        let begins = history.at(first)?;
        let before = history.0.iter().filter(|mark| mark.at_s < begins && mark.line == "other start").count();
        let stopped =
            history.0.iter().filter(|mark| mark.at_s <= begins && mark.line == "other stop").count();
        ensure!(before == stopped, "a life begins before the end of the one before\n{history}");
    }
    Ok(())
}

fn an_init_container_restarts_all(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let rules =
        json!({"restartPolicy": "Never", "restartPolicyRules": [rule("RestartAllContainers", "In", &[88])]});
    let kept = json!({"volumeMounts": [mount("kept", "/kept")]});
    let pod = Pod::new("init")
        .volume(json!({"name": "kept", "emptyDir": {}}))
        .init_with("first", KEPT, &kept)
        .sidecar("side", "live")
        .init_with(
            "second",
            "mark start; until marked 'side start' 1; do sleep 0.1; done; marked 'second start' 2 || exit 88",
            &both(&rules, &kept),
        )
        .app("main", "mark start");
    pods.create(&pod)?;
    let status = pods.wait_phase("init", "Succeeded")?;
    expect_restarts(&status, "second", 1)?;
    expect_restarts(&status, "first", 1)?;
    let history = pods.history("init");
    history.expect_order(&[
        "first run-1",
        "side start",
        "first run-2",
        "side start",
        "second start",
        "main start",
    ])?;
    history.expect_count("main start", 1)?;
    pods.finish()
}

/// How long after each end the next start came.
fn waits(history: &History, lives: usize) -> Result<Vec<f64>> {
    (1..lives).map(|n| Ok(history.nth("main start", n)? - history.nth("main end", n - 1)?)).collect()
}

fn expect_waits(history: &History, due_s: &[f64]) -> Result<()> {
    let found = waits(history, due_s.len() + 1)?;
    for (waited, due) in found.iter().zip(due_s) {
        // The end is marked a moment before it is one.
        ensure!((due - 0.02..due + 1.5).contains(waited), "waited {found:.2?}, due {due_s:?}\n{history}");
    }
    Ok(())
}

const CRASHES: &str = "mark start; echo x; mark end; exit 1";

fn crashing(kind: &str) -> Pod {
    let pod = Pod::new(kind).spec(&json!({"restartPolicy": "OnFailure"}));
    match kind {
        "app" => pod.app("main", CRASHES),
        "init" => pod.init("main", CRASHES).app("other", "live"),
        _ => pod.sidecar("main", CRASHES).app("other", "live"),
    }
}

/// 1 s, 2 s, 4 s; Kubernetes' 10 s, 20 s, 40 s are in the suite `restarts`.
fn a_development_server_waits_less(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start_with(bed, &["--dev"])?;
    for kind in ["app", "init", "sidecar"] {
        pods.create(&crashing(kind))?;
    }
    for kind in ["app", "init", "sidecar"] {
        let history = pods.wait_marks(kind, "main start", 5)?;
        expect_waits(&history, &[0.0, 1.0, 2.0, 4.0])?;
        let message = format!("back-off 8s restarting failed container=main pod={kind}_default(");
        pods.wait(kind, &message, |status| {
            let waiting = &container(status, "main")["state"]["waiting"];
            let text = waiting["message"].as_str().unwrap_or_default();
            waiting["reason"] == "CrashLoopBackOff" && text.starts_with(&message)
        })?;
        pods.wait_event(kind, "BackOff Back-off restarting failed container main in pod ")?;
    }
    pods.finish()
}

fn the_longest_wait_is_set(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start_with(bed, &["--max-restart-backoff", "2s"])?;
    pods.create(&crashing("app"))?;
    let history = pods.wait_marks("app", "main start", 5)?;
    expect_waits(&history, &[0.0, 2.0, 2.0, 2.0])?;
    pods.finish()
}
