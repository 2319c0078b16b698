//! `monopod bug-report`: what happened to a pod, in one file that can be attached, read and played again.
//!
//! The file is JSON: it opens in whatever it is attached to, can be searched for what must not be in it before it is given away, and
//! `monopod replay` takes it as it is. All that it says of the pod is made from the record that is in it, after the secrets were left
//! out of that, so that none comes back by another way.

mod facts;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use explain::redact::{self, Keep};
use explain::replay::{Replayed, replay};
use explain::timeline::{self, Style};
use explain::why::{self, Look};
use journal::Record;
use kubelet::events::{EventSource, EventType};
use serde_json::{Value, json};

use crate::client::context::Context;
use crate::client::failure::{Failure, Result};
use crate::client::target::pod_name;
use crate::client::{print, record};
use crate::serve::SOCKET;

pub(super) const HELP: &str = "\
Examples:
  monopod bug-report web                       writes monopod-bug-report-default-web.json
  monopod bug-report web -n shop -o - | less   to look at it first
  monopod bug-report web --include logs,env    with ends of logs, and with values of variables
  monopod replay monopod-bug-report-default-web.json

Left out, unless included: values of variables, arguments, commands but their programs, annotations, labels, headers of probes and
hooks, names of pull secrets (env); ends of logs and whatever may quote output (logs). The plan looks at none of them.";

/// Of the file, so that nobody takes it for a manifest.
const KIND: &str = "MonopodBugReport";
/// What is where in it.
const FORMAT: u32 = 1;
/// Of the explanation and the timeline in it.
const COLUMNS: usize = 120;

#[derive(Debug, Args)]
pub(crate) struct BugReport {
    /// NAME or pod/NAME
    #[arg(value_name = "POD")]
    pod: String,
    /// Where to write it; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What may hold secrets and is included all the same
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    include: Vec<Include>,
    /// Take the place of a file that is there
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Include {
    /// Ends of logs, and messages that may quote output
    Logs,
    /// Values of variables, arguments, commands, annotations, labels, headers
    Env,
}

pub(super) async fn bug_report(options: &BugReport, context: &Context) -> Result<()> {
    let mut record = record::obtain(context, pod_name(&options.pod)?).await?;
    let keep =
        Keep { logs: options.include.contains(&Include::Logs), env: options.include.contains(&Include::Env) };
    redact::record(&mut record, keep);
    let replayed = replay(&record);
    let engine =
        context.paths.as_ref().map_or(Value::Null, |paths| facts::engine(&paths.run_dir.join(SOCKET)));
    let report = report(&record, &replayed, keep, (&engine, &facts::machine()));
    let text = serde_json::to_string_pretty(&report);
    let text = text.map_err(|error| Failure::said(format!("the report is no JSON: {error}")))? + "\n";
    let file = match &options.output {
        Some(file) if file.as_os_str() == "-" => {
            print::text(&text)?;
            None
        }
        Some(file) => Some(file.clone()),
        None => {
            let (namespace, name) = (&record.pod.namespace, &record.pod.name);
            Some(PathBuf::from(format!("monopod-bug-report-{namespace}-{name}.json")))
        }
    };
    if let Some(file) = &file {
        write(file, text.as_bytes(), options.force)?;
    }
    let where_to = file
        .map_or_else(String::new, |file| format!(", {} ({} KiB)", file.display(), text.len().div_ceil(1024)));
    print::note(format_args!("the report of pod {}/{}{where_to}", record.pod.namespace, record.pod.name));
    for line in contents(&record, &replayed, keep) {
        print::note(format_args!("  {line}"));
    }
    Ok(())
}

/// Never in the place of another file, unless that is meant; nobody else may read it.
fn write(file: &Path, text: &[u8], force: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(file).and_then(|mut opened| opened.write_all(text));
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::refused(format!(
            "{} is there already\nremedy: name another file with -o, or take its place with --force",
            file.display()
        )),
        _ => Failure::refused(format!("{} cannot be written: {error}", file.display())),
    })
}

fn report(record: &Record, replayed: &Replayed, keep: Keep, (engine, machine): (&Value, &Value)) -> Value {
    let style = Style { width: COLUMNS, color: false, ascii: true, dated: true };
    let why = why::text(&why::why(record, None), Look { width: COLUMNS, color: false });
    let timeline = timeline::text(&timeline::of(record), style);
    json!({
        "kind": KIND,
        "format": FORMAT,
        "contents": contents(record, replayed, keep),
        "monopod": { "version": env!("CARGO_PKG_VERSION"), "journal": lifecycle::SCHEMA_VERSION },
        "machine": machine,
        "engine": engine,
        "replay": replayed,
        "why": why.lines().collect::<Vec<_>>(),
        "timeline": timeline.lines().collect::<Vec<_>>(),
        "events": events(record),
        "record": record,
    })
}

/// As the engine tells them of these entries.
fn events(record: &Record) -> Vec<Value> {
    let mut source = EventSource::default();
    let events = record.entries.iter().flat_map(|entry| source.events(&record.pod, entry));
    let told = events.map(|event| {
        json!({
            "time": event.at.wall.rfc3339_seconds(),
            "type": if event.kind == EventType::Warning { "Warning" } else { "Normal" },
            "reason": event.reason,
            "about": event.field_path,
            "message": event.message,
        })
    });
    told.collect()
}

/// What is in it and what is not, for who is about to give it away.
fn contents(record: &Record, replayed: &Replayed, keep: Keep) -> Vec<String> {
    let mut lines = vec![
        "in it: the pod's names, images, ports, paths and limits; addresses".to_owned(),
        format!("in it: {} entries of its journal, its events and its timeline", record.entries.len()),
        "in it: the kernel, cgroups, memory and processors of this machine, and the engine's command line"
            .to_owned(),
    ];
    let of_env =
        "values of variables, arguments, commands, annotations, labels, headers, names of pull secrets";
    let of_logs = "ends of logs, and messages that may quote output";
    for (kept, what) in [(keep.env, of_env), (keep.logs, of_logs)] {
        lines.push(if kept { format!("IN IT, AS ASKED FOR: {what}") } else { format!("left out: {what}") });
    }
    lines.push(match (&replayed.difference, replayed.entries) {
        (Some(difference), _) => format!("played again it is otherwise at entry #{}", difference.seq),
        (None, 0) => "it cannot be played again: the journal has no snapshot".to_owned(),
        (None, entries) => format!("{entries} entries of it, played again, are the same"),
    });
    lines
}

#[cfg(test)]
mod tests {
    use std::fs;

    use explain::redact::Keep;
    use explain::replay::replay;
    use serde_json::{Value, json};

    use super::{report, write};
    use crate::client::replay::tests::record;

    #[test]
    fn a_file_that_is_there_stays() {
        let dir = std::env::temp_dir().join(format!("monopod-report-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = dir.join("report.json");
        write(&file, b"one", false).unwrap();
        let refused = format!("{:?}", write(&file, b"two", false).unwrap_err());
        assert!(refused.contains("is there already") && refused.contains("--force"), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), b"one");
        write(&file, b"two", true).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert!(format!("{:?}", write(&dir, b"x", true).unwrap_err()).contains("cannot be written"));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_report_is_what_replay_reads() {
        let record = record();
        let report =
            report(&record, &replay(&record), Keep::default(), (&Value::Null, &json!({"kernel": "6"})));
        assert_eq!(report["record"], serde_json::to_value(&record).unwrap());
        assert_eq!(report["replay"]["entries"], 3);
        assert!(
            report["contents"]
                .as_array()
                .unwrap()
                .iter()
                .any(|line| line.as_str().unwrap().contains("left out"))
        );
        let timeline = report["timeline"].as_array().unwrap();
        assert!(timeline.len() > 2, "{timeline:?}");
    }
}
