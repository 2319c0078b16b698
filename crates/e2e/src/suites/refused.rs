//! Manifests that are refused: exit code 2, the field and the remedy named, nothing changed.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::bed::Bed;
use crate::runner::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    not_yaml,
    unknown_field_suggests_the_nearest,
    volume_not_defined,
    duplicate_names,
    duplicate_mount_paths,
    probe_on_an_ordinary_init_container,
    unsupported_field_is_named,
    other_kind,
    all_errors_at_once,
    one_bad_file_starts_nothing,
    missing_file,
];

/// Runs on `spec` below a valid head and expects a refusal that names each of `parts`.
fn expect_refused(bed: &Bed, spec: &str, parts: &[&str]) -> Result<()> {
    let text = format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: bad\nspec:\n{spec}");
    expect_text_refused(bed, &text, parts)
}

fn expect_text_refused(bed: &Bed, text: &str, parts: &[&str]) -> Result<()> {
    let file = bed.file("bad.yaml", text)?;
    let finished = bed.finish(bed.run_command().arg(file))?;
    finished.expect_code(2)?;
    for part in parts {
        finished.expect_output(part)?;
    }
    expect_untouched(bed)
}

/// Not even a directory was made in the root: [`Bed::new`] makes the one of pods.
fn expect_untouched(bed: &Bed) -> Result<()> {
    ensure!(bed.uids().is_empty(), "a refused manifest made a pod");
    let mut dir = bed.root();
    for name in ["var", "lib", "monopod", "pods"] {
        expect_only(&dir, &[name])?;
        dir.push(name);
    }
    expect_only(&dir, &[])
}

fn expect_only(dir: &Path, names: &[&str]) -> Result<()> {
    let found: Vec<_> = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(found == *names, "{found:?} in {} instead of {names:?}", dir.display());
    Ok(())
}

/// With the line and the column.
fn not_yaml(bed: &Bed) -> Result<()> {
    for (text, parts) in [
        ("apiVersion: v1\nkind: [Pod\n", ["bad.yaml:2:7: ", "unclosed bracket"]),
        ("apiVersion: v1\nkind: Pod\n\tspec: {}\n", ["bad.yaml:2:7: ", "a tab"]),
        ("apiVersion: v1\nkind: \"Pod\n", ["bad.yaml:", "not valid YAML"]),
        ("", ["bad.yaml: ", "no Pod in it"]),
    ] {
        expect_text_refused(bed, text, &parts)?;
    }
    Ok(())
}

fn unknown_field_suggests_the_nearest(bed: &Bed) -> Result<()> {
    let spec = "  containers:\n  - name: a\n    image: localhost/host\n    volumeMount: []\n";
    expect_refused(bed, spec, &["spec.containers[0].volumeMount", "volumeMounts"])
}

fn volume_not_defined(bed: &Bed) -> Result<()> {
    let spec = "  containers:\n  - name: a\n    image: localhost/host\n    volumeMounts:\n    - name: shared-logs\n      mountPath: /x\n";
    expect_refused(bed, spec, &["spec.containers[0].volumeMounts[0].name: Not found: \"shared-logs\""])
}

fn duplicate_names(bed: &Bed) -> Result<()> {
    let spec = "  initContainers:\n  - name: a\n    image: localhost/host\n  containers:\n  - name: a\n    image: localhost/host\n";
    expect_refused(bed, spec, &["bad.yaml:7: ", "spec.initContainers[0].name: Duplicate value: \"a\""])?;
    let spec = "  containers:\n  - name: a\n    image: localhost/host\n  volumes:\n  - name: v\n    emptyDir: {}\n  - name: v\n    emptyDir: {}\n";
    expect_refused(bed, spec, &["spec.volumes[1].name: Duplicate value: \"v\""])
}

fn duplicate_mount_paths(bed: &Bed) -> Result<()> {
    let spec = "  containers:\n  - name: a\n    image: localhost/host\n    volumeMounts:\n    - {name: v, mountPath: /x}\n    - {name: w, mountPath: /x}\n  volumes:\n  - {name: v, emptyDir: {}}\n  - {name: w, emptyDir: {}}\n";
    expect_refused(
        bed,
        spec,
        &["spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/x\": must be unique"],
    )
}

fn probe_on_an_ordinary_init_container(bed: &Bed) -> Result<()> {
    let spec = "  initContainers:\n  - name: i\n    image: localhost/host\n    startupProbe:\n      exec:\n        command: [\"true\"]\n  containers:\n  - name: a\n    image: localhost/host\n";
    let rule = "spec.initContainers[0].startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always";
    expect_refused(bed, spec, &[rule, "a sidecar has restartPolicy: Always"])
}

fn unsupported_field_is_named(bed: &Bed) -> Result<()> {
    let spec =
        "  schedulingGroup: {podGroupName: other}\n  containers:\n  - name: a\n    image: localhost/host\n";
    expect_refused(bed, spec, &["spec.schedulingGroup: Forbidden: not supported yet: pod groups"])
}

fn other_kind(bed: &Bed) -> Result<()> {
    expect_text_refused(
        bed,
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: x\n",
        &["Deployment \"x\" (apps/v1) is not supported: this engine runs Pods"],
    )
}

fn all_errors_at_once(bed: &Bed) -> Result<()> {
    let spec = "  restartPolicy: Sometimes\n  containers:\n  - image: localhost/host\n  - name: B_\n    image: localhost/host\n";
    expect_refused(bed, spec, &["spec.restartPolicy", "spec.containers[0].name", "spec.containers[1].name"])
}

/// A good pod beside a refused one is not started either.
fn one_bad_file_starts_nothing(bed: &Bed) -> Result<()> {
    let good = bed.manifest(&crate::pod::Pod::new("good").app("main", "say start"))?;
    let bad = bed.file("bad.yaml", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: bad\nspec: {}\n")?;
    bed.finish(bed.run_command().arg(good).arg(bad))?.expect_code(2)?.expect_output("spec.containers")?;
    expect_untouched(bed)?;
    bed.trace.expect_absent("main start")
}

fn missing_file(bed: &Bed) -> Result<()> {
    bed.finish(bed.run_command().arg("no-such-file.yaml"))?
        .expect_code(2)?
        .expect_line(&["no-such-file.yaml", "correct the path"])?;
    expect_untouched(bed)
}
