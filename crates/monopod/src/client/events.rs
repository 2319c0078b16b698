//! `monopod events`, and what others show of events.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apimachinery::duration;
use clap::Args;
use podspec::WallTime;
use podspec::json::{integer, list, text};
use serde_json::Value;

use crate::client::context::{Context, with_query};
use crate::client::discovery::Discovery;
use crate::client::failure::{Failure, Result};
use crate::client::get::{Output, print_objects};
use crate::client::target::{are_known, one};
use crate::client::watch::{JSON, Watch};
use crate::client::{print, table};

/// Of the core group, which has all of them.
const KIND: &str = "events.v1.";

pub(super) const HELP: &str = "\
Examples:
  monopod events
  monopod events --for pod/web -w
  monopod events -A --types=Warning";

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Only those about one object
    #[arg(long = "for", value_name = "TYPE/NAME")]
    about: Option<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Go on with new ones
    #[arg(short, long)]
    watch: bool,
    /// Only Normal or Warning ones
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    types: Vec<String>,
    /// A table without its head
    #[arg(long)]
    no_headers: bool,
    /// yaml, json, name, jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORMAT", value_parser = Output::parse)]
    output: Option<Output>,
}

pub(super) async fn events(options: &Events, context: &Context) -> Result<()> {
    let discovery = Discovery::ask(context, |known| {
        known.by_word(KIND).is_ok() && are_known(known, options.about.as_slice())
    })
    .await?;
    let fields = match &options.about {
        None => String::new(),
        Some(about) => {
            let target = one(&discovery, about)?;
            let name = target.name.unwrap_or_default();
            format!("involvedObject.kind={},involvedObject.name={name}", target.kind.kind)
        }
    };
    let kind = discovery.by_word(KIND)?;
    let namespace = (!options.all_namespaces).then_some(context.namespace.as_str());
    let path = kind.path(namespace);
    let listed = context.get(&with_query(&path, &[("fieldSelector", &fields)])).await?;
    let mut found = list(&listed, "items").to_vec();
    found.retain(|event| options.shows(event));
    sort(&mut found);
    match &options.output {
        Some(output) => {
            let found: Vec<_> = found.into_iter().map(|event| (kind, event)).collect();
            return print_objects(output, &found, true, options.no_headers);
        }
        None if found.is_empty() && !options.watch => match namespace {
            Some(namespace) => print::note(format_args!("No events found in {namespace} namespace.")),
            None => print::note(format_args!("No events found.")),
        },
        None => print::text(&options.lines(&found, !options.no_headers))?,
    }
    if !options.watch {
        return Ok(());
    }
    let path = with_query(&path, &[("fieldSelector", &fields), ("watch", "true")]);
    let mut watch = Watch::start(context, path, JSON, text(&listed["metadata"], "resourceVersion")).await?;
    loop {
        let event = watch.next().await?;
        if event.kind != "DELETED" && options.shows(&event.object) {
            print::text(&options.lines(&[event.object], false))?;
        }
    }
}

impl Events {
    fn shows(&self, event: &Value) -> bool {
        let is = |kind: &String| kind.eq_ignore_ascii_case(text(event, "type"));
        self.types.is_empty() || self.types.iter().any(is)
    }

    fn lines(&self, events: &[Value], with_head: bool) -> String {
        let now = now();
        let mut lines = Vec::new();
        if with_head {
            let namespace = self.all_namespaces.then_some("NAMESPACE");
            let head = namespace.into_iter().chain(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
            lines.push(head.map(str::to_owned).collect());
        }
        for event in events {
            let about = &event["involvedObject"];
            let mut line = Vec::new();
            if self.all_namespaces {
                line.push(text(&event["metadata"], "namespace").to_owned());
            }
            line.push(age(event, now));
            line.push(text(event, "type").to_owned());
            line.push(text(event, "reason").to_owned());
            line.push(format!("{}/{}", text(about, "kind"), text(about, "name")));
            line.push(text(event, "message").trim().replace('\n', " "));
            lines.push(line);
        }
        table::plain(&lines)
    }
}

/// By when they were last seen.
pub(super) fn sort(events: &mut [Value]) {
    events.sort_by_cached_key(|event| last_seen(event).map(|time| time.rfc3339_seconds()));
}

/// `5s`, or `5s (x3 over 10m)`.
pub(super) fn age(event: &Value, now: WallTime) -> String {
    let first = time(event, "firstTimestamp").or_else(|| time(event, "eventTime"));
    let since = |time: Option<WallTime>| duration::age(time, now);
    let series = &event["series"];
    let count = integer(series, "count").or_else(|| integer(event, "count")).unwrap_or(0);
    if count > 1 {
        return format!("{} (x{count} over {})", since(last_seen(event)), since(first));
    }
    since(first.or_else(|| last_seen(event)))
}

fn last_seen(event: &Value) -> Option<WallTime> {
    let series = time(&event["series"], "lastObservedTime");
    series
        .or_else(|| time(event, "lastTimestamp"))
        .or_else(|| time(event, "eventTime"))
        .or_else(|| time(event, "firstTimestamp"))
}

fn time(value: &Value, field: &str) -> Option<WallTime> {
    WallTime::parse(text(value, field).as_bytes())
}

pub(super) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    WallTime::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}

/// The events about one pod, the oldest first.
pub(super) async fn of_object(context: &Context, object: &Value) -> Result<Vec<Value>> {
    let metadata = &object["metadata"];
    let (namespace, name, uid) = (text(metadata, "namespace"), text(metadata, "name"), text(metadata, "uid"));
    let fields =
        format!("involvedObject.name={name},involvedObject.namespace={namespace},involvedObject.uid={uid}");
    let path = format!("/api/v1/namespaces/{namespace}/events");
    let listed = context.get(&with_query(&path, &[("fieldSelector", &fields)])).await;
    match listed {
        Ok(listed) => {
            let mut found = list(&listed, "items").to_vec();
            sort(&mut found);
            Ok(found)
        }
        // What is asked for is the object; its events may be closed to whoever asks.
        Err(Failure::Api { error: client::ClientError::Status { code: 403, .. }, .. }) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use podspec::WallTime;
    use serde_json::json;

    use super::age;

    #[test]
    fn ages() {
        let now = WallTime::parse(b"2024-01-01T00:10:00Z").unwrap();
        let first = "2024-01-01T00:00:00Z";
        let last = "2024-01-01T00:09:55Z";
        let once = json!({"firstTimestamp": last, "lastTimestamp": last, "count": 1});
        assert_eq!(age(&once, now), "5s");
        let often = json!({"firstTimestamp": first, "lastTimestamp": last, "count": 3});
        assert_eq!(age(&often, now), "5s (x3 over 10m)");
        let series = json!({"eventTime": first, "series": {"count": 7, "lastObservedTime": last}});
        assert_eq!(age(&series, now), "5s (x7 over 10m)");
        assert_eq!(age(&json!({}), now), "<unknown>");
    }
}
