//! Events to the letter.

use expect_test::expect;
use journal::{Entry, Happening};
use kubelet::events::{EventSource, EventType};
use lifecycle::{
    Action, Decision, Exit, ExitReason, Hook, Observation, ProbeKind, ProbeOutcome, PullAmount, Pulled,
    StopPodReason, StopReason, Verdict, Wait,
};
use podspec::{BootTime, ContainerName, Moment};
use std::time::Duration;

fn decided(decisions: &[(Option<&str>, Verdict)]) -> Happening {
    let decision = |(container, verdict): &(Option<&str>, Verdict)| Decision {
        container: container.map(ContainerName::new),
        verdict: verdict.clone(),
    };
    Happening::Decided(decisions.iter().map(decision).collect())
}

fn image_failed(reason: &str) -> Happening {
    let (reason, message) = (reason.to_owned(), "why".to_owned());
    Happening::Observed(Observation::ImageFailed {
        container: "main".into(),
        image: "img".into(),
        reason,
        message,
    })
}

fn started(container: &str) -> Happening {
    let (container, id) = (container.into(), "id".into());
    Happening::Observed(Observation::ContainerStarted {
        container,
        attempt: 0,
        id,
        started: Moment::default(),
        user: None,
    })
}

fn probed(outcome: ProbeOutcome) -> Happening {
    probed_by(ProbeKind::Startup, outcome)
}

fn probed_by(probe: ProbeKind, outcome: ProbeOutcome) -> Happening {
    Happening::Observed(Observation::ProbeFinished { container: "side".into(), attempt: 0, probe, outcome })
}

#[test]
fn every_event_has_the_kubelets_words() {
    let until = BootTime(0);
    let delay = Duration::from_secs(10);
    let start_error = Exit {
        code: 128,
        signal: None,
        reason: ExitReason::StartError,
        message: "no such file".into(),
        started: None,
        finished: Moment::default(),
    };
    let journal = vec![
        Happening::Observed(Observation::VolumesFailed {
            message: "MountVolume.SetUp failed for volume \"v\" : why".into(),
        }),
        Happening::Observed(Observation::SandboxCreateFailed { attempt: 0, message: "why".into() }),
        Happening::Observed(Observation::ImageReady {
            container: "side".into(),
            image: "img".into(),
            image_id: "id".into(),
            repo_digest: None,
            pulled: Some(Pulled {
                took: Duration::from_millis(1_250),
                waited: Duration::from_millis(250),
                bytes: 42,
            }),
        }),
        Happening::Observed(Observation::ImagePulling { container: "main".into(), image: "img".into() }),
        Happening::Observed(Observation::ImageProgress {
            container: "main".into(),
            image: "of-volume".into(),
            progress: PullAmount { bytes: 500 << 20, bytes_done: 120 << 20, layers: 8, layers_done: 3 },
        }),
        image_failed("RegistryUnavailable"),
        image_failed("SignatureValidationFailed"),
        image_failed("ErrImageNeverPull"),
        image_failed("InvalidImageName"),
        image_failed("ErrImagePull"),
        decided(&[(
            Some("main"),
            Verdict::Wait(Wait::ImagePullBackOff { image: "img".into(), until, delay }),
        )]),
        started("side"),
        probed(ProbeOutcome::Failure("not yet".into())),
        probed(ProbeOutcome::Error("gone".into())),
        probed_by(
            ProbeKind::Liveness,
            ProbeOutcome::Failure("HTTP probe failed with statuscode: 500".into()),
        ),
        probed_by(ProbeKind::Readiness, ProbeOutcome::Warning("elsewhere".into())),
        Happening::Observed(Observation::HookWarned {
            container: "side".into(),
            attempt: 0,
            message: "in clear".into(),
        }),
        decided(&[(Some("side"), Verdict::StopContainer(StopReason::StartupProbeFailed))]),
        decided(&[(Some("side"), Verdict::StopContainer(StopReason::LivenessProbeFailed))]),
        decided(&[(Some("side"), Verdict::StopContainer(StopReason::DefinitionChanged))]),
        started("main"),
        decided(&[(Some("main"), Verdict::StopContainer(StopReason::StartupProbeFailed))]),
        decided(&[(Some("main"), Verdict::StopContainer(StopReason::LivenessProbeFailed))]),
        decided(&[(Some("main"), Verdict::StopContainer(StopReason::DefinitionChanged))]),
        decided(&[(Some("main"), Verdict::StopContainer(StopReason::ResizeRestarts))]),
        Happening::Observed(Observation::Evicted { message: "too much".into() }),
        Happening::Observed(Observation::HookFinished {
            container: "main".into(),
            attempt: 0,
            hook: Hook::PostStart,
            failure: Some("why".into()),
        }),
        decided(&[(Some("main"), Verdict::StopContainer(StopReason::PostStartHookFailed))]),
        Happening::Observed(Observation::ContainerExited {
            container: "main".into(),
            attempt: 1,
            exit: start_error,
        }),
        decided(&[(Some("main"), Verdict::Wait(Wait::CrashLoopBackOff { until, delay }))]),
        Happening::Observed(Observation::ContainerCreateFailed {
            container: "main".into(),
            attempt: 2,
            reason: "CreateContainerConfigError".into(),
            message: "why".into(),
        }),
        Happening::Observed(Observation::SandboxLost { attempt: 0 }),
        Happening::Issued(Action::CreateSandbox { attempt: 1 }),
        started("side"),
        decided(&[(None, Verdict::StopPod(StopPodReason::DeadlineExceeded))]),
        // Stopping goes on: no new event.
        decided(&[(None, Verdict::StopPod(StopPodReason::DeadlineExceeded)), (Some("main"), Verdict::Leave)]),
    ];
    let pod = crate::fakes::pod("u1", "OnFailure", &[("side", true)], &["main"]);
    let mut source = EventSource::default();
    let mut text = String::new();
    for (seq, what) in (1..).zip(journal) {
        for event in source.events(&pod, &Entry { seq, at: Moment::default(), what }) {
            let kind = if event.kind == EventType::Warning { "W" } else { "N" };
            let path = event.field_path.as_deref().unwrap_or("-");
            text.push_str(&format!("{kind} {} {path} {}\n", event.reason, event.message));
        }
    }
    expect![[r#"
        W FailedMount - MountVolume.SetUp failed for volume "v" : why
        W FailedCreatePodSandBox - Failed to create pod sandbox: why
        N Pulled spec.initContainers{side} Successfully pulled image "img" in 1.25s (1.5s including waiting). Image size: 42 bytes.
        N Pulling spec.containers{main} Pulling image "img"
        N PullProgress - Pulling image "of-volume": 120 MiB of 500 MiB in 3 of 8 layers
        W Failed spec.containers{main} Failed to pull image "img": RegistryUnavailable: why
        W Failed spec.containers{main} Error: RegistryUnavailable
        W Failed spec.containers{main} Failed to pull image "img": SignatureValidationFailed: why
        W Failed spec.containers{main} Error: SignatureValidationFailed
        W ErrImageNeverPull spec.containers{main} why
        W Failed spec.containers{main} Error: ErrImageNeverPull
        W InspectFailed spec.containers{main} why
        W Failed spec.containers{main} Error: InvalidImageName
        W Failed spec.containers{main} Failed to pull image "img": why
        W Failed spec.containers{main} Error: ErrImagePull
        N BackOff spec.containers{main} Back-off pulling image "img"
        W Failed spec.containers{main} Error: ImagePullBackOff
        N Created spec.initContainers{side} Container created
        N Started spec.initContainers{side} Container started
        W Unhealthy spec.initContainers{side} Startup probe failed: not yet
        W Unhealthy spec.initContainers{side} Startup probe errored and resulted in unknown state: gone
        W Unhealthy spec.initContainers{side} Liveness probe failed: HTTP probe failed with statuscode: 500
        W ProbeWarning spec.initContainers{side} Readiness probe warning: elsewhere
        W LifecycleHTTPFallback - in clear
        N Killing spec.initContainers{side} Init container side failed startup probe
        N Killing spec.initContainers{side} Init container side failed liveness probe
        N Killing spec.initContainers{side} Init container side definition changed
        N Created spec.containers{main} Container created
        N Started spec.containers{main} Container started
        N Killing spec.containers{main} Container main failed startup probe, will be restarted
        N Killing spec.containers{main} Container main failed liveness probe, will be restarted
        N Killing spec.containers{main} Container main definition changed, will be restarted
        N Killing spec.containers{main} Container main resize requires restart
        W Evicted - too much
        W FailedPostStartHook spec.containers{main} PostStartHook failed
        N Killing spec.containers{main} FailedPostStartHook
        N Created spec.containers{main} Container created
        W Failed spec.containers{main} Error: no such file
        W BackOff spec.containers{main} Back-off restarting failed container main in pod pod-u1_default(u1)
        W Failed spec.containers{main} Error: why
        N SandboxChanged - Pod sandbox changed, it will be killed and re-created.
        N Created spec.initContainers{side} Container created
        N Started spec.initContainers{side} Container started
        N DeadlineExceeded - Pod was active on the node longer than the specified deadline
        N Killing spec.initContainers{side} Stopping container side
    "#]].assert_eq(&text);
}

/// A container that ends at once may be told of as ended before it is told of as started.
#[test]
fn who_has_ended_is_not_told_to_stop() {
    let exit = Exit {
        code: 0,
        signal: None,
        reason: ExitReason::Completed,
        message: String::new(),
        started: None,
        finished: Moment::default(),
    };
    let exited = Observation::ContainerExited { container: "side".into(), attempt: 0, exit };
    let stop = decided(&[(None, Verdict::StopPod(StopPodReason::Completed))]);
    let journal = [Happening::Observed(exited), started("side"), started("main"), stop];
    let pod = crate::fakes::pod("u1", "OnFailure", &[("side", true)], &["main"]);
    let mut source = EventSource::default();
    let mut reasons = Vec::new();
    for (seq, what) in (1..).zip(journal) {
        let events = source.events(&pod, &Entry { seq, at: Moment::default(), what });
        reasons.extend(events.into_iter().map(|event| format!("{} {}", event.reason, event.message)));
    }
    assert_eq!(reasons.last().map(String::as_str), Some("Killing Stopping container main"));
    assert_eq!(reasons.iter().filter(|reason| reason.starts_with("Killing")).count(), 1, "{reasons:?}");
}

#[test]
fn amounts_are_short() {
    for (bytes, text) in [
        (0, "0 B"),
        (1_023, "1023 B"),
        (1_024, "1.0 KiB"),
        (1_536, "1.5 KiB"),
        (10_239, "10 KiB"),
        (1 << 20, "1.0 MiB"),
        (999 << 20, "999 MiB"),
        (1_000 << 20, "1.0 GiB"),
        (u64::MAX, "16 EiB"),
    ] {
        assert_eq!(kubelet::events::binary(bytes), text, "{bytes}");
    }
}
