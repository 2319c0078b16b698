//! Timelines of pods, from their records.

mod world;

use std::time::Duration;

use expect_test::{expect, expect_file};
use explain::timeline::{self, Said, SpanKind, Style, Timeline};
use journal::{Entry, Happening, LogTail, Occasion, Record, Snapshot};
use lifecycle::{Observation, Observed};
use podspec::{BootTime, Moment, WallTime};

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
    world.at(45_000, Observation::DeletionRequested { grace: Duration::from_secs(10) });
    world.run(50_000);
    let timeline = timeline::of(&world.record());
    expect![[r#"
        default/web  46s  from 2025-06-15T15:06:40Z  at rest
                      0s              10s             20s             30s             40s
                      +---------------+---------------+---------------+---------------+---------
        pod           s===================#########====#############################==========%d gone
                                                                                              D
        init migrate  .~~~+=~~~~+=-------------------------------------------------------------- exited 0, 1 restart
                            1   R 0
        sidecar proxy ............~+uu########################################################w- exited 143
                                   !!                                                       T143
        main          ................p===#########p===#############################==========%- exited 143, 1 restart
                                      ! !          3R!                              !! !! ! T143

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

/// What the pictures of README.md are made from.
#[test]
fn the_record_of_the_pictures() {
    let mut world = World::new(SHOWN);
    world.pulls.insert("migrate", (2_600, None));
    world.exits.insert("migrate", vec![(900, 1), (1_800, 0)]);
    world.ready.insert("proxy", (2_000, u64::MAX));
    world.exits.insert("web", vec![(11_000, 1), (6_000, 1), (7_000, 1)]);
    world.ready.insert("web", (1_500, 9_000));
    world.run(62_000);
    let mut record = world.record();
    let said = |line: &str| vec![line.to_owned()];
    let lines = said("error: connect to db:5432: Temporary failure in name resolution");
    record.logs.insert("web".into(), vec![LogTail { attempt: 2, lines }]);
    let text = serde_json::to_string(&record).unwrap() + "\n";
    expect_file!["golden/record.json"].assert_eq(&text);
    let again: Record = serde_json::from_str(&text).unwrap();
    assert_eq!(timeline::of(&again), timeline::of(&record));
}

const SHOWN: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  initContainers:
  - {name: migrate, image: example.com/shop:1.4, command: [migrate]}
  - name: proxy
    image: example.com/proxy:2
    restartPolicy: Always
    startupProbe: {httpGet: {port: 8000, path: /started}, periodSeconds: 1, failureThreshold: 30}
    lifecycle: {preStop: {exec: {command: [drain]}}}
  containers:
  - name: web
    image: example.com/shop:1.4
    command: [serve]
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {port: 8080, path: /healthz}, periodSeconds: 1}
    lifecycle: {postStart: {exec: {command: [warm]}}}
  - {name: log-shipper, image: example.com/shipper:3}
";

#[test]
fn a_new_engine_takes_over() {
    let mut world = sidecar();
    world.restart_engine(46_000);
    world.run(60_000);
    expect![[r#"
        default/web  1m  from 2025-06-15T15:06:40Z
                      0s         15s         30s        45s       1m
                      +----------+-----------+----------+-----------
        pod           s========####==##############================= running
                                                         N
        init migrate  ~+=~~=---------------------------------------- exited 0, 1 restart
                         1 R0
        sidecar proxy ......u####################################### ready
                            !
        main          .......p=####p=##############================= running, 1 restart
                              !    3R!             !!!!!!!!!!!!!!!!!

        . waiting  v volumes  s sandbox  ~ image  + creating  p postStart
        u startup probe  = running  # ready  - exited  0-255 exit code  R restart
        ! probe failed  N new engine
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&world.record()), plain(80)));
}

const PLAIN: &str = "
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: shop}
spec:
  terminationGracePeriodSeconds: 2
  containers:
  - {name: main, image: app:1}
  - {name: side, image: app:1}
";

#[test]
fn a_container_that_crashes_again_and_again() {
    let mut world = World::new(PLAIN);
    world.exits.insert("side", vec![(200, 127); 1_000]);
    world.run(95_000);
    expect![[r#"
        shop/plain  1m35s  from 2025-06-15T15:06:40Z
             0s                30s               1m              1m30s
             +-----------------+-----------------+-----------------+--
        pod  #=====#===========#=======================#============== running
        main +######################################################## ready
        side #:::::#:::::::::::#:::::::::::::::::::::::#:::::::::::::: CrashLoopBackOff, 4 restar~
             127R  127R        127R                    127R

        . waiting  v volumes  s sandbox  ~ image  + creating  = running  # ready  : backing off
        0-255 exit code  R restart
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&world.record()), plain(90)));
    world.run(3 * 86_400_000);
    let timeline = timeline::of(&world.record());
    expect![[r#"
        shop/plain  3d  from 2025-06-15T15:06:40Z
             0s                 1d                 2d               3d
             +------------------+------------------+------------------
        pod  ==#////////////////////////////////////////////========== running
        main +######################################################## ready
        side :+//////////////////////////////////////////////////::::: CrashLoopBackOff, 868 rest~
             127R127R127                          127R127R127R127R127R

        . waiting  v volumes  s sandbox  ~ image  + creating  = running  # ready  : backing off
        / many attempts  0-255 exit code  R restart
    "#]]
    .assert_eq(&timeline::text(&timeline, plain(90)));
    let side = &timeline.lanes[2];
    assert!(side.spans.len() <= 400 && side.restarts > 800, "{} {}", side.spans.len(), side.restarts);
    assert_eq!(side.spans.iter().filter(|span| span.kind == SpanKind::Collapsed).count(), 1);
    assert!(in_order(&timeline));
}

#[test]
fn an_exit_that_is_told_before_its_start() {
    let mut world = World::new(
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {restartPolicy: Never, containers: [{name: main, image: i}]}}",
    );
    world.exits.insert("main", vec![(6, 3)]);
    world.run(1_000);
    let mut record = world.record();
    let place = |entries: &[Entry], wanted: fn(&Observation) -> bool| {
        let is_wanted = |entry: &Entry| matches!(&entry.what, Happening::Observed(seen) if wanted(seen));
        entries.iter().position(is_wanted).expect("it is there")
    };
    let mut start = record
        .entries
        .remove(place(&record.entries, |seen| matches!(seen, Observation::ContainerStarted { .. })));
    let exit = place(&record.entries, |seen| matches!(seen, Observation::ContainerExited { .. }));
    start.at = record.entries[exit].at;
    record.entries.insert(exit + 1, start);
    let timeline = timeline::of(&record);
    let lane = timeline.lanes.iter().find(|lane| lane.container.is_some()).expect("a lane");
    let first: Vec<(SpanKind, u32)> = lane.spans.iter().map(|span| (span.kind, span.attempt)).collect();
    let place = |wanted| first.iter().position(|kind| *kind == wanted);
    assert!(
        place((SpanKind::Running, 0)).expect("it ran") < place((SpanKind::Exited, 0)).expect("it exited"),
        "{first:?}"
    );
    assert_eq!(first.iter().filter(|kind| **kind == (SpanKind::Running, 0)).count(), 1, "{first:?}");
}

#[test]
fn an_image_that_cannot_be_had() {
    let mut world = World::new(PLAIN);
    world.pulls.insert("main", (1_200, Some("not found")));
    world.run(61_000);
    expect![[r#"
        shop/plain  1m1s  from 2025-06-15T15:06:40Z
             0s            15s           30s           45s           1m
             +-------------+-------------+-------------+--------------+
        pod  s========================================================= running
        main ~:::::::::~:::::::::::::::::::~::::::::::::::::::::::::::: ImagePullBackOff
              I         I                   I
        side .:::::::::.:::::::::::::::::::.::::::::::::::::::::::::::: ImagePullBackOff

        . waiting  v volumes  s sandbox  ~ image  = running  : backing off
        I image failed
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&world.record()), plain(80)));
}

#[test]
fn who_does_not_hear_the_stop_signal_is_killed() {
    let mut world = World::new(PLAIN);
    world.deaf.push("main");
    world.at(3_000, Observation::DeletionRequested { grace: Duration::from_secs(2) });
    world.run(9_000);
    expect![[r#"
        shop/plain  5s  from 2025-06-15T15:06:40Z  at rest
             0s          1s           2s           3s          4s          5s
             +-----------+------------+------------+-----------+------------+
        pod  =#####################################%%%%%%%%%%%%%%%%%%%%%%%%%d gone
                                                   D
        main +#####################################%%%%%%%%%%%%%%%%%%%%%%%%%- exited 137
                                                   T                     K137
        side +#####################################%%%%%%-------------------- exited 143
                                                   T     143

        . waiting  v volumes  s sandbox  ~ image  + creating  = running  # ready
        % terminating  d clearing up  - exited  0-255 exit code  T stop signal
        K SIGKILL  D deletion requested
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&world.record()), plain(80)));
}

#[test]
fn a_sandbox_that_is_lost_is_made_again() {
    let mut world = World::new(PLAIN);
    world.at(5_000, Observation::SandboxLost { attempt: 0 });
    world.run(12_000);
    expect![[r#"
        shop/plain  12s  from 2025-06-15T15:06:40Z
             0s                      5s                      10s
             +-----------------------+-----------------------+---------
        pod  =#######################:::::=############################ ready
                                     L
        main +#######################-----+############################ ready, 1 restart
                                     137  R
        side +#######################-----+############################ ready, 1 restart
                                     137  R

        . waiting  v volumes  s sandbox  ~ image  + creating  = running  # ready
        : backing off  - exited  0-255 exit code  R restart  L sandbox lost
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&world.record()), plain(80)));
}

#[test]
fn a_record_whose_beginning_is_gone() {
    let mut record = sidecar().record();
    let kept = record.entries.iter().position(|entry| entry.at.boot >= World::moment(12_000).boot).unwrap();
    record.entries.drain(..kept);
    expect![[r#"
        default/web  32s  from 2025-06-15T15:06:52Z  (earlier is left out)
                      0s            10s           20s           30s
                      +-------------+-------------+-------------+---
        pod           ============================================== running
        init migrate  ---------------------------------------------- exited 0, 1 restart
        sidecar proxy ============================================== running
        main          =======p===#########################========== running, 1 restart
                             3R!                          ! !! !!! !

        ~ image  + creating  p postStart  = running  # ready  - exited  0-255 exit code
        R restart  ! probe failed
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&record), plain(80)));
    let mut nothing = record.clone();
    nothing.entries.clear();
    expect![[r#"
        default/web  45s  from 2025-06-15T15:06:40Z  (earlier is left out)
                      0s        10s       20s       30s       40s
                      +---------+---------+---------+---------+-----
        pod           ============================================== running
        init migrate        ==-------------------------------------- exited 0, 1 restart
                            R 0
        sidecar proxy         ====================================== running
        main                            ============================ running, 1 restart

        = running  - exited  0-255 exit code  R restart
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&nothing), plain(80)));
    // As it is after a generation has been begun: with what the entries before it have led to.
    let mut world = sidecar();
    let snapshot = Snapshot {
        occasion: Occasion::Generation,
        pod: world.pod.clone(),
        observed: world.observed.clone(),
        decisions: world.decisions().to_vec(),
    };
    world.run(46_500);
    let mut record = world.record();
    record.entries.retain(|entry| entry.at.boot > World::moment(45_000).boot);
    let at = World::moment(45_000);
    record.entries.insert(0, Entry { seq: 1_000, at, what: Happening::Snapshot(Box::new(snapshot)) });
    expect![[r#"
        default/web  1.5s  from 2025-06-15T15:07:25Z  (earlier is left out)
                      0s             500ms          1s          1.5s
                      +--------------+--------------+---------------
        pod           ============================================== running
        init migrate  ---------------------------------------------- exited 0, 1 restart
        sidecar proxy ############################################## ready
        main          ============================================== running, 1 restart
                                       !

        = running  # ready  - exited  ! probe failed
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&record), plain(80)));
}

#[test]
fn only_the_end_of_it() {
    let mut timeline = timeline::of(&sidecar().record());
    timeline.keep_last(Duration::from_secs(20));
    expect![[r#"
        default/web  20s  from 2025-06-15T15:07:05Z  (earlier is left out)
                      0s         5s          10s        15s      20s
                      +----------+-----------+----------+-----------
        pod           ###############################=============== running
        init migrate  ---------------------------------------------- exited 0, 1 restart
        sidecar proxy ############################################## ready
        main          ###############################=============== running, 1 restart
                                                     ! ! !  ! ! !  !

        = running  # ready  - exited  ! probe failed
    "#]]
    .assert_eq(&timeline::text(&timeline, plain(80)));
}

#[test]
fn a_machine_that_was_restarted() {
    let mut world = World::new(PLAIN);
    world.run(20_000);
    let mut record = world.record();
    world.at(80_000, Observation::Accepted);
    world.at(80_000, Observation::SandboxLost { attempt: 0 });
    world.run(90_000);
    let later = world.record();
    // The boot clock began again 30 seconds before the engine did.
    let back = World::moment(50_000).boot.0;
    record.entries = later.entries.clone();
    for entry in &mut record.entries[..] {
        if entry.at.boot >= World::moment(80_000).boot {
            entry.at.boot.0 -= back;
        }
    }
    record.now = later.now;
    record.now.boot.0 -= back;
    expect![[r#"
        shop/plain  1m30s  from 2025-06-15T15:06:40Z
             0s                 30s                1m             1m30s
             +------------------+------------------+-------------------
        pod  =##################################################:=##### ready
                                                                LN
        main +##################################################-+##### ready, 1 restart
                                                                137R
        side +##################################################-+##### ready, 1 restart
                                                                137R

        . waiting  v volumes  s sandbox  ~ image  + creating  = running  # ready
        : backing off  - exited  0-255 exit code  R restart  L sandbox lost
        N new engine
    "#]]
    .assert_eq(&timeline::text(&timeline::of(&record), plain(80)));
}

#[test]
fn a_line_for_each_change() {
    let mut said = Said::default();
    let mut world = World::new(PLAIN);
    world.exits.insert("side", vec![(1_000, 1)]);
    world.run(900);
    let first = timeline::changes(&timeline::of(&world.record()), &mut said);
    assert_eq!(timeline::changes(&timeline::of(&world.record()), &mut said), "");
    world.run(15_000);
    let then = timeline::changes(&timeline::of(&world.record()), &mut said);
    expect![[r#"
              0s  pod: volumes
              0s  main: waiting (for the pod's volumes)
              0s  side: waiting (for the pod's volumes)
             5ms  pod: sandbox
             5ms  main: waiting (for the pod's sandbox)
             5ms  side: waiting (for the pod's sandbox)
            25ms  pod: running
            25ms  main: image (already on the machine)
            25ms  side: waiting (for container main)
            26ms  main: creating
            56ms  main: ready
            56ms  side: image (already on the machine)
            57ms  side: creating
            87ms  pod: ready
            87ms  side: ready
        --
              1s  pod: running
              1s  side: exit code 1: Error
              1s  side: image (already on the machine), attempt 1
              1s  side: creating, attempt 1
            1.1s  pod: ready
            1.1s  side: restart
            1.1s  side: ready, attempt 1
    "#]]
    .assert_eq(&format!("{first}--\n{then}"));
}

#[test]
fn whatever_a_record_says_every_line_fits() {
    let records = [sidecar().record(), crashing().record(), World::new(PLAIN).record()];
    for seed in 1..=300 {
        let mut random = Random(seed);
        let mut record = records[random.below(records.len())].clone();
        random.mangle(&mut record);
        let mut timeline = timeline::of(&record);
        assert!(in_order(&timeline), "seed {seed}");
        if random.below(3) == 0 {
            timeline.keep_last(Duration::from_millis(random.next() >> random.below(60)));
        }
        for _ in 0..6 {
            let (width, ascii) = (20 + random.below(381), random.below(2) == 0);
            let style = Style { width, color: random.below(2) == 0, ascii, dated: random.below(2) == 0 };
            let text = timeline::text(&timeline, style);
            for line in text.lines() {
                let line = without_color(line);
                assert!(line.chars().count() <= width, "seed {seed}, {width} columns: {line}");
                assert!(!ascii || line.is_ascii(), "seed {seed}: {line}");
            }
        }
        let svg = timeline::svg(&timeline);
        assert_eq!(svg.matches('<').count(), svg.matches('>').count(), "seed {seed}");
        assert!(!svg.chars().any(|c| c.is_control() && c != '\n'), "seed {seed}");
        assert!(serde_json::to_string(&timeline::json(&timeline)).is_ok(), "seed {seed}");
        timeline::changes(&timeline, &mut Said::default());
    }
}

fn crashing() -> World {
    let mut world = World::new(PLAIN);
    world.exits.insert("side", vec![(200, 127); 9]);
    world.exits.insert("main", vec![(20_000, 0); 3]);
    world.run(200_000);
    world
}

/// Spans and marks of every lane, one after the other, and no span within another.
fn in_order(timeline: &Timeline) -> bool {
    timeline.lanes.iter().all(|lane| {
        let ends = lane.spans.iter().all(|span| span.end.is_none_or(|end| end.boot >= span.begin.boot));
        let follow =
            lane.spans.windows(2).all(|pair| pair[0].end.is_some_and(|end| end.boot <= pair[1].begin.boot));
        ends && follow && lane.marks.windows(2).all(|pair| pair[0].at.boot <= pair[1].at.boot)
    })
}

fn without_color(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\x1b') {
        out.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    out + rest
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn nanos(&mut self) -> i64 {
        let shift = self.below(64);
        (self.next() >> shift).cast_signed()
    }

    fn mangle(&mut self, record: &mut Record) {
        if self.below(4) == 0 {
            record.pod.name = "a\u{1f980}\u{7}<&\"'\u{202e}\u{fffe}".repeat(1 + self.below(30));
            record.pod.spec.containers[0].name = "main\u{3042}\n]]>".into();
        }
        for _ in 0..self.below(40) {
            let count = record.entries.len();
            if count < 2 {
                break;
            }
            let (a, b) = (self.below(count), self.below(count));
            match self.below(6) {
                0 => drop(record.entries.remove(a)),
                1 => record.entries.swap(a, b),
                2 => record.entries[a].at.boot = BootTime(self.nanos()),
                3 => record.entries[a].at.wall = WallTime(self.nanos()),
                4 => drop(record.entries.drain(..a.min(count / 4))),
                _ => {
                    let what = record.entries[a].what.clone();
                    record.entries.insert(b, Entry { what, ..record.entries[b].clone() });
                }
            }
        }
        match self.below(6) {
            0 => record.now = Moment::default(),
            1 => record.now.boot = BootTime(self.nanos()),
            2 => record.observed = Observed::default(),
            _ => {}
        }
    }
}
