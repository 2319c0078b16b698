//! READY, STATUS and RESTARTS, case by case as the API server's table prints them.

use std::time::Duration;

use kubelet::columns::{columns, human_duration};
use lifecycle::{
    Condition, ConditionKind, ContainerState, ContainerStatus, Exit, ExitReason, Phase, PodStatus,
};
use podspec::Moment;

fn at(seconds: u64) -> Moment {
    Moment::default().after(Duration::from_secs(seconds))
}

fn exit(code: i32, reason: ExitReason) -> Exit {
    Exit { code, signal: None, reason, message: String::new(), started: Some(at(1)), finished: at(90) }
}

/// A container's status in shorthand: `run`, `ready`, `done`, `error`, `oom`, or a waiting reason, and
/// `+N` for N restarts.
fn container(name: &str, text: &str) -> ContainerStatus {
    let (word, restarts) = text.split_once('+').unwrap_or((text, "0"));
    let restart_count: u32 = restarts.parse().unwrap();
    let state = match word {
        "run" | "ready" => ContainerState::Running { since: at(1) },
        "done" => ContainerState::Terminated(exit(0, ExitReason::Completed)),
        "error" => ContainerState::Terminated(exit(1, ExitReason::Error)),
        "oom" => ContainerState::Terminated(exit(137, ExitReason::OOMKilled)),
        reason => ContainerState::Waiting { reason: reason.to_owned(), message: None },
    };
    ContainerStatus {
        resources: None,
        name: name.into(),
        last_state: (restart_count > 0).then(|| exit(1, ExitReason::Error)),
        last_container_id: String::new(),
        ready: word == "ready",
        started: word == "ready",
        restart_count,
        image: String::new(),
        image_id: String::new(),
        user: None,
        container_id: String::new(),
        state,
    }
}

struct Case {
    phase: Phase,
    /// Conditions that are true.
    conditions: &'static [ConditionKind],
    init: [&'static str; 3],
    main: &'static str,
    deleting: bool,
    expected: &'static str,
}

#[test]
fn columns_of_an_init_a_sidecar_another_init_and_an_app() {
    use ConditionKind::{Initialized, Ready};
    use Phase::{Failed, Pending, Running, Succeeded};
    let case = |phase, conditions, init, main, expected| Case {
        phase,
        conditions,
        init,
        main,
        deleting: false,
        expected,
    };
    const WAIT: &str = "PodInitializing";
    let mut terminating =
        case(Running, &[Initialized, Ready], ["done", "ready", "done"], "ready", "2/2 Terminating 0");
    terminating.deleting = true;
    let mut deleted = case(Succeeded, &[Initialized], ["done", "error", "done"], "done", "0/2 Completed 0");
    deleted.deleting = true;
    for case in [
        case(Pending, &[], [WAIT, WAIT, WAIT], WAIT, "0/2 Init:0/3 0"),
        case(Pending, &[], ["run", WAIT, WAIT], WAIT, "0/2 Init:0/3 0"),
        case(Pending, &[], ["done", "run", WAIT], WAIT, "0/2 Init:1/3 0"),
        case(Pending, &[], ["done", "ready", "run"], WAIT, "1/2 Init:2/3 0"),
        case(Pending, &[Initialized], ["done", "ready", "done"], WAIT, "1/2 PodInitializing 0"),
        case(Running, &[Initialized, Ready], ["done", "ready", "done"], "ready", "2/2 Running 0"),
        terminating,
        deleted,
        // The app is done and the sidecar is stopping.
        case(Running, &[Initialized], ["done", "ready", "done"], "done", "1/2 Completed 0"),
        case(Running, &[Initialized], ["done", "ready", "done"], "error+3", "1/2 Error 3 (10s ago)"),
        case(
            Running,
            &[Initialized],
            ["done", "ready", "done"],
            "CrashLoopBackOff+4",
            "1/2 CrashLoopBackOff 4 (10s ago)",
        ),
        case(Failed, &[Initialized], ["done", "error", "done"], "oom", "0/2 OOMKilled 0"),
        // A failing init container, and one of a restarting kind.
        case(Failed, &[], ["error", WAIT, WAIT], WAIT, "0/2 Init:Error 0"),
        case(Pending, &[], ["CrashLoopBackOff+2", WAIT, WAIT], WAIT, "0/2 Init:CrashLoopBackOff 2 (10s ago)"),
        case(Pending, &[], ["ErrImagePull", WAIT, WAIT], WAIT, "0/2 Init:ErrImagePull 0"),
        // Restarts of ordinary init containers count only while initializing.
        case(
            Running,
            &[Initialized, Ready],
            ["done+2", "ready+1", "done"],
            "ready+3",
            "2/2 Running 4 (10s ago)",
        ),
        // A sidecar that crashes while the app runs.
        case(
            Running,
            &[Initialized],
            ["done", "CrashLoopBackOff+5", "done"],
            "ready",
            "1/2 Init:CrashLoopBackOff 5 (10s ago)",
        ),
    ] {
        let pod = crate::fakes::pod("u", "Always", &[("a", false), ("s", true), ("b", false)], &["main"]);
        let status = PodStatus {
            phase: case.phase,
            reason: None,
            message: None,
            start_time: None,
            pod_ips: Vec::new(),
            conditions: (case.conditions.iter())
                .map(|kind| Condition { kind: *kind, status: true, reason: None, message: None })
                .collect(),
            init_containers: ["a", "s", "b"].iter().zip(case.init).map(|(n, t)| container(n, t)).collect(),
            containers: vec![container("main", case.main)],
            ephemeral_containers: Vec::new(),
        };
        let found = columns(&pod.spec, &status, case.deleting, at(100));
        let found = format!("{} {} {}", found.ready, found.status, found.restarts);
        assert_eq!(found, case.expected, "{:?} {}", case.init, case.main);
    }
}

/// Of several containers that do not run the first is said; a completed one beside running ones says
/// how the pod as a whole is.
#[test]
fn columns_of_several_apps() {
    for (states, ready, expected) in [
        (["ready", "ready"], true, "2/2 Running 0"),
        (["done", "ready"], true, "1/2 Running 0"),
        (["done", "ready"], false, "1/2 NotReady 0"),
        (["error", "done"], false, "0/2 Error 0"),
        (["done", "error"], false, "0/2 Error 0"),
        (["ErrImagePull", "CreateContainerError"], false, "0/2 ErrImagePull 0"),
    ] {
        let pod = crate::fakes::pod("u", "Never", &[], &["a", "b"]);
        let kind = ConditionKind::Ready;
        let status = PodStatus {
            phase: Phase::Running,
            reason: None,
            message: None,
            start_time: None,
            pod_ips: Vec::new(),
            conditions: vec![Condition { kind, status: ready, reason: None, message: None }],
            init_containers: Vec::new(),
            containers: vec![container("a", states[0]), container("b", states[1])],
            ephemeral_containers: Vec::new(),
        };
        let found = columns(&pod.spec, &status, false, at(100));
        assert_eq!(format!("{} {} {}", found.ready, found.status, found.restarts), expected, "{states:?}");
    }
}

#[test]
fn ages_lose_precision_as_they_grow() {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    for (seconds, text) in [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (9 * MINUTE + 59, "9m59s"),
        (10 * MINUTE + 1, "10m"),
        (179 * MINUTE, "179m"),
        (3 * HOUR, "3h"),
        (7 * HOUR + 5 * MINUTE, "7h5m"),
        (8 * HOUR + 5 * MINUTE, "8h"),
        (47 * HOUR, "47h"),
        (2 * DAY, "2d"),
        (7 * DAY + 23 * HOUR, "7d23h"),
        (8 * DAY + 23 * HOUR, "8d"),
        (729 * DAY, "729d"),
        (730 * DAY, "2y"),
        (731 * DAY, "2y1d"),
        (9 * 365 * DAY, "9y"),
    ] {
        assert_eq!(human_duration(Duration::from_secs(seconds)), text);
    }
}
