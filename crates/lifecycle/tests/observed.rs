//! What the fold promises beyond any one scenario: late news changes nothing, an end is an end, and what
//! an older version wrote can be read.

use std::time::Duration;

use lifecycle::{
    Action, ContainerRecord, ContainerState, Exit, ExitReason, Hook, Observation, Observed, Phase, ProbeKind,
    ProbeOutcome, SandboxSnapshot, SandboxState, VolumesState, plan,
};
use podspec::{BootTime, ContainerName, IDENTITY_BYTES, Moment, PodSpec, WallTime};

const SECOND: i64 = 1_000_000_000;

/// Everything about attempts that are not the newest, or that have ended.
#[test]
fn late_observations_change_nothing() {
    let spec = pod();
    let main = ContainerName::new("main");
    let mut observed = running_second_attempt(&spec);
    let late = [
        Observation::ContainerExited { container: main.clone(), attempt: 0, exit: exit(0) },
        Observation::ContainerStarted {
            container: main.clone(),
            attempt: 0,
            id: "other".to_owned(),
            started: at(20),
            user: None,
        },
        Observation::ContainerCreateFailed {
            container: main.clone(),
            attempt: 0,
            reason: "CreateContainerError".to_owned(),
            message: String::new(),
        },
        Observation::ContainerCreateFailed {
            container: main.clone(),
            attempt: 1,
            reason: "CreateContainerError".to_owned(),
            message: String::new(),
        },
        Observation::HookFinished {
            container: main.clone(),
            attempt: 0,
            hook: Hook::PostStart,
            failure: Some("late".to_owned()),
        },
        Observation::ProbeFinished {
            container: main.clone(),
            attempt: 0,
            probe: ProbeKind::Startup,
            outcome: ProbeOutcome::Failure(String::new()),
        },
        Observation::ContainerRemoved { container: main, attempt: 7 },
        Observation::SandboxLost { attempt: 7 },
        Observation::SandboxStopped { attempt: 7 },
        Observation::SandboxCreated { attempt: 7, ips: vec!["10.0.0.1".parse().unwrap()] },
        Observation::SandboxCreateFailed { attempt: 7, message: String::new() },
        Observation::ContainerExited { container: ContainerName::new("stranger"), attempt: 0, exit: exit(0) },
    ];
    for observation in &late {
        let before = observed.clone();
        observed.observe(&spec, observation, at(20));
        assert_eq!(observed, before, "{observation:?}");
    }
}

/// A probe's answer, and a second exit, about a container that has ended.
#[test]
fn what_has_ended_stays_as_it_ended() {
    let spec = pod();
    let main = ContainerName::new("main");
    let mut observed = running_second_attempt(&spec);
    observed.observe(
        &spec,
        &Observation::ContainerExited { container: main.clone(), attempt: 1, exit: exit(0) },
        at(20),
    );
    let ended = observed.clone();
    for observation in [
        Observation::ContainerExited { container: main.clone(), attempt: 1, exit: exit(9) },
        Observation::ContainerStarted {
            container: main.clone(),
            attempt: 1,
            id: "main-1".to_owned(),
            started: at(5),
            user: None,
        },
        Observation::ProbeFinished {
            container: main,
            attempt: 1,
            probe: ProbeKind::Startup,
            outcome: ProbeOutcome::Failure(String::new()),
        },
    ] {
        observed.observe(&spec, &observation, at(21));
        assert_eq!(observed, ended, "{observation:?}");
    }
}

/// Whatever else is lost or comes later, even all that is known of its containers.
#[test]
fn a_terminal_phase_is_never_left() {
    let spec = pod();
    let main = ContainerName::new("main");
    let mut observed = running_second_attempt(&spec);
    observed.observe(
        &spec,
        &Observation::ContainerExited { container: main, attempt: 1, exit: exit(0) },
        at(20),
    );
    settle(&spec, &mut observed, 20);
    assert_eq!(plan(&spec, &observed, at(20)).status.phase, Phase::Succeeded);
    observed.containers.clear();
    for observation in [
        Observation::SandboxLost { attempt: 0 },
        Observation::DeletionRequested { grace: Duration::ZERO },
        Observation::Accepted,
        Observation::SandboxStopped { attempt: 0 },
        Observation::VolumesRemoved,
    ] {
        observed.observe(&spec, &observation, at(30));
        settle(&spec, &mut observed, 30);
        for seconds in [30, 4_000] {
            let phase = plan(&spec, &observed, at(seconds)).status.phase;
            assert_eq!(phase, Phase::Succeeded, "{observation:?} at {seconds}");
        }
    }
}

/// A stop signal that was written down and never left the engine is due again; one that the shim sent is not.
#[test]
fn only_the_shim_knows_which_signals_were_sent() {
    let spec = pod();
    let main = ContainerName::new("main");
    for sent in [None, Some(at(21).boot)] {
        let mut observed = running_second_attempt(&spec);
        observed.observe(&spec, &Observation::DeletionRequested { grace: Duration::from_secs(30) }, at(20));
        settle(&spec, &mut observed, 20);
        let record = ContainerRecord {
            name: main.clone(),
            attempt: 1,
            id: "main-1".to_owned(),
            started: at(5),
            stop_signal: String::new(),
            stop_signal_sent: sent,
            kill_sent: None,
            exit: None,
            user: None,
        };
        let snapshot = SandboxSnapshot {
            attempt: 0,
            ips: vec![std::net::Ipv4Addr::LOCALHOST.into()],
            containers: vec![record],
        };
        observed.observe(&spec, &Observation::Accepted, at(25));
        observed.observe(&spec, &Observation::Adopted(snapshot), at(25));
        let signal = Action::SignalContainer { container: main.clone(), attempt: 1 };
        let due = plan(&spec, &observed, at(25)).actions.contains(&signal);
        assert_eq!(due, sent.is_none(), "{sent:?}");
        assert_eq!(
            observed.deletion.map(|deletion| deletion.kill_at),
            Some(at(50).boot),
            "the grace goes on"
        );
    }
}

/// Nobody says how it turned out, and the pod is not stopped before it has.
#[test]
fn a_removal_that_died_with_its_sandbox_is_due_in_the_next() {
    let spec = pod();
    let main = ContainerName::new("main");
    let mut observed = running_second_attempt(&spec);
    let ended = Observation::ContainerExited { container: main.clone(), attempt: 1, exit: exit(1) };
    let ready = Observation::ImageReady {
        container: main.clone(),
        image: "image".to_owned(),
        image_id: "image".to_owned(),
        repo_digest: None,
        pulled: None,
    };
    let started = Observation::ContainerStarted {
        container: main.clone(),
        attempt: 2,
        id: "main-2".to_owned(),
        started: at(60),
        user: None,
    };
    let created = Observation::SandboxCreated { attempt: 1, ips: vec![std::net::Ipv4Addr::LOCALHOST.into()] };
    let lost = Observation::SandboxLost { attempt: 0 };
    for (seconds, observation) in [(20, ended), (60, ready), (60, started), (60, lost)] {
        observed.observe(&spec, &observation, at(seconds));
        settle(&spec, &mut observed, seconds);
    }
    settle(&spec, &mut observed, 65);
    observed.observe(&spec, &created, at(70));
    observed.observe(&spec, &Observation::DeletionRequested { grace: Duration::ZERO }, at(70));
    let removal = Action::RemoveContainer { container: main.clone(), attempt: 0 };
    assert_eq!(plan(&spec, &observed, at(70)).actions, [removal]);
    settle(&spec, &mut observed, 70);
    observed.observe(&spec, &Observation::ContainerRemoved { container: main, attempt: 0 }, at(70));
    assert_eq!(plan(&spec, &observed, at(70)).actions, [Action::StopSandbox { attempt: 1 }]);
}

/// The same again after writing and reading, and without the fields that came later.
#[test]
fn a_checkpoint_reads_back_also_without_newer_fields() {
    let spec = pod();
    let observed = running_second_attempt(&spec);
    let mut json = serde_json::to_value(&observed).expect("plain data");
    assert_eq!(serde_json::from_value::<Observed>(json.clone()).expect("what was written"), observed);
    for newer in ["resumed", "was_initialized", "conditions"] {
        assert!(json.as_object_mut().expect("an object").remove(newer).is_some(), "{newer} is there");
    }
    json["containers"]["main"]["backoff"].as_object_mut().expect("it restarted once").remove("waited");
    json["pulls"] = serde_json::json!({ "image": { "Pulling": { "after": null } } });
    serde_json::from_value::<Observed>(json).expect("an older checkpoint");
}

/// The same input gives the same plan, and planning changes nothing.
#[test]
fn planning_twice_gives_the_same_plan() {
    let spec = pod();
    let observed = running_second_attempt(&spec);
    assert_eq!(plan(&spec, &observed, at(20)), plan(&spec, &observed, at(20)));
}

/// The second attempt of its only container runs, after a first that exited with 1.
#[test]
fn what_failed_for_want_of_an_object_is_tried_at_once_when_it_is_there() {
    let spec = pod();
    let mut observed = Observed::default();
    observed.observe(&spec, &Observation::Accepted, at(0));
    let message = "configmap \"settings\" not found".to_owned();
    observed.observe(&spec, &Observation::VolumesFailed { message: message.clone() }, at(1));
    assert!(plan(&spec, &observed, at(2)).actions.is_empty());
    observed.observe(&spec, &Observation::ObjectsChanged, at(2));
    assert_eq!(plan(&spec, &observed, at(2)).actions, [Action::SetUpVolumes]);

    let mut observed = Observed::default();
    observed.observe(&spec, &Observation::Accepted, at(0));
    observed.observe(&spec, &Observation::VolumesReady, at(0));
    observed.observe(&spec, &Observation::SandboxCreated { attempt: 0, ips: Vec::new() }, at(0));
    let main = ContainerName::new("main");
    for _ in 0..8 {
        for action in plan(&spec, &observed, at(1)).actions {
            observed.issue(&spec, &action, at(1));
            let news = match action {
                Action::CreateSandbox { attempt } => Observation::SandboxCreated { attempt, ips: Vec::new() },
                Action::EnsureImage { container, image, .. } => Observation::ImageReady {
                    container,
                    image,
                    image_id: "i".to_owned(),
                    repo_digest: None,
                    pulled: None,
                },
                Action::StartContainer { container, attempt, .. } => Observation::ContainerCreateFailed {
                    container,
                    attempt,
                    reason: "CreateContainerConfigError".to_owned(),
                    message: message.clone(),
                },
                _ => continue,
            };
            observed.observe(&spec, &news, at(1));
        }
    }
    assert!(observed.containers[&main].start_error.is_some());
    assert!(plan(&spec, &observed, at(2)).actions.is_empty());
    observed.observe(&spec, &Observation::ObjectsChanged, at(2));
    let actions = plan(&spec, &observed, at(2)).actions;
    assert!(matches!(actions.as_slice(), [Action::EnsureImage { .. }]), "{actions:?}");
}

/// As it is said while a failed pull is waited out, and of what kind it is.
#[test]
fn a_failed_pull_is_told_in_the_kubelets_words() {
    let spec = pod();
    for (reason, shown, later) in [
        ("ErrImagePull", "why", "ErrImagePull: why"),
        (
            "RegistryUnavailable",
            "image pull failed for image because the registry is unavailable: why",
            "RegistryUnavailable: image pull failed for image because the registry is unavailable: why",
        ),
        (
            "SignatureValidationFailed",
            "image pull failed for image because the signature validation failed: why",
            "SignatureValidationFailed: image pull failed for image because the signature validation failed: why",
        ),
    ] {
        let mut observed = Observed::default();
        let container = ContainerName::new("main");
        let (image, message) = ("image".to_owned(), "why".to_owned());
        let pulling = Observation::ImagePulling { container: container.clone(), image: image.clone() };
        let failed = Observation::ImageFailed { container, image, reason: reason.to_owned(), message };
        for observation in [Observation::Accepted, Observation::VolumesReady, pulling, failed] {
            observed.observe(&spec, &observation, at(0));
        }
        let waiting = |seconds| match &plan(&spec, &observed, at(seconds)).status.containers[0].state {
            ContainerState::Waiting { reason, message } => {
                (reason.clone(), message.clone().unwrap_or_default())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(waiting(0), (reason.to_owned(), shown.to_owned()));
        let backing_off = format!("Back-off pulling image \"image\": {later}");
        assert_eq!(waiting(2), ("ImagePullBackOff".to_owned(), backing_off));
    }
}

/// The digest in the registry belongs to the attempt that was made from it, and what an earlier version wrote has none.
#[test]
fn an_image_of_a_registry_has_its_digest_for_an_id() {
    let spec = pod();
    let main = ContainerName::new("main");
    let mut observed = running_second_attempt(&spec);
    let id = |observed: &Observed| plan(&spec, observed, at(70)).status.containers[0].image_id.clone();
    assert_eq!(id(&observed), "image");
    observed.observe(
        &spec,
        &Observation::ContainerExited { container: main.clone(), attempt: 1, exit: exit(1) },
        at(20),
    );
    let repo_digest = Some("example.com/image@sha256:abc".to_owned());
    let (image, image_id) = ("image".to_owned(), "image".to_owned());
    let ready =
        Observation::ImageReady { container: main.clone(), image, image_id, repo_digest, pulled: None };
    observed.observe(&spec, &ready, at(60));
    assert_eq!(id(&observed), "image", "of the attempt that is shown");
    for action in plan(&spec, &observed, at(60)).actions {
        observed.issue(&spec, &action, at(60));
    }
    let (id_of_attempt, started) = ("main-2".to_owned(), at(60));
    let started = Observation::ContainerStarted {
        container: main.clone(),
        attempt: 2,
        id: id_of_attempt,
        started,
        user: None,
    };
    observed.observe(&spec, &started, at(60));
    assert_eq!(id(&observed), "example.com/image@sha256:abc");
    assert_eq!(
        observed.containers[&main].current.as_ref().unwrap().image_id,
        "image",
        "what is in use is known by it"
    );
    let mut old = serde_json::to_value(&observed).unwrap();
    let attempt = old["containers"]["main"]["current"].as_object_mut().unwrap();
    assert!(attempt.remove("repo_digest").is_some());
    assert_eq!(id(&serde_json::from_value(old).unwrap()), "image");
}

fn running_second_attempt(spec: &PodSpec) -> Observed {
    let main = ContainerName::new("main");
    let mut observed = Observed::default();
    for (seconds, observation) in [
        (0, Observation::Accepted),
        (0, Observation::VolumesReady),
        (0, Observation::SandboxCreated { attempt: 0, ips: vec![std::net::Ipv4Addr::LOCALHOST.into()] }),
        (
            0,
            Observation::ImageReady {
                container: main.clone(),
                image: "image".to_owned(),
                image_id: "image".to_owned(),
                repo_digest: None,
                pulled: None,
            },
        ),
        (
            0,
            Observation::ContainerStarted {
                container: main.clone(),
                attempt: 0,
                id: "main-0".to_owned(),
                started: at(0),
                user: None,
            },
        ),
        (5, Observation::ContainerExited { container: main.clone(), attempt: 0, exit: exit(1) }),
        (
            5,
            Observation::ImageReady {
                container: main.clone(),
                image: "image".to_owned(),
                image_id: "image".to_owned(),
                repo_digest: None,
                pulled: None,
            },
        ),
        (
            5,
            Observation::ContainerStarted {
                container: main,
                attempt: 1,
                id: "main-1".to_owned(),
                started: at(5),
                user: None,
            },
        ),
    ] {
        observed.observe(spec, &observation, at(seconds));
        settle(spec, &mut observed, seconds);
    }
    assert!(matches!(observed.sandbox, SandboxState::Ready { .. }));
    assert_eq!(observed.volumes, VolumesState::Ready);
    observed
}

fn settle(spec: &PodSpec, observed: &mut Observed, seconds: i64) {
    for action in plan(spec, observed, at(seconds)).actions {
        observed.issue(spec, &action, at(seconds));
    }
    let again: Vec<Action> = plan(spec, observed, at(seconds)).actions;
    assert_eq!(again, [], "at the fixpoint");
}

fn at(seconds: i64) -> Moment {
    Moment { boot: BootTime(seconds * SECOND), wall: WallTime(seconds * SECOND) }
}

fn exit(code: i32) -> Exit {
    let reason = if code == 0 { ExitReason::Completed } else { ExitReason::Error };
    Exit { code, signal: None, reason, message: String::new(), started: Some(at(0)), finished: at(5) }
}

fn pod() -> PodSpec {
    let text = "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  restartPolicy: OnFailure
  activeDeadlineSeconds: 3600
  containers:
  - name: main
    image: image
    startupProbe: {exec: {command: [probe]}, initialDelaySeconds: 60, failureThreshold: 1}
";
    let loaded = podspec::load_pods("test", text, || [0; IDENTITY_BYTES]).expect("a pod that can be run");
    loaded.into_iter().next().expect("one pod").admitted.pod.spec
}
