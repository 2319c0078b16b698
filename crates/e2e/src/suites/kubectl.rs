//! What people type to look at a pod of several containers, with the stock kubectl.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::golden;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    get_pod,
    get_pod_while_it_starts,
    names_by_jsonpath,
    logs_of_each_container,
    logs_follow_to_the_end,
    logs_with_options,
    logs_previous,
    exec_output_and_exit_code,
    exec_stdin,
    exec_reaches_a_sidecar_by_localhost,
    describe_says_all,
    delete_stops_in_order,
    pods_outlive_the_server
];

const EXAMPLE: &str = "sidecar-pod";

fn example(cluster: &Cluster<'_>) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sidecar-pod.yaml");
    ensure!(cluster.apply(&path)?.trim() == "pod/sidecar-pod created");
    cluster.wait_ready(EXAMPLE)
}

fn get_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    example(&cluster)?;
    let found = cluster.output(&["get", "pod", EXAMPLE])?;
    golden::expect("NAME  READY  STATUS  RESTARTS  AGE\nsidecar-pod  2/2  Running  0  {}s", &found)?;
    let wide = cluster.output(&["get", "pods", "-o", "wide"])?;
    golden::expect(
        "NAME  READY  STATUS  RESTARTS  AGE  IP  NODE  NOMINATED NODE  READINESS GATES\n\
         sidecar-pod  2/2  Running  0  {}s  10.200.0.{}  {}  <none>  <none>",
        &wide,
    )?;
    cluster.finish()
}

/// The columns go through the states of an init container, a sidecar and an app.
fn get_pod_while_it_starts(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let until = |file: &str| format!("until [ -e /trace/{file} ]; do sleep 0.02; done");
    let pod = Pod::new("columns")
        .init("first", &until("go-1"))
        .sidecar("side", "serve")
        .init("second", &until("go-2"))
        .app("main", &format!("{}; exit 3", until("go-3")));
    cluster.apply_pod(&pod)?;
    let columns = ["get", "pod", "columns", "--no-headers", "-o", "custom-columns=:.status.phase"];
    let shows = |text: &str| -> Result<()> {
        let mut last = String::new();
        crate::wait::until(&format!("{text:?} from kubectl get"), SOON, || {
            last = cluster.output(&["get", "pod", "columns", "--no-headers"]).ok()?;
            last.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(text).then_some(())
        })
        .with_context(|| format!("it showed {last:?}"))
    };
    shows("columns 0/2 Init:0/3 0")?;
    bed.file("trace/go-1", "")?;
    shows("columns 1/2 Init:2/3 0")?;
    cluster.wait_output(&columns, "Pending", SOON)?;
    bed.file("trace/go-2", "")?;
    shows("columns 2/2 Running 0")?;
    bed.file("trace/go-3", "")?;
    shows("columns 0/2 Error 0")?;
    cluster.wait_output(&columns, "Failed", SOON)?;
    cluster.finish()
}

fn names_by_jsonpath(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    example(&cluster)?;
    let names = cluster.output(&["get", "pod", EXAMPLE, "-o", "jsonpath={.spec.containers[*].name}"])?;
    ensure!(names == "main-container sidecar-container", "{names}");
    cluster.finish()
}

fn logs_of_each_container(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let pod = Pod::new("talk")
        .init("before", "echo of before")
        .app("one", "echo of one; echo error of one >&2; serve")
        .app("two", "echo of two; serve");
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("talk")?;
    for container in ["before", "two"] {
        let log = cluster.output(&["logs", "talk", "-c", container])?;
        ensure!(log == format!("of {container}\n"), "{log}");
    }
    let log = cluster.output(&["logs", "talk", "-c", "one"])?;
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    ensure!(lines == ["error of one", "of one"], "{log}");
    let all = cluster.output(&["logs", "talk", "--all-containers"])?;
    for part in ["of before\n", "of one\n", "of two\n"] {
        ensure!(all.contains(part), "{part:?} is not in {all}");
    }
    let defaulted = cluster.kubectl(["logs", "talk"])?;
    defaulted.expect_code(0)?.expect_output("Defaulted container \"one\" out of: one, two, before (init)")?;
    let wrong = cluster.kubectl(["logs", "talk", "-c", "three"])?;
    wrong.expect_code(1)?.expect_output("container three is not valid for pod talk")?;
    cluster.finish()
}

fn logs_follow_to_the_end(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let script = "echo first; until [ -e /trace/go ]; do sleep 0.02; done; echo last";
    cluster.apply_pod(&Pod::new("follow").app("main", script))?;
    cluster.wait_ready("follow")?;
    let mut following = bed.start(cluster.command().args(["logs", "-f", "follow", "-c", "main"]))?;
    following.wait_output("first\n", SOON)?;
    bed.file("trace/go", "")?;
    let finished = following.wait(SOON)?;
    finished.expect_code(0)?;
    ensure!(finished.stdout == "first\nlast\n", "{}", finished.stdout);
    cluster.finish()
}

fn logs_with_options(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("lines").app("main", "for n in 1 2 3 4 5; do echo line $n; done"))?;
    cluster.wait_output(&["get", "pod", "lines", "-o", "jsonpath={.status.phase}"], "Succeeded", SOON)?;
    let log = |options: &[&str]| cluster.output(&[&["logs", "lines"], options].concat());
    ensure!(log(&["--tail=2"])? == "line 4\nline 5\n");
    ensure!(log(&["--tail=0"])?.is_empty());
    ensure!(log(&["--since=1h"])?.lines().count() == 5);
    ensure!(log(&["--since-time=2999-01-01T00:00:00Z"])?.is_empty());
    ensure!(log(&["--limit-bytes=9"])? == "line 1\nli");
    let stamped = log(&["--timestamps", "--tail=1"])?;
    golden::expect("{}-{}-{}T{}:{}:{}.{}Z line 5", &stamped)?;
    cluster.finish()
}

fn logs_previous(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let script = "n=$(cat /trace/n 2> /dev/null || echo 0); n=$((n + 1)); echo $n > /trace/n
        echo attempt $n; [ $n = 1 ] && exit 1; serve";
    let always = serde_json::json!({"restartPolicy": "Always"});
    cluster.apply_pod(&Pod::new("again").spec(&always).app("main", script))?;
    let count = ["get", "pod", "again", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"];
    cluster.wait_output(&count, "1", SOON)?;
    cluster.wait_ready("again")?;
    ensure!(cluster.output(&["logs", "again"])? == "attempt 2\n");
    ensure!(cluster.output(&["logs", "again", "--previous"])? == "attempt 1\n");
    let columns = cluster.output(&["get", "pod", "again", "--no-headers"])?;
    golden::expect("again  1/1  Running  1 ({}s ago)  {}s", &columns)?;
    cluster.finish()
}

fn exec_output_and_exit_code(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("shell").app("one", "serve").app("two", "serve"))?;
    cluster.wait_ready("shell")?;
    let exec = |command: &[&str]| cluster.kubectl([&["exec", "shell", "-c", "two", "--"], command].concat());
    let said = exec(&["sh", "-c", "echo out; echo err >&2; echo $NAME"])?;
    said.expect_code(0)?;
    // kubectl takes messages before it has made its streams; of the empty first one it then says this.
    let of_pod =
        said.stderr.lines().filter(|line| !line.ends_with("Unknown stream id 1, discarding message"));
    ensure!(said.stdout == "out\ntwo\n" && of_pod.eq(["err"]), "{said:?}");
    let failed = exec(&["sh", "-c", "exit 7"])?;
    failed.expect_code(7)?.expect_output("command terminated with exit code 7")?;
    let missing = exec(&["no-such-program"])?;
    ensure!(missing.status.code() != Some(0), "{missing:?}");
    missing.expect_output("no-such-program")?;
    let wrong = cluster.kubectl(["exec", "shell", "-c", "three", "--", "true"])?;
    wrong.expect_code(1)?.expect_output("three")?;
    cluster.finish()
}

fn exec_stdin(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("shell").app("main", "serve"))?;
    cluster.wait_ready("shell")?;
    let lines: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let path = bed.file("input", &lines)?;
    let mut command = cluster.command();
    command.args(["exec", "-i", "shell", "--", "cat"]).stdin(Stdio::from(std::fs::File::open(path)?));
    let finished = bed.finish(&mut command)?;
    finished.expect_code(0)?;
    ensure!(finished.stdout == lines, "{} bytes of {}", finished.stdout.len(), lines.len());
    let mut engine =
        bed.start(cluster.command().args(["exec", "-i", "shell", "--", "sh"]).stdin(Stdio::piped()))?;
    engine.tell("echo hello $NAME")?;
    engine.wait_output("hello main", SOON)?;
    engine.tell("exit 4")?;
    engine.wait(SOON)?.expect_code(4)?;
    cluster.finish()
}

fn exec_reaches_a_sidecar_by_localhost(bed: &Bed) -> Result<()> {
    require_root()?;
    if !Path::new("/usr/bin/curl").exists() {
        return crate::outcome::skip("needs curl");
    }
    let cluster = Cluster::start(bed)?;
    example(&cluster)?;
    let curl =
        ["exec", EXAMPLE, "-c", "main-container", "--", "curl", "-sf", "http://localhost:8080/app.log"];
    let mut said = String::new();
    crate::wait::until("an answer from the sidecar", SOON, || {
        said = cluster.output(&curl).ok()?;
        said.contains("request 1").then_some(())
    })?;
    cluster.finish()
}

fn describe_says_all(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    example(&cluster)?;
    let said = cluster.output(&["describe", "pod", EXAMPLE])?;
    let head: Vec<&str> = said.lines().collect();
    let wanted = include_str!("../../golden/describe-sidecar-pod.txt");
    golden::expect(wanted, &head[..wanted.lines().count().min(head.len())].join("\n"))?;
    let tail = said.split_once("\nConditions:\n").context("no conditions")?.1;
    golden::expect(include_str!("../../golden/describe-sidecar-pod-tail.txt"), tail)?;
    let mut grep = std::process::Command::new("grep")
        .args(["-A", "10", "Volumes\\|Mounts"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    grep.stdin.take().context("no pipe")?.write_all(said.as_bytes())?;
    let found = String::from_utf8(grep.wait_with_output()?.stdout)?;
    ensure!(found.matches("/var/log from shared-logs (rw)").count() == 2, "{found}");
    ensure!(found.contains(" EmptyDir (a temporary directory"), "{found}");
    cluster.finish()
}

fn delete_stops_in_order(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("ordered").sidecar("side", "serve").app("main", "serve"))?;
    cluster.wait_ready("ordered")?;
    let deleted = cluster.output(&["delete", "pod", "ordered"])?;
    ensure!(deleted.starts_with("pod \"ordered\" deleted"), "{deleted}");
    bed.trace.expect_order(&["main stop", "side stop"])?;
    cluster
        .kubectl(["get", "pod", "ordered"])?
        .expect_code(1)?
        .expect_output("Error from server (NotFound): pods \"ordered\" not found")?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

/// The server is killed, or told to end, and comes back: nothing restarts, and logs and exec go on.
fn pods_outlive_the_server(bed: &Bed) -> Result<()> {
    require_root()?;
    let mut cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("lasting").sidecar("side", "serve").app("main", "echo once; serve"))?;
    cluster.wait_ready("lasting")?;
    let uid = [
        "get",
        "pod",
        "lasting",
        "-o",
        "jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID}",
    ];
    let before = cluster.output(&uid)?;
    cluster.kill()?;
    cluster.serve()?;
    cluster.wait_ready("lasting")?;
    ensure!(cluster.output(&uid)? == before);
    cluster.stop()?.expect_code(0)?;
    cluster.serve()?;
    cluster.wait_ready("lasting")?;
    ensure!(cluster.output(&uid)? == before);
    ensure!(cluster.output(&["logs", "lasting", "-c", "main"])? == "once\n");
    ensure!(cluster.output(&["exec", "lasting", "-c", "main", "--", "echo", "still"])? == "still\n");
    ensure!(bed.trace.lines().iter().filter(|line| *line == "main start").count() == 1);
    cluster.output(&["delete", "pod", "lasting"])?;
    bed.trace.expect_order(&["main stop", "side stop"])?;
    cluster.finish()
}
