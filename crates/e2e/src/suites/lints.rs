//! What usually goes wrong is found before the start: by `lint`, by the stock kubectl's warnings, and by `run`; and it is mended.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::cluster::Cluster;
use crate::common_causes::{CAUSES, Cause, repository};
use crate::engine::Finished;
use crate::kubectl::Kubectl;
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    each_cause_is_found_and_mended,
    none_is_untested,
    kubectl_prints_a_warning_for_each_cause,
    oldest_kubectl_prints_warnings,
    changes_warn_only_of_what_has_changed,
    a_service_is_a_host_name,
    run_and_apply_warn,
    fix_writes_in_place_and_keeps_the_mode,
    standard_input_and_directories,
    exit_codes,
];

fn lint(bed: &Bed, args: &[&str]) -> Result<Finished> {
    let mut command = Command::new(bed.program());
    bed.finish(command.arg("lint").args(args).current_dir(bed.dir()))
}

/// A copy that may be changed.
fn copy(bed: &Bed, cause: &Cause) -> Result<String> {
    let name = cause.file.replace('/', "-");
    let text = std::fs::read_to_string(cause.path()).with_context(|| cause.file)?;
    Ok(bed.file(&name, &text)?.display().to_string())
}

/// Errors and warnings of a manifest.
fn found(bed: &Bed, path: &str) -> Result<Vec<String>> {
    let finished = lint(bed, &["-o", "json", path])?;
    let report: Value = serde_json::from_str(&finished.stdout).with_context(|| finished.output())?;
    let findings = report["findings"].as_array().context("findings")?.iter();
    let worse = findings.filter(|finding| finding["severity"] != "hint");
    Ok(worse.filter_map(|finding| Some(finding["rule"].as_str()?.to_owned())).collect())
}

/// Offline, by an exit code, and by the suggested fix, which leaves every comment.
fn each_cause_is_found_and_mended(bed: &Bed) -> Result<()> {
    for cause in CAUSES {
        let path = copy(bed, cause)?;
        let before = std::fs::read_to_string(&path)?;
        let rules = found(bed, &path)?;
        ensure!(rules.iter().all(|rule| Some(rule.as_str()) == cause.rule), "{}: {rules:?}", cause.file);
        ensure!(rules.is_empty() == cause.rule.is_none(), "{}: {rules:?}", cause.file);
        lint(bed, &[&path])?.expect_code(i32::from(cause.is_error)).with_context(|| cause.file)?;
        lint(bed, &["--strict", &path])?
            .expect_code(i32::from(cause.rule.is_some()))
            .with_context(|| cause.file)?;

        let shown = lint(bed, &["--fix", "--diff", &path])?;
        ensure!(std::fs::read_to_string(&path)? == before, "--diff has changed {}", cause.file);
        // Ports are in commands, too, and those nobody else can change.
        if cause.rule == Some("port-conflict") {
            continue;
        }
        lint(bed, &["--fix", &path])?.expect_code(0).with_context(|| cause.file)?;
        let after = std::fs::read_to_string(&path)?;
        ensure!(found(bed, &path)?.is_empty(), "{}: {after}", cause.file);
        ensure!((shown.stdout.contains("@@")) == (before != after), "{}: {}", cause.file, shown.stdout);
        let comments = |text: &str| {
            text.lines().filter_map(|line| Some(line[line.find('#')?..].to_owned())).collect::<Vec<_>>()
        };
        ensure!(comments(&before) == comments(&after), "{} loses comments: {after}", cause.file);
    }
    Ok(())
}

fn none_is_untested(_bed: &Bed) -> Result<()> {
    for dir in ["crates/e2e/common-causes", "examples/broken"] {
        for entry in std::fs::read_dir(repository().join(dir))?.flatten() {
            let file = format!("{dir}/{}", entry.file_name().to_string_lossy());
            let is_there = CAUSES.iter().any(|cause| cause.file == file);
            ensure!(!file.ends_with(".yaml") || is_there, "{file} is no cause of the suites");
        }
    }
    Ok(())
}

fn expect_warnings(cluster: &Cluster<'_>) -> Result<()> {
    for cause in CAUSES {
        let applied =
            cluster.kubectl(["apply", "--dry-run=server", "-f", &cause.path().to_string_lossy()])?;
        let said: Vec<&str> = applied.stderr.lines().filter(|line| line.starts_with("Warning: ")).collect();
        match (cause.refusal, cause.rule) {
            (Some(refusal), _) => {
                applied.expect_code(1)?.expect_output(refusal).with_context(|| applied.output())?;
            }
            (None, Some(rule)) => {
                applied.expect_code(0).with_context(|| applied.output())?;
                let id = format!("[{rule}]");
                ensure!(
                    !said.is_empty() && said.iter().all(|line| line.ends_with(&id)),
                    "{}: {said:?}",
                    cause.file
                );
            }
            (None, None) => ensure!(applied.stderr.is_empty(), "{}: {}", cause.file, applied.stderr),
        }
    }
    Ok(())
}

fn kubectl_prints_a_warning_for_each_cause(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    expect_warnings(&cluster)?;
    cluster.finish()
}

fn oldest_kubectl_prints_warnings(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start_with(bed, Kubectl::installed(27)?)?;
    expect_warnings(&cluster)?;
    cluster.finish()
}

fn pod(name: &str, labels: &Value, tolerations: &Value) -> Value {
    let endless =
        json!({"name": "shipper", "image": "localhost/host", "command": ["tail", "-f", "/dev/null"]});
    let main = json!({"name": "main", "image": "localhost/host", "command": ["sleep", "1000000"]});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "tolerations": tolerations,
            "initContainers": [endless],
            "containers": [main],
        },
    })
}

/// Said when it is created, and again when its spec is another.
fn changes_warn_only_of_what_has_changed(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let apply = |value: &Value| -> Result<String> {
        let path = bed.file("warned.json", &value.to_string())?;
        let applied = cluster.kubectl(["apply", "-f", &path.to_string_lossy()])?;
        applied.expect_code(0).with_context(|| applied.output())?;
        Ok(applied.stderr)
    };
    let said = apply(&pod("warned", &json!({}), &json!([])))?;
    ensure!(said.matches("[sidecar-as-init]").count() == 1 && said.lines().count() == 1, "{said}");
    let said = apply(&pod("warned", &json!({"a": "b"}), &json!([])))?;
    ensure!(said.is_empty(), "{said}");
    let said = apply(&pod("warned", &json!({"a": "b"}), &json!([{"key": "x", "operator": "Exists"}])))?;
    ensure!(said.contains("[sidecar-as-init]"), "{said}");
    cluster.output(&["delete", "pod", "warned", "--now"])?;
    cluster.finish()
}

/// The Services of the namespace count, and those of others do not.
fn a_service_is_a_host_name(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start(bed)?;
    let manifest = "crates/e2e/common-causes/name-instead-of-localhost.yaml";
    let path = repository().join(manifest).display().to_string();
    let warned = |namespace: &str| -> Result<bool> {
        let applied = cluster.kubectl(["apply", "-n", namespace, "--dry-run=server", "-f", &path])?;
        Ok(applied.expect_code(0)?.stderr.contains("[container-name-as-host]"))
    };
    cluster.output(&["create", "namespace", "other"])?;
    cluster.wait_output(
        &["get", "serviceaccount", "-n", "other", "-o", "name"],
        "serviceaccount/default",
        crate::bed::SOON,
    )?;
    cluster.output(&["create", "service", "clusterip", "sidecar", "--tcp=8080"])?;
    ensure!(!warned("default")? && warned("other")?);
    cluster.finish()
}

/// The client verbs get the lines from the API; `run` has them before anything begins.
fn run_and_apply_warn(bed: &Bed) -> Result<()> {
    require_root()?;
    let cluster = Cluster::start_bare(bed)?;
    let path = bed.file("warned.json", &pod("warned", &json!({}), &json!([])).to_string())?;
    let mut command = Command::new(bed.program());
    command.arg("--root").arg(bed.root()).args(["apply", "--dry-run=server", "-f"]).arg(&path);
    let applied = bed.finish(&mut command)?;
    applied.expect_code(0)?.expect_output("[sidecar-as-init]")?;
    cluster.finish()?;

    let mut engine = bed.start(bed.run_command().arg(&path))?;
    engine.wait_output("[sidecar-as-init]", crate::bed::SOON)?;
    engine.wait_output("init 1/1 started", crate::bed::SOON)?;
    let finished = bed.interrupt(engine)?;
    let said = finished.output().matches("[sidecar-as-init]").count();
    ensure!(said == 1, "said {said} times: {}", finished.output());
    Ok(())
}

fn fix_writes_in_place_and_keeps_the_mode(bed: &Bed) -> Result<()> {
    let path = copy(bed, &CAUSES[0])?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640))?;
    let link = bed.dir().join("link.yaml");
    std::os::unix::fs::symlink(&path, &link)?;
    lint(bed, &["--fix", &link.to_string_lossy()])?.expect_code(0)?.expect_output("[volume-not-defined]")?;
    ensure!(std::fs::metadata(&path)?.permissions().mode() & 0o7777 == 0o640);
    ensure!(std::fs::symlink_metadata(&link)?.is_symlink());
    ensure!(
        std::fs::read_to_string(&path)?.ends_with("  volumes:\n  - name: shared-logs\n    emptyDir: {}\n")
    );
    let left = std::fs::read_dir(Path::new(&path).parent().context("a directory")?)?;
    let odd: Vec<_> =
        left.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).collect();
    ensure!(odd.is_empty(), "{odd:?}");
    Ok(())
}

fn standard_input_and_directories(bed: &Bed) -> Result<()> {
    let dir = repository().join("examples/broken");
    let report = lint(bed, &["-o", "json", &dir.to_string_lossy()])?;
    let report: Value = serde_json::from_str(&report.stdout)?;
    ensure!(report["summary"]["files"] == 6, "{report}");
    let mut command = Command::new(bed.program());
    command.args(["lint", "--fix", "-"]).stdin(std::fs::File::open(CAUSES[0].path())?);
    let mended = bed.finish(&mut command)?;
    mended.expect_code(0)?;
    ensure!(mended.stdout.ends_with("    emptyDir: {}\n"), "{}", mended.stdout);
    Ok(())
}

fn exit_codes(bed: &Bed) -> Result<()> {
    let broken = bed.file("broken.yaml", "kind: Pod\n\tx: [\n")?.display().to_string();
    let binary = bed.dir().join("binary.yaml");
    std::fs::write(&binary, b"\x7fELF\xff\xfe")?;
    let deployment = bed.file(
        "deployment.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  template:\n    spec:\n      containers:\n      - name: A\n        image: i:1\n---\n\
         apiVersion: example.com/v1\nkind: Whatever\n",
    )?;
    for (args, code, text) in [
        (&[broken.as_str()][..], 2, "error[syntax]"),
        (&[&binary.to_string_lossy()], 2, "not UTF-8"),
        (&["/no/such/file"], 2, "no such file"),
        (&[&deployment.to_string_lossy()], 1, "spec.template.spec.containers[0].name"),
        (&["--allow", "invalid-field", &deployment.to_string_lossy()], 0, "nothing found in 1 file"),
        (&["--rule", "syntax", &deployment.to_string_lossy()], 0, "nothing found in 1 file"),
        (&["--allow", "volume-not-definde", "x"], 2, "did you mean volume-not-defined?"),
        (&["--explain", "sidecar-as-init"], 0, "restartPolicy: Always"),
        (&["--list"], 0, "volume-not-defined  "),
        (&["--help"], 0, "--fix"),
        (&[], 2, "required"),
    ] {
        let finished = lint(bed, args)?;
        finished
            .expect_code(code)
            .and_then(|found| found.expect_output(text))
            .with_context(|| format!("{args:?}\n{}", finished.output()))?;
    }
    // A reader that has gone is no failure.
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" lint --list | :", &bed.program().to_string_lossy()]);
    bed.finish(&mut command)?.expect_code(0)?.expect_no_output("error")?;
    Ok(())
}
