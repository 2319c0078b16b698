//! `monopod simulate` and reality agree.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use podspec::AdmittedPod;
use simulation::{Assumption, Flag};

use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::pods::Pods;
use crate::registry::{Tool, require};
use crate::runner::{Test, tests};
use crate::simulated::{Case, Driven, Story, assumption, disagreement, drive, generate};
use crate::suites::require_root;

pub(crate) const TESTS: &[Test] =
    tests![forty_pods, examples, an_example_that_waits_for_another_pod, refused_as_by_run];
pub(crate) const SLOW: &[Test] = tests![five_hundred_pods];

/// As many as two processors bear.
const SIDE_BY_SIDE: usize = 20;
/// A pod that went otherwise is run again, so often, with few others: a machine that stands still proves nothing.
const AGAIN: usize = 3;
const SIDE_BY_SIDE_AGAIN: usize = 2;
/// Failures that are told in full.
const TOLD_MAX: usize = 5;

fn forty_pods(bed: &Bed) -> Result<()> {
    generated(bed, 0..40)
}

/// `E2E_SEED` is the first one.
fn five_hundred_pods(bed: &Bed) -> Result<()> {
    let first = std::env::var("E2E_SEED").ok().map(|seed| seed.parse()).transpose().context("E2E_SEED")?;
    let first = first.unwrap_or(1_000);
    generated(bed, first..first + 500)
}

fn generated(bed: &Bed, seeds: std::ops::Range<u64>) -> Result<()> {
    require_root()?;
    let cases: Vec<Case> = seeds.map(generate).collect::<Result<_>>()?;
    let pods = Pods::start(bed)?;
    warm_up(bed, &pods)?;
    agree(bed, &pods, cases, false)?;
    pods.finish()
}

/// Runs them until each went as simulated; what did not is run again, or all where they need one another.
fn agree(bed: &Bed, pods: &Pods<'_>, cases: Vec<Case>, together: bool) -> Result<()> {
    let mut left = cases;
    let mut told = String::new();
    for round in 0..=AGAIN {
        let side_by_side = if round == 0 || together { SIDE_BY_SIDE } else { SIDE_BY_SIDE_AGAIN };
        let driven = drive(bed, pods, &left, side_by_side)?;
        let wrong: Vec<(usize, String)> =
            driven.iter().filter_map(|driven| Some((driven.case, judge(&left, driven)?))).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        told.clear();
        let _ = writeln!(told, "{} of {} pods went otherwise than simulated", wrong.len(), left.len());
        for (case, why) in wrong.iter().take(TOLD_MAX) {
            let Case { name, manifest, stated, either, .. } = &left[*case];
            let said: Vec<_> = stated.iter().chain(either).map(|a| (a.flag.name(), &a.text)).collect();
            let _ = writeln!(told, "{name}: {why}{manifest:#}\n{said:?}");
        }
        eprintln!("{told}");
        if !together {
            left = wrong.into_iter().map(|(case, _)| left[case].clone()).collect();
        }
    }
    anyhow::bail!("{told}")
}

/// The first pod of a machine waits for the image of its programs to be made.
fn warm_up(bed: &Bed, pods: &Pods<'_>) -> Result<()> {
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "first"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "localhost/host", "command": ["true"]}]},
    });
    pods.api().post("/api/v1/namespaces/default/pods", &manifest)?.expect(201)?;
    pods.wait_phase("first", "Succeeded")?;
    pods.delete("first", None)?;
    pods.wait_gone("first")?;
    bed.expect_no_pods(SOON)
}

/// Why it went otherwise than on any machine that was simulated.
fn judge(cases: &[Case], driven: &Driven) -> Option<String> {
    let case = &cases[driven.case];
    let real = Story::of(&case.pod, &driven.entries);
    let deleted = real.deleted().unwrap_or(Duration::ZERO);
    let mut why = None;
    for entries in case.possible(deleted) {
        let wrong = disagreement(&Story::of(&case.pod, &entries), &real)?;
        why.get_or_insert(wrong);
    }
    why
}

struct Example {
    file: &'static str,
    stated: &'static [(Flag, &'static str)],
    /// One of these, where a probe and what it asks for come in the same moment.
    either: &'static [(Flag, &'static str)],
    delete_ms: u64,
}

const EXAMPLES: &[Example] = &[
    Example { file: "co-located.yaml", stated: &[], either: &[], delete_ms: 2_250 },
    Example {
        file: "init.yaml",
        stated: &[(Flag::Exit, "check-config=0@0s"), (Flag::Exit, "app=0@0s")],
        either: &[],
        delete_ms: 4_000,
    },
    Example {
        file: "sidecar.yaml",
        stated: &[(Flag::Term, "log-shipper=200ms")],
        either: &[],
        delete_ms: 8_000,
    },
    Example { file: "sidecar-pod.yaml", stated: &[], either: &[], delete_ms: 2_250 },
    Example {
        file: "job-with-sidecar.yaml",
        stated: &[(Flag::Exit, "job=0@2500ms")],
        either: &[(Flag::Startup, "progress-meter@0s"), (Flag::Startup, "progress-meter@500ms")],
        delete_ms: 12_000,
    },
    Example {
        file: "shared-network.yaml",
        stated: &[(Flag::Exit, "client=0@0s")],
        either: &[
            (Flag::Startup, "server@0s"),
            (Flag::Startup, "server@500ms"),
            (Flag::Startup, "server@1500ms"),
            (Flag::Startup, "server@2500ms"),
        ],
        delete_ms: 12_000,
    },
    Example {
        file: "broken/port-conflict.yaml",
        stated: &[(Flag::Exit, "write-server=0@0s"), (Flag::Exit, "first=0@4s"), (Flag::Exit, "second=1@1s")],
        either: &[],
        delete_ms: 12_000,
    },
    Example {
        file: "broken/name-instead-of-localhost.yaml",
        stated: &[(Flag::Exit, "client=1@0s")],
        either: &[],
        delete_ms: 8_000,
    },
    Example {
        file: "broken/paths-do-not-meet.yaml",
        stated: &[(Flag::Exit, "writer=0@0s"), (Flag::Exit, "reader=1@0s")],
        either: &[],
        delete_ms: 4_000,
    },
    Example {
        file: "broken/volume-not-mounted.yaml",
        stated: &[(Flag::Exit, "writer=0@0s"), (Flag::Exit, "reader=1@0s")],
        either: &[],
        delete_ms: 4_000,
    },
    Example { file: "broken/pod-level-restart-policy.yaml", stated: &[], either: &[], delete_ms: 2_250 },
];

const WAITS: Example = Example {
    file: "wait-for-db.yaml",
    stated: &[(Flag::Exit, "wait-for-db=0@4s"), (Flag::Exit, "app=0@300ms"), (Flag::Exit, "db=0@5s")],
    either: &[(Flag::Ready, "db@2900ms"), (Flag::Ready, "db@3100ms")],
    delete_ms: 15_000,
};

/// Refused by both, so there is nothing to agree on.
const REFUSED: &str = "broken/volume-not-defined.yaml";

impl Example {
    fn path(&self) -> PathBuf {
        examples_dir().join(self.file)
    }

    /// Its pods, and what else is in it.
    fn read(&self) -> Result<(Vec<Case>, Vec<Value>)> {
        let text = std::fs::read_to_string(self.path())?;
        let objects = podspec::load_objects(None, self.file, &text, || [7; podspec::IDENTITY_BYTES])?;
        let (mut cases, mut others) = (Vec::new(), Vec::new());
        for object in objects {
            let loaded = match object {
                podspec::LoadedObject::Pod(loaded) => loaded,
                podspec::LoadedObject::Other(document) => {
                    others.push(document.value);
                    continue;
                }
            };
            let AdmittedPod { pod, mut manifest, .. } = loaded.admitted;
            // The server gives it one.
            manifest["metadata"].as_object_mut().context("metadata")?.remove("uid");
            let of_it = |(flag, text): &(Flag, &str)| assumption(*flag, text);
            let has = |stated: &Result<Assumption>| {
                let name = stated.as_ref().ok().and_then(|stated| stated.container.as_deref());
                name.is_none_or(|name| pod.spec.container(&name.into()).is_some())
            };
            let stated = self.stated.iter().map(of_it).filter(has).collect::<Result<_>>()?;
            let either = self.either.iter().map(of_it).filter(has).collect::<Result<_>>()?;
            let delete_after = Duration::from_millis(self.delete_ms);
            cases.push(Case { name: pod.name.clone(), manifest, pod, stated, either, delete_after });
        }
        Ok((cases, others))
    }
}

fn examples_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn examples(bed: &Bed) -> Result<()> {
    require_root()?;
    for dir in ["", "broken"] {
        for entry in std::fs::read_dir(examples_dir().join(dir))?.flatten() {
            let name = PathBuf::from(dir).join(entry.file_name());
            let known = |file: &str| Path::new(file) == name;
            let is_known =
                EXAMPLES.iter().any(|example| known(example.file)) || known(WAITS.file) || known(REFUSED);
            ensure!(
                is_known || name.extension().is_none_or(|e| e != "yaml"),
                "{} is not simulated",
                name.display()
            );
        }
    }
    let pods = Pods::start(bed)?;
    warm_up(bed, &pods)?;
    let mut cases = Vec::new();
    for example in EXAMPLES {
        cases.extend(example.read()?.0);
    }
    agree(bed, &pods, cases, false)?;
    pods.finish()
}

fn an_example_that_waits_for_another_pod(bed: &Bed) -> Result<()> {
    require_root()?;
    require(Tool::Netcat)?;
    let pods = Pods::start(bed)?;
    warm_up(bed, &pods)?;
    let (cases, services) = WAITS.read()?;
    for service in &services {
        pods.api().post("/api/v1/namespaces/default/services", service)?.expect(201)?;
    }
    agree(bed, &pods, cases, true)?;
    pods.finish()
}

/// And what is not understood of assumptions is, too, with what to do.
fn refused_as_by_run(bed: &Bed) -> Result<()> {
    let simulate = |args: &[&str]| {
        let mut command = Command::new(bed.program());
        bed.finish(command.arg("simulate").args(args))
    };
    let refused = examples_dir().join(REFUSED).display().to_string();
    let finished = simulate(&[&refused])?;
    finished.expect_code(2)?.expect_output("Not found: \"shared-logs\"")?;
    let co_located = examples_dir().join("co-located.yaml").display().to_string();
    let finished = simulate(&[&co_located, "--exit", "writr=1@5s"])?;
    finished.expect_code(2)?.expect_output("there is no container writr (did you mean writer?)")?;
    let finished = simulate(&[&co_located, "--exit", "writer=1"])?;
    finished.expect_code(2)?.expect_output("CONTAINER=CODE@TIME")?;
    // What becomes of a pod that somebody deletes is no failure.
    let finished = simulate(&[&co_located, "--delete@30s", "--term", "reader=ignores"])?;
    finished
        .expect_code(0)?
        .expect_output("warning: at 35s: reader gets SIGKILL 5s after the stop begins")?;
    let finished = simulate(&[&co_located, "--delete", "30s", "-o", "json"])?;
    let answer: Value = serde_json::from_str(&finished.stdout).context("one JSON object")?;
    finished.expect_code(0)?;
    ensure!(answer["pods"][0]["ended"] == "atRest", "{answer:#}");
    Ok(())
}
