//! What `simulate` makes of pods of all kinds: an end within its bounds, and a record that can be read, whatever is assumed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use podspec::{IDENTITY_BYTES, Pod, load_objects, load_pods};
use sim::{Scenario, random};
use simulation::{Assumption, Assumptions, ENTRIES_MAX, Flag, Simulated, UNTIL_MAX, run};

const SEEDS: u64 = 400;
/// One turn at its end may write more than is left.
const ENTRIES_OF_A_TURN: usize = 200;

fn assume(stated: &[(Flag, String)], until: Duration) -> Assumptions {
    let parse = |(flag, text): &(Flag, String)| Assumption::parse(*flag, text).expect("it can be read");
    Assumptions { stated: stated.iter().map(parse).collect(), until, ..Assumptions::default() }
}

fn check(pod: &Pod, assumptions: &Assumptions) -> Simulated {
    let simulated = run(pod, assumptions);
    assert!(simulated.record.entries.len() <= ENTRIES_MAX + ENTRIES_OF_A_TURN, "{}", pod.name);
    let seqs = simulated.record.entries.iter().map(|entry| entry.seq);
    assert!(seqs.eq(1..=simulated.record.entries.len() as u64), "{}", pod.name);
    assert!(simulated.record.entries.is_sorted_by_key(|entry| entry.at.boot), "{}", pod.name);
    assert!(!simulated.statuses.is_empty(), "{}", pod.name);
    assert_eq!(run(pod, assumptions), simulated, "{} goes otherwise the next time", pod.name);
    simulated
}

/// Each of its containers behaves as badly as can be said.
fn worst(pod: &Pod) -> Vec<(Flag, String)> {
    let mut stated = vec![(Flag::Delete, "40s".to_owned())];
    for container in pod.spec.all_containers() {
        let name = &container.name;
        stated.push((Flag::Exit, format!("{name}=1@0s,oom@1s,0@0s,255@1ms")));
        stated.push((Flag::Term, format!("{name}=ignores")));
        stated.push((Flag::Pull, format!("{name}=2s:ErrImagePull")));
        if container.liveness_probe.is_some() {
            stated.push((Flag::ProbeFails, format!("{name}=liveness@0s")));
        }
        if container.pre_stop.is_some() {
            stated.push((Flag::Hook, format!("{name}=preStop:168h")));
        }
    }
    stated
}

#[test]
fn random_pods_come_to_an_end() {
    let text = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}";
    let plain = load_pods("sim", text, || [0; IDENTITY_BYTES]).expect("a pod").remove(0).admitted.pod;
    for seed in 0..SEEDS {
        let scenario = Scenario::parse(&random::scenario(seed)).expect("a scenario");
        let pod = Pod { name: format!("p{seed}"), spec: scenario.spec, ..plain.clone() };
        check(&pod, &Assumptions::default());
        check(&pod, &assume(&worst(&pod), Duration::from_secs(120)));
        check(&pod, &assume(&worst(&pod)[1..2], Duration::from_secs(120)));
    }
}

/// A week of a probe that fails every second is cut, and said to be.
#[test]
fn what_goes_on_for_long_is_cut() {
    let text = "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i, \
                readinessProbe: {periodSeconds: 1, exec: {command: [x]}}}]}}";
    let pod = load_pods("sim", text, || [0; IDENTITY_BYTES]).expect("a pod").remove(0).admitted.pod;
    let stated = [(Flag::ProbeFails, "c=readiness".to_owned())];
    let simulated = check(&pod, &assume(&stated, UNTIL_MAX));
    assert!(simulated.warnings.iter().any(|warning| warning.text.contains("more happens than is simulated")));
}

#[test]
fn every_manifest_in_the_repository_comes_to_an_end() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for dir in ["examples", "crates/lint/tests/corpus"] {
        manifests_below(&root.join(dir), &mut files);
    }
    let mut pods = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        // Some are there because they are refused.
        let Ok(objects) = load_objects(None, "a manifest", &text, || [0; IDENTITY_BYTES]) else { continue };
        for object in objects {
            let podspec::LoadedObject::Pod(loaded) = object else { continue };
            let pod = loaded.admitted.pod;
            check(&pod, &Assumptions::default());
            check(&pod, &assume(&worst(&pod), Duration::from_secs(120)));
            pods += 1;
        }
    }
    assert!(pods >= 10, "only {pods} pods were found");
}

fn manifests_below(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            manifests_below(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
}
