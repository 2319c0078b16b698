//! One configuration, carried out by monopod, crun and runc: the container has to find the same. What is
//! not the same is explained in `docs/differences-from-crun-and-runc.md`, row by row.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::compare::{Difference, Names, differences, judge, known_differences, normalised};
use crate::oci::{Outcome, PodFacts, Runtime, container_config};
use crate::pod::Pod;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![crun, runc];

fn crun(bed: &Bed) -> Result<()> {
    compare(bed, Runtime::Crun)
}

fn runc(bed: &Bed) -> Result<()> {
    compare(bed, Runtime::Runc)
}

fn compare(bed: &Bed, runtime: Runtime) -> Result<()> {
    require_root()?;
    runtime.require()?;
    let probe = bed.dir().join("probe");
    fs::create_dir(&probe)?;
    fs::copy(std::env::current_exe()?, probe.join("e2e"))?;
    let mut found = Vec::new();
    for pod in pods(&probe) {
        let differences = compare_pod(bed, runtime, &pod).with_context(|| pod.name().to_owned())?;
        found.extend(differences.into_iter().map(|difference| (pod.name().to_owned(), difference)));
    }
    let verdict = judge(&found, &known_differences(&["Both", runtime.name()]));
    let (unexplained, stale) = (verdict.unexplained.join("\n  "), verdict.stale.join("\n  "));
    ensure!(unexplained.is_empty(), "differences without a reason:\n  {unexplained}\nstale:\n  {stale}");
    ensure!(stale.is_empty(), "rows of the list that nothing was found for:\n  {stale}");
    Ok(())
}

const FILE: &str = "seen.json";

/// The container `main` looks around and ends; another one keeps the pod.
fn looking(name: &str, probe: &Path, fields: &Value) -> Pod {
    let look = json!({
        "command": ["/probe/e2e"],
        "args": ["probe", format!("/trace/{FILE}")],
        "volumeMounts": [{"name": "probe", "mountPath": "/probe", "readOnly": true}],
    });
    let mut all = look;
    for (key, value) in fields.as_object().into_iter().flatten() {
        match (all.get_mut(key), value) {
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new.iter().cloned()),
            _ => all[key] = value.clone(),
        }
    }
    Pod::new(name)
        .volume(json!({"name": "probe", "hostPath": {"path": probe, "type": "Directory"}}))
        .app("holder", "serve")
        .app_with("main", "", &all)
}

fn pods(probe: &Path) -> Vec<Pod> {
    let with = |name: &str, fields: Value| looking(name, probe, &fields);
    let secure = |name: &str, context: Value| with(name, json!({"securityContext": context}));
    vec![
        with("plain", json!({})),
        secure(
            "hardened",
            json!({
                "runAsUser": 1234, "runAsGroup": 2345, "runAsNonRoot": true, "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            }),
        ),
        secure(
            "administrator",
            json!({"capabilities": {"add": ["SYS_ADMIN", "NET_ADMIN", "SYS_TIME"], "drop": ["CHOWN", "MKNOD"]}}),
        ),
        secure("unconfined", json!({"capabilities": {"add": ["SYS_PTRACE"]}, "seccompProfile": {"type": "Unconfined"}})),
        secure("user", json!({"runAsUser": 1234, "capabilities": {"add": ["SYS_CHROOT", "SYS_NICE"]}})),
        with("groups", json!({})).spec(&json!({"securityContext": {"runAsUser": 33, "supplementalGroups": [4, 5000]}})),
        with("host-network", json!({})).spec(&json!({"hostNetwork": true})),
        with("shared-processes", json!({})).spec(&json!({"shareProcessNamespace": true})),
        with("terminal", json!({"tty": true})),
        with("terminal-user", json!({"tty": true, "securityContext": {"runAsUser": 1234}})),
        with("limited", json!({"resources": {"limits": {"cpu": "500m", "memory": "256Mi"}}})),
        with("elsewhere", json!({"workingDir": "/made/for/it", "terminationMessagePath": "/var/log/end",
            "env": [{"name": "EMPTY", "value": ""}, {"name": "PATH", "value": "/probe"}]})),
        with("volumes", json!({"volumeMounts": [
            {"name": "disk", "mountPath": "/disk"}, {"name": "disk", "mountPath": "/disk/inside", "readOnly": true},
            {"name": "memory", "mountPath": "/memory"}, {"name": "memory", "mountPath": "/dev/shm"},
            {"name": "host", "mountPath": "/etc/ssl", "readOnly": true},
            {"name": "file", "mountPath": "/etc/os-release"}]}))
            .volume(json!({"name": "disk", "emptyDir": {}}))
            .volume(json!({"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}))
            .volume(json!({"name": "host", "hostPath": {"path": "/usr/share"}}))
            .volume(json!({"name": "file", "hostPath": {"path": "/etc/hostname", "type": "File"}})),
    ]
}

fn compare_pod(bed: &Bed, runtime: Runtime, pod: &Pod) -> Result<Vec<Difference>> {
    let seen = bed.dir().join("trace").join(FILE);
    let engine = bed.start_pod(pod)?;
    wait::until("what the container found", SOON, || seen.exists().then_some(()))?;
    let ours = take(&seen)?;
    let facts = PodFacts::read(&bed.root().join("var/lib/monopod"))?;
    let config = container_config(&facts, "main")?;
    let dir = bed.dir().join(format!("{}-{}", runtime.name(), pod.name()));
    let outcome = runtime.run(&facts, &config, &dir)?;
    let theirs = take(&seen).with_context(|| format!("{} {}", runtime.name(), outcome.bundle.display()))?;
    let (our_names, their_names) = (our_names(bed, &facts)?, their_names(bed, &facts, &dir, &outcome)?);
    bed.interrupt(engine)?.expect_code(0)?;
    Ok(differences(&normalised(ours, &our_names), &normalised(theirs, &their_names)))
}

fn take(seen: &Path) -> Result<Value> {
    let text = fs::read(seen).context("the container found nothing")?;
    fs::remove_file(seen)?;
    Ok(serde_json::from_slice(&text)?)
}

const ATTEMPT: &str = "(attempt)";

fn our_names(bed: &Bed, facts: &PodFacts) -> Result<Names> {
    let attempt = facts.pod_dir.join("containers/main/0");
    names(bed, facts, attempt, format!("/{}/main-0", facts.sandbox.cgroup))
}

fn their_names(bed: &Bed, facts: &PodFacts, dir: &Path, outcome: &Outcome) -> Result<Names> {
    names(bed, facts, dir.to_owned(), outcome.cgroup.display().to_string())
}

fn names(bed: &Bed, facts: &PodFacts, attempt: PathBuf, cgroup: String) -> Result<Names> {
    let directories =
        vec![(attempt, ATTEMPT), (facts.pod_dir.clone(), "(pod)"), (bed.dir().to_owned(), "(test)")];
    Ok(Names { directories, cgroup, namespaces: namespaces(facts.sandbox.shim_pid)? })
}

/// Those of the pod, unless they are this machine's.
fn namespaces(shim_pid: i32) -> Result<BTreeMap<String, &'static str>> {
    let mut known = BTreeMap::new();
    for (process, whose) in [(shim_pid.to_string(), "the pod's"), ("self".to_owned(), "the machine's")] {
        for entry in fs::read_dir(format!("/proc/{process}/ns"))? {
            known.insert(fs::read_link(entry?.path())?.display().to_string(), whose);
        }
    }
    Ok(known)
}
