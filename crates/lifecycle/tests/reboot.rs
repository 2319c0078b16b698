//! A pod whose machine was booted anew: what was written down before, on the boot clock of now.

use std::time::Duration;

use lifecycle::{
    Action, ContainerRecord, Exit, ExitReason, Observation, Observed, Phase, Verdict, Wait, plan,
};
use podspec::{BootTime, ContainerName, IDENTITY_BYTES, Moment, PodSpec, WallTime};
use serde_json::Value;

const SECOND: i64 = 1_000_000_000;
/// The machine ran this long before its pod was taken.
const UPTIME: i64 = 1_000_000;
const DAY: i64 = 86_400;

/// On the first boot, so long after the pod was taken.
fn before(seconds: i64) -> Moment {
    Moment { boot: BootTime((UPTIME + seconds) * SECOND), wall: WallTime((DAY + seconds) * SECOND) }
}

/// On the second boot, 40 s after it, the wall clock being so long after the pod was taken.
fn after(seconds: i64) -> Moment {
    Moment { boot: BootTime(40 * SECOND), wall: WallTime((DAY + seconds) * SECOND) }
}

#[test]
fn a_backoff_goes_on_where_it_was_and_never_beyond_its_delay() {
    // Crashed for the second time at 11, so due at 21.
    for (wall, due_in) in [(14, 7), (21, 0), (100_000, 0), (5, 10), (-DAY, 10)] {
        let spec = pod("Always", "");
        let mut observed = crashed_twice(&spec);
        observed.rebase(after(wall));
        let now = boot_again(&spec, &mut observed, after(wall));
        bring_up(&spec, &mut observed, now);
        let planned = plan(&spec, &observed, now);
        let until = planned.decisions.iter().find_map(|decision| match decision.verdict {
            Verdict::Wait(Wait::CrashLoopBackOff { until, .. }) => Some(until.since(now.boot)),
            _ => None,
        });
        let left = until.unwrap_or_default();
        let expected = Duration::from_secs(due_in).saturating_sub(Duration::from_secs(1));
        assert!(left.abs_diff(expected) <= Duration::from_secs(1), "wall {wall}: {left:?}");
        assert_eq!(planned.status.containers[0].restart_count, 1);
        assert_eq!(
            planned.status.start_time.map(|at| at.wall),
            Some(before(0).wall),
            "only the wall is shown"
        );
    }
}

/// All is dead: a new sandbox, initialisation anew, volumes kept; never a second time under `Never`.
#[test]
fn every_pod_gets_a_new_sandbox_if_its_policy_lets_it() {
    for (policy, phase) in
        [("Always", Phase::Running), ("OnFailure", Phase::Running), ("Never", Phase::Failed)]
    {
        let spec = pod(policy, "");
        let mut observed = running(&spec);
        observed.rebase(after(60));
        let now = boot_again(&spec, &mut observed, after(60));
        let planned = plan(&spec, &observed, now);
        assert_eq!(planned.status.phase, phase, "{policy}");
        let made = planned.actions.contains(&Action::CreateSandbox { attempt: 1 });
        let volumes = planned.actions.contains(&Action::SetUpVolumes);
        assert_eq!((made, volumes), (policy != "Never", false), "{policy}: {:?}", planned.actions);
    }
}

#[test]
fn a_deadline_counts_the_time_the_machine_was_down() {
    for (wall, ended) in [(50, false), (3_700, true)] {
        let spec = pod("Always", "activeDeadlineSeconds: 3600");
        let mut observed = running(&spec);
        observed.rebase(after(wall));
        let now = boot_again(&spec, &mut observed, after(wall));
        let status = plan(&spec, &observed, now).status;
        assert_eq!(status.reason.as_deref() == Some("DeadlineExceeded"), ended, "wall {wall}: {status:?}");
    }
}

/// Everything keeps its distance from everything else, and the wall clock's times stay.
#[test]
fn all_times_move_together() {
    let spec = pod("Always", "");
    let observed = crashed_twice(&spec);
    let mut moved = observed.clone();
    moved.rebase(after(1_000));
    let (old, new) = (times(&observed), times(&moved));
    assert!(old.len() > 8 && old.len() == new.len());
    let shift = new[0].1 - old[0].1;
    for (old, new) in old.iter().zip(&new) {
        assert_eq!(new.1 - old.1, shift, "{}", old.0);
        assert_eq!(new.2, old.2, "{}", old.0);
    }
    assert!(new.iter().all(|(_, boot, _)| *boot <= after(0).boot.0), "nothing lies in the future");
    assert_ne!(observed, moved);
}

#[test]
fn a_record_moves_by_itself() {
    let mut record = ContainerRecord {
        name: ContainerName::new("main"),
        attempt: 0,
        id: String::new(),
        started: before(1),
        user: None,
        stop_signal: String::new(),
        stop_signal_sent: None,
        kill_sent: None,
        exit: Some(exit(3, 5)),
    };
    record.rebase(after(25));
    let finished = record.exit.expect("it ended").finished;
    assert_eq!(finished.boot, BootTime(20 * SECOND), "20 s ago");
    assert_eq!(record.started.boot, BootTime(16 * SECOND));
    assert_eq!(finished.wall, before(5).wall);
}

/// `(path, boot, wall)` of every moment in it.
fn times(observed: &Observed) -> Vec<(String, i64, Option<i64>)> {
    fn walk(path: &str, value: &Value, found: &mut Vec<(String, i64, Option<i64>)>) {
        match value {
            Value::Object(fields) => {
                let number = |key: &str| fields.get(key).and_then(Value::as_i64);
                if let (Some(boot), Some(wall)) = (number("boot"), number("wall")) {
                    return found.push((path.to_owned(), boot, Some(wall)));
                }
                for (key, value) in fields {
                    let path = format!("{path}/{key}");
                    if let ("decided" | "last_started" | "kill_at" | "stop_signal_sent", Some(boot)) =
                        (key.as_str(), value.as_i64())
                    {
                        found.push((path, boot, None));
                    } else {
                        walk(&path, value, found);
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(path, value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk("", &serde_json::to_value(observed).expect("plain data"), &mut found);
    found
}

/// What an engine observes that finds the pod after a boot: nothing of it lives.
fn boot_again(spec: &PodSpec, observed: &mut Observed, at: Moment) -> Moment {
    observed.observe(spec, &Observation::Accepted, at);
    observed.observe(spec, &Observation::SandboxLost { attempt: 0 }, at);
    let later = at.after(Duration::from_secs(1));
    let status = plan(spec, observed, later).status;
    observed.keep_conditions(&status, later);
    later
}

fn bring_up(spec: &PodSpec, observed: &mut Observed, at: Moment) {
    for action in plan(spec, observed, at).actions {
        observed.issue(spec, &action, at);
    }
    let ips = vec![std::net::Ipv4Addr::LOCALHOST.into()];
    observed.observe(spec, &Observation::SandboxCreated { attempt: 1, ips }, at);
}

fn running(spec: &PodSpec) -> Observed {
    let mut observed = Observed::default();
    play(spec, &mut observed, 0, &Observation::Accepted);
    play(spec, &mut observed, 0, &Observation::VolumesReady);
    play(
        spec,
        &mut observed,
        0,
        &Observation::SandboxCreated { attempt: 0, ips: vec![std::net::Ipv4Addr::LOCALHOST.into()] },
    );
    start(spec, &mut observed, 0, 0);
    observed
}

fn crashed_twice(spec: &PodSpec) -> Observed {
    let mut observed = running(spec);
    crash(spec, &mut observed, 0, 1);
    start(spec, &mut observed, 1, 1);
    crash(spec, &mut observed, 1, 11);
    observed
}

fn start(spec: &PodSpec, observed: &mut Observed, attempt: u32, seconds: i64) {
    let container = ContainerName::new("main");
    let (image_id, id) = ("image".to_owned(), format!("main-{attempt}"));
    let (ready, image) = (container.clone(), "image".to_owned());
    let ready =
        Observation::ImageReady { container: ready, image, image_id, repo_digest: None, pulled: None };
    play(spec, observed, seconds, &ready);
    let started = before(seconds);
    play(
        spec,
        observed,
        seconds,
        &Observation::ContainerStarted { container, attempt, id, started, user: None },
    );
}

fn crash(spec: &PodSpec, observed: &mut Observed, attempt: u32, seconds: i64) {
    let container = ContainerName::new("main");
    play(
        spec,
        observed,
        seconds,
        &Observation::ContainerExited { container, attempt, exit: exit(1, seconds) },
    );
}

fn play(spec: &PodSpec, observed: &mut Observed, seconds: i64, observation: &Observation) {
    let at = before(seconds);
    observed.observe(spec, observation, at);
    let planned = plan(spec, observed, at);
    for action in &planned.actions {
        observed.issue(spec, action, at);
    }
    observed.keep_conditions(&planned.status, at);
}

fn exit(code: i32, seconds: i64) -> Exit {
    let (started, finished) = (Some(before(1)), before(seconds));
    Exit { code, signal: None, reason: ExitReason::Error, message: String::new(), started, finished }
}

fn pod(policy: &str, fields: &str) -> PodSpec {
    let text = format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: p}}
spec:
  restartPolicy: {policy}
  {fields}
  containers:
  - name: main
    image: image
"
    );
    let loaded = podspec::load_pods("test", &text, || [0; IDENTITY_BYTES]).expect("a pod that can be run");
    loaded.into_iter().next().expect("one pod").admitted.pod.spec
}
