//! `monopod logs`.

use std::time::Duration;

use clap::Args;
use client::Parts;
use podspec::json::{list, text};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::container::{choose, names};
use crate::client::context::{Context, pod_path, with_query};
use crate::client::duration;
use crate::client::failure::{Failure, Result};
use crate::client::print;
use crate::client::target::pod_name;

pub(super) const HELP: &str = "\
Examples:
  monopod logs web                          of the pod's default container
  monopod logs web -c sidecar -f            and go on
  monopod logs web -p                       of the attempt before this one
  monopod logs web --all-containers --prefix --tail=20
  monopod logs -l app=web --since=1h --timestamps";

/// Logs that are followed side by side.
const FOLLOWED_MAX: usize = 50;
/// Lines of one log that wait to be printed.
const LINES_WAITING: usize = 64;
/// A longer line is printed in parts.
const LINE_BYTES_MAX: usize = 1 << 20;
/// kubectl's default with a selector.
const TAIL_OF_SELECTED: i64 = 10;

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// NAME or pod/NAME
    #[arg(value_name = "POD", required_unless_present = "labels")]
    pod: Option<String>,
    /// Which container, as -c
    #[arg(value_name = "CONTAINER", conflicts_with = "container")]
    of: Option<String>,
    /// Which container; the first, or that of the annotation kubectl.kubernetes.io/default-container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Of every pod with these labels
    #[arg(short = 'l', long = "selector", value_name = "LABELS", conflicts_with = "pod")]
    labels: Option<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
    /// Of the attempt before this one
    #[arg(short, long)]
    previous: bool,
    /// Of every container of the pod
    #[arg(long, conflicts_with_all = ["container", "of"])]
    all_containers: bool,
    /// Only the last lines; all when negative
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<i64>,
    /// Only what is not older, such as 30s or 2h
    #[arg(long, value_name = "TIME", value_parser = duration::parse, conflicts_with = "since_time")]
    since: Option<Duration>,
    /// Only what is from this time (RFC 3339) on
    #[arg(long, value_name = "TIME")]
    since_time: Option<String>,
    /// Begin each line with its time
    #[arg(long)]
    timestamps: bool,
    /// At most so many bytes of each log
    #[arg(long, value_name = "BYTES", default_value_t = 0, hide_default_value = true)]
    limit_bytes: u64,
    /// Begin each line with its pod and container
    #[arg(long)]
    prefix: bool,
}

/// One log of one container.
#[derive(Debug)]
struct Log {
    pod: String,
    container: String,
}

impl Logs {
    fn path(&self, context: &Context, log: &Log) -> String {
        let flag = |is_set: bool| if is_set { "true" } else { "" };
        let tail = self.tail.or(self.labels.as_ref().map(|_| TAIL_OF_SELECTED)).filter(|tail| *tail >= 0);
        let tail = tail.map(|tail| tail.to_string()).unwrap_or_default();
        let since = self.since.map(|since| since.as_secs().max(1).to_string()).unwrap_or_default();
        let limit = if self.limit_bytes > 0 { self.limit_bytes.to_string() } else { String::new() };
        with_query(
            &format!("{}/log", pod_path(&context.namespace, &log.pod)),
            &[
                ("container", &log.container),
                ("follow", flag(self.follow)),
                ("previous", flag(self.previous)),
                ("timestamps", flag(self.timestamps)),
                ("tailLines", &tail),
                ("sinceSeconds", &since),
                ("sinceTime", self.since_time.as_deref().unwrap_or("")),
                ("limitBytes", &limit),
            ],
        )
    }

    fn containers(&self, pod: &Value) -> Result<Vec<Log>> {
        let name = text(&pod["metadata"], "name");
        let log = |container: String| Log { pod: name.to_owned(), container };
        if self.all_containers {
            return Ok(in_order_of_start(pod).into_iter().map(log).collect());
        }
        let named = self.container.as_deref().or(self.of.as_deref());
        Ok(vec![log(choose(pod, named)?)])
    }
}

/// Init containers first.
fn in_order_of_start(pod: &Value) -> Vec<String> {
    let mut names = names(pod);
    names.sort_by_key(|(_, kind)| match *kind {
        " (init)" => 0,
        "" => 1,
        _ => 2,
    });
    names.into_iter().map(|(name, _)| name).collect()
}

pub(super) async fn logs(options: &Logs, context: &Context) -> Result<()> {
    let mut logs = Vec::new();
    match (&options.labels, &options.pod) {
        (Some(labels), _) => {
            let path = format!("/api/v1/namespaces/{}/pods", context.namespace);
            let pods = context.get(&with_query(&path, &[("labelSelector", labels)])).await?;
            for pod in list(&pods, "items") {
                logs.extend(options.containers(pod)?);
            }
            if logs.is_empty() {
                print::note(format_args!("No resources found in {} namespace.", context.namespace));
            }
        }
        (None, pod) => {
            let name = pod_name(pod.as_deref().unwrap_or_default())?;
            logs = options.containers(&context.pod(&context.namespace, name).await?)?;
        }
    }
    if options.follow && logs.len() > 1 {
        return side_by_side(options, context, &logs).await;
    }
    for log in &logs {
        let parts = context.stream(&options.path(context, log)).await?;
        if options.prefix {
            let (sender, mut lines) = mpsc::channel(LINES_WAITING);
            let reading = read_lines(parts, prefix(log), sender);
            let printing = async {
                while let Some(line) = lines.recv().await {
                    print::bytes(&line)?;
                }
                Ok(())
            };
            let (read, printed) = tokio::join!(reading, printing);
            printed.and(read)?;
        } else {
            as_it_is(parts).await?;
        }
    }
    Ok(())
}

async fn as_it_is(mut parts: Parts) -> Result<()> {
    while let Some(part) = parts.next().await? {
        print::bytes(&part)?;
    }
    Ok(())
}

fn prefix(log: &Log) -> String {
    format!("[pod/{}/{}] ", log.pod, log.container)
}

/// Whole lines of each, as they come.
async fn side_by_side(options: &Logs, context: &Context, logs: &[Log]) -> Result<()> {
    if logs.len() > FOLLOWED_MAX {
        return Err(Failure::refused(format!(
            "{} logs are more than the {FOLLOWED_MAX} that are followed at once",
            logs.len()
        )));
    }
    let (sender, mut lines) = mpsc::channel(LINES_WAITING);
    let mut readers = JoinSet::new();
    for log in logs {
        let parts = context.stream(&options.path(context, log)).await?;
        let prefix = if options.prefix { prefix(log) } else { String::new() };
        readers.spawn(read_lines(parts, prefix, sender.clone()));
    }
    drop(sender);
    while let Some(line) = lines.recv().await {
        print::bytes(&line)?;
    }
    while let Some(ended) = readers.join_next().await {
        // A reader does not panic, and nobody cancels it.
        ended.unwrap_or(Ok(()))?;
    }
    Ok(())
}

async fn read_lines(mut parts: Parts, prefix: String, sender: mpsc::Sender<Vec<u8>>) -> Result<()> {
    let mut line = prefix.clone().into_bytes();
    while let Some(part) = parts.next().await? {
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || line.len() > LINE_BYTES_MAX {
                let whole = std::mem::replace(&mut line, prefix.clone().into_bytes());
                if sender.send(whole).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    if line.len() > prefix.len() {
        // Nobody listens any more: then nothing is to be said.
        let _ = sender.send(line).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Log, Logs};
    use crate::client::context::Context;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        logs: Logs,
    }

    #[test]
    fn options_become_parameters() {
        let context = Context {
            client: client::Client::local(std::path::Path::new("/x")),
            namespace: "n".to_owned(),
            explicit_namespace: None,
            paths: None,
            verbose: 0,
        };
        let path = |line: &str| {
            let line = Line::try_parse_from(format!("logs {line}").split_whitespace()).unwrap();
            line.logs.path(&context, &Log { pod: "p".to_owned(), container: "c".to_owned() })
        };
        let base = "/api/v1/namespaces/n/pods/p/log?container=c";
        for (line, expected) in [
            ("p", ""),
            ("p -f -p", "&follow=true&previous=true"),
            ("p --tail=0 --since=1m30s", "&tailLines=0&sinceSeconds=90"),
            ("p --tail=-1", ""),
            ("-l a=b", "&tailLines=10"),
            ("p --since-time=2024-01-02T03:04:05Z", "&sinceTime=2024-01-02T03%3A04%3A05Z"),
            ("p --timestamps --limit-bytes=5", "&timestamps=true&limitBytes=5"),
        ] {
            assert_eq!(path(line), format!("{base}{expected}"), "{line}");
        }
        for wrong in ["", "p c -c d", "p --since=1m --since-time=x", "p -l a=b", "p -c d --all-containers"] {
            assert!(Line::try_parse_from(format!("logs {wrong}").split_whitespace()).is_err(), "{wrong}");
        }
    }
}
