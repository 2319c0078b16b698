//! What a journal leaves out, and where it goes on: it can be played again all the same.
//! Every other test plays its journals, too, when it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use journal::{GENERATION_BYTES_MAX, Happening, Occasion};
use kubelet::{Kubelet, Settings};
use lifecycle::{BackoffLimits, Phase, StopReason, Verdict};
use podspec::{ExecAction, Probe, ProbeHandler, Resources};
use tokio::time::Instant;

use crate::fakes::{FakeNode, Scratch, Script, World, pod, replays_the_same};

const SECOND: Duration = Duration::from_secs(1);
const NEVER: usize = usize::MAX;

/// Of a success that says nothing new nothing is noted; one that ends a row of failures does say something: the container is
/// stopped for three failures in a row, not for three.
#[tokio::test(start_paused = true)]
async fn a_success_between_failures_is_on_record() {
    let (scratch, world) = (Scratch::new("flaky"), Arc::new(World::default()));
    world.script("app", Script::runs_until_told(SECOND));
    world.commands_end(&[0, 1, 1, 0, 0, 1, 1, 0, 1, 1, 1]);
    let mut pod = pod("u1", "Always", &[], &["app"]);
    pod.spec.containers[0].liveness_probe = Some(Probe {
        handler: ProbeHandler::Exec(ExecAction { command: vec!["alive".to_owned()] }),
        initial_delay: Duration::ZERO,
        period: SECOND,
        timeout: SECOND,
        success_threshold: 1,
        failure_threshold: 3,
        termination_grace_period: None,
    });
    let node = FakeNode::new(&world, Instant::now(), NEVER);
    let kubelet = Kubelet::new(node, scratch.paths(), Settings::default());
    let watched = kubelet.add_pod(pod).unwrap();
    tokio::time::sleep(60 * SECOND).await;
    let entries = journal::read(&watched.pod.pod_dir).unwrap();
    let stops = |entry: &&journal::Entry| {
        matches!(&entry.what, Happening::Decided(decisions) if decisions.iter()
            .any(|held| held.verdict == Verdict::StopContainer(StopReason::LivenessProbeFailed)))
    };
    let stopped: Vec<_> = entries.iter().filter(stops).map(|entry| entry.at.boot.0 / 1_000_000_000).collect();
    assert_eq!(stopped.first(), Some(&10));
    replays_the_same(&watched.pod.pod_dir);
}

/// Over three generations, two engines and a change of the pod.
#[tokio::test(start_paused = true)]
async fn a_journal_that_goes_on_in_another_file_is_played_from_its_oldest_snapshot() {
    let (scratch, world) = (Scratch::new("generations"), Arc::new(World::default()));
    world.script("init", Script::exits(SECOND, 0));
    world.script("app", Script::exits(SECOND, 1));
    let pod = pod("u1", "Always", &[("init", false)], &["app"]);
    let settings =
        Settings { bound: false, backoff: BackoffLimits { initial: SECOND, max: Duration::from_secs(10) } };
    let start = Instant::now();
    let first = Kubelet::new(FakeNode::new(&world, start, NEVER), scratch.paths(), settings);
    let watched = first.add_pod(pod.clone()).unwrap();
    let pod_dir = watched.pod.pod_dir.clone();
    let fill = async |kubelet: &Kubelet<FakeNode>, bytes: u64| {
        for round in 0..bytes / 50_000 {
            let status = format!("{round}{}", "x".repeat(50_000));
            kubelet.gates_changed(&pod.uid, BTreeMap::from([("gate".to_owned(), status)]));
            tokio::time::sleep(5 * SECOND).await;
        }
    };
    fill(&first, 5 * GENERATION_BYTES_MAX / 2).await;
    let mut changed = pod.clone();
    changed.generation = 2;
    changed.spec.containers[0].resources = Resources { cpu_limit: Some(100), ..Resources::default() };
    first.update_pod(changed.clone()).unwrap();
    tokio::time::sleep(SECOND).await;
    // Of no concern to the plan.
    changed.labels.insert("a".to_owned(), "b".to_owned());
    first.update_pod(changed).unwrap();
    tokio::time::sleep(400 * SECOND).await;
    let of = |wanted: Occasion| {
        let entries = journal::read(&pod_dir).unwrap();
        let count = entries.iter().filter(
            |entry| matches!(&entry.what, Happening::Snapshot(snapshot) if snapshot.occasion == wanted),
        );
        count.count()
    };
    let changes = journal::read(&pod_dir).unwrap();
    let changes = changes.iter().filter(|entry| matches!(entry.what, Happening::Changed(_)));
    assert_eq!((of(Occasion::Engine), of(Occasion::Generation), changes.count()), (0, 2, 1));
    drop(first);

    let second = Kubelet::new(FakeNode::new(&world, start, NEVER), scratch.paths(), settings);
    let mut watched = second.adopt_pod(&pod_dir).await.unwrap();
    fill(&second, GENERATION_BYTES_MAX / 4).await;
    assert_eq!(of(Occasion::Engine), 1);
    let replayed = replays_the_same(&pod_dir);
    assert!(replayed.actions > 10 && replayed.decisions > 10, "{replayed:?}");
    second.delete_pod(&pod.uid, SECOND).unwrap();
    watched.view.wait_for(|view| view.as_ref().is_some_and(|view| view.at_rest)).await.unwrap();
    let view = watched.view.borrow().clone().unwrap();
    assert_eq!(view.status.phase, Phase::Failed);
}
