//! The client verbs, each against a running server: what people type with kubectl's words.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::engine::{Engine, Finished};
use crate::golden;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::terminal::{Terminal, ended};
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    apply_get_describe,
    manifests_are_refused,
    logs,
    exec,
    exec_in_a_terminal,
    a_terminal_is_restored_when_told_to_end,
    attach,
    copy_both_ways,
    port_forward,
    wait_events_delete,
    watch,
    no_engine,
    another_api_by_kubeconfig
];

/// `monopod --root ROOT`, for further arguments.
fn monopod(bed: &Bed) -> Command {
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).current_dir(bed.dir()).stdin(Stdio::null());
    command
}

fn run(bed: &Bed, args: &[&str]) -> Result<Finished> {
    bed.finish(monopod(bed).args(args))
}

/// What it printed on standard output; it has to succeed.
fn output(bed: &Bed, args: &[&str]) -> Result<String> {
    let finished = run(bed, args)?;
    let said = || format!("monopod {}\n{}{}", args.join(" "), finished.stdout, finished.stderr);
    finished.expect_code(0).with_context(said)?;
    Ok(finished.stdout)
}

/// A server, and a pod on it that is ready.
fn started<'a>(bed: &'a Bed, pod: &Pod) -> Result<Cluster<'a>> {
    let cluster = Cluster::start(bed)?;
    let manifest = bed.manifest(pod)?;
    output(bed, &["apply", "-f", &manifest.to_string_lossy(), "--wait=ready"])?;
    Ok(cluster)
}

fn apply_get_describe(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let pod = |grace: u64| Pod::new("web").spec(&serde_json::json!({"terminationGracePeriodSeconds": grace}));
    let pod = pod(5).sidecar("side", "serve").app("main", "serve");
    let manifest = bed.manifest(&pod)?.to_string_lossy().into_owned();
    let apply = ["apply", "-f", &manifest, "--wait=ready"];
    ensure!(output(bed, &apply)? == "pod/web created\n");
    ensure!(output(bed, &apply)? == "pod/web unchanged\n");
    let labelled = fs::read_to_string(&manifest)?
        .replace("\"name\": \"web\"", "\"name\": \"web\", \"labels\": {\"a\": \"b\"}");
    bed.file("web.json", &labelled)?;
    ensure!(output(bed, &apply)? == "pod/web configured\n");
    let table = "NAME  READY  STATUS  RESTARTS  AGE\nweb  2/2  Running  0  {}s";
    golden::expect(table, &output(bed, &["get", "pods"])?)?;
    let wide = output(bed, &["get", "pod/web", "-o", "wide", "--show-labels", "--no-headers"])?;
    golden::expect("web  2/2  Running  0  {}s  10.200.0.{}  {}  <none>  <none>  a=b", &wide)?;
    ensure!(output(bed, &["get", "po", "-l", "a=b", "-A", "-o", "name"])? == "pod/web\n");
    ensure!(output(bed, &["get", "po", "-l", "a=c"])?.is_empty());
    let names = output(bed, &["get", "pod", "web", "-o", "jsonpath={.spec.containers[*].name}"])?;
    ensure!(names == "main", "{names}");
    // The same bytes that kubectl prints.
    for args in [["get", "pod", "web", "-oyaml"], ["get", "svc,nodes", "-A", "-oname"]] {
        let (ours, theirs) = (output(bed, &args)?, cluster.output(&args)?);
        ensure!(ours == theirs, "monopod:\n{ours}\nkubectl:\n{theirs}");
    }
    let said = output(bed, &["describe", "pod", "web"])?;
    for line in [
        "Name:             web\n",
        "Labels:           a=b\n",
        "Init Containers:\n  side:\n",
        "Containers:\n  main:\n",
        "      /trace from trace (rw)\n",
        "  trace:\n    Type:          HostPath",
        "  Normal  Started    ",
    ] {
        ensure!(said.contains(line), "{line:?} is not in\n{said}");
    }
    let missing = run(bed, &["get", "pod", "nope"])?;
    missing.expect_code(1)?.expect_output("Error from server (NotFound): pods \"nope\" not found")?;
    run(bed, &["get", "poods"])?.expect_code(1)?.expect_output("doesn't have a resource type \"poods\"")?;
    run(bed, &["top", "pod"])?.expect_code(0)?.expect_line(&["web"])?;
    // Whoever reads is gone before anything is written.
    let script = "\"$0\" --root \"$1\" get pods -A; echo code $? >&2";
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("({script}) | true")])
        .arg(bed.program())
        .arg(bed.root())
        .stdin(Stdio::null());
    bed.finish(&mut command)?.expect_output("code 0")?;
    cluster.finish()
}

/// Nothing of a command is applied when one of its files is wrong.
fn manifests_are_refused(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let good = bed.manifest(&Pod::new("good").app("main", "serve"))?;
    let good = good.to_string_lossy();
    for (name, text, said) in [
        (
            "kind.yaml",
            "apiVersion: v9\nkind: Nothing\nmetadata: {name: x}\n",
            "the server has no kind \"Nothing\"",
        ),
        ("syntax.yaml", "kind: [\n", "syntax.yaml:"),
        ("name.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "metadata.name is missing"),
    ] {
        let bad = bed.file(name, text)?;
        let refused = run(bed, &["apply", "-f", &good, "-f", &bad.to_string_lossy()])?;
        refused.expect_code(2).with_context(|| refused.output())?.expect_output(said)?;
        ensure!(output(bed, &["get", "pods", "-o", "name"])?.is_empty());
    }
    let unknown = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: i, imagee: j}]}\n";
    let unknown = bed.file("unknown.yaml", unknown)?;
    let refused = run(bed, &["apply", "-f", &unknown.to_string_lossy()])?;
    refused.expect_code(2)?.expect_output("unknown field \"spec.containers[0].imagee\"")?;
    run(bed, &["get"])?.expect_code(2)?;
    run(bed, &["exec", "x"])?.expect_code(2)?;
    cluster.finish()
}

fn logs(bed: &Bed) -> Result<()> {
    require_root()?;
    let until = "until [ -e /trace/go ]; do sleep 0.02; done";
    let pod = Pod::new("talk")
        .init("before", "echo of before")
        .app("one", &format!("echo first; echo second; {until}; echo last"))
        .app("two", "echo of two; serve");
    let cluster = Cluster::start(bed)?;
    let manifest = bed.manifest(&pod)?;
    output(bed, &["apply", "-f", &manifest.to_string_lossy(), "--wait=started"])?;
    ensure!(output(bed, &["logs", "talk", "before"])? == "of before\n");
    wait::until("the log of the second container", SOON, || {
        (output(bed, &["logs", "talk", "-c", "two"]).ok()? == "of two\n").then_some(())
    })?;
    let defaulted = run(bed, &["logs", "talk", "--tail=1"])?;
    defaulted.expect_code(0)?;
    ensure!(defaulted.stdout == "second\n", "{defaulted:?}");
    ensure!(
        defaulted.stderr == "Defaulted container \"one\" out of: one, two, before (init)\n",
        "{defaulted:?}"
    );
    let stamped = output(bed, &["logs", "talk", "-c", "one", "--timestamps", "--tail=1"])?;
    golden::expect("{}-{}-{}T{}:{}:{}.{}Z second", &stamped)?;
    ensure!(output(bed, &["logs", "talk", "-c", "one", "--limit-bytes=3"])? == "fir");
    let all = output(bed, &["logs", "talk", "--all-containers", "--prefix"])?;
    let begin = "[pod/talk/before] of before\n";
    ensure!(all.starts_with(begin) && all.contains("[pod/talk/two] of two\n"), "{all}");
    let wrong = run(bed, &["logs", "talk", "-c", "three"])?;
    wrong.expect_code(1)?.expect_output("container three is not valid for pod talk")?;
    let mut following = bed.start(monopod(bed).args(["logs", "-f", "talk", "-c", "one"]))?;
    following.wait_output("second\n", SOON)?;
    bed.file("trace/go", "")?;
    let finished = following.wait(SOON)?;
    finished.expect_code(0)?;
    ensure!(finished.stdout == "first\nsecond\nlast\n", "{}", finished.stdout);
    cluster.finish()
}

fn exec(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = started(bed, &Pod::new("shell").app("one", "serve").app("two", "serve"))?;
    let said =
        run(bed, &["exec", "shell", "-c", "two", "--", "sh", "-c", "echo out; echo err >&2; echo $NAME"])?;
    said.expect_code(0)?;
    ensure!(said.stdout == "out\ntwo\n" && said.stderr == "err\n", "{said:?}");
    let failed = run(bed, &["exec", "shell", "-c", "two", "--", "sh", "-c", "exit 7"])?;
    failed.expect_code(7)?.expect_output("command terminated with exit code 7")?;
    let lines: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let path = bed.file("input", &lines)?;
    let mut command = monopod(bed);
    command.args(["exec", "-i", "shell", "-c", "one", "--", "cat"]).stdin(Stdio::from(File::open(path)?));
    let finished = bed.finish(&mut command)?;
    finished.expect_code(0)?;
    ensure!(finished.stdout == lines, "{} bytes of {}", finished.stdout.len(), lines.len());
    let no_terminal = run(bed, &["exec", "-it", "shell", "-c", "one", "--", "echo", "still"])?;
    no_terminal.expect_code(0)?.expect_output("Unable to use a TTY")?.expect_output("still")?;
    let missing = run(bed, &["exec", "shell", "--", "no-such-program"])?;
    ensure!(missing.status.code() != Some(0), "{missing:?}");
    cluster.finish()
}

fn exec_in_a_terminal(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = started(bed, &Pod::new("shell").app("main", "serve"))?;
    let mut terminal = Terminal::new()?;
    ensure!(terminal.is_cooked()?);
    let child = terminal.start(bed, &["exec", "-it", "shell", "--", "sh"])?;
    terminal.type_in("stty size; echo [$((6 * 7))]\n")?;
    terminal.wait("40 100")?;
    terminal.wait("[42]")?;
    ensure!(!terminal.is_cooked()?, "the terminal is not raw");
    terminal.resize(25, 81)?;
    terminal.type_in("until [ \"$(stty size)\" = '25 81' ]; do sleep 0.02; done; echo size$((1 + 1))\n")?;
    terminal.wait("size2")?;
    // Ctrl-C goes to the command there. It throws away what was typed before it and not read yet.
    // Said by the command itself: between a shell's fork and its exec the signal would be the shell's, and lost.
    terminal.type_in("sh -c 'echo sleep\"\"ing; exec sleep 1000'\n")?;
    terminal.wait("sleeping")?;
    terminal.type_in("\u{3}")?;
    terminal.wait("^C")?;
    terminal.type_in("echo still\"\"here; exit 5\n")?;
    terminal.wait("stillhere")?;
    ensure!(ended(child)?.code() == Some(5));
    ensure!(terminal.is_cooked()?, "the terminal is still raw");
    cluster.finish()
}

fn a_terminal_is_restored_when_told_to_end(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = started(bed, &Pod::new("shell").app("main", "serve"))?;
    for signal in [Signal::TERM, Signal::HUP] {
        let mut terminal = Terminal::new()?;
        let child = terminal.start(bed, &["exec", "-it", "shell", "--", "sh"])?;
        terminal.type_in("echo rea\"\"dy\n")?;
        terminal.wait("ready")?;
        ensure!(!terminal.is_cooked()?);
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal)?;
        ensure!(ended(child)?.code() == Some(128 + signal.as_raw()));
        ensure!(terminal.is_cooked()?, "the terminal is still raw after {signal:?}");
    }
    cluster.finish()
}

fn attach(bed: &Bed) -> Result<()> {
    require_root()?;
    let fields = serde_json::json!({"stdin": true});
    let cluster = started(
        bed,
        &Pod::new("echo").app_with("main", "while read line; do echo got $line; done", &fields),
    )?;
    let mut attached = bed.start(monopod(bed).args(["attach", "-i", "echo"]).stdin(Stdio::piped()))?;
    attached.tell("one")?;
    attached.wait_output("got one", SOON)?;
    attached.tell("two")?;
    attached.wait_output("got two", SOON)?;
    drop(attached);
    ensure!(output(bed, &["logs", "echo"])? == "got one\ngot two\n");
    cluster.finish()
}

fn copy_both_ways(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = started(bed, &Pod::new("files").app("main", "mkdir -p /tmp/in; serve"))?;
    let content: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    fs::create_dir_all(bed.dir().join("from/deep"))?;
    fs::write(bed.dir().join("from/deep/file"), &content)?;
    fs::write(bed.dir().join("from/small"), "small")?;
    output(bed, &["cp", "from", "files:/tmp/in"])?;
    output(bed, &["cp", "from/small", "default/files:/tmp/renamed", "-c", "main"])?;
    let list =
        output(bed, &["exec", "files", "--", "sh", "-c", "cat /tmp/renamed; find /tmp/in -type f | sort"])?;
    ensure!(list == "small/tmp/in/from/deep/file\n/tmp/in/from/small\n", "{list}");
    output(bed, &["cp", "files:/tmp/in/from", "back"])?;
    ensure!(fs::read_to_string(bed.dir().join("back/deep/file"))? == content);
    fs::create_dir_all(bed.dir().join("dir"))?;
    output(bed, &["cp", "files:/tmp/renamed", "dir"])?;
    ensure!(fs::read_to_string(bed.dir().join("dir/renamed"))? == "small");
    // A container that packs what leads elsewhere.
    let evil =
        "ln -s /etc/passwd /tmp/in/from/link; mkdir -p /tmp/in/from/sub && echo x > /tmp/in/from/sub/y";
    output(bed, &["exec", "files", "--", "sh", "-c", evil])?;
    let copied = run(bed, &["cp", "files:/tmp/in/from", "again"])?;
    copied.expect_code(0)?.expect_output("from/link is no file or directory and was left out")?;
    ensure!(!bed.dir().join("again/link").exists() && bed.dir().join("again/sub/y").exists());
    let missing = run(bed, &["cp", "files:/nothing", "x"])?;
    missing.expect_code(1)?.expect_output("tar in the container ended with exit code 2")?;
    run(bed, &["cp", "./nothing", "files:/x"])?.expect_code(1)?;
    run(bed, &["cp", "a", "b"])?.expect_code(2)?;
    cluster.finish()
}

fn port_forward(bed: &Bed) -> Result<()> {
    require_root()?;
    if !std::path::Path::new("/usr/bin/python3").exists() {
        return crate::outcome::skip("needs python3");
    }
    let fields = serde_json::json!({"ports": [{"name": "http", "containerPort": 8080}]});
    let script =
        "mkdir /tmp/www && echo hello > /tmp/www/x && exec python3 -m http.server 8080 --directory /tmp/www";
    let cluster = started(bed, &Pod::new("web").app_with("main", script, &fields))?;
    let mut forwarding = bed.start(monopod(bed).args(["port-forward", "pod/web", ":http"]))?;
    forwarding.wait_output("Forwarding from 127.0.0.1:", SOON)?;
    let port = forwarded_port(&forwarding)?;
    let mut answer = String::new();
    wait::until("an answer from the pod", SOON, || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /x HTTP/1.0\r\n\r\n").ok()?;
        answer.clear();
        stream.read_to_string(&mut answer).ok()?;
        answer.ends_with("hello\n").then_some(())
    })
    .with_context(|| answer.clone())?;
    forwarding.wait_output(&format!("Handling connection for {port}"), SOON)?;
    output(bed, &["delete", "pod", "web"])?;
    drop(forwarding);
    run(bed, &["port-forward", "web", "nonsense"])?.expect_code(1)?;
    cluster.finish()
}

fn forwarded_port(forwarding: &Engine) -> Result<u16> {
    let said = forwarding.stdout();
    let rest = said.split("Forwarding from 127.0.0.1:").nth(1).context("no address")?;
    Ok(rest.split(' ').next().unwrap_or_default().parse()?)
}

fn wait_events_delete(bed: &Bed) -> Result<()> {
    require_root()?;
    let until = "until [ -e /trace/go ]; do sleep 0.02; done";
    let cluster = started(bed, &Pod::new("short").app("main", until))?;
    let phase = "--for=jsonpath={.status.phase}=Succeeded";
    let late = run(bed, &["wait", "pod/short", phase, "--timeout=0"])?;
    late.expect_code(1)?.expect_output("timed out waiting for the condition on pods/short")?;
    let mut waiting = bed.start(monopod(bed).args(["wait", "pod/short", phase]))?;
    ensure!(waiting.is_running()?);
    bed.file("trace/go", "")?;
    let met = waiting.wait(SOON)?;
    met.expect_code(0)?.expect_output("pod/short condition met")?;
    let events = output(bed, &["events", "--for", "pod/short"])?;
    golden::expect("LAST SEEN  TYPE  REASON  OBJECT  MESSAGE", events.lines().next().unwrap_or_default())?;
    ensure!(events.contains("Started") && events.contains("Pod/short"), "{events}");
    ensure!(output(bed, &["events", "--types=Warning"])?.is_empty());
    let deleted = output(bed, &["delete", "pod/short"])?;
    ensure!(deleted == "pod \"short\" deleted from default namespace\n", "{deleted}");
    run(bed, &["get", "pod", "short"])?.expect_code(1)?;
    run(bed, &["delete", "pod", "short"])?.expect_code(1)?.expect_output("Error from server (NotFound)")?;
    output(bed, &["delete", "pod", "short", "--ignore-not-found"])?;
    let pods = [Pod::new("a").app("main", "serve"), Pod::new("b").app("main", "serve")];
    for pod in &pods {
        output(bed, &["apply", "-f", &bed.manifest(pod)?.to_string_lossy(), "--wait=ready"])?;
    }
    let gone = bed.start(monopod(bed).args(["wait", "pod/a", "--for=delete"]))?;
    output(bed, &["delete", "-f", &bed.manifest(&pods[0])?.to_string_lossy(), "--now"])?;
    gone.wait(SOON)?.expect_code(0)?;
    output(bed, &["delete", "pods", "--all", "--grace-period=0", "--force"])?;
    ensure!(output(bed, &["get", "pods", "-o", "name"])?.is_empty());
    bed.expect_no_pods(SOON)?;
    cluster.finish()
}

fn watch(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let mut watching = bed.start(monopod(bed).args(["get", "pods", "-w"]))?;
    let mut events = bed.start(monopod(bed).args(["events", "-w"]))?;
    let manifest = bed.manifest(&Pod::new("seen").app("main", "serve"))?;
    output(bed, &["apply", "-f", &manifest.to_string_lossy(), "--wait=ready"])?;
    watching.wait_output("Running", SOON)?;
    events.wait_output("Started", SOON)?;
    let said = watching.stdout();
    ensure!(said.starts_with("NAME   READY   STATUS") || said.starts_with("NAME"), "{said}");
    ensure!(said.matches("NAME").count() == 1 && said.contains("Pending"), "{said}");
    cluster.finish()
}

/// And the environment names no other API.
fn no_engine(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.dir().join("elsewhere")).args(["get", "pods"]).stdin(Stdio::null());
    let finished = bed.finish(command.env("KUBECONFIG", cluster.kubeconfig()))?;
    finished
        .expect_code(1)?
        .expect_output("no engine answers at")?
        .expect_output("remedy: start one with")?;
    cluster.finish()
}

fn another_api_by_kubeconfig(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = started(bed, &Pod::new("there").app("main", "serve"))?;
    let kubeconfig = cluster.kubeconfig();
    let by = |file: &std::path::Path| {
        let mut command = Command::new(bed.program());
        command.arg("--kubeconfig").arg(file).stdin(Stdio::null());
        command
    };
    let found = bed.finish(by(&kubeconfig).args(["get", "pods", "-o", "name"]))?;
    ensure!(found.expect_code(0)?.stdout == "pod/there\n", "{found:?}");
    let said = bed.finish(by(&kubeconfig).args(["exec", "there", "--", "echo", "by TLS"]))?;
    ensure!(said.expect_code(0)?.stdout == "by TLS\n", "{said:?}");
    let socket = bed.root().join("run/monopod/api.sock");
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u, namespace: default}}}}]\n\
         clusters: [{{name: k, cluster: {{server: \"unix://{}\"}}}}]\nusers: [{{name: u, user: {{}}}}]\n",
        socket.display()
    );
    let by_socket = bed.file("by-socket", &text)?;
    let found = bed.finish(by(&by_socket).args(["get", "pods", "-o", "name"]))?;
    ensure!(found.expect_code(0)?.stdout == "pod/there\n", "{found:?}");
    bed.finish(by(&bed.dir().join("missing")).args(["get", "pods"]))?.expect_code(2)?;
    cluster.finish()
}
