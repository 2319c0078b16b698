//! Timelines of pods, from their records.

mod world;

use expect_test::{expect, expect_file};
use explain::timeline::{self, Style};

use world::World;

const SIDECAR: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 10
  initContainers:
  - {name: migrate, image: app:1}
  - name: proxy
    image: proxy:1
    restartPolicy: Always
    startupProbe: {exec: {command: [check]}, periodSeconds: 1}
    lifecycle: {preStop: {exec: {command: [drain]}}}
  containers:
  - name: main
    image: app:1
    readinessProbe: {exec: {command: [check]}, periodSeconds: 1, failureThreshold: 1}
    lifecycle: {postStart: {exec: {command: [warm]}}}
";

fn plain(width: usize) -> Style {
    Style { width, color: false, ascii: true, dated: true }
}

fn sidecar() -> World {
    let mut world = World::new(SIDECAR);
    world.pulls.insert("migrate", (2_500, None));
    world.exits.insert("migrate", vec![(1_500, 1), (1_500, 0)]);
    world.exits.insert("main", vec![(8_000, 3)]);
    world.ready.insert("proxy", (2_000, u64::MAX));
    world.ready.insert("main", (1_500, 20_000));
    world.run(45_000);
    world
}

#[test]
fn a_pod_with_a_sidecar_that_is_deleted() {
    let mut world = sidecar();
    world.at(45_000, lifecycle::Observation::DeletionRequested { grace: std::time::Duration::from_secs(10) });
    world.run(50_000);
    let timeline = timeline::of(&world.record());
    expect![[r#"
        default/web  46s  from 2025-06-15T15:06:40Z  at rest
                      0s              10s             20s             30s             40s
                      +---------------+---------------+---------------+---------------+---------
        pod           s=======================================================================%d gone
                                                                                              D
        init migrate  .~~~+=~~~~+=-------------------------------------------------------------- exited 0, 1 restart
                            1   R 0
        sidecar proxy ............~+uu########################################################w- exited 143
                                   !!                                                        143
        main          ................p===#########p===#############################==========%- exited 143, 1 restart
                                      ! !          3 !                              !! !! ! !143

        . waiting  v volumes  s sandbox  ~ image  + creating  p postStart  u startup probe  = running  # ready
        w stops after others  h preStop  % terminating  d clearing up  - exited  0-255 exit code  R restart
        ! probe failed  T stop signal  D deletion requested
    "#]].assert_eq(&timeline::text(&timeline, plain(110)));
    let style = Style { color: true, ascii: false, ..plain(100) };
    expect_file!["golden/sidecar.ansi"].assert_eq(&timeline::text(&timeline, style));
    expect_file!["golden/sidecar.svg"].assert_eq(&timeline::svg(&timeline));
    let json = serde_json::to_string_pretty(&timeline::json(&timeline)).unwrap();
    expect_file!["golden/sidecar.json"].assert_eq(&(json + "\n"));
}

#[test]
fn a_new_engine_takes_over() {
    let mut world = sidecar();
    world.restart_engine(46_000);
    world.run(60_000);
    expect![[r#"
        default/web  1m  from 2025-06-15T15:06:40Z
                      0s         15s         30s        45s       1m
                      +----------+-----------+----------+-----------
        pod           s============================================= running
                                                         N
        init migrate  ~+=~~=---------------------------------------- exited 0, 1 restart
                         1 R0
        sidecar proxy ......u####################################### ready
                            !
        main          .......p=####p=##############================= running, 1 restart
                              !    3!!             !!!!!!!!!!!!!!!!!

        . waiting  v volumes  s sandbox  ~ image  + creating  p postStart
        u startup probe  = running  # ready  - exited  0-255 exit code  R restart
        ! probe failed  N new engine
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&world.record()), plain(80)));
}
