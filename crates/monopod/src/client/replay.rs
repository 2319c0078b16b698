//! `monopod replay`: whether this version decides as it is on record.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use explain::replay::{Difference, Replayed, replay_until, words};
use journal::{Happening, Record};
use podspec::{Moment, Pod};
use serde::Deserialize;
use serde_json::json;

use crate::client::context::Context;
use crate::client::failure::{Failure, Result};
use crate::client::target::pod_name;
use crate::client::{print, record};
use crate::outcome::{FAILURE, REFUSED};

pub(super) const HELP: &str = "\
Examples:
  monopod replay web                      of a pod: is what it did what this version would do
  monopod replay monopod-bug-report.json  of a report of `monopod bug-report`, or of a record, on any machine
  monopod replay report.json -v           and print each step with its decisions
  monopod replay report.json --until 120  up to the entry with this number, and what is known there
  monopod replay - < report.json          from standard input

Exit code: 0 when this version decides the same, 1 when it decides otherwise, 2 when nothing could be read or played.";

/// Of a report; a journal has two generations of a megabyte.
const FILE_BYTES_MAX: u64 = 32 << 20;
/// What a plan costs grows with both.
const ENTRIES_MAX: usize = 50_000;
const CONTAINERS_MAX: usize = 1_000;
/// Shown before a difference.
const BEFORE: usize = 5;

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// NAME or pod/NAME of a pod, a file of `monopod bug-report`, or - for standard input
    #[arg(value_name = "POD|FILE|-")]
    what: String,
    /// Go no further than the entry with this number
    #[arg(long, value_name = "SEQ")]
    until: Option<u64>,
    /// text, or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) async fn replay(options: &Replay, context: &Context) -> Result<ExitCode> {
    let record = match obtain(&options.what, context).await {
        Ok(record) => record,
        Err(failure) => {
            // 1 is said of a record that was played.
            failure.say();
            return Ok(ExitCode::from(if matches!(failure, Failure::ReaderGone) { 0 } else { REFUSED }));
        }
    };
    let replayed = replay_until(&record, options.until.unwrap_or(u64::MAX));
    let said = match options.output {
        Format::Json => json_text(&record, &replayed)?,
        Format::Text => text(&record, &replayed, context.verbose > 0),
    };
    print::text(&said)?;
    Ok(ExitCode::from(match (&replayed.difference, replayed.entries) {
        (Some(_), _) => FAILURE,
        (None, 0) => REFUSED,
        (None, _) => 0,
    }))
}

async fn obtain(what: &str, context: &Context) -> Result<Record> {
    if what == "-" {
        return read(io::stdin().lock(), "standard input");
    }
    let path = Path::new(what);
    // A name has no slash, and who has a file of a pod's name means pod/NAME by the pod.
    let is_file = path.is_file() || path.extension().is_some_and(|end| end == "json");
    if is_file || (what.contains('/') && pod_name(what).is_err()) {
        let file =
            File::open(path).map_err(|error| Failure::refused(format!("{what} cannot be read: {error}")))?;
        return read(file, what);
    }
    record::obtain(context, pod_name(what)?).await
}

/// A report, or a record by itself.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    record: Option<Record>,
}

fn read(from: impl io::Read, what: &str) -> Result<Record> {
    let mut text = Vec::new();
    from.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| Failure::refused(format!("{what} cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::refused(format!(
            "{what} has more than {} MiB: no record is as large",
            FILE_BYTES_MAX >> 20
        )));
    }
    let record = match serde_json::from_slice::<Report>(&text) {
        Ok(Report { record: Some(record) }) => Ok(record),
        Ok(Report { record: None }) => serde_json::from_slice(&text),
        Err(error) => Err(error),
    };
    let record = record.map_err(|error| {
        Failure::refused(format!(
            "{what} is no report of `monopod bug-report` and no record that this version can read: {error}"
        ))
    })?;
    bounded(&record).map_err(|why| Failure::refused(format!("{what} is not played: {why}")))?;
    Ok(record)
}

fn bounded(record: &Record) -> std::result::Result<(), String> {
    if record.entries.len() > ENTRIES_MAX {
        return Err(format!("it has {} entries, and at most {ENTRIES_MAX} are taken", record.entries.len()));
    }
    let of_entries = record.entries.iter().filter_map(|entry| match &entry.what {
        Happening::Snapshot(snapshot) => Some(&snapshot.pod),
        Happening::Changed(pod) => Some(&**pod),
        _ => None,
    });
    let containers = |pod: &Pod| pod.spec.all_containers().count();
    match of_entries.chain([&record.pod]).map(containers).max() {
        Some(most) if most > CONTAINERS_MAX => {
            Err(format!("its pod has {most} containers, and at most {CONTAINERS_MAX} are taken"))
        }
        _ => Ok(()),
    }
}

fn json_text(record: &Record, replayed: &Replayed) -> Result<String> {
    let verdict = match (&replayed.difference, replayed.entries) {
        (Some(_), _) => "different",
        (None, 0) => "nothing to play",
        (None, _) => "same",
    };
    let value = json!({
        "namespace": record.pod.namespace,
        "name": record.pod.name,
        "version": env!("CARGO_PKG_VERSION"),
        "verdict": verdict,
        "replayed": replayed,
    });
    let text = serde_json::to_string_pretty(&value);
    text.map(|text| text + "\n").map_err(|error| Failure::said(format!("the answer is no JSON: {error}")))
}

/// The first entry's time counts as the beginning.
fn text(record: &Record, replayed: &Replayed, steps: bool) -> String {
    let mut out = String::new();
    let start = record.entries.iter().find(|entry| Some(entry.seq) == replayed.first).map(|entry| entry.at);
    if steps {
        let until =
            replayed.difference.as_ref().map(|difference| difference.seq).or(replayed.last).unwrap_or(0);
        let from = replayed.first.unwrap_or(u64::MAX);
        for entry in record.entries.iter().filter(|entry| (from..=until).contains(&entry.seq)) {
            out.push_str(&step(entry, start.unwrap_or(entry.at)));
        }
    }
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let (name, entries) = (plain(&format!("{}/{}", record.pod.namespace, record.pod.name)), replayed.entries);
    if replayed.left_out > 0 {
        let left_out = plural(replayed.left_out, "entry").replace("entrys", "entries");
        out.push_str(&format!("{left_out} left out, which follow from what is no longer on record\n"));
    }
    match &replayed.difference {
        Some(difference) => out.push_str(&different(record, difference, start)),
        None if entries == 0 => {
            out.push_str(&format!(
                "{name}: nothing to play: it has no snapshot, as those of earlier versions\n"
            ));
        }
        None => out.push_str(&format!(
            "{name}: {} to {}, {} in {}, {}: this version decides the same\n",
            plural(entries, "entry").replace("entrys", "entries"),
            replayed.last.map_or(String::new(), |last| format!("#{last}")),
            plural(replayed.decisions, "decision"),
            plural(replayed.plans, "plan"),
            plural(replayed.actions, "action"),
        )),
    }
    out
}

fn different(record: &Record, difference: &Difference, start: Option<Moment>) -> String {
    let start = start.unwrap_or(difference.at);
    let after = difference.at.boot.since(start.boot).as_secs_f64();
    let name = plain(&format!("{}/{}", record.pod.namespace, record.pod.name));
    let mut out =
        format!("{name}: this version decides otherwise at entry #{}, at +{after:.3}s\n", difference.seq);
    for (lines, head) in [(&difference.recorded, "on record"), (&difference.now, "now")] {
        for line in lines {
            out.push_str(&format!("  {head:<9}  {}\n", plain(line)));
        }
    }
    if !difference.known.is_null() {
        let known = serde_json::to_string_pretty(&difference.known).unwrap_or_default();
        out.push_str("what was known then:\n");
        for line in known.lines() {
            out.push_str(&format!("  {}\n", plain(line)));
        }
    }
    let before: Vec<_> = record.entries.iter().filter(|entry| entry.seq < difference.seq).collect();
    out.push_str("what happened before it:\n");
    for entry in before.iter().rev().take(BEFORE).rev() {
        out.push_str(&format!("  {}", step(entry, start)));
    }
    out
}

fn step(entry: &journal::Entry, start: Moment) -> String {
    let after = entry.at.boot.since(start.boot).as_secs_f64();
    format!("#{} +{after:.3}s {}\n", entry.seq, plain(&words(entry, start)))
}

/// A record may be somebody else's: nothing of it commands the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidirectional(c) { '?' } else { c }).collect()
}

/// What makes a text be shown in another order than it is.
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use expect_test::expect;
    use explain::replay::replay;
    use journal::{Entry, Happening, Occasion, Record, Snapshot};
    use lifecycle::{Action, Observation, Observed};
    use podspec::{BootTime, IDENTITY_BYTES, Moment, WallTime};

    use super::{CONTAINERS_MAX, ENTRIES_MAX, FILE_BYTES_MAX, read, text};

    pub(in crate::client) fn record() -> Record {
        let text =
            "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: a, image: i}]}}";
        let pod = podspec::load_pods("t", text, || [7; IDENTITY_BYTES]).unwrap().remove(0).admitted.pod;
        let (observed, decisions) = (Observed::default(), Vec::new());
        let at = |ms: i64| Moment { boot: BootTime(ms * 1_000_000), wall: WallTime(0) };
        let snapshot =
            Snapshot { occasion: Occasion::Engine, pod: pod.clone(), observed: observed.clone(), decisions };
        let entries = [
            Happening::Snapshot(Box::new(snapshot)),
            Happening::Observed(Observation::Accepted),
            Happening::Issued(Action::SetUpVolumes),
        ];
        let entry = |(index, what)| Entry { seq: index as u64 + 1, at: at(index as i64), what };
        let entries = entries.into_iter().enumerate().map(entry).collect();
        Record { pod, observed, entries, now: at(10), live: None, logs: BTreeMap::new() }
    }

    fn refused(text: &[u8]) -> String {
        match read(text, "FILE") {
            Err(failure) => format!("{failure:?}"),
            Ok(_) => panic!("it was read"),
        }
    }

    #[test]
    fn a_record_is_read_by_itself_or_from_a_report() {
        let record = record();
        let alone = serde_json::to_vec(&record).unwrap();
        let report = serde_json::to_vec(&serde_json::json!({"why": "x", "record": record})).unwrap();
        assert_eq!(read(&*alone, "FILE").unwrap(), record);
        assert_eq!(read(&*report, "FILE").unwrap(), record);
    }

    #[test]
    fn what_is_foreign_or_too_large_is_refused() {
        for foreign in
            [&b""[..], b"\0\xff", b"[]", b"{}", b"{\"record\":{}}", b"{\"record\":null}", b"apiVersion: v1"]
        {
            assert!(refused(foreign).contains("is no report"), "{}", refused(foreign));
        }
        let deep = "[".repeat(100_000);
        assert!(refused(deep.as_bytes()).contains("is no report"));
        let long = vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        assert!(refused(&long).contains("more than 32 MiB"));
        let mut many = record();
        many.entries = vec![many.entries[1].clone(); ENTRIES_MAX + 1];
        assert!(refused(&serde_json::to_vec(&many).unwrap()).contains("50001 entries"));
        let mut wide = record();
        wide.pod.spec.containers = vec![wide.pod.spec.containers[0].clone(); CONTAINERS_MAX + 1];
        assert!(refused(&serde_json::to_vec(&wide).unwrap()).contains("1001 containers"));
    }

    #[test]
    fn what_is_said() {
        let mut record = record();
        record.pod.name = "p\u{1b}[2J\u{202e}".to_owned();
        expect![[r#"
            #1 +0.000s snapshot: an engine begins with what is known of the pod
            #2 +0.001s observed: Accepted
            #3 +0.002s issued: SetUpVolumes
            default/p?[2J?: 3 entries to #3, 0 decisions in 1 plan, 1 action: this version decides the same
        "#]]
        .assert_eq(&text(&record, &replay(&record), true));
        record.entries[2].what = Happening::Issued(Action::RemoveVolumes);
        expect![[r#"
            default/p?[2J?: this version decides otherwise at entry #3, at +0.002s
              on record  issued: RemoveVolumes
              now        issued: SetUpVolumes
            what was known then:
              {
                "accepted": {
                  "boot": 1000000,
                  "wall": 0
                },
                "containers": {},
                "initialized": false,
                "run": 0,
                "sandbox": "Absent",
                "volumes": "Absent"
              }
            what happened before it:
              #1 +0.000s snapshot: an engine begins with what is known of the pod
              #2 +0.001s observed: Accepted
        "#]]
        .assert_eq(&text(&record, &replay(&record), false));
        record.entries.remove(0);
        expect![[r#"
            2 entries left out, which follow from what is no longer on record
            default/p?[2J?: nothing to play: it has no snapshot, as those of earlier versions
        "#]]
        .assert_eq(&text(&record, &replay(&record), false));
    }
}
