//! Records that are played again: the same, otherwise, cut, torn and foreign.

mod hostile;
mod redacted;
mod world;

use expect_test::expect;
use explain::replay::{Replayed, replay, replay_until, words};
use journal::{Happening, Occasion, Record};
use lifecycle::{Action, Decision, Observation, Verdict};

use world::eventful;

fn position(record: &Record, wanted: impl Fn(&Happening) -> bool) -> usize {
    record.entries.iter().position(|entry| wanted(&entry.what)).expect("such an entry")
}

/// The numbers of entries without one of them are without a gap.
fn without(record: &Record, index: usize) -> Record {
    let mut record = record.clone();
    record.entries.remove(index);
    record.entries[index..].iter_mut().for_each(|entry| entry.seq -= 1);
    record
}

#[test]
fn a_record_of_this_version_is_the_same_again() {
    let record = eventful();
    let replayed = replay(&record);
    assert_eq!(replayed.difference, None);
    assert_eq!((replayed.entries, replayed.left_out), (record.entries.len(), 0));
    assert!(replayed.decisions > 30 && replayed.actions > 15, "{replayed:?}");
    for until in 0..=record.entries.len() as u64 {
        let part = replay_until(&record, until);
        assert_eq!((part.difference, part.entries as u64, part.last.unwrap_or(0)), (None, until, until));
    }
}

#[test]
fn whatever_is_taken_away_or_changed_is_found() {
    let record = eventful();
    let mut silent = Vec::new();
    for index in 1..record.entries.len() - 1 {
        let entry = &record.entries[index];
        if replay(&without(&record, index)).difference.is_none() {
            silent.push(words(entry, entry.at));
        }
        let mut changed = record.clone();
        match &mut changed.entries[index].what {
            Happening::Issued(action) => *action = Action::StopSandbox { attempt: 9 },
            Happening::Decided(decisions) => {
                decisions.push(Decision { container: None, verdict: Verdict::Leave });
            }
            what @ Happening::Settled => *what = Happening::Issued(Action::SetUpVolumes),
            _ => continue,
        }
        let difference = replay(&changed).difference.expect("it was changed");
        assert!(difference.seq <= entry.seq, "{}", words(entry, entry.at));
    }
    // What says nothing that was not known, or known again at once, is missed by nobody.
    silent.retain(|entry| !entry.starts_with("settled") && !entry.starts_with("snapshot"));
    silent.sort();
    silent.dedup();
    expect![[r#"
        observed: ProbeFinished attempt=0 container=main outcome=Success probe=Liveness
        observed: ProbeFinished attempt=0 container=main outcome=Success probe=Readiness
        observed: ProbeFinished attempt=1 container=main outcome=Success probe=Liveness
        observed: ProbeFinished attempt=1 container=main outcome=Success probe=Readiness
        observed: ProbeFinished attempt=2 container=main outcome=(Failure "HTTP probe failed with statuscode: 503: hunter2") probe=Liveness
        observed: ProbeFinished attempt=2 container=main outcome=Success probe=Liveness
        observed: ProbeFinished attempt=2 container=main outcome=Success probe=Readiness
        observed: SpecChanged"#]].assert_eq(&silent.join("\n"));
}

fn said(replayed: &Replayed) -> String {
    let difference = replayed.difference.as_ref().expect("a difference");
    let lines = |sign: &str, lines: &[String]| {
        lines.iter().map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    let known = difference.known.as_object().map(|known| known.keys().cloned().collect::<Vec<_>>().join(" "));
    format!(
        "{:?} at entry {}\n{}{}known: {}",
        difference.what,
        difference.seq,
        lines("-", &difference.recorded),
        lines("+", &difference.now),
        known.unwrap_or_default()
    )
}

#[test]
fn a_difference_says_what_and_from_what() {
    let record = eventful();
    let mut otherwise = record.clone();
    let start = position(
        &record,
        |what| matches!(what, Happening::Issued(Action::StartContainer { container, attempt: 2, .. }) if container.as_str() == "main"),
    );
    if let Happening::Issued(Action::StartContainer { attempt, .. }) = &mut otherwise.entries[start].what {
        *attempt = 3;
    }
    expect![[r#"
        Plan at entry 95
        - issued: StartContainer attempt=3 container=main image_id=sha256:app run=0
        + issued: StartContainer attempt=2 container=main image_id=sha256:app run=0
        known: accepted containers initialized run sandbox volumes"#]]
    .assert_eq(&said(&replay(&otherwise)));

    let mut otherwise = record.clone();
    let waits = position(
        &record,
        |what| matches!(what, Happening::Decided(decisions) if decisions.iter().any(|held| matches!(held.verdict, Verdict::Wait(lifecycle::Wait::CrashLoopBackOff { .. })))),
    );
    if let Happening::Decided(decisions) = &mut otherwise.entries[waits].what {
        decisions
            .retain(|held| !matches!(held.verdict, Verdict::Wait(lifecycle::Wait::CrashLoopBackOff { .. })));
    }
    expect![[r#"
        Plan at entry 88
        - nothing new
        + decided: main: Wait CrashLoopBackOff delay=(10s) until=+10.000s
        known: accepted containers initialized run sandbox volumes"#]]
    .assert_eq(&said(&replay(&otherwise)));

    // The same decisions, and another state, are found where the journal goes on in another file.
    let mut otherwise = record.clone();
    let generation = position(
        &record,
        |what| matches!(what, Happening::Snapshot(snapshot) if snapshot.occasion == Occasion::Generation),
    );
    if let Happening::Snapshot(snapshot) = &mut otherwise.entries[generation].what {
        snapshot.observed.run = 7;
    }
    expect![[r#"
        State at entry 148
        - observed.run: 7
        + observed.run: 0
        known: "#]]
    .assert_eq(&said(&replay(&otherwise)));

    // One that was not due.
    let mut otherwise = record;
    let settled = position(&otherwise, |what| *what == Happening::Settled);
    otherwise.entries[settled].what = Happening::Issued(Action::RemoveVolumes);
    expect![[r#"
        Plan at entry 5
        - issued: RemoveVolumes
        + nothing new
        known: accepted containers initialized run sandbox volumes"#]]
    .assert_eq(&said(&replay(&otherwise)));
}

#[test]
fn what_follows_from_what_is_gone_is_left_out() {
    let record = eventful();
    let generation = position(
        &record,
        |what| matches!(what, Happening::Snapshot(snapshot) if snapshot.occasion == Occasion::Generation),
    );
    // The oldest entries are gone, but not up to a snapshot.
    let mut cut = record.clone();
    cut.entries.drain(..5);
    let replayed = replay(&cut);
    assert_eq!((replayed.left_out, replayed.difference.is_none()), (generation - 5, true));
    assert_eq!(replayed.first, Some(record.entries[generation].seq));
    // Some are missing.
    let mut gap = record.clone();
    gap.entries.remove(8);
    let replayed = replay(&gap);
    assert_eq!(
        (replayed.entries, replayed.left_out),
        (record.entries.len() - generation + 8, generation - 9)
    );
    assert_eq!(replayed.difference, None);
    // An engine that begins anew may know more, or less, than the journal does.
    let mut anew = record.clone();
    if let Happening::Snapshot(snapshot) = &mut anew.entries[generation].what {
        snapshot.occasion = Occasion::Engine;
        snapshot.observed.was_initialized = !snapshot.observed.was_initialized;
    }
    assert_eq!(replay(&anew).difference, None);
    // There is no snapshot at all.
    let mut none = record;
    none.entries.retain(|entry| !matches!(entry.what, Happening::Snapshot(_)));
    let replayed = replay(&none);
    assert_eq!((replayed.entries, replayed.left_out, replayed.first), (0, none.entries.len(), None));
}

#[test]
fn entries_in_words() {
    let record = eventful();
    let start = record.entries[0].at;
    let some = |entry: &&journal::Entry| !matches!(&entry.what, Happening::Observed(Observation::ProbeFinished { outcome, .. }) if *outcome == lifecycle::ProbeOutcome::Success);
    let lines: Vec<String> =
        record.entries.iter().filter(some).take(48).map(|entry| words(entry, start)).collect();
    expect![[r#"
        snapshot: an engine begins with what is known of the pod
        observed: Accepted
        issued: SetUpVolumes
        decided: pod: Wait Volumes
        settled: nothing more to do
        observed: VolumesReady
        decided: nothing
        issued: CreateSandbox attempt=0
        decided: pod: Wait Sandbox
        settled: nothing more to do
        observed: SandboxCreated attempt=0 ips=[10.1.0.2]
        decided: nothing
        issued: EnsureImage container=init image=prepare policy=Always
        decided: init: Wait ImagePull
        settled: nothing more to do
        observed: ImageReady container=init image=prepare image_id=sha256:prepare pulled=none
        decided: init: Start
        issued: StartContainer attempt=0 container=init image_id=sha256:prepare run=0
        decided: init: Wait InitContainer name=init
        settled: nothing more to do
        observed: ContainerStarted attempt=0 container=init id=init-0 started=(+0.040s)
        settled: nothing more to do
        observed: ContainerExited attempt=0 container=init exit=(code=0 finished=(+2.000s) message="the password was hunter2" reason=Completed signal=none started=none)
        decided: nothing
        issued: EnsureImage container=side image=side policy=Always
        decided: side: Wait ImagePull
        settled: nothing more to do
        observed: ImageReady container=side image=side image_id=sha256:side pulled=none
        decided: side: Start
        issued: StartContainer attempt=0 container=side image_id=sha256:side run=0
        decided: side: Wait SidecarStartup name=side
        settled: nothing more to do
        observed: ContainerStarted attempt=0 container=side id=side-0 started=(+2.020s)
        decided: side: Wait StartupProbe; side: Wait SidecarStartup name=side
        settled: nothing more to do
        decided: nothing
        issued: EnsureImage container=main image=app policy=Always
        decided: main: Wait ImagePull
        settled: nothing more to do
        observed: ImageReady container=main image=app image_id=sha256:app pulled=none
        decided: main: Start
        issued: StartContainer attempt=0 container=main image_id=sha256:app run=0
        decided: nothing
        settled: nothing more to do
        observed: ContainerStarted attempt=0 container=main id=main-0 started=(+2.050s)
        decided: main: Wait ReadinessProbe
        settled: nothing more to do
        decided: nothing"#]].assert_eq(&lines.join("\n"));
}
