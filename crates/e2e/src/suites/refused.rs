//! Manifests that are refused: exit code 2, the field and the remedy named, nothing changed.

use anyhow::{Result, ensure};

use crate::bed::Bed;
use crate::runner::{Test, tests};

pub(crate) const TESTS: &[Test] = tests![
    not_yaml,
    unknown_field_suggests_the_nearest,
    volume_not_defined,
    duplicate_names,
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
    ensure!(bed.uids().is_empty(), "a refused manifest made a pod");
    Ok(())
}

fn not_yaml(bed: &Bed) -> Result<()> {
    expect_text_refused(bed, "apiVersion: v1\nkind: [Pod\n", &["bad.yaml"])
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
    expect_refused(bed, spec, &["Duplicate value: \"a\""])
}

fn probe_on_an_ordinary_init_container(bed: &Bed) -> Result<()> {
    let spec = "  initContainers:\n  - name: i\n    image: localhost/host\n    startupProbe:\n      exec:\n        command: [\"true\"]\n  containers:\n  - name: a\n    image: localhost/host\n";
    let rule = "spec.initContainers[0].startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always";
    expect_refused(bed, spec, &[rule])
}

fn unsupported_field_is_named(bed: &Bed) -> Result<()> {
    let spec = "  runtimeClassName: other\n  containers:\n  - name: a\n    image: localhost/host\n";
    expect_refused(bed, spec, &["spec.runtimeClassName"])
}

fn other_kind(bed: &Bed) -> Result<()> {
    expect_text_refused(bed, "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: x\n", &["Deployment"])
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
    ensure!(bed.uids().is_empty(), "a pod was made");
    bed.trace.expect_absent("main start")
}

fn missing_file(bed: &Bed) -> Result<()> {
    bed.finish(bed.run_command().arg("no-such-file.yaml"))?
        .expect_code(2)?
        .expect_output("no-such-file.yaml")?;
    Ok(())
}
