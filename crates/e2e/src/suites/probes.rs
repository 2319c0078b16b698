//! What probes see and what follows from it. Each test has many pods side by side.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::lasting::{condition, container};
use crate::pod::{Pod, both, exec, hooks, probe};
use crate::pods::{Pods, expect_exit, expect_restarts};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    failures_stop_and_restart,
    a_pod_that_restarts_nothing_fails,
    readiness_flips_and_restarts_nothing,
    when_probes_begin,
    commands_time_out,
    requests_by_network,
];

fn always(name: &str) -> Pod {
    Pod::new(name).spec(&json!({"restartPolicy": "Always"}))
}

/// What runs until it is stopped, and says in its own file system that it has begun: a probe may overtake the first line of a
/// script.
fn begins(code: u8) -> String {
    format!("trap 'mark stop; exit {code}' TERM; mark start; touch /tmp/begun; sleep 1000000 & wait $!")
}

const HAS_BEGUN: &str = "until [ -e /tmp/begun ]; do sleep 0.05; done";
/// Of an answer that is never late for want of a processor.
const PATIENT_S: u32 = 30;

/// A failed liveness or startup probe of an app: its preStop hook, its signal, its restart.
fn failures_stop_and_restart(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hook = hooks(&[("preStop", exec("mark hook; sleep 0.3; mark hook-end"))]);
    let second_life = "marked 'main start' 2";
    for (name, kind) in [("liveness", "livenessProbe"), ("startup", "startupProbe")] {
        let fails = exec(&format!("{HAS_BEGUN}; mark probe; echo out of order; {second_life}"));
        let fields = json!({"failureThreshold": 2, "timeoutSeconds": PATIENT_S});
        let fields = both(&hook, &probe(kind, &fails, &fields));
        pods.create(&always(name).app_with("main", &begins(0), &fields).app("other", "live"))?;
    }
    // Its own grace counts, not the pod's.
    let stubborn =
        "trap 'mark term' TERM; mark start; touch /tmp/begun; while :; do sleep 0.1 & wait $!; done";
    let short = json!({"terminationGracePeriodSeconds": 1, "timeoutSeconds": PATIENT_S});
    let short = probe("livenessProbe", &exec(&format!("{HAS_BEGUN}; {second_life}")), &short);
    pods.create(
        &always("short")
            .spec(&json!({"terminationGracePeriodSeconds": 600}))
            .app_with("main", stubborn, &short),
    )?;
    for (name, words) in [("liveness", "Liveness"), ("startup", "Startup")] {
        let history = pods.wait_marks(name, "main start", 2)?;
        history.expect_order(&[
            "main start",
            "main probe",
            "main probe",
            "main hook",
            "main hook-end",
            "main stop",
            "main start",
        ])?;
        let before: Vec<&str> =
            history.0.iter().map(|mark| mark.line.as_str()).take_while(|line| *line != "main hook").collect();
        ensure!(before.iter().filter(|line| **line == "main probe").count() == 2, "{history}");
        let status = pods.wait_ready(name)?;
        expect_restarts(&status, "main", 1)?;
        expect_restarts(&status, "other", 0)?;
        ensure!(container(&status, "main")["lastState"]["terminated"]["exitCode"] == 0, "{status:#}");
        pods.wait_event(name, &format!("Unhealthy {words} probe failed: out of order"))?;
        let failed =
            format!("Killing Container main failed {} probe, will be restarted", words.to_lowercase());
        pods.wait_event(name, &failed)?;
    }
    pods.wait_marks("short", "main start", 2)?;
    let status = pods.wait_ready("short")?;
    expect_restarts(&status, "main", 1)?;
    ensure!(container(&status, "main")["lastState"]["terminated"]["exitCode"] == 137, "{status:#}");
    pods.history("short").expect_order(&["main start", "main term", "main start"])?;
    pods.finish()
}

/// Beside another app the container is stopped for what its probe says; the last one takes the pod with it.
fn a_pod_that_restarts_nothing_fails(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let cases = [("liveness", "livenessProbe"), ("startup", "startupProbe")];
    for (name, kind) in cases {
        let fails = exec(&format!("{HAS_BEGUN}; exit 1"));
        let fields = probe(kind, &fails, &json!({"timeoutSeconds": PATIENT_S}));
        pods.create(&Pod::new(name).sidecar("side", "live").app_with("main", &begins(3), &fields))?;
        let deaf = "mark start; touch /tmp/begun; exec sleep 1000000";
        let other = "mark start; told go; mark end";
        let beside = Pod::new(&format!("{name}-beside"));
        pods.create(&beside.sidecar("side", "live").app_with("main", deaf, &fields).app("other", other))?;
    }
    for (name, _) in cases {
        let status = pods.wait_phase(name, "Failed")?;
        expect_exit(&status, "main", 3, "Error")?;
        pods.history(name).expect_order(&["main start", "main stop", "side stop"])?;
        pods.wait_event(name, "Killing Stopping container main")?;
        let beside = format!("{name}-beside");
        let event = pods.wait_event(&beside, &format!("Killing Container main failed {name} probe"))?;
        ensure!(!event.contains("restarted"), "{event}");
        let status = pods.wait(&beside, "the end of main", |status| {
            !container(status, "main")["state"]["terminated"].is_null()
        })?;
        ensure!(status["phase"] == "Running", "{status:#}");
        pods.tell(&beside, "go")?;
    }
    for (name, _) in cases {
        let beside = format!("{name}-beside");
        let status = pods.wait_phase(&beside, "Failed")?;
        expect_exit(&status, "main", 137, "Error")?;
        expect_exit(&status, "other", 0, "Completed")?;
        pods.history(&beside).expect_order(&["other end", "side stop"])?;
        pods.history(&beside).expect_count("main start", 1)?;
    }
    pods.finish()
}

/// As often as it likes; each flip needs as many answers in a row as the probe says.
fn readiness_flips_and_restarts_nothing(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let fields = probe(
        "readinessProbe",
        &exec("if [ -e /trace/$POD.ready ]; then mark yes; else mark no; exit 1; fi"),
        &json!({"successThreshold": 2, "failureThreshold": 3}),
    );
    pods.create(&always("flips").app_with("main", "live", &fields).app("other", "live"))?;
    pods.create(&Pod::new("side").sidecar_with("main", "live", &fields).app("other", "live"))?;
    let status = pods.wait_marks("flips", "main no", 4).and_then(|_| pods.status("flips"))?;
    ensure!(condition(&status, "Ready") == "False" && status["phase"] == "Running", "{status:#}");
    ensure!(container(&status, "main")["started"] == true, "{status:#}");
    // Readiness of a sidecar holds back nothing.
    pods.wait_mark("side", "other start")?;
    for round in 0..2 {
        for name in ["flips", "side"] {
            pods.tell(name, "ready")?;
        }
        for name in ["flips", "side"] {
            let status = pods.wait_ready(name)?;
            ensure!(container(&status, "main")["ready"] == true, "{status:#}");
            ensure!(pods.history(name).count("main yes") >= 2 * (round + 1), "{}", pods.history(name));
            std::fs::remove_file(bed.dir().join(format!("trace/{name}.ready")))?;
        }
        for name in ["flips", "side"] {
            let status = pods.wait(name, "not ready", |status| condition(status, "Ready") == "False")?;
            ensure!(container(&status, "main")["ready"] == false, "{status:#}");
            ensure!(container(&status, "other")["ready"] == true, "{status:#}");
        }
    }
    for name in ["flips", "side"] {
        let status = pods.status(name)?;
        expect_restarts(&status, "main", 0)?;
        pods.history(name).expect_count("main start", 1)?;
        pods.wait_event(name, "Unhealthy Readiness probe failed: ")?;
    }
    pods.finish()
}

/// Not before their delay, and none but the startup probe before that has succeeded.
fn when_probes_begin(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let marks = |kind: &str, fields: &Value| probe(kind, &exec(&format!("mark {kind}")), fields);
    let startup = probe(
        "startupProbe",
        &exec("mark startup; marked 'main startup' 3"),
        &json!({"failureThreshold": 9}),
    );
    let gated =
        both(&both(&marks("livenessProbe", &json!({})), &marks("readinessProbe", &json!({}))), &startup);
    pods.create(&always("gated").app_with("main", "live", &gated))?;
    let delay = json!({"initialDelaySeconds": 3});
    let late = both(&marks("livenessProbe", &delay), &marks("readinessProbe", &delay));
    pods.create(&always("late").app_with("main", "live", &late))?;
    let rare = json!({"periodSeconds": 3600});
    pods.create(&always("rare").app_with("main", "live", &marks("readinessProbe", &rare)))?;
    pods.create(&always("rare-gated").app_with(
        "main",
        "live",
        &both(&marks("readinessProbe", &rare), &startup),
    ))?;
    let mut was_ready = vec![];
    for name in ["gated", "late", "rare", "rare-gated"] {
        let status = pods.wait_ready(name)?;
        expect_restarts(&status, "main", 0)?;
        was_ready.push(status);
    }
    pods.wait_mark("gated", "main livenessProbe")?;
    let history = pods.history("gated");
    for probe in ["main livenessProbe", "main readinessProbe"] {
        history.expect_order(&["main startup", "main startup", "main startup", probe])?;
        ensure!(history.at(probe)? >= history.nth("main startup", 2)?, "{history}");
    }
    // Once it has succeeded, nobody asks again.
    let history = pods.wait_marks("gated", "main livenessProbe", 3)?;
    history.expect_count("main startup", 3)?;
    pods.wait_mark("late", "main livenessProbe")?;
    let history = pods.history("late");
    for probe in ["main livenessProbe", "main readinessProbe"] {
        // The container's age is counted in whole seconds from when it was started, a moment before it says so.
        history.expect_between("main start", probe, 2.5, 6.0)?;
    }
    pods.finish()
}

/// A command that takes longer has failed, and is no more.
fn commands_time_out(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let hangs = exec("marked 'main start' 2 && exit 0; mark probe; sleep 3; mark late");
    for (name, kind) in [("liveness", "livenessProbe"), ("startup", "startupProbe")] {
        pods.create(&always(name).app_with(
            "main",
            "live",
            &probe(kind, &hangs, &json!({"timeoutSeconds": 1})),
        ))?;
    }
    let slow = exec("mark probe; sleep 1.5; mark done");
    pods.create(&always("ready").app_with(
        "main",
        "live",
        &probe("readinessProbe", &slow, &json!({"timeoutSeconds": 10})),
    ))?;
    pods.create(&always("unready").app_with("main", "live", &probe("readinessProbe", &slow, &json!({}))))?;
    for (name, words) in [("liveness", "Liveness"), ("startup", "Startup")] {
        pods.wait_marks(name, "main start", 2)?;
        expect_restarts(&pods.wait_ready(name)?, "main", 1)?;
        pods.wait_event(name, &format!("Unhealthy {words} probe failed: command timed out: "))?;
        let history = pods.history(name);
        history.expect_between("main probe", "main stop", 0.9, 2.9)?;
        history.expect_absent("main late")?;
    }
    pods.wait_ready("ready")?;
    pods.wait_marks("unready", "main probe", 2)?;
    let status = pods.status("unready")?;
    ensure!(condition(&status, "Ready") == "False", "{status:#}");
    pods.finish()
}

fn http(path: &str) -> Value {
    json!({"httpGet": {"path": path, "port": 8080}})
}

/// What succeeds.
fn good_requests() -> [(&'static str, Value); 7] {
    [
        ("http", http("/200")),
        ("named", json!({"httpGet": {"path": "/399", "port": "web"}})),
        ("https", json!({"httpGet": {"path": "/200", "port": 8443, "scheme": "HTTPS"}})),
        ("redirect", http("/to/204")),
        ("tcp", json!({"tcpSocket": {"port": 7070}})),
        ("grpc", json!({"grpc": {"port": 9090}})),
        (
            "headers",
            json!({"httpGet": {"path": "/200", "port": 8080, "httpHeaders": [{"name": "User-Agent", "value": "me"}]}}),
        ),
    ]
}

/// What fails, and what its event says; `IP` is the pod's.
fn bad_requests() -> [(&'static str, Value, &'static str); 6] {
    [
        ("http-bad", http("/500"), "HTTP probe failed with statuscode: 500"),
        ("http-slow", http("/after/3000"), "Get \"http://IP:8080/after/3000\": "),
        (
            "http-none",
            json!({"httpGet": {"port": 8081}}),
            "Get \"http://IP:8081/\": dial tcp IP:8081: connect: connection refused",
        ),
        ("redirect-bad", http("/to/404"), "HTTP probe failed with statuscode: 404"),
        ("tcp-none", json!({"tcpSocket": {"port": 7071}}), "dial tcp IP:7071: connect: connection refused"),
        (
            "grpc-other",
            json!({"grpc": {"port": 9090, "service": "other"}}),
            "service unhealthy (responded with \"NOT_SERVING\")",
        ),
    ]
}

/// HTTP, HTTPS, TCP and gRPC, by number and by name.
fn requests_by_network(bed: &Bed) -> Result<()> {
    require_root()?;
    let pods = Pods::start(bed)?;
    let ports = json!({"ports": [{"name": "web", "containerPort": 8080}]});
    let (good, bad) = (good_requests(), bad_requests());
    for (name, handler) in &good {
        let fields = both(&probe("readinessProbe", handler, &json!({})), &ports);
        pods.create(&always(name).answers_with(
            "main",
            &both(&fields, &probe("startupProbe", handler, &json!({"failureThreshold": 10}))),
        ))?;
    }
    for (name, handler, _) in &bad {
        pods.create(&always(name).answers_with("main", &probe("readinessProbe", handler, &json!({}))))?;
    }
    // Healthy until they are told otherwise: what failed is restarted.
    let turning = [
        ("http-turns", http("/unless/sick"), "sick"),
        ("tcp-turns", json!({"tcpSocket": {"port": 7070}}), "closed"),
        ("grpc-turns", json!({"grpc": {"port": 9090}}), "sick"),
    ];
    for (name, handler, _) in &turning {
        let slow_start = json!({"initialDelaySeconds": 1});
        pods.create(&always(name).answers_with("main", &probe("livenessProbe", handler, &slow_start)))?;
    }
    for (name, _) in &good {
        let status = pods.wait_ready(name)?;
        expect_restarts(&status, "main", 0)?;
    }
    for (path, agent) in
        [("http", "/200 kube-probe/1.36"), ("headers", "/200 me"), ("https", "/200 kube-probe/1.36")]
    {
        pods.wait_mark(path, &format!("main http {agent}"))?;
    }
    for (name, _, text) in &bad {
        let status = pods.status(name)?;
        let text = text.replace("IP", status["podIP"].as_str().context("an address")?);
        pods.wait_event(name, &format!("Unhealthy Readiness probe failed: {text}"))?;
        let status = pods.status(name)?;
        ensure!(condition(&status, "Ready") == "False", "{status:#}");
        expect_restarts(&status, "main", 0)?;
    }
    for (name, _, word) in &turning {
        pods.wait_ready(name)?;
        pods.wait_mark(name, "main start")?;
        if *name == "http-turns" {
            pods.wait_mark(name, "main http /unless/sick kube-probe/1.36")?;
        }
        pods.tell(name, word)?;
    }
    for (name, ..) in &turning {
        pods.wait_marks(name, "main start", 2)?;
        pods.history(name).expect_order(&["main start", "main stop", "main start"])?;
        pods.wait_event(name, "Killing Container main failed liveness probe, will be restarted")?;
    }
    pods.finish()
}
