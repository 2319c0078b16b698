//! The image store: what is loaded is what containers see, whoever loads, removes or dies beside.

use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::archive::{Layer, docker, static_program};
use crate::bed::{Bed, SOON};
use crate::engine::Finished;
use crate::outcome::skip;
use crate::pod::{Pod, mount};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    a_container_sees_the_layers_merged,
    the_configuration_counts,
    as_many_layers_as_there_may_be,
    saved_and_loaded_again,
    a_static_program_is_imported,
    an_import_comes_through_a_socket,
    names_and_pull_policies,
    listed_inspected_removed,
    an_image_in_use_stays,
    loads_and_runs_side_by_side,
    killed_loads_leave_nothing,
    a_full_disk,
    what_is_wrong_is_said,
    not_root_gets_the_remedy,
];

const IMAGE: &str = "localhost/test:1";
/// Longer than any of this takes on a busy machine.
pub(crate) const LOADED: Duration = Duration::from_secs(60);

pub(crate) fn image(bed: &Bed, args: &[&str]) -> Command {
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).arg("image").args(args).stdin(Stdio::null());
    command
}

/// Runs `monopod image` to its end.
pub(crate) fn run(bed: &Bed, args: &[&str]) -> Result<Finished> {
    bed.start(&mut image(bed, args))?.wait(LOADED)
}

pub(crate) fn ls(bed: &Bed) -> Result<Vec<Value>> {
    let finished = run(bed, &["ls", "-o", "json"])?;
    finished.expect_code(0)?;
    Ok(serde_json::from_str(&finished.stdout)?)
}

fn write(bed: &Bed, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = bed.dir().join(name);
    fs::write(&path, bytes)?;
    Ok(path)
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// Makes an archive of these layers and loads it as [`IMAGE`].
fn load(bed: &Bed, layers: Vec<Layer>) -> Result<PathBuf> {
    let archive = write(bed, "image.tar", &docker(IMAGE, &json!({}), layers)?)?;
    run(bed, &["load", text(&archive)])?.expect_code(0)?.expect_output(IMAGE)?;
    Ok(archive)
}

/// Loads an image whose programs are the host's.
pub(crate) fn load_with(bed: &Bed, name: &str, process: &Value) -> Result<()> {
    let archive = write(bed, "image.tar", &docker(name, process, vec![Layer::base()?])?)?;
    run(bed, &["load", text(&archive)])?.expect_code(0)?;
    Ok(())
}

/// A pod of one container from [`IMAGE`], whose programs are the host's.
fn pod(name: &str, script: &str) -> Pod {
    pod_from(IMAGE, name, script, &json!({}))
}

pub(crate) fn pod_from(image: &str, name: &str, script: &str, fields: &Value) -> Pod {
    let mut all = json!({"image": image, "volumeMounts": [mount("usr", "/usr")]});
    for (key, value) in fields.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    let usr = json!({"name": "usr", "hostPath": {"path": "/usr", "type": "Directory"}});
    Pod::new(name).volume(usr).app_with("main", script, &all)
}

/// What is in one of the store's directories.
pub(crate) fn stored(bed: &Bed, name: &str) -> usize {
    fs::read_dir(bed.root().join("var/lib/monopod/images").join(name)).map_or(0, Iterator::count)
}

pub(crate) fn expect_stored(bed: &Bed, configs: usize, layers: usize) -> Result<()> {
    let found = (stored(bed, "configs"), stored(bed, "layers"), stored(bed, "staging"));
    ensure!(found == (configs, layers, 0), "configurations, layers, staging: {found:?}");
    Ok(())
}

fn a_container_sees_the_layers_merged(bed: &Bed) -> Result<()> {
    require_root()?;
    let below = Layer::base()?
        .file("etc/changed", "old")?
        .file("etc/gone", "")?
        .file("data/one", "")?
        .file("data/two", "")?
        .directory("whole", 0o750)?
        .file("whole/file", "")?
        .file("linked", "x")?
        .hard_link("link", "linked")?;
    let above = Layer::new()
        .file("etc/changed", "new")?
        .whiteout("etc", "gone")?
        .opaque("data")?
        .file("data/three", "")?
        // A directory that has no entry of its own here keeps the mode it has below.
        .file("whole/other", "")?;
    load(bed, vec![below, above])?;
    let script = "say $(cat /etc/changed); say data $(ls /data); say whole $(stat -c %a /whole) $(ls /whole)
        test -e /etc/gone || say no gone
        say link $(cat /link) $(stat -c %h /linked)
        echo z > /etc/changed; rm -r /data; say $(ls / | grep -c data)";
    for name in ["first", "second"] {
        // What the first one changes is its own.
        bed.run_pod(&pod(name, script))?.expect_code(0)?;
    }
    let expected = [
        "main new",
        "main data three",
        "main whole 750 file other",
        "main no gone",
        "main link x 2",
        "main 0",
    ];
    bed.trace.expect_order(&[expected, expected].concat())
}

fn the_configuration_counts(bed: &Bed) -> Result<()> {
    require_root()?;
    let process = json!({
        "Entrypoint": ["/bin/sh", "-c", "echo \"$GREETING $(id -u) $(pwd) $*\"", "name"],
        "Cmd": ["from", "cmd"], "Env": ["GREETING=hello", "PATH=/bin"], "User": "app", "WorkingDir": "/work",
    });
    let archive = write(bed, "image.tar", &docker(IMAGE, &process, vec![Layer::base()?])?)?;
    run(bed, &["load", text(&archive)])?.expect_code(0)?;
    let manifest = |name: &str, fields: Value| -> Result<PathBuf> {
        let mut container = json!({"name": "main", "image": IMAGE, "volumeMounts": [mount("usr", "/usr")]});
        for (key, value) in fields.as_object().into_iter().flatten() {
            container[key] = value.clone();
        }
        let spec = json!({"restartPolicy": "Never", "containers": [container],
            "volumes": [{"name": "usr", "hostPath": {"path": "/usr"}}]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec});
        bed.file(&format!("{name}.json"), &pod.to_string())
    };
    let as_it_is = manifest("as-it-is", json!({}))?;
    bed.finish(bed.run_command().arg(as_it_is))?
        .expect_code(0)?
        .expect_output("hello 1234 /work from cmd")?;
    let changed = manifest(
        "changed",
        json!({"args": ["of", "pod"], "workingDir": "/", "securityContext": {"runAsUser": 7}}),
    )?;
    bed.finish(bed.run_command().arg(changed))?.expect_code(0)?.expect_output("hello 7 / of pod")?;
    Ok(())
}

fn as_many_layers_as_there_may_be(bed: &Bed) -> Result<()> {
    const LAYERS_MAX: usize = 127;
    require_root()?;
    let layers = |count: usize| -> Result<Vec<Layer>> {
        let more = (1..count).map(|n| Layer::new().file(&format!("layers/{n}"), ""));
        std::iter::once(Layer::base()).chain(more).collect()
    };
    load(bed, layers(LAYERS_MAX)?)?;
    bed.run_pod(&pod("deep", "say $(ls /layers | wc -l) layers"))?.expect_code(0)?;
    bed.trace.expect_order(&["main 126 layers"])?;
    let archive = write(bed, "more.tar", &docker("localhost/more", &json!({}), layers(LAYERS_MAX + 1)?)?)?;
    run(bed, &["load", text(&archive)])?.expect_code(1)?.expect_output("128 layers, the limit is 127")?;
    expect_stored(bed, 1, LAYERS_MAX)
}

fn saved_and_loaded_again(bed: &Bed) -> Result<()> {
    require_root()?;
    load(bed, vec![Layer::base()?.file("a", "1")?, Layer::new().file("b", "2")?.whiteout("etc", "passwd")?])?;
    let id = ls(bed)?[0]["id"].clone();
    let saved = bed.dir().join("saved.tar");
    for format in ["docker", "oci"] {
        run(bed, &["save", IMAGE, "--format", format, "-o", text(&saved)])?.expect_code(0)?;
        run(bed, &["rm", IMAGE])?.expect_code(0)?;
        expect_stored(bed, 0, 0)?;
        let mut from_stdin = image(bed, &["load", "-"]);
        bed.start(from_stdin.stdin(fs::File::open(&saved)?))?.wait(LOADED)?.expect_code(0)?;
        ensure!(ls(bed)?[0]["id"] == id, "{format}: another ID");
    }
    bed.run_pod(&pod("again", "say $(cat /a /b); test -e /etc/passwd || say no accounts"))?.expect_code(0)?;
    bed.trace.expect_order(&["main 12", "main no accounts"])
}

/// As sshd gives it to a command.
fn an_import_comes_through_a_socket(bed: &Bed) -> Result<()> {
    require_root()?;
    let (mut ours, theirs) = UnixStream::pair()?;
    // A tar as any other; it fits into the socket's buffer.
    ours.write_all(&docker(IMAGE, &json!({}), vec![Layer::new().file("a", "1")?])?)?;
    drop(ours);
    let mut import = image(bed, &["import", "-", "localhost/files:1"]);
    bed.start(import.stdin(OwnedFd::from(theirs)))?.wait(LOADED)?.expect_code(0)?;
    expect_stored(bed, 1, 1)
}

fn a_static_program_is_imported(bed: &Bed) -> Result<()> {
    require_root()?;
    let program = write(bed, "tool", &static_program()?)?;
    let import = |name: &str, more: &[&str]| {
        run(bed, &[&["import", text(&program), name], more].concat())?.expect_code(0)?;
        ls(bed)?.into_iter().find(|image| image["name"] == name).context("not in the list")
    };
    let image = import("localhost/tool:1", &[])?;
    ensure!(image["id"] == import("localhost/tool:2", &[])?["id"], "the same input has another ID");
    import("localhost/links:1", &["--applets", "one,two", "--env", "A=b"])?;
    let spec = json!({"restartPolicy": "Never", "containers": [
        {"name": "plain", "image": "localhost/tool:1"},
        {"name": "linked", "image": "localhost/links:1", "command": ["two"]},
    ]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tool"}, "spec": spec});
    let manifest = bed.file("tool.json", &pod.to_string())?;
    let finished = bed.finish(bed.run_command().arg(manifest))?;
    finished.expect_code(1)?.expect_line(&["plain", "app", "Error", "42"])?.expect_line(&["linked", "42"])?;
    let shell = fs::canonicalize("/bin/sh")?;
    let refused = run(bed, &["import", text(&shell), "localhost/sh"])?;
    refused.expect_code(1)?.expect_output("linked dynamically")?.expect_output("image: localhost/host")?;
    Ok(())
}

fn names_and_pull_policies(bed: &Bed) -> Result<()> {
    require_root()?;
    let archive = load(bed, vec![Layer::base()?])?;
    run(bed, &["load", text(&archive), "--name", "example.com/test:1"])?.expect_code(0)?;
    for (name, image, policy) in [
        ("local-always", IMAGE, "Always"),
        ("local-never", IMAGE, "Never"),
        ("other-default", "example.com/test:1", "IfNotPresent"),
        ("other-never", "example.com/test:1", "Never"),
    ] {
        let pod = pod_from(image, name, "say $POLICY", &json!({"imagePullPolicy": policy}));
        bed.run_pod(&pod)?.expect_code(0)?;
    }
    let always = pod_from("example.com/test:1", "always", "say x", &json!({"imagePullPolicy": "Always"}));
    let mut engine = bed.start_pod(&always)?;
    engine.wait_output("cannot get the manifest example.com/test:1", SOON)?;
    bed.interrupt(engine)?;
    let absent = pod_from("example.com/none:1", "absent", "say x", &json!({}));
    let mut engine = bed.start_pod(&absent)?;
    engine.wait_output("cannot get the manifest example.com/none:1", SOON)?;
    bed.interrupt(engine)?;
    Ok(())
}

fn listed_inspected_removed(bed: &Bed) -> Result<()> {
    require_root()?;
    run(bed, &["ls"])?.expect_code(0)?.expect_line(&["NAME", "IMAGE ID", "SIZE"])?;
    run(bed, &["rm", "localhost/none"])?.expect_code(1)?.expect_output("monopod image ls")?;
    bed.run_pod(&Pod::new("built-in").app("main", "true"))?.expect_code(0)?;
    run(bed, &["ls"])?.expect_line(&["localhost/host:latest"])?;
    let archive = load(bed, vec![Layer::base()?.file("data", "12345")?])?;
    run(bed, &["load", text(&archive), "--name", "localhost/other"])?.expect_code(0)?;
    run(bed, &["ls"])?.expect_line(&[IMAGE])?.expect_line(&["localhost/other:latest"])?;
    let finished = run(bed, &["inspect", IMAGE])?;
    let details: Value = serde_json::from_str(&finished.expect_code(0)?.stdout)?;
    let id = details[0]["id"].as_str().context("no ID")?.to_owned();
    ensure!(details[0]["names"] == json!(["localhost/other:latest", IMAGE]), "{details}");
    ensure!(
        details[0]["config"]["rootfs"]["diff_ids"].as_array().is_some_and(|ids| ids.len() == 1),
        "{details}"
    );
    run(bed, &["rm", &id])?.expect_code(1)?.expect_output("several names")?;
    run(bed, &["rm", IMAGE, "localhost/none"])?.expect_code(1)?.expect_output("removed localhost/test:1")?;
    expect_stored(bed, 1, 1)?;
    run(bed, &["rm", &id[..16]])?.expect_code(0)?;
    expect_stored(bed, 0, 0)
}

fn an_image_in_use_stays(bed: &Bed) -> Result<()> {
    require_root()?;
    load(bed, vec![Layer::base()?.file("data", "x")?])?;
    let script =
        "serve & while ! test -e /trace/go; do sleep 0.1; done; say $(cat /data /etc/passwd | wc -l)";
    let mut engine = bed.start_pod(&pod("user", script))?;
    bed.trace.wait("main start", SOON)?;
    run(bed, &["ls"])?.expect_line(&[IMAGE, "1"])?;
    run(bed, &["rm", IMAGE])?.expect_code(1)?.expect_output("in use by pod default/user")?;
    run(bed, &["rm", "--force", IMAGE])?.expect_code(0)?;
    ensure!(ls(bed)?.is_empty(), "the name is still there");
    expect_stored(bed, 1, 1)?;
    fs::write(bed.dir().join("trace/go"), "")?;
    bed.trace.wait("main 2", SOON)?;
    ensure!(engine.is_running()?, "the pod ended");
    bed.interrupt(engine)?;
    // The next removal takes what was left for the pod.
    load(bed, vec![Layer::base()?.file("other", "")?])?;
    run(bed, &["rm", IMAGE])?.expect_code(0)?;
    expect_stored(bed, 0, 0)
}

fn loads_and_runs_side_by_side(bed: &Bed) -> Result<()> {
    const LOADS: usize = 6;
    const RUNS: usize = 3;
    require_root()?;
    let archive = load(bed, vec![Layer::base()?, many_files(500)?])?;
    // The layers are made again by each.
    run(bed, &["rm", IMAGE])?.expect_code(0)?;
    run(bed, &["load", text(&archive), "--name", "localhost/kept"])?.expect_code(0)?;
    let mut started = vec![];
    for n in 0..LOADS {
        started.push(bed.start(&mut image(bed, &["load", text(&archive)]))?);
        if n < RUNS {
            let pod = pod_from("localhost/kept", &format!("run-{n}"), "say $(ls /files | wc -l)", &json!({}));
            started.push(bed.start_pod(&pod)?);
        }
    }
    for engine in started {
        engine.wait(LOADED)?.expect_code(0)?;
    }
    bed.trace.expect_order(&["main 500"; RUNS])?;
    expect_stored(bed, 1, 2)
}

fn many_files(count: usize) -> Result<Layer> {
    (0..count).try_fold(Layer::new(), |layer, n| layer.file(&format!("files/{n}"), &n.to_string()))
}

/// At moments spread over a whole load, drawn from a seed.
fn killed_loads_leave_nothing(bed: &Bed) -> Result<()> {
    const KILLS: u32 = 20;
    const SEED: u64 = 0x5eed_0001;
    require_root()?;
    let archive = docker(IMAGE, &json!({}), vec![Layer::base()?, many_files(1000)?, many_files(1001)?])?;
    let archive = write(bed, "image.tar", &archive)?;
    let began = Instant::now();
    run(bed, &["load", text(&archive)])?.expect_code(0)?;
    let mut whole_us = u64::try_from(began.elapsed().as_micros())?;
    run(bed, &["rm", IMAGE])?.expect_code(0)?;
    let (mut random, mut killed) = (SEED, 0);
    for _ in 0..KILLS {
        // Knuth's generator.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let began = Instant::now();
        let engine = bed.start(&mut image(bed, &["load", text(&archive)]))?;
        std::thread::sleep(Duration::from_micros((random >> 33) % whole_us.max(1)));
        // It may have come to its end.
        let _ = engine.signal(Signal::KILL);
        if engine.wait(LOADED)?.status.signal().is_some() {
            killed += 1;
        } else {
            // The machine is less busy than it was.
            whole_us = whole_us.min(u64::try_from(began.elapsed().as_micros())?);
        }
        // Whatever there is can be listed, and an image that is there is whole.
        if !ls(bed)?.is_empty() {
            run(bed, &["save", IMAGE, "-o", "/dev/null"])?.expect_code(0)?;
            run(bed, &["rm", IMAGE])?.expect_code(0)?;
            expect_stored(bed, 0, 0)?;
        }
    }
    ensure!(killed > 0, "none of {KILLS} loads was killed before its end");
    run(bed, &["load", text(&archive)])?.expect_code(0)?;
    expect_stored(bed, 1, 3)?;
    bed.run_pod(&pod("whole", "say $(cat /files/* | wc -c)"))?.expect_code(0)?;
    bed.trace.expect_order(&["main 2894"])?;
    run(bed, &["rm", IMAGE])?.expect_code(0)?;
    expect_stored(bed, 0, 0)
}

/// In a mount namespace of its own, so that the file system goes with the test.
fn a_full_disk(bed: &Bed) -> Result<()> {
    require_root()?;
    if !std::path::Path::new("/usr/bin/unshare").exists() {
        return skip("needs unshare to make a small file system");
    }
    let small = docker("localhost/small", &json!({}), vec![Layer::new().file("a", "")?])?;
    let noise: String = (0..500_000_u32).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
    let big = (0..8).try_fold(Layer::new(), |layer, n| layer.file(&format!("big/{n}"), &noise))?;
    let big = docker("localhost/big", &json!({}), vec![Layer::new().file("b", "")?, big])?;
    write(bed, "small.tar", &small)?;
    write(bed, "big.tar", &big)?;
    let script = format!(
        "set -e; cd {dir}; mkdir full; mount -t tmpfs -o size=2m none full
         ./monopod --root full image load small.tar
         ./monopod --root full image load big.tar && exit 9
         cat big.tar | ./monopod --root full image load - && exit 8
         ls full/var/lib/monopod/images/staging full/var/lib/monopod/images/layers
         ./monopod --root full image ls",
        dir = bed.dir().display()
    );
    let finished = bed.finish(Command::new("unshare").args(["--mount", "sh", "-c", &script]))?;
    finished.expect_code(0)?.expect_output("No space left on device")?.expect_output("remedy: make room")?;
    finished.expect_line(&["localhost/small:latest"])?.expect_no_output("localhost/big:latest")?;
    let layers = finished.stdout.lines().filter(|line| line.len() == 64).count();
    ensure!(layers == 1, "{layers} layers");
    Ok(())
}

fn what_is_wrong_is_said(bed: &Bed) -> Result<()> {
    require_root()?;
    let file = bed.file("text", "hello")?;
    for (args, code, part) in [
        (&["load", "/no/such/file"][..], 1, "cannot open /no/such/file"),
        (&["load", text(&file)], 1, "no tar archive of images"),
        (&["load", text(&file), "--name", "Bad Name"], 2, "--name"),
        (&["load"], 2, "FILE"),
        (&["import", text(&file), "localhost/host"], 1, "it is built in"),
        (&["import", text(&file), "x", "--env", "novalue"], 2, "--env"),
        (&["save", "localhost/none"], 1, "there is no image"),
        (&["inspect", "localhost/none"], 1, "there is no image"),
        (&["rm", "localhost/host"], 1, "is built in"),
        (&["inspect", "localhost/host"], 1, "is built in"),
        (&["frobnicate"], 2, "frobnicate"),
    ] {
        run(bed, args)?.expect_code(code)?.expect_output(part).with_context(|| args.join(" "))?;
    }
    expect_stored(bed, 0, 0)
}

fn not_root_gets_the_remedy(bed: &Bed) -> Result<()> {
    if !std::path::Path::new("/usr/bin/setpriv").exists() {
        return skip("needs setpriv to become another user");
    }
    require_root()?;
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(bed.program());
    setpriv.arg("--root").arg(bed.root()).args(["image", "ls"]).stdin(Stdio::null());
    bed.finish(&mut setpriv)?.expect_code(1)?.expect_output("sudo")?;
    Ok(())
}
