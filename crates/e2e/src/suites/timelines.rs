//! Timelines: of pods that run, whose engine was killed, and that are gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::engine::Finished;
use crate::outcome::skip;
use crate::pod::{Pod, exec, hooks, probe};
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::terminal::{Terminal, ended};
use crate::wait;

pub(crate) const TESTS: &[Test] =
    tests![before_and_after_the_end, of_a_run, without_an_engine, followed_at_a_terminal, followed_in_a_pipe];

const POD: &str = "lanes";
const KEPT: &str = "var/lib/monopod/past";

/// An init container that fails once, a sidecar with a startup probe that does, an app that is restarted and has a hook.
fn pod() -> Pod {
    let startup = probe(
        "startupProbe",
        &exec("test -e /trace/lanes.begin || exit 7"),
        &json!({"failureThreshold": 30}),
    );
    let readiness = probe(
        "readinessProbe",
        &exec("test -e /trace/lanes.ready || exit 9"),
        &json!({"failureThreshold": 1}),
    );
    let mut main = hooks(&[("postStart", exec("true"))]);
    main["readinessProbe"] = readiness["readinessProbe"].clone();
    Pod::new(POD)
        .spec(&json!({"restartPolicy": "Always"}))
        .init("setup", "[ -e /trace/lanes.set ] && exit 0; touch /trace/lanes.set; exit 3")
        .sidecar_with("side", "serve", &startup)
        .app_with(
            "main",
            "[ -e /trace/lanes.once ] && serve; touch /trace/lanes.once; sleep 1; exit 4",
            &main,
        )
}

fn timeline(bed: &Bed, args: &[&str]) -> Result<Finished> {
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).arg("timeline").args(args).stdin(Stdio::null());
    bed.finish(&mut command)
}

fn json_of(bed: &Bed, pod: &str) -> Result<Value> {
    let finished = timeline(bed, &[pod, "-o", "json"])?;
    finished.expect_code(0)?;
    serde_json::from_str(&finished.stdout).with_context(|| finished.stdout.clone())
}

/// `KIND` of each span of a container's lane, and of each mark after a `!`, in order of time.
fn said(timeline: &Value, container: &str) -> Vec<String> {
    let lanes = timeline["lanes"].as_array().into_iter().flatten();
    let Some(lane) = lanes.into_iter().find(|lane| lane["container"].as_str().unwrap_or("pod") == container)
    else {
        return Vec::new();
    };
    let of = |list: &str, time: &str, sign: &str| -> Vec<(f64, String)> {
        let entries = lane[list].as_array().into_iter().flatten();
        entries
            .map(|entry| {
                let code = entry["code"].as_i64().map(|code| format!(" {code}")).unwrap_or_default();
                let kind = entry["kind"].as_str().unwrap_or_default();
                (entry[time].as_f64().unwrap_or_default(), format!("{sign}{kind}{code}"))
            })
            .collect()
    };
    let mut all = of("marks", "seconds", "!");
    all.extend(of("spans", "beginSeconds", ""));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, said)| said).collect()
}

/// These come in this order, whatever lies between them.
fn expect_order(timeline: &Value, container: &str, wanted: &[&str]) -> Result<()> {
    let said = said(timeline, container);
    let mut rest = said.iter();
    for word in wanted {
        ensure!(rest.any(|said| said == word), "no {word:?} in its place for {container}: {said:?}");
    }
    Ok(())
}

/// The pod has been through all of it, and is ready.
fn brought_up(pods: &Pods<'_>) -> Result<()> {
    pods.create(&pod())?;
    pods.wait(POD, "a failing startup probe", |status| {
        status["initContainerStatuses"][1]["state"]["running"].is_object()
    })?;
    wait_said(pods, "side", "!probeFailed")?;
    pods.tell(POD, "begin")?;
    wait_said(pods, "main", "!restart")?;
    wait_said(pods, "main", "!probeFailed")?;
    pods.tell(POD, "ready")?;
    pods.wait_ready(POD)?;
    Ok(())
}

fn wait_said(pods: &Pods<'_>, container: &str, word: &str) -> Result<()> {
    let mut last = Vec::new();
    let waited = wait::until(&format!("{word} of {container}"), crate::pods::LONG, || {
        last = json_of(pods.bed(), POD).map(|timeline| said(&timeline, container)).unwrap_or_default();
        last.iter().any(|said| said == word).then_some(())
    });
    waited.with_context(|| format!("{last:?}"))
}

fn expect_whole(timeline: &Value) -> Result<()> {
    let init = ["pull", "create", "running", "!exit 3", "create", "!restart", "!exit 0", "exited"];
    expect_order(timeline, "setup", &init)?;
    expect_order(timeline, "side", &["waiting", "create", "startup", "!probeFailed", "ready"])?;
    let main = [
        "waiting",
        "create",
        "postStart",
        "!exit 4",
        "create",
        "!restart",
        "running",
        "!probeFailed",
        "ready",
    ];
    expect_order(timeline, "main", &main)?;
    expect_order(timeline, "pod", &["volumes", "sandbox", "running", "ready"])
}

/// Any program that reads XML will do.
fn expect_xml(bed: &Bed, text: &str) -> Result<()> {
    let file = bed.file("timeline.svg", text)?;
    let program = "import sys, xml.dom.minidom as d; t = d.parse(sys.argv[1]).documentElement; print(t.tagName, len(t.getElementsByTagName('title')))";
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("needs python3, to read XML with");
    }
    let parsed = bed.finish(Command::new("python3").args(["-c", program]).arg(file))?;
    parsed.expect_code(0)?;
    let titles = parsed.stdout.trim().strip_prefix("svg ").and_then(|count| count.parse::<u32>().ok());
    ensure!(titles.is_some_and(|titles| titles > 15), "{}", parsed.stdout);
    Ok(())
}

fn before_and_after_the_end(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut pods = Pods::start(bed)?;
    brought_up(&pods)?;
    expect_whole(&json_of(bed, POD)?)?;
    let text = timeline(bed, &[POD, "--width", "90", "--ascii"])?;
    text.expect_code(0)?;
    ensure!(text.stdout.is_ascii() && text.stdout.lines().all(|line| line.len() <= 90), "{}", text.stdout);
    ensure!(text.stdout.contains("init setup") && text.stdout.contains("R "), "{}", text.stdout);
    let uid = pods.find(POD)?.context("no pod")?["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    ensure!(timeline(bed, &[])?.stderr.contains("No pods that are gone"));
    pods.delete(POD, None)?;
    pods.wait_gone(POD)?;

    for name in [POD, uid.as_str()] {
        let gone = json_of(bed, name)?;
        expect_whole(&gone)?;
        expect_order(&gone, "pod", &["ready", "!deletion", "terminating", "teardown"])?;
        ensure!(gone["atRest"] == true, "{gone}");
    }
    let listed = timeline(bed, &[])?;
    listed.expect_code(0)?.expect_line(&["default", POD, &uid])?;
    expect_xml(bed, &timeline(bed, &[POD, "-o", "svg"])?.stdout)?;
    let mode = fs::metadata(bed.root().join(KEPT))?.permissions().mode();
    ensure!(mode & 0o777 == 0o700, "{mode:o}");
    let missing = timeline(bed, &["nobody"])?;
    missing.expect_code(1)?.expect_output("there is no pod default/nobody")?;
    // Nobody is there to ask.
    pods.kill()?;
    expect_whole(&json_of(bed, POD)?)?;
    bed.reset()?;
    ensure!(!bed.root().join(KEPT).exists(), "it is there still");
    Ok(())
}

fn of_a_run(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("short").init("first", "exit 0").app("main", "exit 5");
    bed.run_pod(&pod)?.expect_code(1)?;
    let timeline_of = json_of(bed, "short")?;
    expect_order(&timeline_of, "main", &["waiting", "create", "!exit 5", "exited"])?;
    expect_order(&timeline_of, "pod", &["sandbox", "teardown"])?;
    // One whose engine is killed is kept by its shim.
    let mut engine = bed.start_pod(&Pod::new("bound").app("main", "serve"))?;
    bed.trace.wait("main start", SOON)?;
    engine.wait_output("* ready", SOON)?;
    engine.signal(Signal::KILL)?;
    engine.wait(SOON)?;
    bed.expect_clean(crate::pods::LONG)?;
    let bound = json_of(bed, "bound")?;
    expect_order(&bound, "main", &["create", "ready", "!exit 0"])?;
    timeline(bed, &[])?.expect_code(0)?.expect_line(&["short", "Failed"])?;
    Ok(())
}

fn without_an_engine(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut pods = Pods::start(bed)?;
    brought_up(&pods)?;
    pods.kill()?;
    let found = json_of(bed, POD)?;
    expect_whole(&found)?;
    ensure!(found["atRest"] == false, "{found}");
    // It is not waited for what nobody tells.
    let followed = timeline(bed, &[POD, "-w"])?;
    followed.expect_code(0)?.expect_output("restart")?;
    pods.serve()?;
    wait_said(&pods, "pod", "!engineRestarted")?;
    expect_whole(&json_of(bed, POD)?)?;
    pods.delete(POD, None)?;
    pods.wait_gone(POD)?;
    pods.finish()
}

const HIDE: &str = "\u{1b}[?25l";
const SHOW: &str = "\u{1b}[?25h";

fn followed_at_a_terminal(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    pods.create(&Pod::new("seen").app("main", "until [ -e /trace/seen.go ]; do sleep 0.05; done; exit 6"))?;
    pods.wait_ready("seen")?;
    let terminal = Terminal::new()?;
    terminal.resize(40, 90)?;
    let child = terminal.start(bed, &["timeline", "seen", "-w", "--ascii", "--color", "never"])?;
    terminal.wait(HIDE)?;
    terminal.wait("#")?;
    pods.tell("seen", "go")?;
    terminal.wait("exited 6")?;
    ensure!(ended(child)?.success());
    terminal.wait(SHOW)?;
    for signal in [Signal::INT, Signal::TERM] {
        pods.create(&Pod::new("stays").app("main", "serve"))?;
        pods.wait_ready("stays")?;
        let terminal = Terminal::new()?;
        let child = terminal.start(bed, &["timeline", "stays", "-w"])?;
        terminal.wait(HIDE)?;
        terminal.wait("main")?;
        kill_process(Pid::from_child(&child), signal)?;
        ensure!(ended(child)?.success());
        terminal.wait(SHOW)?;
        ensure!(terminal.is_cooked()?);
        pods.delete("stays", Some(0))?;
        pods.wait_gone("stays")?;
    }
    pods.finish()
}

fn followed_in_a_pipe(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    pods.create(&Pod::new("piped").app("main", "until [ -e /trace/piped.go ]; do sleep 0.05; done; exit 6"))?;
    pods.wait_ready("piped")?;
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).args(["timeline", "piped", "-w"]).stdin(Stdio::null());
    let mut follower = bed.start(&mut command)?;
    follower.wait_output("main: ready", SOON)?;
    pods.tell("piped", "go")?;
    let finished = follower.wait(crate::pods::LONG)?;
    finished.expect_code(0)?.expect_line(&["main: exit code 6"])?;
    ensure!(!finished.stdout.contains('\u{1b}'), "{:?}", finished.stdout);
    // A reader that has had enough.
    let line =
        format!("{} --root {} timeline piped | head -n 1", bed.program().display(), bed.root().display());
    bed.finish(Command::new("sh").args(["-c", &format!("{line} >/dev/null")]))?.expect_code(0)?;
    pods.finish()
}
