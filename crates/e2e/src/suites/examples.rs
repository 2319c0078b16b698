//! Every file of `examples/` does what its header says.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::bed::{Bed, SOON};
use crate::engine::Finished;
use crate::registry::{Tool, require};
use crate::runner::{Test, tests};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] = tests![
    co_located,
    init,
    sidecar,
    sidecar_pod,
    job_with_sidecar,
    shared_network,
    wait_for_db,
    port_conflict,
    broken_volume_not_defined,
    broken_volume_not_mounted,
    broken_paths_do_not_meet,
    broken_name_instead_of_localhost,
    broken_pod_level_restart_policy,
    none_is_untested,
];

fn examples_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn run(bed: &Bed, name: &str) -> Result<Finished> {
    require_root()?;
    bed.finish(bed.run_command().arg(examples_dir().join(name)))
}

/// Starts an example that runs until it is stopped, waits for `text`, and stops it.
fn run_until(bed: &Bed, name: &str, texts: &[&str]) -> Result<Finished> {
    require_root()?;
    let mut engine = bed.start(bed.run_command().arg(examples_dir().join(name)))?;
    for text in texts {
        engine.wait_output(text, SOON)?;
    }
    bed.interrupt(engine)
}

fn co_located(bed: &Bed) -> Result<()> {
    run_until(bed, "co-located.yaml", &["page 3", "reader: page 3"])?.expect_code(0)?;
    Ok(())
}

fn init(bed: &Bed) -> Result<()> {
    let finished = run(bed, "init.yaml")?;
    finished.expect_code(0)?.expect_line(&["app", "greeting=hello"])?;
    Ok(())
}

/// Ends by itself within 15 s; the shipper has the app's first and last line.
fn sidecar(bed: &Bed) -> Result<()> {
    let finished = run(bed, "sidecar.yaml")?;
    finished.expect_code(0)?;
    finished.expect_line(&["log-shipper", "shipped: app: first line"])?;
    finished.expect_line(&["log-shipper", "shipped: app: last line"])?;
    ensure!(finished.elapsed < Duration::from_secs(15), "took {:?}", finished.elapsed);
    Ok(())
}

fn sidecar_pod(bed: &Bed) -> Result<()> {
    let finished = run_until(bed, "sidecar-pod.yaml", &["request 2"])?;
    finished.expect_code(0)?;
    finished.expect_line(&["sidecar-container", "request 2"])?;
    Ok(())
}

fn job_with_sidecar(bed: &Bed) -> Result<()> {
    let finished = run(bed, "job-with-sidecar.yaml")?;
    finished.expect_code(0)?.expect_line(&["job", "sum is 5050"])?;
    Ok(())
}

fn shared_network(bed: &Bed) -> Result<()> {
    let finished = run(bed, "shared-network.yaml")?;
    finished.expect_code(0)?.expect_line(&["client", "hello from localhost"])?;
    Ok(())
}

/// The app begins by itself when the Service leads to a pod that is ready.
fn wait_for_db(bed: &Bed) -> Result<()> {
    require(Tool::Netcat)?;
    let finished = run(bed, "wait-for-db.yaml")?;
    finished.expect_code(0)?.expect_line(&["wait-for-db", "waiting for db"])?;
    finished.expect_line(&["app", "the database says: 42"])?;
    Ok(())
}

fn port_conflict(bed: &Bed) -> Result<()> {
    let finished = run(bed, "broken/port-conflict.yaml")?;
    finished.expect_code(1)?.expect_line(&["second", "ddress already in use"])?;
    Ok(())
}

fn broken_volume_not_defined(bed: &Bed) -> Result<()> {
    let finished =
        bed.finish(bed.run_command().arg(examples_dir().join("broken/volume-not-defined.yaml")))?;
    finished.expect_code(2)?;
    finished.expect_output("spec.containers[0].volumeMounts[0].name: Not found: \"shared-logs\"")?;
    Ok(())
}

fn broken_volume_not_mounted(bed: &Bed) -> Result<()> {
    let finished = run(bed, "broken/volume-not-mounted.yaml")?;
    finished.expect_code(1)?.expect_line(&["reader", "/var/log/app.log"])?;
    Ok(())
}

fn broken_paths_do_not_meet(bed: &Bed) -> Result<()> {
    let finished = run(bed, "broken/paths-do-not-meet.yaml")?;
    finished.expect_code(1)?.expect_line(&["reader", "/var/log/app.log"])?;
    Ok(())
}

fn broken_name_instead_of_localhost(bed: &Bed) -> Result<()> {
    let finished = run(bed, "broken/name-instead-of-localhost.yaml")?;
    finished.expect_code(1)?.expect_line(&["client", "web"])?;
    Ok(())
}

/// The trap: the init container never ends, so the app never starts.
fn broken_pod_level_restart_policy(bed: &Bed) -> Result<()> {
    let finished = run_until(bed, "broken/pod-level-restart-policy.yaml", &["init 1/1 started"])?;
    finished
        .expect_code(0)?
        .expect_no_output("app started")?
        .expect_line(&["log-shipper", "restartPolicy: Always"])?;
    Ok(())
}

fn none_is_untested(_bed: &Bed) -> Result<()> {
    let source = include_str!("examples.rs");
    for dir in ["", "broken"] {
        for entry in std::fs::read_dir(examples_dir().join(dir))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            ensure!(!name.ends_with(".yaml") || source.contains(&name), "examples/{dir}/{name} has no test");
        }
    }
    Ok(())
}
