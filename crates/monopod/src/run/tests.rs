//! What people and machines are shown, as golden text.

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use journal::{Entry, Happening};
use kubelet::PodView;
use lifecycle::{
    Action, ContainerState, ContainerStatus, Decision, Exit, ExitReason, Hook, Observation, Phase, PodStatus,
    ProbeKind, ProbeOutcome, PullAmount, Pulled, StopPodReason, StopReason, Verdict, Wait,
};
use podspec::{ContainerName, IDENTITY_BYTES, Moment, Pod, WallTime};
use ports::PodContext;

use super::format::{Format, LogLine, Style};
use super::steps::{Step, Steps, Tone};
use super::summary;

const TEXT: Style = Style::Text { color: false, timestamps: false };

fn pod(name: &str) -> Pod {
    let text = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  initContainers:
  - {{name: fetch, image: localhost/host}}
  - {{name: log-shipper, image: localhost/host, restartPolicy: Always}}
  - {{name: migrate, image: localhost/host}}
  containers:
  - {{name: app, image: localhost/host}}
"
    );
    let loaded = podspec::load_pods("test", &text, || [7; IDENTITY_BYTES]).unwrap();
    loaded.into_iter().next().unwrap().admitted.pod
}

fn at(millis: u64) -> Moment {
    Moment::default().after(Duration::from_millis(millis))
}

fn exit(code: i32, reason: ExitReason, started: u64, finished: u64) -> Exit {
    let signal = (code > 128).then_some(code - 128);
    let message = if reason == ExitReason::StartError { "exec /nope: no such file" } else { "" };
    Exit { code, signal, reason, message: message.into(), started: Some(at(started)), finished: at(finished) }
}

fn started(container: &str, attempt: u32) -> Happening {
    Happening::Observed(Observation::ContainerStarted {
        container: container.into(),
        attempt,
        id: "id".into(),
        started: at(0),
        user: None,
    })
}

fn exited(container: &str, attempt: u32, exit: Exit) -> Happening {
    Happening::Observed(Observation::ContainerExited { container: container.into(), attempt, exit })
}

fn decided(decisions: &[(Option<&str>, Verdict)]) -> Happening {
    let decision = |(container, verdict): &(Option<&str>, Verdict)| Decision {
        container: container.map(ContainerName::new),
        verdict: verdict.clone(),
    };
    Happening::Decided(decisions.iter().map(decision).collect())
}

/// The steps of a journal whose entries are a second apart.
fn check(happenings: Vec<Happening>, expected: &Expect) {
    let (pod, mut steps) = (pod("web"), Steps::default());
    let format = Format::new(TEXT, [&pod]);
    let mut text = String::new();
    for (seq, what) in (1..).zip(happenings) {
        let all = steps.steps(&pod, &Entry { seq, at: at(seq * 1_000), what });
        for step in all.into_iter().filter(|step| format.shows(step, false)) {
            text.push_str(&String::from_utf8(format.step(&pod, &step)).unwrap());
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn a_run_to_completion() {
    let signal = Happening::Issued(Action::SignalContainer { container: "log-shipper".into(), attempt: 0 });
    check(
        vec![
            Happening::Observed(Observation::Accepted),
            Happening::Observed(Observation::SandboxCreated {
                attempt: 0,
                ips: vec![std::net::Ipv4Addr::LOCALHOST.into()],
            }),
            started("fetch", 0),
            exited("fetch", 0, exit(0, ExitReason::Completed, 0, 1_250)),
            started("log-shipper", 0),
            started("migrate", 0),
            exited("migrate", 0, exit(0, ExitReason::Completed, 0, 4)),
            started("app", 0),
            exited("app", 0, exit(0, ExitReason::Completed, 0, 83_000)),
            decided(&[(None, Verdict::StopPod(StopPodReason::Completed))]),
            signal,
            exited("log-shipper", 0, exit(143, ExitReason::Error, 0, 90_000)),
            decided(&[(None, Verdict::Finish { succeeded: true })]),
        ],
        &expect![[r#"
            fetch       * init 1/2 started
            fetch       * init 1/2 done after 1.2s
            log-shipper * sidecar started
            migrate     * init 2/2 started
            migrate     * init 2/2 done after 4ms
            app         * started
            app         * completed after 1m23s
            web         * its app containers are done: stopping the sidecars
            log-shipper * stopping
            log-shipper * sidecar stopped (exit code 143) after 1m30s
            web         * succeeded
        "#]],
    );
}

#[test]
fn a_pull_is_said_at_its_beginning_and_end_and_meanwhile() {
    let container = || "app".into();
    let image = || "example.com/app:1".to_owned();
    let progress = PullAmount { bytes: 500 << 20, bytes_done: 120 << 20, layers: 8, layers_done: 3 };
    let pulled = Pulled { took: Duration::from_secs(83), waited: Duration::ZERO, bytes: 500 << 20 };
    let (image_id, repo_digest, pulled) = ("id".to_owned(), None, Some(pulled));
    check(
        vec![
            Happening::Observed(Observation::ImagePulling { container: container(), image: image() }),
            Happening::Observed(Observation::ImageProgress {
                container: container(),
                image: image(),
                progress,
            }),
            Happening::Observed(Observation::ImageReady {
                container: container(),
                image: image(),
                image_id,
                repo_digest,
                pulled,
            }),
        ],
        &expect![[r#"
            app         * pulling example.com/app:1
            app         * pulled 120 MiB of 500 MiB in 3 of 8 layers
            app         * image pulled in 1m23s (500 MiB)
        "#]],
    );
}

#[test]
fn trouble_is_said_with_its_reason_and_when_it_is_tried_again() {
    let back_off = Wait::CrashLoopBackOff { until: at(12_500).boot, delay: Duration::from_secs(10) };
    check(
        vec![
            Happening::Observed(Observation::VolumesFailed { message: "hostPath /x is missing".into() }),
            Happening::Observed(Observation::ImageFailed {
                container: "app".into(),
                image: "image".into(),
                reason: "ErrImageNeverPull".into(),
                message: "not there".into(),
            }),
            exited("app", 0, exit(128, ExitReason::StartError, 0, 1)),
            decided(&[(Some("app"), Verdict::Wait(back_off.clone()))]),
            // Decided again with something else: said once.
            decided(&[(Some("fetch"), Verdict::Leave), (Some("app"), Verdict::Wait(back_off))]),
            started("app", 1),
            Happening::Observed(Observation::ProbeFinished {
                container: "log-shipper".into(),
                attempt: 0,
                probe: ProbeKind::Startup,
                outcome: ProbeOutcome::Failure(String::new()),
            }),
            decided(&[(Some("log-shipper"), Verdict::StopContainer(StopReason::StartupProbeFailed))]),
            Happening::Observed(Observation::HookFinished {
                container: "app".into(),
                attempt: 1,
                hook: Hook::PostStart,
                failure: Some("exit code 1: no\nway".into()),
            }),
            exited("app", 1, exit(137, ExitReason::OOMKilled, 0, 900)),
            Happening::Observed(Observation::SandboxLost { attempt: 0 }),
            Happening::Issued(Action::CreateSandbox { attempt: 1 }),
            decided(&[(None, Verdict::Finish { succeeded: false })]),
        ],
        &expect![[r#"
            web         * cannot set up its volumes: hostPath /x is missing
            app         * cannot use its image (ErrImageNeverPull): not there; remedy: pull it with `monopod image pull`, load it with `monopod image load`, or name the secret it was pulled with
            app         * could not be started (StartError): exec /nope: no such file
            app         * restarting in 9s (CrashLoopBackOff)
            app         * started again (restart 1)
            log-shipper * startup probe failed
            log-shipper * failed startup probe: stopping it
            app         * postStart hook failed: exit code 1: no; way
            app         * ran out of memory and was killed (OOMKilled, exit code 137) after 900ms
            web         * lost its sandbox: every container of it is dead
            web         * gets a new sandbox
            web         * failed
        "#]],
    );
}

#[test]
fn what_fails_again_in_the_same_way_is_said_once() {
    let failed = |message: &str| {
        let (reason, message) = ("CreateContainerError".to_owned(), message.to_owned());
        Happening::Observed(Observation::ContainerCreateFailed {
            container: "app".into(),
            attempt: 0,
            reason,
            message,
        })
    };
    let retry = |at_ms| decided(&[(Some("app"), Verdict::Wait(Wait::CreateRetry { until: at(at_ms).boot }))]);
    let mount = |path: &str| {
        let message = format!("hostPath type check failed: {path} is not a directory");
        Happening::Observed(Observation::VolumesFailed { message })
    };
    let volumes_retry =
        |at_ms| decided(&[(None, Verdict::Wait(Wait::VolumesRetry { until: at(at_ms).boot }))]);
    check(
        vec![
            mount("/x"),
            volumes_retry(12_000),
            mount("/x"),
            volumes_retry(14_000),
            mount("/y"),
            volumes_retry(16_000),
            // Tried again at once, so that the first wait comes with the second failure.
            mount("/z"),
            mount("/z"),
            volumes_retry(19_000),
            mount("/z"),
            volumes_retry(21_000),
            Happening::Observed(Observation::VolumesReady),
            failed("no"),
            retry(24_000),
            failed("no"),
            retry(26_000),
            failed("write x: No space left on device (os error 28)"),
            retry(28_000),
            started("app", 0),
            exited("app", 0, exit(128, ExitReason::StartError, 0, 1)),
            exited("app", 1, exit(128, ExitReason::StartError, 0, 1)),
        ],
        &expect![[r#"
            web         * cannot set up its volumes: hostPath type check failed: /x is not a directory; remedy: make it on the host, or change hostPath.path or hostPath.type
            web         * trying again every 10s
            web         * cannot set up its volumes: hostPath type check failed: /y is not a directory; remedy: make it on the host, or change hostPath.path or hostPath.type
            web         * trying again every 10s
            web         * cannot set up its volumes: hostPath type check failed: /z is not a directory; remedy: make it on the host, or change hostPath.path or hostPath.type
            web         * trying again every 10s
            app         * cannot be created (CreateContainerError): no
            app         * trying again every 10s
            app         * cannot be created (CreateContainerError): write x: No space left on device (os error 28); remedy: free some space on that file system, or move the data with --root or --data-dir
            app         * trying again every 10s
            app         * started
            app         * could not be started (StartError): exec /nope: no such file
        "#]],
    );
}

#[test]
fn lines_are_aligned_coloured_and_dated() {
    let pods = [pod("web"), pod("web-2")];
    let log = |format: &Format, pod: &Pod, container: &str| {
        let container = ContainerName::new(container);
        let at = WallTime::from_unix(1_475_712_009, 5_000);
        let line = LogLine { at, container: &container, attempt: 0, stderr: true, text: b"hello \xff" };
        let mut out = Vec::new();
        format.log(pod, &format.log_prefix(pod, &container), line, &mut out);
        String::from_utf8_lossy(&out).replace('\u{fffd}', "<?>")
    };
    let one = Format::new(TEXT, &pods[..1]);
    let several = Format::new(Style::Text { color: false, timestamps: true }, &pods);
    let colored = Format::new(Style::Text { color: true, timestamps: false }, &pods[..1]);
    let json = Format::new(Style::Json, &pods);
    let text = [
        log(&one, &pods[0], "app"),
        log(&one, &pods[0], "log-shipper"),
        log(&several, &pods[0], "app"),
        log(&several, &pods[1], "log-shipper"),
        log(&colored, &pods[0], "app").replace('\x1b', "ESC"),
        log(&json, &pods[0], "app"),
    ];
    expect![[r#"
        app         | hello <?>
        log-shipper | hello <?>
        2016-10-06T00:00:09.000005Z web/app           | hello <?>
        2016-10-06T00:00:09.000005Z web-2/log-shipper | hello <?>
        ESC[96mapp         |ESC[0m hello <?>
        {"attempt":0,"container":"app","line":"hello <?>","namespace":"default","pod":"web","stream":"stderr","time":"2016-10-06T00:00:09.000005Z","type":"log"}
    "#]].assert_eq(&text.concat());
}

#[test]
fn pods_of_one_name_are_told_apart_by_their_namespaces() {
    let mut pods = [pod("web"), pod("web")];
    pods[1].namespace = "other".to_owned();
    let format = Format::new(TEXT, &pods);
    let ready = Step {
        at: at(0),
        container: None,
        step: "ready",
        text: "ready".to_owned(),
        tone: Tone::Good,
        repeats: false,
    };
    let text: Vec<u8> = pods.iter().flat_map(|pod| format.step(pod, &ready)).collect();
    expect![[r#"
        default/web             * ready
        other/web               * ready
    "#]]
    .assert_eq(&String::from_utf8(text).unwrap());
}

#[test]
fn the_table_and_the_summary_tell_what_became_of_each_container() {
    let status = |name: &str, state: ContainerState, restart_count: u32| ContainerStatus {
        name: name.into(),
        last_state: None,
        last_container_id: String::new(),
        ready: false,
        started: false,
        restart_count,
        resources: None,
        image: String::new(),
        image_id: String::new(),
        user: None,
        container_id: String::new(),
        state,
    };
    let ended = |code, reason| ContainerState::Terminated(exit(code, reason, 0, 1_500));
    let waiting = ContainerState::Waiting { reason: "PodInitializing".into(), message: None };
    let [pod_dir, run_dir, log_dir] = ["pod", "run", "log"].map(Into::into);
    let view = PodView {
        pod: Arc::new(PodContext { pod: pod("web"), pod_dir, run_dir, log_dir, bound: true }),
        status: PodStatus {
            phase: Phase::Failed,
            reason: None,
            message: None,
            start_time: None,
            pod_ips: Vec::new(),
            conditions: Vec::new(),
            init_containers: vec![
                status("fetch", ended(0, ExitReason::Completed), 0),
                status("log-shipper", ended(143, ExitReason::Error), 2),
                status("migrate", ended(137, ExitReason::OOMKilled), 0),
            ],
            containers: vec![status("app", waiting, 0)],
            ephemeral_containers: Vec::new(),
        },
        conditions: std::collections::BTreeMap::default(),
        deleting: false,
        at_rest: true,
        seq: 9,
    };
    let pod = pod("web");
    let table = summary::table(&[(&pod, &view)], at(5_000));
    let json = String::from_utf8(summary::json_summary(&pod, &view, at(5_000))).unwrap();
    expect![[r#"
        POD   CONTAINER     KIND      STATE             EXIT CODE   RESTARTS   RAN
        web   fetch         init      Completed         0           0          1.5s
        web   log-shipper   sidecar   Error             143         2          1.5s
        web   migrate       init      OOMKilled         137         0          1.5s
        web   app           app       PodInitializing   -           0          -
        {"containers":[{"exitCode":0,"kind":"init","name":"fetch","reason":"Completed","restarts":0,"seconds":1.5,"state":"Terminated"},{"exitCode":143,"kind":"sidecar","name":"log-shipper","reason":"Error","restarts":2,"seconds":1.5,"state":"Terminated"},{"exitCode":137,"kind":"init","name":"migrate","reason":"OOMKilled","restarts":0,"seconds":1.5,"state":"Terminated"},{"kind":"app","name":"app","reason":"PodInitializing","restarts":0,"state":"Waiting"}],"message":null,"namespace":"default","phase":"Failed","pod":"web","reason":null,"time":"1970-01-01T00:00:05.000000Z","type":"summary"}
    "#]].assert_eq(&format!("{table}{json}"));
}
