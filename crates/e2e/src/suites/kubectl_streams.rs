//! What goes both ways: terminals, attachments, copies, forwarded ports, debugging containers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::outcome::skip;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    exec_on_a_terminal,
    attach_sees_what_is_written,
    attach_ends_with_its_input,
    run_with_standard_input,
    copy_both_ways,
    forward_a_port,
    debug_by_an_ephemeral_container,
    debug_a_copy
];

/// A command of kubectl on a terminal of its own, whose size is 40 by 100.
fn on_a_terminal(cluster: &Cluster<'_>, args: &str) -> Result<Command> {
    if !std::path::Path::new("/usr/bin/script").exists() {
        return skip("needs script (bsdutils)");
    }
    let kubectl = cluster.command();
    let line = format!("stty rows 40 cols 100; exec {} {args}", kubectl.get_program().to_string_lossy());
    let mut command = Command::new("script");
    command.args(["-qefc", &line, "/dev/null"]).stdin(Stdio::piped());
    for (name, value) in kubectl.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    Ok(command)
}

fn exec_on_a_terminal(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("shell").app("main", "serve"))?;
    cluster.wait_ready("shell")?;
    let mut shell = bed.start(&mut on_a_terminal(&cluster, "exec -it shell -- sh")?)?;
    shell.tell("stty size; test -t 0 && echo a terminal; echo $NAME")?;
    shell.wait_output("40 100", SOON)?;
    shell.wait_output("a terminal", SOON)?;
    shell.tell("exit 5")?;
    shell.wait(SOON)?.expect_code(5)?;
    cluster.finish()
}

fn attach_sees_what_is_written(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let script = "while read -r line; do echo \"got $line\"; done; echo closed";
    let fields = json!({"stdin": true, "stdinOnce": true});
    cluster.apply_pod(&Pod::new("talks").app_with("main", script, &fields))?;
    cluster.wait_ready("talks")?;
    let mut attached = bed.start(cluster.command().args(["attach", "-i", "talks"]).stdin(Stdio::piped()))?;
    attached.tell("hello")?;
    attached.wait_output("got hello", SOON)?;
    drop(attached);
    cluster.wait_output(&["get", "pod", "talks", "-o", "jsonpath={.status.phase}"], "Succeeded", SOON)?;
    let log = cluster.output(&["logs", "talks"])?;
    ensure!(log == "got hello\nclosed\n", "{log}");
    cluster.finish()
}

fn attach_ends_with_its_input(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let script = "while read -r line; do echo \"got $line\"; done; echo closed";
    cluster.apply_pod(&Pod::new("stays").app_with("main", script, &json!({"stdin": true})))?;
    cluster.wait_ready("stays")?;
    for line in ["one", "two"] {
        let path = bed.dir().join(line);
        std::fs::write(&path, format!("{line}\n"))?;
        let mut attach = cluster.command();
        attach.args(["attach", "-i", "stays"]).stdin(std::fs::File::open(&path)?);
        bed.start(&mut attach)?.wait(SOON)?.expect_code(0)?;
    }
    let log = || cluster.output(&["logs", "stays"]);
    ensure!(log()? == "got one\ngot two\n", "{}", log()?);
    cluster.finish()
}

fn run_with_standard_input(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let mut command = cluster.command();
    command.args([
        "run",
        "once",
        "--image=localhost/host",
        "--restart=Never",
        "-i",
        "--rm",
        "--command",
        "--",
    ]);
    command.args(["sh", "-c", "read -r line; echo \"read $line\""]).stdin(Stdio::piped());
    let mut running = bed.start(&mut command)?;
    running.tell("this")?;
    running.wait_output("read this", SOON)?;
    running.wait(SOON)?.expect_code(0)?.expect_output("pod \"once\" deleted")?;
    cluster.finish()
}

fn copy_both_ways(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let pod = Pod::new("files").volume(json!({"name": "data", "emptyDir": {}})).app_with(
        "main",
        "serve",
        &json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}),
    );
    cluster.apply_pod(&pod)?;
    cluster.wait_ready("files")?;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    std::fs::create_dir_all(bed.dir().join("tree/deep"))?;
    std::fs::write(bed.dir().join("tree/deep/large"), &bytes)?;
    cluster.output(&["cp", "tree", "files:/data/tree"])?;
    let size = cluster.output(&["exec", "files", "--", "wc", "-c", "/data/tree/deep/large"])?;
    ensure!(size.starts_with("3000000 "), "{size}");
    cluster.output(&["cp", "files:/data/tree/deep/large", "back"])?;
    ensure!(std::fs::read(bed.dir().join("back"))? == bytes, "what came back is not what went");
    cluster.finish()
}

fn forward_a_port(bed: &Bed) -> Result<()> {
    require_root()?;
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return skip("needs /usr/bin/python3");
    }
    let cluster = Cluster::start(bed)?;
    let script = "mkdir -p /tmp/www; echo forwarded > /tmp/www/page
        exec /usr/bin/python3 -m http.server 8080 --bind 127.0.0.1 --directory /tmp/www";
    cluster.apply_pod(&Pod::new("web").app("main", script))?;
    cluster.wait_ready("web")?;
    // A connection that is refused ends the whole command.
    wait::until("the server to listen on 8080", SOON, || {
        let listens = cluster.output(&["exec", "web", "--", "grep", "-q", ":1F90 ", "/proc/net/tcp"]);
        listens.is_ok().then_some(())
    })?;
    let mut forwarding = bed.start(cluster.command().args(["port-forward", "pod/web", ":8080"]))?;
    forwarding.wait_output("Forwarding from 127.0.0.1:", SOON)?;
    let said = forwarding.stdout();
    let port = said.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next()).context("no port")?;
    let port: u16 = port.parse()?;
    let page = fetch(port)?;
    ensure!(page.contains("forwarded"), "{page}");
    drop(forwarding);
    cluster.finish()
}

/// A page at a forwarded port.
pub(super) fn fetch(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

fn debug_by_an_ephemeral_container(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("sick").app("main", "serve"))?;
    cluster.wait_ready("sick")?;
    let mut command = cluster.command();
    command.args(["debug", "sick", "--image=localhost/host", "--target=main", "-c", "doctor", "--"]);
    command.args(["sh", "-c", "echo examined; hostname; sleep 1000000"]);
    bed.finish(&mut command)?.expect_code(0)?;
    let state = "jsonpath={.status.ephemeralContainerStatuses[0].state.running.startedAt}";
    wait::until("the ephemeral container to run", SOON, || {
        let started = cluster.output(&["get", "pod", "sick", "-o", state]).ok()?;
        (!started.is_empty()).then_some(())
    })?;
    wait::until("its log", SOON, || {
        let log = cluster.output(&["logs", "sick", "-c", "doctor"]).ok()?;
        (log == "examined\nsick\n").then_some(())
    })?;
    let ready = cluster.output(&["get", "pod", "sick", "--no-headers"])?;
    ensure!(ready.contains("1/1") && ready.contains("Running"), "{ready}");
    cluster.output(&["delete", "pod", "sick", "--grace-period=2"])?;
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

fn debug_a_copy(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("sick").app("main", "exit 1"))?;
    let mut command = cluster.command();
    command.args(["debug", "sick", "--copy-to=copy", "--container=main", "--", "sleep", "1000000"]);
    bed.finish(&mut command)?.expect_code(0)?;
    cluster.wait_ready("copy")?;
    cluster.output(&["delete", "pods", "--all", "--now"])?;
    cluster.finish()
}
