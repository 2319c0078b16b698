//! What comes of a pod under assumptions: statuses, warnings, and the steps in between.

use std::fmt::Write as _;
use std::time::Duration;

use expect_test::{Expect, expect};
use journal::Happening;
use lifecycle::{Action, Observation};
use podspec::{BootTime, IDENTITY_BYTES, Pod, load_pods};
use simulation::{Assumption, Assumptions, Flag, run};

fn pod(spec: &str) -> Pod {
    let text = format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{{spec}}}}}");
    load_pods("test", &text, || [7; IDENTITY_BYTES]).expect("a pod").remove(0).admitted.pod
}

/// Exits, hooks and signals; what is assumed; and the warnings.
fn check(spec: &str, stated: &[(Flag, &str)], expected: &Expect) {
    let parse = |(flag, text): &(Flag, &str)| Assumption::parse(*flag, text).expect("it can be read");
    let stated = stated.iter().map(parse).collect();
    let simulated = run(&pod(spec), &Assumptions { stated, ..Assumptions::default() });
    let mut text = String::new();
    for assumed in &simulated.assumed {
        let who = assumed.container.as_ref().map_or("pod", |name| name.as_str());
        let _ = writeln!(text, "{who}: {}", assumed.what.join("; "));
    }
    for entry in &simulated.record.entries {
        let step = match &entry.what {
            Happening::Observed(Observation::ContainerExited { container, exit, .. }) => {
                format!("{container} exited {} {:?}", exit.code, exit.reason)
            }
            Happening::Observed(Observation::HookFinished { container, hook, failure, .. }) => {
                format!("{container} {} {}", hook.name(), failure.as_deref().unwrap_or("done"))
            }
            Happening::Issued(Action::SignalContainer { container, .. }) => format!("signal {container}"),
            Happening::Issued(Action::KillContainer { container, .. }) => format!("kill {container}"),
            _ => continue,
        };
        let at = entry.at.boot.since(BootTime(0)) + Duration::from_micros(1);
        let _ = writeln!(text, "{:8.3} {step}", at.as_secs_f64());
    }
    for warning in &simulated.warnings {
        let _ = writeln!(text, "{}: {}", warning.kind.name(), warning.text);
    }
    let _ = writeln!(text, "{:?}, failed: {}", simulated.ended, simulated.failed());
    expected.assert_eq(&text);
}

/// Who obeys its stop signal does not come to the end that it would have come to without.
#[test]
fn a_stop_signal_comes_before_the_own_end() {
    let spec = "restartPolicy: Never, containers: [{name: a, image: i}]";
    let stated = [(Flag::Exit, "a=7@5s"), (Flag::Term, "a=3s:4"), (Flag::Delete, "4s")];
    check(
        spec,
        &stated,
        &expect![[r#"
        a: exits 7 after 5s; ends 3s after SIGTERM, exit code 4
        pod: deleted after 4s, with a grace of 30s
           4.000 signal a
           7.000 a exited 4 Error
        AtRest, failed: false
    "#]],
    );
    let stated = [(Flag::Exit, "a=7@5s"), (Flag::Term, "a=ignores"), (Flag::Delete, "4s")];
    check(
        spec,
        &stated,
        &expect![[r#"
        a: exits 7 after 5s; ignores SIGTERM
        pod: deleted after 4s, with a grace of 30s
           4.000 signal a
           5.000 a exited 7 Error
        AtRest, failed: false
    "#]],
    );
}

/// The commands in a container end first, so the engine still sends its signal, which reaches nobody.
#[test]
fn a_hook_ends_with_its_container() {
    let spec = "restartPolicy: Never, containers: [{name: a, image: i, \
                lifecycle: {preStop: {exec: {command: [x]}}}}]";
    let stated =
        [(Flag::Exit, "a=6@5s"), (Flag::Term, "a=0s:4"), (Flag::Hook, "a=preStop:20s"), (Flag::Delete, "4s")];
    check(
        spec,
        &stated,
        &expect![[r#"
        a: exits 6 after 5s; obeys SIGTERM at once, exit code 4; its preStop hook takes 20s
        pod: deleted after 4s, with a grace of 30s
           5.000 a preStop exit code 137
           5.000 signal a
           5.000 a exited 6 Error
        AtRest, failed: false
    "#]],
    );
}

#[test]
fn a_sidecar_whose_turn_comes_too_late_is_told_of() {
    let spec = "restartPolicy: Never, terminationGracePeriodSeconds: 10, \
                initContainers: [{name: log, image: i, restartPolicy: Always}], containers: [{name: a, image: i}]";
    let stated = [(Flag::Term, "a=ignores"), (Flag::Term, "log=5s"), (Flag::Delete, "4s")];
    check(
        spec,
        &stated,
        &expect![[r#"
        log: runs until it is stopped; ends 5s after SIGTERM, exit code 0
        a: exits 0 after 10s; ignores SIGTERM
        pod: deleted after 4s, with a grace of 10s
           4.000 signal a
          10.000 a exited 0 Completed
          10.000 signal log
          14.000 kill log
          14.000 log exited 137 Error
        sidecarKilled: sidecar log gets SIGKILL 10s after the stop begins: it waited 6s for a, and had 4s after SIGTERM
        AtRest, failed: false
    "#]],
    );
    // And when nobody said that it is deleted.
    let stated = [(Flag::Exit, "a=never"), (Flag::Term, "log=11s")];
    check(
        spec,
        &stated,
        &expect![[r#"
            log: runs until it is stopped; ends 11s after SIGTERM, exit code 0
            a: runs until it is stopped; obeys SIGTERM at once, exit code 0
            sidecarKilled: if it is deleted: sidecar log gets SIGKILL 10s after the stop begins: 10s after SIGTERM it still runs
            NothingToCome, failed: false
        "#]],
    );
}

#[test]
fn a_pod_that_never_begins_is_told_of() {
    let spec = "initContainers: [{name: log, image: i, command: [tail, '-f', /x]}], containers: [{name: a, image: i}]";
    check(
        spec,
        &[],
        &expect![[r#"
            log: runs until it is stopped (by its command); ignores SIGTERM (process 1 ignores what it does not catch)
            a: runs until it is stopped; obeys SIGTERM at once, exit code 0
            neverInitialized: the pod does not get past its init containers: log (1 of 1) runs and does not end; as a sidecar it would not have to (restartPolicy: Always of its own)
            containerKilled: if it is deleted: log gets SIGKILL 30s after the stop begins: 30s after SIGTERM it still runs
            NothingToCome, failed: false
        "#]],
    );
    let spec = "containers: [{name: a, image: i, readinessProbe: {exec: {command: [x]}}}]";
    check(
        spec,
        &[(Flag::ProbeFails, "a=readiness")],
        &expect![[r#"
            a: runs until it is stopped; obeys SIGTERM at once, exit code 0; its readinessProbe fails
            neverReady: the pod is never ready: a runs, and its readiness probe does not succeed
            Until, failed: false
        "#]],
    );
    check(
        spec,
        &[(Flag::Exit, "a=1@1s")],
        &expect![[r#"
        a: exits 1 after 1s; obeys SIGTERM at once, exit code 0; its readinessProbe succeeds
           1.000 a exited 1 Error
           2.000 a exited 1 Error
          13.000 a exited 1 Error
          34.000 a exited 1 Error
          75.000 a exited 1 Error
         156.000 a exited 1 Error
         317.000 a exited 1 Error
        crashLoop: a crashes over and over: exit code 1, 6 restarts, and longer and longer waits
        Until, failed: false
    "#]],
    );
}
