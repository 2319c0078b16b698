//! The command line: help, usage errors, standard input, machine output, users who are not root.

use std::fs::File;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bed::Bed;
use crate::outcome::skip;
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    help_and_version,
    usage_error,
    a_full_standard_error_is_no_panic,
    pods_of_one_name_in_two_namespaces,
    not_root_gets_the_remedy,
    manifest_from_standard_input,
    directory_of_manifests,
    json_output_parses,
    timestamps,
    no_colour_when_not_a_terminal,
    lines_carry_their_container,
    table_at_the_end,
];

fn help_and_version(bed: &Bed) -> Result<()> {
    for (args, part) in
        [(&["--help"][..], "run"), (&["run", "--help"], "examples/"), (&["version"], "monopod")]
    {
        bed.finish(Command::new(bed.program()).args(args))?.expect_code(0)?.expect_output(part)?;
    }
    Ok(())
}

fn usage_error(bed: &Bed) -> Result<()> {
    for args in [&["run"][..], &["run", "--no-such-flag", "x.yaml"], &["no-such-verb"]] {
        bed.finish(Command::new(bed.program()).args(args))?.expect_code(2)?;
    }
    Ok(())
}

/// The exit code still says what happened.
fn a_full_standard_error_is_no_panic(bed: &Bed) -> Result<()> {
    let mut command = bed.run_command();
    let status = command.arg("/no/such/file").stderr(File::create("/dev/full")?).status()?;
    ensure!(status.code() == Some(2), "{status}");
    Ok(())
}

fn pods_of_one_name_in_two_namespaces(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = |namespace: &str| {
        let pod = Pod::new("same").app("main", "echo hello");
        let text = std::fs::read_to_string(bed.manifest(&pod)?)?;
        let mut value: Value = serde_json::from_str(&text)?;
        value["metadata"]["namespace"] = namespace.into();
        bed.file(&format!("{namespace}.json"), &value.to_string())
    };
    let finished = bed.finish(bed.run_command().arg(manifest("one")?).arg(manifest("two")?))?;
    finished.expect_code(0)?;
    for namespace in ["one", "two"] {
        finished.expect_line(&[&format!("{namespace}/same/main"), "hello"])?;
        finished.expect_line(&[&format!("{namespace}/same"), "Completed"])?;
    }
    Ok(())
}

/// The remedy is a sentence with `sudo` or `root` in it, not a panic or a bare EPERM.
fn not_root_gets_the_remedy(bed: &Bed) -> Result<()> {
    let manifest = bed.manifest(&Pod::new("user").app("main", "say start"))?;
    let mut command = if rustix::process::geteuid().is_root() {
        if !std::path::Path::new("/usr/bin/setpriv").exists() {
            return skip("needs setpriv to become another user");
        }
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(bed.program());
        setpriv
    } else {
        Command::new(bed.program())
    };
    command.arg("--root").arg(bed.root()).arg("run").arg(manifest).stdin(Stdio::null());
    let finished = bed.finish(&mut command)?;
    finished.expect_code(1)?.expect_line(&["error: ", "has to be run as root"])?;
    finished.expect_line(&["remedy: ", "sudo"])?;
    ensure!(finished.output().lines().count() == 2, "more than an error and its remedy");
    ensure!(bed.uids().is_empty(), "a pod was made");
    bed.trace.expect_absent("main start")
}

fn manifest_from_standard_input(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&Pod::new("stdin").app("main", "say start"))?;
    bed.finish(bed.run_command().arg("-").stdin(File::open(manifest)?))?.expect_code(0)?;
    bed.trace.expect_order(&["main start"])
}

fn directory_of_manifests(bed: &Bed) -> Result<()> {
    require_root()?;
    let dir = bed.dir().join("manifests");
    std::fs::create_dir(&dir)?;
    for name in ["one", "two"] {
        let manifest = bed.manifest(&Pod::new(name).app(name, "say start"))?;
        std::fs::rename(manifest, dir.join(format!("{name}.json")))?;
    }
    bed.finish(bed.run_command().arg(dir))?.expect_code(0)?;
    bed.trace.expect_order(&["one start"])?;
    bed.trace.expect_order(&["two start"])
}

/// One JSON object per line, and nothing else on standard output.
fn json_output_parses(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest =
        bed.manifest(&Pod::new("json").init("prepare", "echo from-init").app("main", "echo from-main"))?;
    let finished = bed.finish(bed.run_command().args(["-o", "json"]).arg(manifest))?;
    finished.expect_code(0)?;
    ensure!(!finished.stdout.is_empty(), "no output");
    for line in finished.stdout.lines() {
        let value: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        ensure!(value.is_object(), "not an object: {line}");
    }
    finished.expect_line(&["prepare", "from-init"])?.expect_line(&["main", "from-main"])?;
    Ok(())
}

fn timestamps(bed: &Bed) -> Result<()> {
    require_root()?;
    let manifest = bed.manifest(&Pod::new("times").app("main", "echo hello"))?;
    let finished = bed.finish(bed.run_command().arg("--timestamps").arg(manifest))?;
    finished.expect_code(0)?;
    let output = finished.output();
    let line = output.lines().find(|line| line.contains("hello")).context("no line of the container")?;
    ensure!(line.matches(':').count() >= 2, "no time of day in {line:?}");
    Ok(())
}

fn no_colour_when_not_a_terminal(bed: &Bed) -> Result<()> {
    require_root()?;
    let finished = bed.run_pod(&Pod::new("plain").app("main", "echo hello"))?;
    finished.expect_code(0)?.expect_no_output("\u{1b}[")?;
    Ok(())
}

fn lines_carry_their_container(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod = Pod::new("prefix")
        .sidecar("ship", "echo from-ship; serve")
        .app("main", "echo from-main; echo on-error >&2; sleep 1");
    let finished = bed.run_pod(&pod)?;
    finished.expect_code(0)?;
    finished
        .expect_line(&["ship", "from-ship"])?
        .expect_line(&["main", "from-main"])?
        .expect_line(&["main", "on-error"])?;
    Ok(())
}

fn table_at_the_end(bed: &Bed) -> Result<()> {
    require_root()?;
    let pod =
        Pod::new("table").init("prepare", "true").sidecar("ship", "serve").app("main", "sleep 0.5; exit 3");
    let finished = bed.run_pod(&pod)?;
    finished.expect_code(1)?;
    finished.expect_line(&["prepare", "Completed", "0"])?.expect_line(&["main", "Error", "3"])?;
    Ok(())
}
