//! The worker's loop over a node in memory, on paused time.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::Duration;

use crate::fakes::{FakeNode, PULLED_IMAGE, Scratch, Script, World, pod};
use expect_test::expect;
use kubelet::events::EventSource;
use kubelet::render::{self, RenderFacts};
use kubelet::{Kubelet, PodView, Pulls, Settings, Subscription, UpdatePodError};
use lifecycle::{BackoffLimits, ContainerState, Phase};
use podspec::{ContainerKind, ExecAction, Pod, PodUid, Probe, ProbeHandler};
use tokio::time::{Instant, timeout};

const BOUND: Settings = Settings {
    bound: true,
    backoff: BackoffLimits { initial: lifecycle::BACKOFF_INITIAL, max: lifecycle::BACKOFF_MAX },
};
const NEVER: usize = usize::MAX;
/// Virtual time: no pod of these tests needs more.
const LONG: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);

/// An init container, a sidecar and an app, each of a second.
fn init_sidecar_app(world: &World, uid: &str) -> Pod {
    world.script("init", Script::exits(SECOND, 0));
    world.script("side", Script::runs_until_told(SECOND));
    world.script("app", Script::exits(SECOND, 0));
    pod(uid, "Never", &[("init", false), ("side", true)], &["app"])
}

async fn view_that(watched: &mut Subscription, wanted: impl Fn(&PodView) -> bool) -> PodView {
    let view = timeout(2 * LONG, watched.view.wait_for(|view| view.as_ref().is_some_and(&wanted)));
    view.await.expect("the pod comes that far").expect("the worker lives").clone().expect("a view")
}

async fn rest(watched: &mut Subscription) -> PodView {
    view_that(watched, |view| view.at_rest).await
}

/// The secrets that are there, what goes on meanwhile, and what comes of it.
#[tokio::test(start_paused = true)]
async fn a_pull_is_told_of_and_its_digest_is_the_images_id() {
    let (scratch, world) = (Scratch::new("pull"), Arc::new(World::default()));
    world.script("app", Script::exits(SECOND, 0));
    let mut pod = pod("u1", "Never", &[], &["app"]);
    pod.spec.containers[0].image = PULLED_IMAGE.to_owned();
    pod.spec.image_pull_secrets = ["missing", "here", "damaged"].map(str::to_owned).into();
    let kubelet = Kubelet::new(FakeNode::new(&world, Instant::now(), NEVER), scratch.paths(), BOUND);
    let mut watched = kubelet.add_pod(pod.clone()).unwrap();
    let half = |pulls: &Pulls| pulls.values().any(|progress| progress.bytes_done() == 74 << 20);
    timeout(LONG, watched.pulls.wait_for(half)).await.expect("half of it").unwrap();
    let view = rest(&mut watched).await;
    assert!(watched.pulls.borrow().is_empty(), "what is over is shown no longer");
    let status = &view.status.containers[0];
    assert_eq!(status.image_id, "example.com/pulled@sha256:abc");
    let calls = world.calls().clone();
    assert_eq!(calls[2], "pull example.com/pulled:1 with [PullSecret(default/here s DockerConfigJson)]");
    let mut source = EventSource::default();
    let entries = journal::read(&watched.pod.pod_dir).unwrap();
    let events = entries.iter().flat_map(|entry| source.events(&pod, entry));
    let text: String = events
        .take(5)
        .map(|event| format!("{} {} {}\n", event.at.boot.0 / 1_000_000_000, event.reason, event.message))
        .collect();
    expect![[r#"
        0 Pulling Pulling image "example.com/pulled:1"
        10 PullProgress Pulling image "example.com/pulled:1": 70 MiB of 100 MiB in 1 of 2 layers
        20 PullProgress Pulling image "example.com/pulled:1": 90 MiB of 100 MiB in 1 of 2 layers
        25 Pulled Successfully pulled image "example.com/pulled:1" in 25s (25s including waiting). Image size: 104857600 bytes.
        25 Created Container created
    "#]].assert_eq(&text);
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_to_its_end_in_order_and_its_journal_tells_it() {
    let (scratch, world) = (Scratch::new("order"), Arc::new(World::default()));
    let pod = init_sidecar_app(&world, "u1");
    let node = FakeNode::new(&world, Instant::now(), NEVER);
    let kubelet = Kubelet::new(node, scratch.paths(), BOUND);
    let mut watched = kubelet.add_pod(pod.clone()).unwrap();
    let view = rest(&mut watched).await;
    assert_eq!(view.status.phase, Phase::Succeeded);
    assert!(!view.deleting);

    let entries = journal::read(&watched.pod.pod_dir).unwrap();
    assert_eq!(entries.last().unwrap().seq, view.seq);
    let mut source = EventSource::default();
    let mut text = String::new();
    for event in entries.iter().flat_map(|entry| source.events(&pod, entry)) {
        let path = event.field_path.unwrap_or_default();
        writeln!(
            text,
            "{} {:?} {} {path} {}",
            event.at.boot.0 / 1_000_000_000,
            event.kind,
            event.reason,
            event.message
        )
        .unwrap();
    }
    expect![[r#"
        0 Normal Pulled spec.initContainers{init} Container image "img" already present on machine and can be accessed by the pod
        0 Normal Created spec.initContainers{init} Container created
        0 Normal Started spec.initContainers{init} Container started
        1 Normal Pulled spec.initContainers{side} Container image "img" already present on machine and can be accessed by the pod
        1 Normal Created spec.initContainers{side} Container created
        1 Normal Started spec.initContainers{side} Container started
        1 Normal Pulled spec.containers{app} Container image "img" already present on machine and can be accessed by the pod
        1 Normal Created spec.containers{app} Container created
        1 Normal Started spec.containers{app} Container started
        2 Normal Killing spec.initContainers{side} Stopping container side
    "#]].assert_eq(&text);

    let facts = RenderFacts { host_ips: vec!["10.0.0.1".parse().unwrap()], generation: 1 };
    let status = render::pod_status(&pod, &view, &facts);
    expect![[r#"
        {
          "conditions": [
            {
              "lastProbeTime": null,
              "lastTransitionTime": "1970-01-01T00:00:03Z",
              "observedGeneration": 1,
              "status": "False",
              "type": "PodReadyToStartContainers"
            },
            {
              "lastProbeTime": null,
              "lastTransitionTime": "1970-01-01T00:00:01Z",
              "observedGeneration": 1,
              "reason": "PodCompleted",
              "status": "True",
              "type": "Initialized"
            },
            {
              "lastProbeTime": null,
              "lastTransitionTime": "1970-01-01T00:00:02Z",
              "observedGeneration": 1,
              "reason": "PodCompleted",
              "status": "False",
              "type": "Ready"
            },
            {
              "lastProbeTime": null,
              "lastTransitionTime": "1970-01-01T00:00:02Z",
              "observedGeneration": 1,
              "reason": "PodCompleted",
              "status": "False",
              "type": "ContainersReady"
            },
            {
              "lastProbeTime": null,
              "lastTransitionTime": "1970-01-01T00:00:00Z",
              "observedGeneration": 1,
              "status": "True",
              "type": "PodScheduled"
            }
          ],
          "containerStatuses": [
            {
              "containerID": "monopod://app-0",
              "image": "docker.io/library/img:latest",
              "imageID": "img",
              "lastState": {},
              "name": "app",
              "ready": false,
              "resources": {},
              "restartCount": 0,
              "started": false,
              "state": {
                "terminated": {
                  "containerID": "monopod://app-0",
                  "exitCode": 0,
                  "finishedAt": "1970-01-01T00:00:02Z",
                  "reason": "Completed",
                  "startedAt": "1970-01-01T00:00:01Z"
                }
              }
            }
          ],
          "hostIP": "10.0.0.1",
          "hostIPs": [
            {
              "ip": "10.0.0.1"
            }
          ],
          "initContainerStatuses": [
            {
              "containerID": "monopod://init-0",
              "image": "docker.io/library/img:latest",
              "imageID": "img",
              "lastState": {},
              "name": "init",
              "ready": true,
              "resources": {},
              "restartCount": 0,
              "started": false,
              "state": {
                "terminated": {
                  "containerID": "monopod://init-0",
                  "exitCode": 0,
                  "finishedAt": "1970-01-01T00:00:01Z",
                  "reason": "Completed",
                  "startedAt": "1970-01-01T00:00:00Z"
                }
              }
            },
            {
              "containerID": "monopod://side-0",
              "image": "docker.io/library/img:latest",
              "imageID": "img",
              "lastState": {},
              "name": "side",
              "ready": false,
              "resources": {},
              "restartCount": 0,
              "started": false,
              "state": {
                "terminated": {
                  "containerID": "monopod://side-0",
                  "exitCode": 143,
                  "finishedAt": "1970-01-01T00:00:03Z",
                  "reason": "Error",
                  "startedAt": "1970-01-01T00:00:01Z"
                }
              }
            }
          ],
          "observedGeneration": 1,
          "phase": "Succeeded",
          "qosClass": "BestEffort",
          "resources": {},
          "startTime": "1970-01-01T00:00:00Z"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&status).unwrap());

    kubelet.remove_pod(&pod.uid).await.unwrap();
    assert!(!watched.pod.pod_dir.exists());
    expect![[r#"
        volumes
        sandbox 0
        image img
        start init 0
        image img
        start side 0
        image img
        start app 0
        signal side 0
        stop sandbox
        remove volumes
        remove pod"#]]
    .assert_eq(&world.calls().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_stops_in_order_and_a_second_one_shortens_the_grace() {
    let (scratch, world) = (Scratch::new("delete"), Arc::new(World::default()));
    world.script("side", Script::runs_until_told(SECOND));
    world.script("app", Script::ignores_term());
    let pod = pod("u1", "Always", &[("side", true)], &["app"]);
    let start = Instant::now();
    let kubelet = Kubelet::new(FakeNode::new(&world, start, NEVER), scratch.paths(), BOUND);
    let mut watched = kubelet.add_pod(pod.clone()).unwrap();
    view_that(&mut watched, |view| view.status.phase == Phase::Running).await;
    kubelet.delete_pod(&pod.uid, Duration::from_secs(30)).unwrap();
    tokio::time::sleep(3 * SECOND).await;
    kubelet.delete_pod(&pod.uid, Duration::ZERO).unwrap();
    let view = rest(&mut watched).await;
    assert!(view.deleting);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let calls = world.calls().clone();
    let at = |call: &str| {
        calls.iter().position(|held| held == call).unwrap_or_else(|| panic!("{call}: {calls:?}"))
    };
    assert!(at("signal app 0") < at("kill app 0"));
    assert!(at("signal app 0") < at("signal side 0"));
    assert!(at("signal side 0") < at("stop sandbox"));
}

#[tokio::test(start_paused = true)]
async fn probes_that_succeed_write_nothing() {
    let (scratch, world) = (Scratch::new("probed"), Arc::new(World::default()));
    world.script("app", Script::runs_until_told(SECOND));
    let mut pod = pod("u1", "Always", &[], &["app"]);
    let probe = |name: &str| Probe {
        handler: ProbeHandler::Exec(ExecAction { command: vec![name.to_owned()] }),
        initial_delay: Duration::ZERO,
        period: SECOND,
        timeout: SECOND,
        success_threshold: 1,
        failure_threshold: 3,
        termination_grace_period: None,
    };
    let app = &mut pod.spec.containers[0];
    (app.liveness_probe, app.readiness_probe) = (Some(probe("alive")), Some(probe("ready")));
    let kubelet =
        Kubelet::new(FakeNode::new(&world, Instant::now(), NEVER), scratch.paths(), Settings::default());
    let mut watched = kubelet.add_pod(pod.clone()).unwrap();
    let view = view_that(&mut watched, |view| view.status.containers[0].ready).await;
    tokio::time::sleep(SECOND / 2).await;
    let files = || {
        let modified = |name: &str| {
            let file = std::fs::metadata(watched.pod.pod_dir.join(name)).unwrap();
            (file.ino(), file.len())
        };
        (modified("checkpoint.json"), modified("journal.jsonl"))
    };
    let written = files();
    tokio::time::sleep(60 * SECOND).await;
    for probe in ["exec app alive", "exec app ready"] {
        let runs = world.calls().iter().filter(|call| *call == probe).count();
        assert!((60..=62).contains(&runs), "{runs} times {probe}");
    }
    assert_eq!(files(), written);
    assert_eq!(watched.view.borrow().as_ref().unwrap().status, view.status);
}

#[tokio::test(start_paused = true)]
async fn a_killed_engine_loses_nothing_wherever_it_was() {
    for side in [Script::runs_until_told(SECOND), Script::ignores_term()] {
        let (mut crash_at, mut crashed) = (0, true);
        while crashed {
            crashed = crash_and_adopt(crash_at, &side).await;
            crash_at += 1;
        }
        assert!(crash_at > 8, "only {crash_at} moments");
    }
}

/// Kills the engine within effect number `crash_at`, adopts its pod, and lets it end. False when the
/// pod ended before.
async fn crash_and_adopt(crash_at: usize, side: &Script) -> bool {
    let (scratch, world) = (Scratch::new("crash"), Arc::new(World::default()));
    let pod = init_sidecar_app(&world, "u1");
    world.script("side", side.clone());
    let start = Instant::now();
    let first = Kubelet::new(FakeNode::new(&world, start, crash_at), scratch.paths(), Settings::default());
    let mut watched = first.add_pod(pod.clone()).unwrap();
    let crashed = tokio::select! {
        () = world.hung() => true,
        _ = rest(&mut watched) => false,
    };
    let pod_dir = watched.pod.pod_dir.clone();
    drop(first);

    let second = Kubelet::new(FakeNode::new(&world, start, NEVER), scratch.paths(), Settings::default());
    let mut watched = second.adopt_pod(&pod_dir).await.unwrap();
    let ended = timeout(LONG, rest(&mut watched)).await;
    let view = ended.unwrap_or_else(|_| panic!("crash at {crash_at}: {:?}", world.calls()));
    assert_eq!(view.status.phase, Phase::Succeeded, "crash at {crash_at}: {:?}", world.calls());
    let entries = journal::read(&pod_dir).unwrap();
    assert!(entries.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "crash at {crash_at}");
    crashed
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_sandbox_died_with_its_engine_gets_a_new_one_and_initialises_again() {
    let (scratch, world) = (Scratch::new("lost"), Arc::new(World::default()));
    world.script("init", Script::exits(SECOND, 0));
    world.script("app", Script::runs_until_told(SECOND));
    let pod = pod("u1", "Always", &[("init", false)], &["app"]);
    let start = Instant::now();
    let first = Kubelet::new(FakeNode::new(&world, start, NEVER), scratch.paths(), Settings::default());
    let mut watched = first.add_pod(pod.clone()).unwrap();
    view_that(&mut watched, |view| view.status.phase == Phase::Running).await;
    drop(first);
    world.lose_sandbox(&pod.uid);

    let second = Kubelet::new(FakeNode::new(&world, start, NEVER), scratch.paths(), Settings::default());
    let mut watched = second.adopt_pod(&watched.pod.pod_dir.clone()).await.unwrap();
    view_that(&mut watched, |view| {
        view.status.phase == Phase::Running && view.status.containers[0].restart_count == 1
    })
    .await;
    let starts: Vec<String> = world.calls().iter().filter(|call| call.starts_with("s")).cloned().collect();
    assert_eq!(
        starts,
        ["sandbox 0", "start init 0", "start app 0", "sandbox 1", "start init 1", "start app 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn many_pods_run_side_by_side_and_cost_nothing_when_idle() {
    const PODS: usize = 100;
    let (scratch, world) = (Scratch::new("many"), Arc::new(World::default()));
    world.script("app", Script::runs_until_told(SECOND));
    let kubelet = Kubelet::new(FakeNode::new(&world, Instant::now(), NEVER), scratch.paths(), BOUND);
    let pods: Vec<Pod> =
        (0..PODS).map(|number| pod(&format!("u{number}"), "Always", &[], &["app"])).collect();
    let mut watched: Vec<Subscription> =
        pods.iter().map(|pod| kubelet.add_pod(pod.clone()).unwrap()).collect();
    for watched in &mut watched {
        view_that(watched, |view| view.status.phase == Phase::Running).await;
    }
    tokio::time::sleep(SECOND).await;
    let reads = world.clock_reads();
    tokio::time::sleep(LONG).await;
    assert_eq!(world.clock_reads(), reads, "an idle pod was looked at");

    for pod in &pods {
        kubelet.delete_pod(&pod.uid, SECOND).unwrap();
    }
    for (watched, pod) in watched.iter_mut().zip(&pods) {
        rest(watched).await;
        kubelet.remove_pod(&pod.uid).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_stopped_even_when_its_records_cannot_be_written() {
    let (scratch, world) = (Scratch::new("disk"), Arc::new(World::default()));
    world.script("app", Script::runs_until_told(SECOND));
    let pod = pod("u1", "Always", &[], &["app"]);
    let kubelet = Kubelet::new(FakeNode::new(&world, Instant::now(), NEVER), scratch.paths(), BOUND);
    let mut watched = kubelet.add_pod(pod.clone()).unwrap();
    view_that(&mut watched, |view| view.status.phase == Phase::Running).await;
    std::fs::remove_dir_all(scratch.dir()).unwrap();
    kubelet.delete_pod(&pod.uid, SECOND).unwrap();
    assert!(rest(&mut watched).await.deleting);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_pod_and_a_foreign_directory_are_refused() {
    let (scratch, world) = (Scratch::new("refused"), Arc::new(World::default()));
    let kubelet = Kubelet::new(FakeNode::new(&world, Instant::now(), NEVER), scratch.paths(), BOUND);
    assert!(kubelet.delete_pod(&PodUid::new("none"), SECOND).is_err());
    assert!(kubelet.subscribe(&PodUid::new("none")).is_err());
    let pod_dir = scratch.dir().join("foreign");
    std::fs::create_dir_all(&pod_dir).unwrap();
    std::fs::write(pod_dir.join("pod.json"), r#"{"schema":99,"record":{"apiVersion":"v9"}}"#).unwrap();
    let error = kubelet.adopt_pod(&pod_dir).await.unwrap_err();
    assert!(format!("{error:?}").contains("UnknownVersion"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_pod_is_in_force_at_once_and_for_the_next_engine() {
    let (scratch, world) = (Scratch::new("changed"), Arc::new(World::default()));
    world.script("app", Script::runs_until_told(SECOND));
    world.script("debugger", Script::exits(SECOND, 3));
    let node = FakeNode::new(&world, Instant::now(), NEVER);
    let kubelet = Kubelet::new(node, scratch.paths(), Settings::default());
    let before = pod("u1", "Always", &[], &["app"]);
    let mut watched = kubelet.add_pod(before.clone()).unwrap();
    view_that(&mut watched, |view| view.status.phase == Phase::Running).await;
    let mut after = before.clone();
    after.generation = 2;
    let mut debugger = before.spec.containers[0].clone();
    (debugger.name, debugger.kind) = ("debugger".into(), ContainerKind::Ephemeral);
    after.spec.ephemeral_containers.push(debugger);
    kubelet.update_pod(after.clone()).unwrap();
    assert_eq!(kubelet::load_pod(&watched.pod.pod_dir).unwrap(), after);
    let ended = |view: &PodView| {
        let status = view.status.ephemeral_containers.first();
        status
            .is_some_and(|status| matches!(&status.state, ContainerState::Terminated(exit) if exit.code == 3))
    };
    let view = view_that(&mut watched, ended).await;
    assert_eq!((view.pod.pod.generation, view.status.phase), (2, Phase::Running));
    timeout(LONG, kubelet.attempt_ended(&after.uid, &"debugger".into(), 0)).await.expect("it has ended");
    let facts =
        RenderFacts { host_ips: vec!["10.0.0.1".parse().unwrap()], generation: view.pod.pod.generation };
    let status = render::pod_status(&after, &view, &facts);
    assert_eq!(status["observedGeneration"], 2);
    assert_eq!(status["ephemeralContainerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    assert!(status["ephemeralContainerStatuses"][0].get("started").is_none());
    let entries = journal::read(&watched.pod.pod_dir).unwrap();
    let mut source = EventSource::default();
    let started = entries.iter().flat_map(|entry| source.events(&after, entry)).any(|event| {
        event.reason == "Started" && event.field_path.as_deref() == Some("spec.ephemeralContainers{debugger}")
    });
    assert!(started);
    assert!(matches!(kubelet.update_pod(before), Err(UpdatePodError::Immutable(_))));
    let other = pod("u2", "Always", &[], &["app"]);
    assert!(matches!(kubelet.update_pod(other), Err(UpdatePodError::NoSuchPod(_))));
}

#[tokio::test(start_paused = true)]
async fn the_last_state_names_the_container_whose_it_is() {
    let (scratch, world) = (Scratch::new("last"), Arc::new(World::default()));
    world.script("app", Script::exits(SECOND, 1));
    let node = FakeNode::new(&world, Instant::now(), NEVER);
    let kubelet = Kubelet::new(node, scratch.paths(), Settings::default());
    let pod = pod("u1", "Always", &[], &["app"]);
    let mut watched = kubelet.add_pod(pod.clone()).unwrap();
    let facts = RenderFacts { host_ips: vec!["10.0.0.1".parse().unwrap()], generation: 1 };
    let again = |view: &PodView| {
        let app = &view.status.containers[0];
        app.restart_count == 1 && matches!(app.state, ContainerState::Running { .. })
    };
    let view = view_that(&mut watched, again).await;
    let status = &render::pod_status(&pod, &view, &facts)["containerStatuses"][0];
    assert_eq!(status["containerID"], "monopod://app-1");
    assert_eq!(status["lastState"]["terminated"]["containerID"], "monopod://app-0");
    // While it waits to be started again, its status is still of the attempt that ended.
    let waits = |view: &PodView| matches!(view.status.containers[0].state, ContainerState::Waiting { .. });
    let view = view_that(&mut watched, waits).await;
    let status = &render::pod_status(&pod, &view, &facts)["containerStatuses"][0];
    assert_eq!(status["lastState"]["terminated"]["containerID"], "monopod://app-1");
}
