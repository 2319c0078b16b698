//! What `why` says of each way in which a pod may be stuck.

mod world;

use std::time::Duration;

use expect_test::{Expect, expect};
use explain::why::{Look, NOTICE_AFTER, endless_inits, notice, text, unplaced, why};
use lifecycle::{ExitReason, Hook, Observation, ProbeKind, RejectionReason};
use podspec::{ContainerName, WallTime};
use serde_json::json;
use world::World;

#[expect(clippy::needless_pass_by_value, reason = "written where it is compared")]
fn check(world: &World, expected: Expect) {
    expected.assert_eq(&world.text());
}

const PLAIN: &str = "{containers: [{name: main, image: 'app:1', command: [app]}]}";

#[test]
fn a_pod_that_is_well() {
    let mut world = World::new(PLAIN);
    check(
        world.after(90),
        expect![[r#"
        shop/web well
          nothing is wrong

          - container main runs and is ready (since 2026-01-01T00:00:00Z, for 90s)
    "#]],
    );
}

#[test]
fn volumes_wait_for_an_object() {
    let spec = "{volumes: [{name: c, configMap: {name: conf}}], containers: [{name: main, image: 'app:1'}]}";
    let mut world = World::with(
        spec,
        &[("volumes", ("", "MountVolume.SetUp failed for volume \"c\" : configmap \"conf\" not found"))],
    );
    check(
        world.after(5),
        expect![[r#"
        shop/web stuck
          the pod's volumes cannot be set up: MountVolume.SetUp failed for volume "c" : configmap "conf" not found

          - volumes: MountVolume.SetUp failed for volume "c" : configmap "conf" not found (since 2026-01-01T00:00:00Z,
            for 5s; next at 2026-01-01T00:00:10Z, in 5s)

          remedy:
          - make it (kubectl create configmap conf), or correct the name in the pod; or say optional: true where it
            may be missing. The pod goes on as soon as it is there
    "#]],
    );
}

#[test]
fn a_sandbox_that_cannot_be_made() {
    let mut world = World::with(PLAIN, &[("sandbox", ("", "cannot start a shim: No space left on device"))]);
    check(
        world.after(3),
        expect![[r#"
        shop/web stuck
          the pod's sandbox cannot be made: cannot start a shim: No space left on device

          - sandbox: cannot start a shim: No space left on device (since 2026-01-01T00:00:00Z, for 3s; next at
            2026-01-01T00:00:10Z, in 7s)

          remedy:
          - mend what the message names; it is tried again by itself
    "#]],
    );
}

#[test]
fn an_object_of_the_environment_is_missing() {
    let missing = ("CreateContainerConfigError", "secret \"token\" not found");
    let mut world = World::with(PLAIN, &[("main", missing)]);
    check(
        world.after(4),
        expect![[r#"
        shop/web stuck
          container main cannot be made: secret "token" not found

          - CreateContainerConfigError: secret "token" not found (since 2026-01-01T00:00:00Z, for 4s; next at
            2026-01-01T00:00:10Z, in 6s)

          remedy:
          - make it (kubectl create secret generic token), or correct the name in the pod; or say optional: true where
            it may be missing. The pod goes on as soon as it is there
    "#]],
    );
}

#[test]
fn images_that_cannot_be_had() {
    let missing = ("ErrImagePull", "registry.example/app:1: manifest unknown");
    check(
        World::with(PLAIN, &[("app:1", missing)]).after(15),
        expect![[r#"
        shop/web stuck
          container main has no image: app:1 cannot be had

          - ErrImagePull: registry.example/app:1: manifest unknown (since 2026-01-01T00:00:10Z, for 5s; next at
            2026-01-01T00:00:30Z, in 15s)

          remedy:
          - correct the name or tag "app:1", or load the image: monopod image load FILE
    "#]],
    );
    let denied = ("ErrImagePull", "pull access denied: 401 unauthorized");
    check(
        World::with(PLAIN, &[("app:1", denied)]).after(2),
        expect![[r#"
        shop/web stuck
          container main has no image: app:1 cannot be had

          - ErrImagePull: pull access denied: 401 unauthorized (since 2026-01-01T00:00:00Z, for 2s; next at
            2026-01-01T00:00:10Z, in 8s)

          remedy:
          - say who asks: a secret of type kubernetes.io/dockerconfigjson, named in imagePullSecrets; or correct the
            name, if the image is public
    "#]],
    );
    let never = ("ErrImageNeverPull", "Container image \"app:1\" is not present with pull policy of Never");
    check(
        World::with(PLAIN, &[("app:1", never)]).after(2),
        expect![[r#"
        shop/web stuck
          container main has no image: app:1 cannot be had

          - ErrImageNeverPull: Container image "app:1" is not present with pull policy of Never (since
            2026-01-01T00:00:00Z, for 2s; next at 2026-01-01T00:00:10Z, in 8s)

          remedy:
          - imagePullPolicy is Never: load it (monopod image load FILE), or allow it to be pulled (IfNotPresent).
            `monopod image ls` shows what is there
    "#]],
    );
}

#[test]
fn an_init_container_that_was_meant_as_a_sidecar() {
    let spec = "{restartPolicy: Always, initContainers: [{name: log-shipper, image: 'filebeat:latest'}], containers: [{name: main-app, image: 'app:1'}]}";
    check(
        World::new(spec).after(12),
        expect![[r#"
        shop/web stuck
          init container log-shipper never ends, so nothing after it starts

          - init container log-shipper runs and has to exit with 0 before anything after it starts (since
            2026-01-01T00:00:00Z, for 12s)
          - restartPolicy: Always of the pod does not make it a sidecar; its own restartPolicy does

          remedy:
          - spec.initContainers[0]: a sidecar needs restartPolicy: Always on the container itself; the pod's
            restartPolicy does not make one [sidecar-as-init]
    "#]],
    );
}

const WAIT: &str = "{initContainers: [{name: wait-for-db, image: 'busybox:1.36', command: [sh, -c, 'until nc -z db 5432; do sleep 1; done']}], containers: [{name: main, image: 'app:1'}]}";

#[test]
fn an_init_container_waits_for_a_service() {
    let mut world = World::new(WAIT);
    world.says("wait-for-db", &["nc: bad address 'db'", "nc: bad address 'db'"]);
    world.after(20);
    check(
        &world,
        expect![[r#"
            shop/web waiting
              init container wait-for-db has not ended; it speaks to db

              - init container wait-for-db runs and has to exit with 0 before anything after it starts (since
                2026-01-01T00:00:00Z, for 20s)

              wait-for-db said last (attempt 0):
                nc: bad address 'db'

              remedy:
              - see whether db is there and answers: kubectl get endpointslices -l kubernetes.io/service-name=db
        "#]],
    );
    world.around.complete = true;
    check(
        &world,
        expect![[r#"
        shop/web waiting
          init container wait-for-db waits for db: there is no Service db in namespace shop

          - init container wait-for-db runs and has to exit with 0 before anything after it starts (since
            2026-01-01T00:00:00Z, for 20s)
          - wait-for-db asks for db; there is no Service db in namespace shop. The wait ends when it has a ready
            endpoint

          wait-for-db said last (attempt 0):
            nc: bad address 'db'

          remedy:
          - make a Service db whose selector matches pods that are ready; its name is then a host name in the pod
    "#]],
    );
    world.around.services.insert("db".to_owned(), 0);
    check(
        &world,
        expect![[r#"
        shop/web waiting
          init container wait-for-db waits for db: Service db has no ready endpoint

          - init container wait-for-db runs and has to exit with 0 before anything after it starts (since
            2026-01-01T00:00:00Z, for 20s)
          - wait-for-db asks for db; Service db has no ready endpoint. The wait ends when it has a ready endpoint

          wait-for-db said last (attempt 0):
            nc: bad address 'db'

          remedy:
          - start a pod that the selector of Service db matches, and that becomes ready: kubectl get endpointslices -l
            kubernetes.io/service-name=db
    "#]],
    );
    world.around.services.insert("db".to_owned(), 1);
    check(
        &world,
        expect![[r#"
            shop/web waiting
              init container wait-for-db has not ended; it speaks to db

              - init container wait-for-db runs and has to exit with 0 before anything after it starts (since
                2026-01-01T00:00:00Z, for 20s)

              wait-for-db said last (attempt 0):
                nc: bad address 'db'

              remedy:
              - see whether db is there and answers: kubectl get endpointslices -l kubernetes.io/service-name=db
        "#]],
    );
}

#[test]
fn an_init_container_waits_for_a_container_of_the_same_pod() {
    let spec = WAIT.replace("{name: main,", "{name: db,");
    let mut world = World::new(&spec);
    check(
        world.after(2),
        expect![[r#"
            shop/web stuck
              init container wait-for-db waits for db, which is a container of this pod and no host name

              - init container wait-for-db runs and has to exit with 0 before anything after it starts (since
                2026-01-01T00:00:00Z, for 2s)

              remedy:
              - spec.initContainers[0].command[2]: use localhost:5432: the containers of a pod share one network, and only
                a Service of this name would be found [container-name-as-host]
              - db starts after all init containers: make it a sidecar (an init container before wait-for-db with
                restartPolicy: Always), or wait in the container that needs it
        "#]],
    );
}

const SIDECAR: &str = "{initContainers: [{name: proxy, image: 'proxy:1', restartPolicy: Always, startupProbe: {httpGet: {path: /, port: 8080}, failureThreshold: 30}}], containers: [{name: main, image: 'app:1'}]}";

#[test]
fn a_sidecar_whose_startup_probe_fails() {
    let mut world = World::new(SIDECAR);
    let refused = "Get \"http://10.88.0.2:8080/\": dial tcp 10.88.0.2:8080: connect: connection refused";
    world.listens("proxy", "0.0.0.0:8000").after(10);
    world.probe("proxy", ProbeKind::Startup, Some(refused)).after(3);
    check(
        &world,
        expect![[r#"
            shop/web stuck
              sidecar proxy is not started: its startup probe fails: Get "http://10.88.0.2:8080/": dial tcp
              10.88.0.2:8080: connect: connection refused

              - sidecar proxy runs; nothing after it starts before its startup probe succeeds (since 2026-01-01T00:00:00Z,
                for 13s)
              - the startup probe failed 1 of 30 times; 29 more stop the container (since 2026-01-01T00:00:10Z, for 3s)
              - nobody listens on port 8080; proxy listens on :8000

              remedy:
              - name the port it listens on (:8000), or have it listen on 8080
        "#]],
    );
}

#[test]
fn a_probe_that_is_refused() {
    let spec =
        "{containers: [{name: main, image: 'app:1', readinessProbe: {httpGet: {path: /, port: 8080}}}]}";
    let refused = "Get \"http://10.88.0.2:8080/\": dial tcp 10.88.0.2:8080: connect: connection refused";
    let failing = |sockets: &[&str]| {
        let mut world = World::new(spec);
        for socket in sockets {
            world.listens("main", socket);
        }
        world.after(10);
        world.probe("main", ProbeKind::Readiness, Some(refused));
        world.after(1);
        world
    };
    check(
        &failing(&["127.0.0.1:8080"]),
        expect![[r#"
            shop/web stuck
              container main is not ready: its readiness probe fails: Get "http://10.88.0.2:8080/": dial tcp
              10.88.0.2:8080: connect: connection refused

              - container main runs and gets no traffic of Services before its readiness probe succeeds (since
                2026-01-01T00:00:00Z, for 11s)
              - the readiness probe failed last (since 2026-01-01T00:00:10Z, for 1s)
              - container main listens on 127.0.0.1:8080 alone, and the connection comes to the pod's address

              remedy:
              - have it listen on 0.0.0.0:8080, or probe it with a command in the container (exec)
        "#]],
    );
    check(
        &failing(&["0.0.0.0:8000"]),
        expect![[r#"
            shop/web stuck
              container main is not ready: its readiness probe fails: Get "http://10.88.0.2:8080/": dial tcp
              10.88.0.2:8080: connect: connection refused

              - container main runs and gets no traffic of Services before its readiness probe succeeds (since
                2026-01-01T00:00:00Z, for 11s)
              - the readiness probe failed last (since 2026-01-01T00:00:10Z, for 1s)
              - nobody listens on port 8080; main listens on :8000

              remedy:
              - name the port it listens on (:8000), or have it listen on 8080
        "#]],
    );
    check(
        &failing(&[]),
        expect![[r#"
            shop/web stuck
              container main is not ready: its readiness probe fails: Get "http://10.88.0.2:8080/": dial tcp
              10.88.0.2:8080: connect: connection refused

              - container main runs and gets no traffic of Services before its readiness probe succeeds (since
                2026-01-01T00:00:00Z, for 11s)
              - the readiness probe failed last (since 2026-01-01T00:00:10Z, for 1s)
              - nobody in the pod listens on any port, so not on 8080

              remedy:
              - see why the program of main does not open port 8080 yet; its log may say
        "#]],
    );
    // It listens by now.
    check(
        &failing(&["[::]:8080"]),
        expect![[r#"
            shop/web stuck
              container main is not ready: its readiness probe fails: Get "http://10.88.0.2:8080/": dial tcp
              10.88.0.2:8080: connect: connection refused

              - container main runs and gets no traffic of Services before its readiness probe succeeds (since
                2026-01-01T00:00:00Z, for 11s)
              - the readiness probe failed last (since 2026-01-01T00:00:10Z, for 1s)

              remedy:
              - mend what the probe looks at, or correct readinessProbe of main
        "#]],
    );
}

#[test]
fn readiness_gates() {
    let spec = "{readinessGates: [{conditionType: shop/warm}], containers: [{name: main, image: 'app:1'}]}";
    check(
        World::new(spec).after(10),
        expect![[r#"
        shop/web waiting
          the pod is not ready: condition shop/warm of its readiness gates is not True: nobody has set it

          - all containers are ready; the pod is when every readiness gate is True, too

          remedy:
          - whoever owns shop/warm has to set it in status.conditions; or take it out of spec.readinessGates
    "#]],
    );
}

#[test]
fn crashes() {
    let crash = |code, reason, message: &str, lines: &[&str]| {
        let mut world = World::new(PLAIN);
        for _ in 0..2 {
            world.after(1).says("main", lines).ends("main", code, reason, message).after(11);
        }
        world.after(1).says("main", lines).ends("main", code, reason, message).after(3);
        world
    };
    check(
        &crash(127, ExitReason::Error, "", &["sh: aap: not found"]),
        expect![[r#"
            shop/web stuck
              container main keeps ending: a command was not found (exit code 127)

              - container main has been restarted 2 times; the next try waits (CrashLoopBackOff) (next at
                2026-01-01T00:00:45Z, in 17s)
              - its last run ended with exit code 127 (since 2026-01-01T00:00:25Z, for 3s)

              main said last (attempt 2):
                sh: aap: not found

              remedy:
              - correct command and args of main: the program has to be in the image app:1 and be executable
        "#]],
    );
    check(
        &crash(137, ExitReason::OOMKilled, "", &[]),
        expect![[r#"
            shop/web stuck
              container main keeps ending: the kernel killed it because it used more memory than it may: it has no limit
              of its own, so that of the pod or the machine counts (OOMKilled, exit code 137)

              - container main has been restarted 2 times; the next try waits (CrashLoopBackOff) (next at
                2026-01-01T00:00:45Z, in 17s)
              - its last run ended with exit code 137 (since 2026-01-01T00:00:25Z, for 3s)

              remedy:
              - raise resources.limits.memory of main, or have it use less
        "#]],
    );
    check(
        &crash(139, ExitReason::Error, "", &["ready", "serving"]),
        expect![[r#"
            shop/web stuck
              container main keeps ending: SIGSEGV ended it: it crashed: it used memory that is not its own (exit code
              139)

              - container main has been restarted 2 times; the next try waits (CrashLoopBackOff) (next at
                2026-01-01T00:00:45Z, in 17s)
              - its last run ended with exit code 139 (since 2026-01-01T00:00:25Z, for 3s)

              main said last (attempt 2):
                ready
                serving

              remedy:
              - see what main says: monopod logs web -c main -n shop
        "#]],
    );
    check(
        &crash(0, ExitReason::Completed, "", &["done"]),
        expect![[r#"
            shop/web stuck
              container main keeps ending: it ended by itself with exit code 0

              - container main has been restarted 2 times; the next try waits (CrashLoopBackOff) (next at
                2026-01-01T00:00:45Z, in 17s)
              - its last run ended with exit code 0 (since 2026-01-01T00:00:25Z, for 3s)

              main said last (attempt 2):
                done

              remedy:
              - a container of a pod with restartPolicy Always has to go on: give main a command that does not end, or the
                pod restartPolicy: OnFailure or Never
        "#]],
    );
    check(
        &crash(128, ExitReason::StartError, "exec: \"aap\": executable file not found in $PATH", &[]),
        expect![[r#"
            shop/web stuck
              container main keeps ending: its command could not be executed: exec: "aap": executable file not found in
              $PATH

              - container main has been restarted 2 times; the next try waits (CrashLoopBackOff) (next at
                2026-01-01T00:00:45Z, in 17s)
              - its last run ended with exit code 128 (since 2026-01-01T00:00:25Z, for 3s)

              remedy:
              - correct command and args of main: the program has to be in the image app:1 and be executable
        "#]],
    );
}

#[test]
fn a_port_that_another_container_has() {
    let spec = "{containers: [{name: first, image: 'app:1', command: [app]}, {name: second, image: 'app:1', command: [app]}]}";
    let mut world = World::new(spec);
    world.listens("first", "0.0.0.0:8080");
    world
        .after(1)
        .says("second", &["starting", "listen tcp :8080: bind: address already in use"])
        .exits("second", 1);
    world
        .after(11)
        .says("second", &["starting", "listen tcp :8080: bind: address already in use"])
        .exits("second", 1)
        .after(2);
    check(
        &world,
        expect![[r#"
            shop/web stuck
              container second keeps ending: it ended by itself with exit code 1

              - container second has been restarted once; the next try waits (CrashLoopBackOff) (next at
                2026-01-01T00:00:22Z, in 8s)
              - its last run ended with exit code 1 (since 2026-01-01T00:00:12Z, for 2s)

              second said last (attempt 1):
                listen tcp :8080: bind: address already in use

              remedy:
              - container first listens on 0.0.0.0:8080 already, and containers of a pod share their ports: give second
                another port than 8080
        "#]],
    );
}

#[test]
fn a_liveness_probe_kills_it_again_and_again() {
    let spec = "{terminationGracePeriodSeconds: 2, containers: [{name: main, image: 'app:1', command: [app], livenessProbe: {tcpSocket: {port: 8080}, failureThreshold: 1}}]}";
    let mut world = World::new(spec);
    let refused = "dial tcp 10.88.0.2:8080: connect: connection refused";
    for _ in 0..2 {
        world
            .after(10)
            .probe("main", ProbeKind::Liveness, Some(refused))
            .after(1)
            .exits("main", 143)
            .after(11);
    }
    check(
        &world,
        expect![[r#"
        shop/web well
          nothing is wrong

          - container main runs and is ready, restarted 2 times (since 2026-01-01T00:00:43Z, for 1s)
          - before that it was stopped because its liveness probe failed (exit code 143) (since 2026-01-01T00:00:33Z,
            for 11s)
    "#]],
    );
    world.after(20).probe("main", ProbeKind::Liveness, Some(refused)).after(1);
    check(
        &world,
        expect![[r#"
        shop/web stuck
          container main is being stopped because its liveness probe failed

          - container main has got its stop signal (SIGTERM) and has not ended; it is killed when its grace is over
            (since 2026-01-01T00:01:04Z, for 1s; next at 2026-01-01T00:01:06Z, in 1s)
          - Liveness probe failed: dial tcp 10.88.0.2:8080: connect: connection refused

          remedy:
          - see why the program of main does not open port 8080 yet; its log may say
    "#]],
    );
}

#[test]
fn hooks() {
    let spec = "{containers: [{name: main, image: 'app:1', command: [app], lifecycle: {postStart: {exec: {command: [sleep, infinity]}}}}]}";
    let mut world = World::new(spec);
    check(
        world.after(40),
        expect![[r#"
        shop/web waiting
          the postStart hook of main has not ended

          - its postStart hook runs; what comes after it waits until it ends (since 2026-01-01T00:00:00Z, for 40s)

          remedy:
          - a hook that never ends keeps its container from ever being started: let the hook of main end, and begin
            what goes on in the container itself
    "#]],
    );
    world.hook("main", Hook::PostStart, Some("exit code 1: no")).after(1).exits("main", 143).after(1);
    check(
        &world,
        expect![[r#"
        shop/web waiting
          the postStart hook of main has not ended

          - its postStart hook runs; what comes after it waits until it ends (since 2026-01-01T00:00:41Z, for 1s)

          remedy:
          - a hook that never ends keeps its container from ever being started: let the hook of main end, and begin
            what goes on in the container itself
    "#]],
    );
}

const STOPPED: &str = "{terminationGracePeriodSeconds: 30, initContainers: [{name: shipper, image: 's:1', command: [ship], restartPolicy: Always}], containers: [{name: main, image: 'app:1', command: [sh, -c, 'while true; do sleep 1; done']}]}";

#[test]
fn a_pod_that_is_being_stopped() {
    let mut world = World::new(STOPPED);
    world.after(5).delete(30).after(6);
    check(
        &world,
        expect![[r#"
            shop/web waiting
              the pod is being stopped (somebody deleted it) and waits for container main

              - the pod is being stopped: somebody deleted it (since 2026-01-01T00:00:05Z, for 6s; next at
                2026-01-01T00:00:35Z, in 24s)
              - sidecar shipper waits for its turn: its stop signal comes after the end of main
              - container main has got its stop signal (SIGTERM) and has not ended; it is killed when its grace is over
                (since 2026-01-01T00:00:05Z, for 6s; next at 2026-01-01T00:00:35Z, in 24s)

              remedy:
              - spec.containers[0].command[2]: set a trap (trap 'exit 0' TERM) and wait for what runs in the background,
                or exec the program that handles TERM [shell-ignores-term]
        "#]],
    );
    world.after(25).ends("main", 137, ExitReason::Error, "");
    check(
        world.after(1),
        expect![[r#"
        shop/web under way
          the pod is being stopped (somebody deleted it) and waits for sidecar shipper

          - the pod is being stopped: somebody deleted it (since 2026-01-01T00:00:05Z, for 32s)
          - sidecar shipper has got SIGKILL and is about to be gone
    "#]],
    );
}

#[test]
fn a_pre_stop_hook_runs() {
    let spec = "{containers: [{name: main, image: 'app:1', command: [app], lifecycle: {preStop: {exec: {command: [drain]}}}}]}";
    check(
        World::new(spec).after(5).delete(30).after(3),
        expect![[r#"
        shop/web under way
          the pod is being stopped (somebody deleted it) and waits for container main

          - the pod is being stopped: somebody deleted it (since 2026-01-01T00:00:05Z, for 3s; next at
            2026-01-01T00:00:35Z, in 27s)
          - the preStop hook of container main runs; its stop signal comes after it (since 2026-01-01T00:00:05Z, for
            3s)
    "#]],
    );
}

const JOB: &str = "{restartPolicy: Never, initContainers: [{name: prepare, image: 'p:1', command: [prepare]}], containers: [{name: main, image: 'app:1', command: [app]}]}";

#[test]
fn pods_that_have_ended() {
    let mut world = World::new(JOB);
    world.after(1).exits("prepare", 0).after(2).exits("main", 0).after(60);
    check(
        &world,
        expect![[r#"
        shop/web ended
          the pod has succeeded: every container ended with exit code 0

          - the pod has succeeded (since 2026-01-01T00:00:03Z, for 60s)
          - init container prepare: it ended by itself with exit code 0 (since 2026-01-01T00:00:01Z, for 62s)
          - container main: it ended by itself with exit code 0 (since 2026-01-01T00:00:03Z, for 60s)
    "#]],
    );
    let mut world = World::new(JOB);
    world
        .after(1)
        .exits("prepare", 0)
        .after(2)
        .says("main", &["working", "error: disk is full"])
        .exits("main", 3)
        .after(60);
    check(
        &world,
        expect![[r#"
            shop/web failed
              the pod has failed: container main: it ended by itself with exit code 3

              - the pod has failed (since 2026-01-01T00:00:03Z, for 60s)
              - init container prepare: it ended by itself with exit code 0 (since 2026-01-01T00:00:01Z, for 62s)
              - container main: it ended by itself with exit code 3 (since 2026-01-01T00:00:03Z, for 60s)

              main said last (attempt 0):
                error: disk is full

              remedy:
              - see what main says: monopod logs web -c main -n shop
        "#]],
    );
    let mut world = World::new(JOB);
    world
        .after(1)
        .says("prepare", &["cannot open /data/in: No such file or directory"])
        .exits("prepare", 1)
        .after(60);
    check(
        &world,
        expect![[r#"
            shop/web failed
              the pod has failed: init container prepare: it ended by itself with exit code 1

              - the pod has failed (since 2026-01-01T00:00:01Z, for 60s)
              - init container prepare: it ended by itself with exit code 1 (since 2026-01-01T00:00:01Z, for 60s)

              prepare said last (attempt 0):
                cannot open /data/in: No such file or directory

              remedy:
              - see what prepare says: monopod logs web -c prepare -n shop
        "#]],
    );
}

#[test]
fn pods_that_were_not_let_go_on() {
    let mut world =
        World::new("{activeDeadlineSeconds: 10, containers: [{name: main, image: 'app:1', command: [app]}]}");
    world.after(11).exits("main", 143).after(5);
    check(
        &world,
        expect![[r#"
            shop/web failed
              the pod has failed (DeadlineExceeded): Pod was active on the node longer than the specified deadline

              - the pod has failed (since 2026-01-01T00:00:11Z, for 5s)
              - container main: it ended after its stop signal (exit code 143) (since 2026-01-01T00:00:11Z, for 5s)

              remedy:
              - give it a longer activeDeadlineSeconds, or see why it took so long
        "#]],
    );
    let mut world = World::new(PLAIN);
    let message = "The node was low on resource: ephemeral-storage.".to_owned();
    world.after(3).see(Observation::Evicted { message }).after(1).exits("main", 137).after(5);
    check(
        &world,
        expect![[r#"
            shop/web failed
              the pod has failed (Evicted): The node was low on resource: ephemeral-storage.

              - the pod has failed (since 2026-01-01T00:00:04Z, for 5s)
              - container main: it ended after its stop signal (exit code 137) (since 2026-01-01T00:00:04Z, for 5s)

              remedy:
              - free what the machine is short of, or limit what the pod takes (sizeLimit, ephemeral-storage, memory)
        "#]],
    );
    let mut world = World::with(PLAIN, &[("volumes", ("", "x"))]);
    let (reason, message) = (RejectionReason::OutOfCpu, "Node didn't have enough resource: cpu".to_owned());
    world.see(Observation::Rejected { reason, message });
    check(
        world.after(5),
        expect![[r#"
        shop/web failed
          this node did not take the pod: OutOfcpu: Node didn't have enough resource: cpu

          - the pod has failed (since 2026-01-01T00:00:00Z, for 5s)

          remedy:
          - change what the message names, and make the pod again: a pod that was rejected is never tried again
    "#]],
    );
}

#[test]
fn one_container_has_ended_and_others_go_on() {
    let spec = "{restartPolicy: Never, containers: [{name: main, image: 'app:1', command: [app]}, {name: other, image: 'app:1', command: [app]}]}";
    check(
        World::new(spec).after(2).exits("main", 1).after(5),
        expect![[r#"
            shop/web stuck
              container main has ended and is not restarted: it ended by itself with exit code 1

              - it ended by itself with exit code 1; restartPolicy says that it stays so. The pod ends with the end of
                other (since 2026-01-01T00:00:02Z, for 5s)
        "#]],
    );
}

#[test]
fn a_container_that_runs_and_cannot_find_another_by_its_name() {
    let spec = "{containers: [{name: main, image: 'busybox:1.36', command: [sh, -c, 'until wget -q -O - http://sidecar:8080; do sleep 1; done; sleep infinity']}, {name: sidecar, image: 'app:1', ports: [{containerPort: 8080}]}]}";
    let mut world = World::new(spec);
    world.after(5).says("main", &["wget: bad address 'sidecar:8080'"]);
    check(
        &world,
        expect![[r#"
            shop/web stuck
              container main waits for sidecar, which is a container of this pod and no host name

              main said last (attempt 0):
                wget: bad address 'sidecar:8080'

              remedy:
              - spec.containers[0].command[2]: use localhost:8080: the containers of a pod share one network, and only a
                Service of this name would be found [container-name-as-host]
        "#]],
    );
}

#[test]
fn a_reader_that_looks_where_the_volume_is_not() {
    let spec = "{volumes: [{name: logs, emptyDir: {}}], containers: [{name: main, image: 'busybox:1.36', command: [sh, -c, 'while true; do date >> /var/log/app.log; sleep 1; done'], volumeMounts: [{name: logs, mountPath: /var/log}]}, {name: reader, image: 'busybox:1.36', command: [sh, -c, 'tail -n +1 -F /var/log/app.log'], volumeMounts: [{name: logs, mountPath: /logs}]}]}";
    let mut world = World::new(spec);
    world
        .after(5)
        .says("reader", &["tail: cannot open '/var/log/app.log' for reading: No such file or directory"]);
    check(
        &world,
        expect![[r#"
            shop/web stuck
              container reader runs and does not find a file

              - container reader runs (since 2026-01-01T00:00:00Z, for 5s)
              - the container "reader" reads /var/log/app.log, which is in no volume: the container "main" writes
                /var/log/app.log in the volume "logs", which the container "reader" sees as /logs/app.log

              reader said last (attempt 0):
                tail: cannot open '/var/log/app.log' for reading: No such file or directory

              remedy:
              - spec.containers[1].volumeMounts[0].mountPath: read /logs/app.log, or mount the volume at /var/log in the
                container "reader" [paths-do-not-meet]
        "#]],
    );
}

#[test]
fn a_pod_without_a_node() {
    let now = WallTime::parse(b"2026-01-01T00:01:00Z").unwrap();
    let pod = |spec: serde_json::Value, conditions: serde_json::Value| {
        json!({"metadata": {"name": "p", "namespace": "n", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": spec, "status": {"conditions": conditions}})
    };
    let look = Look { width: 80, color: false };
    let gated = pod(json!({"schedulingGates": [{"name": "shop/quota"}]}), json!([]));
    expect![[r#"
        n/p waiting
          the pod waits for its scheduling gates: shop/quota

          - the pod is pending and has no node (since 2026-01-01T00:00:00Z, for 60s)
          - the pod waits for its scheduling gates: shop/quota (since
            2026-01-01T00:00:00Z, for 60s)

          remedy:
          - whoever set shop/quota has to take it out of spec.schedulingGates
    "#]]
    .assert_eq(&text(&unplaced(&gated, now), look));
    let message = "0/1 nodes are available: 1 Insufficient memory.";
    let full = pod(
        json!({}),
        json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            "lastTransitionTime": "2026-01-01T00:00:01Z"}]),
    );
    expect![[r#"
        n/p stuck
          no node takes the pod: 0/1 nodes are available: 1 Insufficient memory.

          - the pod is pending and has no node (since 2026-01-01T00:00:00Z, for 60s)
          - no node takes the pod: 0/1 nodes are available: 1 Insufficient memory.
            (since 2026-01-01T00:00:01Z, for 59s)

          remedy:
          - ask for less (resources.requests), or end other pods: `kubectl describe
            node` shows what is taken. It is tried again when that changes
    "#]]
    .assert_eq(&text(&unplaced(&full, now), look));
    assert!(text(&unplaced(&json!(null), now), look).contains("not been looked at"));
}

#[test]
fn one_container_of_many() {
    let mut world = World::new(SIDECAR);
    world.after(3);
    expect![[r#"
        shop/web main under way
          sidecar proxy is not started: its startup probe has not succeeded

          - main has not run yet: it waits for what follows
          - sidecar proxy runs; nothing after it starts before its startup probe succeeds (since 2026-01-01T00:00:00Z,
            for 3s)
    "#]]
    .assert_eq(&world.text_of(Some("main")));
    let json =
        serde_json::to_string_pretty(&why(&world.record(), Some(&ContainerName::new("proxy")))).unwrap();
    expect![[r#"
        {
          "pod": "shop/web",
          "container": "proxy",
          "health": "progressing",
          "cause": "sidecar proxy is not started: its startup probe has not succeeded",
          "chain": [
            {
              "container": "proxy",
              "text": "sidecar proxy runs; nothing after it starts before its startup probe succeeds",
              "since": {
                "time": "2026-01-01T00:00:00Z",
                "seconds": -3
              }
            }
          ],
          "remedies": []
        }"#]]
    .assert_eq(&json);
}

#[test]
fn the_event() {
    let said =
        |world: &World| notice(&world.record(), &world.around).map(|notice| (notice.message, notice.due_in));
    let spec = "{initContainers: [{name: log-shipper, image: 'filebeat:latest'}], containers: [{name: main-app, image: 'app:1'}]}";
    let mut endless = World::new(spec);
    endless.after(1);
    assert_eq!(endless_inits(&endless.pod), [ContainerName::new("log-shipper")]);
    let (message, due_in) = said(&endless).unwrap();
    expect!["init container log-shipper never ends, so nothing after it starts. Remedy: spec.initContainers[0]: a sidecar needs restartPolicy: Always on the container itself; the pod's restartPolicy does not make one"].assert_eq(&message);
    assert_eq!(due_in, Duration::ZERO);
    let mut waiting = World::new(WAIT);
    assert!(endless_inits(&waiting.pod).is_empty());
    waiting.after(1).around.complete = true;
    let (message, due_in) = said(&waiting).unwrap();
    expect!["init container wait-for-db waits for db: there is no Service db in namespace shop. Remedy: make a Service db whose selector matches pods that are ready; its name is then a host name in the pod"].assert_eq(&message);
    assert_eq!(due_in, NOTICE_AFTER - Duration::from_secs(1));
    waiting.after(40);
    assert_eq!(said(&waiting).unwrap(), (message, Duration::ZERO));
    let mut well = World::new(PLAIN);
    assert_eq!(said(well.after(1)), None);
}

#[test]
fn what_containers_say_cannot_speak_to_the_terminal() {
    let mut world = World::new(PLAIN);
    let line = format!("\u{1b}[2J\u{7}error: {}", "\u{e9}".repeat(2_000));
    world.after(1).says("main", &[&line]).exits("main", 1).after(1);
    let record = world.record();
    for width in [0, 1, 40, 80, 1_000] {
        let text = text(&why(&record, None), Look { width, color: false });
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= width.max(40) || !line.contains(' ')),
            "{text}"
        );
    }
}
