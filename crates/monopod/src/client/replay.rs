//! `monopod replay`: whether this version decides as it is on record.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use explain::replay::{Difference, Replayed, replay_until, words};
use journal::Record;
use podspec::Moment;
use serde_json::json;

use crate::cli::OutputFormat;
use crate::client::context::Context;
use crate::client::failure::{Failure, Result};
use crate::client::target::pod_name;
use crate::client::{print, record, record_file};
use crate::outcome::{FAILURE, REFUSED};

pub(super) const HELP: &str = "\
Examples:
  monopod replay web                      of a pod: is what it did what this version would do
  monopod replay monopod-bug-report.json  of a report of `monopod bug-report`, or of a record, on any machine
  monopod replay report.json -v           and print each step with its decisions
  monopod replay report.json --until 120  up to the entry with this number, and what is known there
  monopod replay - < report.json          from standard input

Exit code: 0 when this version decides the same, 1 when it decides otherwise, 2 when nothing could be read or played.";

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
    output: OutputFormat,
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
        OutputFormat::Json => json_text(&record, &replayed)?,
        OutputFormat::Text => text(&record, &replayed, context.verbose > 0),
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
        return record_file::read(io::stdin().lock(), "standard input");
    }
    let path = Path::new(what);
    // A name has no slash, and who has a file of a pod's name means pod/NAME by the pod.
    let is_file = path.is_file() || path.extension().is_some_and(|end| end == "json");
    if is_file || (what.contains('/') && pod_name(what).is_err()) {
        return record_file::open(path);
    }
    record::obtain(context, pod_name(what)?).await
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

    use super::text;

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
