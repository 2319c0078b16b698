//! What pods did is decided again, on another machine if need be, from a report without their secrets.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::engine::Finished;
use crate::lasting::container;
use crate::pod::{Pod, both, exec, hooks, probe};
use crate::pods::{Pods, expect_restarts};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] =
    tests![whatever_a_pod_goes_through, many_pods_side_by_side, what_is_no_record_is_refused];

/// Wherever somebody may have written one.
const SECRET: &str = "hunter2";

fn monopod(bed: &Bed, args: &[&str]) -> Result<Finished> {
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).args(args).stdin(Stdio::null()).current_dir(bed.dir());
    bed.finish(&mut command)
}

/// Fails unless this version decides the same; the answer as JSON.
fn replay(bed: &Bed, what: &str) -> Result<Value> {
    let said = monopod(bed, &["replay", what, "-o", "json"])?;
    said.expect_code(0).with_context(|| format!("{what}\n{}", said.output()))?;
    let answer: Value = serde_json::from_str(&said.stdout)?;
    ensure!(answer["verdict"] == "same", "{answer:#}");
    Ok(answer)
}

/// Says its secret in every way a container has.
fn secretive() -> Pod {
    let fields = json!({
        "env": [{"name": "PASSWORD", "value": SECRET}],
        "args": [SECRET],
        "terminationMessagePath": "/dev/termination-log",
        "resources": {"limits": {"cpu": "200m"}},
    });
    let sick = format!("[ ! -e /trace/busy.sick ] || {{ echo {SECRET}; exit 1; }}");
    let liveness = probe("livenessProbe", &exec(&sick), &json!({"failureThreshold": 3}));
    let web = json!({"httpGet": {"port": 9, "path": format!("/?key={SECRET}"), "httpHeaders": [{"name": "X", "value": SECRET}]}});
    let header = probe("readinessProbe", &web, &json!({}));
    let stop = hooks(&[
        ("postStart", exec(&format!("true {SECRET}"))),
        ("preStop", exec(&format!("mark stopping; told end; echo {SECRET}; exit 3"))),
    ]);
    let up = probe("startupProbe", &exec("[ -e /trace/busy.up ]"), &json!({"failureThreshold": 60}));
    let main = format!(
        "marked try 3 || {{ mark try; echo {SECRET}; echo {SECRET} > /dev/termination-log; exit 3; }}; live"
    );
    Pod::new("busy")
        .spec(&json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 60}))
        .init("prepare", "mark init")
        .sidecar_with("side", "live", &both(&up, &json!({})))
        .app_with("main", &main, &both(&fields, &both(&liveness, &stop)))
        .app_with("never-ready", "live", &header)
}

/// Restarts and their backoff, probes, a killed engine, a resize, an ephemeral container, and the end.
fn whatever_a_pod_goes_through(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut pods = Pods::start(bed)?;
    pods.create(&secretive())?;
    let annotate = json!({"metadata": {"annotations": {"note": SECRET}, "labels": {"note": SECRET}}});
    pods.patch("busy", &annotate)?;
    pods.wait_mark("busy", "prepare init")?;
    pods.tell("busy", "up")?;
    pods.wait_marks("busy", "main start", 1)?;
    pods.tell("busy", "sick")?;
    let restarted = pods.wait("busy", "main stopped by its probe", |status| {
        container(status, "main")["restartCount"].as_u64().is_some_and(|count| count >= 4)
            || pods.history("busy").count("main stopping") > 0
    })?;
    ensure!(container(&restarted, "side")["started"] == true, "{restarted:#}");
    fs::remove_file(bed.dir().join("trace/busy.sick"))?;
    pods.serve_again()?;
    replay(bed, "busy").context("after an engine was killed")?;
    pods.tell("busy", "end")?;
    pods.wait_marks("busy", "main start", 2)?;
    let resize =
        json!({"spec": {"containers": [{"name": "main", "resources": {"limits": {"cpu": "300m"}}}]}});
    pods.resize("busy", &resize)?.expect(200)?;
    pods.wait("busy", "the new limit", |status| {
        container(status, "main")["resources"]["limits"]["cpu"] == "300m"
    })?;
    pods.debug("busy", &json!({"name": "debugger", "image": "localhost/host", "command": ["sh", "-c", format!("echo {SECRET}")]}))?;
    pods.wait("busy", "the debugger's end", |status| {
        !status["ephemeralContainerStatuses"][0]["state"]["terminated"].is_null()
    })?;
    fs::remove_file(bed.dir().join("trace/busy.end"))?;
    pods.delete("busy", None)?;
    pods.wait_marks("busy", "main stopping", 2)?;
    let whole = replay(bed, "busy").context("while it is being stopped")?;
    ensure!(whole["replayed"]["leftOut"] == 0, "{whole:#}");
    ensure!(whole["replayed"]["actions"].as_u64() > Some(20), "{whole:#}");
    expect_report(bed, &whole)?;
    pods.tell("busy", "end")?;
    pods.wait_gone("busy")?;
    pods.finish()
}

/// Nothing that is secret, and the same verdict; all of it where that is asked for.
fn expect_report(bed: &Bed, whole: &Value) -> Result<()> {
    let file = "monopod-bug-report-default-busy.json";
    let said = monopod(bed, &["bug-report", "pod/busy"])?;
    said.expect_code(0)?.expect_output("left out: values of variables")?.expect_output("are the same")?;
    let report = fs::read_to_string(bed.dir().join(file))?;
    let leak = report.lines().find(|line| line.contains(SECRET));
    ensure!(leak.is_none(), "the report has a secret: {leak:?}");
    let parsed: Value = serde_json::from_str(&report)?;
    for (field, what) in [
        ("timeline", "main"),
        ("why", "busy"),
        ("events", "Unhealthy"),
        ("machine", "kernel"),
        ("engine", "serve"),
    ] {
        ensure!(parsed[field].to_string().contains(what), "no {what} in {field}: {:#}", parsed[field]);
    }
    ensure!(report.contains("exit code 3") && report.contains("300"), "what is no secret is missing");
    let again = replay(bed, file)?;
    let count = |answer: &Value, what: &str| answer["replayed"][what].as_u64();
    ensure!(count(&again, "decisions") >= count(whole, "decisions"), "{again:#}\n{whole:#}");
    let refused = monopod(bed, &["bug-report", "busy"])?;
    refused.expect_code(2)?.expect_output("is there already")?;
    ensure!(fs::read_to_string(bed.dir().join(file))? == report, "it was overwritten");
    let all = monopod(bed, &["bug-report", "busy", "--include", "logs,env", "-o", "-"])?;
    all.expect_code(0)?.expect_output("IN IT, AS ASKED FOR: values of variables")?;
    let all: Value = serde_json::from_str(&all.stdout)?;
    for part in ["pod", "logs", "observed"] {
        ensure!(all["record"][part].to_string().contains(SECRET), "{part} is not all there");
    }
    let steps = monopod(bed, &["replay", file, "-v", "--until", "12"])?;
    steps.expect_code(0)?.expect_output("#1 +0.000s snapshot")?.expect_output("#12 ")?;
    steps.expect_no_output("#13 ")?;
    // One decision is another.
    let otherwise = report.replacen("\"StartContainer\"", "\"KillContainer\"", 1);
    bed.file("otherwise.json", &otherwise)?;
    let otherwise = monopod(bed, &["replay", "otherwise.json"])?;
    otherwise.expect_code(1)?.expect_output("this version decides otherwise at entry #")?;
    otherwise
        .expect_output("on record  issued: KillContainer")?
        .expect_output("now        issued: StartContainer")
        .map(drop)
}

/// Of each kind of life some, at once, on one engine that is killed among them.
fn many_pods_side_by_side(bed: &Bed) -> Result<()> {
    const OF_EACH: usize = 4;
    require_root()?;
    let mut pods = Pods::start(bed)?;
    let mut names = Vec::new();
    for number in 0..OF_EACH {
        for (kind, pod) in kinds(number) {
            pods.create(&pod)?;
            names.push((kind, pod.name().to_owned()));
        }
    }
    for (kind, name) in &names {
        match *kind {
            "crashes" => {
                pods.wait(name, "restarts", |status| expect_restarts(status, "main", 2).is_ok()).map(drop)?;
            }
            "ends" | "fails" | "late" => pods.wait_ended(name).map(drop)?,
            _ => pods.wait_ready(name).map(drop)?,
        }
        if name.starts_with("stays-2") {
            pods.serve_again()?;
        }
    }
    for (kind, name) in &names {
        let answer = replay(bed, name).with_context(|| format!("a pod that {kind}"))?;
        ensure!(answer["replayed"]["leftOut"] == 0, "{answer:#}");
        pods.delete(name, Some(1))?;
    }
    for (_, name) in &names {
        pods.wait_gone(name)?;
    }
    pods.finish()
}

fn kinds(number: usize) -> [(&'static str, Pod); 5] {
    let name = |kind: &str| format!("{kind}-{number}");
    let always = json!({"restartPolicy": "Always"});
    let flaky = probe(
        "livenessProbe",
        &exec("mark probe; marked probe 3 || exit 1"),
        &json!({"failureThreshold": 3}),
    );
    [
        (
            "stays",
            Pod::new(&name("stays")).spec(&always).sidecar("side", "live").app_with("main", "live", &flaky),
        ),
        (
            "crashes",
            Pod::new(&name("crashes")).spec(&always).init("init", "true").app("main", "sleep 0.2; exit 7"),
        ),
        ("ends", Pod::new(&name("ends")).sidecar("side", "live").app("main", "sleep 0.3")),
        ("fails", Pod::new(&name("fails")).init("init", "exit 2").app("main", "true")),
        ("late", Pod::new(&name("late")).spec(&json!({"activeDeadlineSeconds": 2})).app("main", "live")),
    ]
}

fn what_is_no_record_is_refused(bed: &Bed) -> Result<()> {
    bed.file("text.json", "apiVersion: v1")?;
    bed.file("deep.json", &format!("{{\"x\":{}", "[".repeat(1 << 20)))?;
    bed.file("empty.json", "")?;
    for (what, said) in [
        ("text.json", "text.json is no report of `monopod bug-report`"),
        ("deep.json", "deep.json is no report"),
        ("empty.json", "is no report"),
        ("missing.json", "missing.json cannot be read"),
        ("-", "standard input is no report"),
        ("a/b/c", "a/b/c cannot be read"),
        ("nobody", "nobody"),
    ] {
        monopod(bed, &["replay", what])?
            .expect_code(2)?
            .expect_output(said)
            .with_context(|| what.to_owned())?;
    }
    let nobody = monopod(bed, &["bug-report", "nobody"])?;
    nobody.expect_code(1)?.expect_output("nobody")?;
    ensure!(!bed.dir().join("monopod-bug-report-default-nobody.json").exists(), "a report of nobody");
    Ok(())
}
