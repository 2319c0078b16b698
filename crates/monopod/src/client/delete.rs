//! `monopod delete`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use http::Method;
use podspec::json::{list, text};
use serde_json::{Value, json};

use crate::client::apply::DryRun;
use crate::client::context::{Context, with_query};
use crate::client::discovery::{Discovery, Kind};
use crate::client::duration::{self, Limit};
use crate::client::expectation::Expectation;
use crate::client::failure::{Failure, Result};
use crate::client::target::{Selector, are_known, targets};
use crate::client::wait::{deadline, until};
use crate::client::{manifests, print};

pub(super) const HELP: &str = "\
Examples:
  monopod delete pod web
  monopod delete -f pod.yaml
  monopod delete pods -l app=web
  monopod delete pods --all --wait=false
  monopod delete pod web --grace-period=5      5 seconds between SIGTERM and SIGKILL
  monopod delete pod web --now                 1 second
  monopod delete pod web --force               forget it at once; its processes are killed meanwhile";

const JSON: &str = "application/json";

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// TYPE NAME..., TYPE/NAME..., or TYPE with -l or --all
    #[arg(value_name = "TYPE[/NAME]", required_unless_present = "files")]
    arguments: Vec<String>,
    /// Objects of manifest files
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "FILE|DIR|-",
        value_delimiter = ',',
        conflicts_with = "arguments"
    )]
    files: Vec<PathBuf>,
    #[command(flatten)]
    selector: Selector,
    /// Every object of the type
    #[arg(long)]
    all: bool,
    /// Seconds that containers have to end; negative: what the pod says
    #[arg(long, value_name = "SECONDS", default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
    grace_period: i64,
    /// Do not wait for processes to end
    #[arg(long)]
    force: bool,
    /// The shortest grace period: 1 second
    #[arg(long, conflicts_with_all = ["grace_period", "force"])]
    now: bool,
    /// Wait until the objects are gone
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = clap::ArgAction::Set)]
    wait: bool,
    /// How long to wait, such as 30s or 5m; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = duration::parse_limit, allow_hyphen_values = true)]
    timeout: Limit,
    /// What depends on the objects: background, foreground or orphan
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "background", default_value = "background")]
    cascade: Cascade,
    /// It is no failure when an object is not there
    #[arg(long)]
    ignore_not_found: bool,
    /// none, or server: nothing is kept
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "server", default_value = "none")]
    dry_run: DryRun,
    /// name: print TYPE/NAME alone
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    Name,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Cascade {
    #[value(alias = "true")]
    Background,
    Foreground,
    #[value(alias = "false")]
    Orphan,
}

/// What is to go.
#[derive(Debug)]
struct Victim<'a> {
    kind: &'a Kind,
    namespace: String,
    name: String,
}

impl Delete {
    /// The body of the request.
    fn body(&self) -> Value {
        let policy = match self.cascade {
            Cascade::Background => "Background",
            Cascade::Foreground => "Foreground",
            Cascade::Orphan => "Orphan",
        };
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
        let seconds = match (self.grace_period, self.force, self.now) {
            (_, _, true) => 1,
            // Without --force, nothing is forgotten whose processes may run.
            (0, false, _) => 1,
            (..0, true, _) => 0,
            (seconds, ..) => seconds,
        };
        if seconds >= 0 {
            body["gracePeriodSeconds"] = seconds.into();
        }
        body
    }
}

pub(super) async fn delete(options: &Delete, context: &Context) -> Result<()> {
    if options.force && options.grace_period > 0 {
        return Err(Failure::refused("--force and a --grace-period of more than 0 do not go together"));
    }
    let documents = if options.files.is_empty() { Vec::new() } else { manifests::read(&options.files)? };
    let discovery = Discovery::ask(context, |known| {
        are_known(known, &options.arguments) && manifests::are_known(known, &documents)
    })
    .await?;
    let explicit = context.explicit_namespace.as_deref();
    let victims = if options.files.is_empty() {
        chosen(options, context, &discovery).await?
    } else {
        let manifests = manifests::resolve(documents, &discovery, context, explicit)?;
        manifests.into_iter().map(|m| Victim { kind: m.kind, namespace: m.namespace, name: m.name }).collect()
    };
    if options.force {
        print::warning("a forced delete does not wait until the containers have ended");
    }
    let (mut failed, mut waiting) = (None, Vec::new());
    for victim in victims {
        match one(options, context, &victim).await {
            Ok(uid) => waiting.extend(uid.map(|uid| (victim, uid))),
            Err(failure) if failure.is_not_found() && options.ignore_not_found => {}
            Err(failure @ Failure::ReaderGone) => return Err(failure),
            Err(failure) => {
                failure.say();
                failed = Some(failure.code());
            }
        }
    }
    if options.wait && options.dry_run == DryRun::None {
        let deadline = match options.timeout {
            Limit::Within(time) if time.is_zero() => None,
            limit => deadline(limit),
        };
        for (Victim { kind, namespace, name }, uid) in &waiting {
            until(context, kind, namespace, name, &Expectation::Delete, Some(uid), deadline).await?;
        }
    }
    failed.map_or(Ok(()), |code| Err(Failure::Code(code)))
}

async fn chosen<'a>(
    options: &Delete,
    context: &Context,
    discovery: &'a Discovery,
) -> Result<Vec<Victim<'a>>> {
    let mut victims = Vec::new();
    for target in targets(discovery, &options.arguments)? {
        let is_chosen = options.all || !options.selector.is_empty();
        match target.name {
            Some(_) if is_chosen => {
                return Err(Failure::refused("names, and -l, --field-selector or --all do not go together"));
            }
            Some(name) => {
                victims.push(Victim { kind: target.kind, namespace: context.namespace.clone(), name });
            }
            None if !is_chosen => {
                return Err(Failure::refused(
                    "name objects, or choose them with -l, --field-selector or --all",
                ));
            }
            None => {
                let items = context.get(&options.selector.path(context, target.kind, &[])).await?;
                victims.extend(list(&items, "items").iter().map(|item| {
                    let metadata = &item["metadata"];
                    let (namespace, name) = (text(metadata, "namespace"), text(metadata, "name"));
                    Victim { kind: target.kind, namespace: namespace.to_owned(), name: name.to_owned() }
                }));
            }
        }
    }
    if victims.is_empty() && options.output.is_none() {
        print::line(format_args!("No resources found"))?;
    }
    Ok(victims)
}

/// The uid of what may still be there for a while.
async fn one(options: &Delete, context: &Context, victim: &Victim<'_>) -> Result<Option<String>> {
    let Victim { kind, namespace, name } = victim;
    let path = with_query(&kind.object_path(namespace, name), &[options.dry_run.query()]);
    let (_, answer) = context.send(Method::DELETE, &path, Some((JSON, &options.body())), None).await?;
    if options.output == Some(Format::Name) {
        print::line(format_args!("{}/{name}", kind.singular()))?;
    } else {
        let how = if options.force { "force deleted" } else { "deleted" };
        let from = if kind.namespaced { format!(" from {namespace} namespace") } else { String::new() };
        print::line(format_args!("{} {name:?} {how}{from}{}", kind.singular(), options.dry_run.suffix()))?;
    }
    // A Status names what it was about, an object is what there still is.
    let uid = match answer["kind"].as_str() {
        Some("Status") => text(&answer["details"], "uid"),
        _ => text(&answer["metadata"], "uid"),
    };
    Ok((!uid.is_empty()).then(|| uid.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;

    use super::Delete;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        delete: Delete,
    }

    fn grace(line: &str) -> Value {
        let line = Line::try_parse_from(format!("delete pod x {line}").split_whitespace()).unwrap();
        line.delete.body()["gracePeriodSeconds"].clone()
    }

    #[test]
    fn grace_periods() {
        for (line, expected) in [
            ("", Value::Null),
            ("--grace-period=5", 5.into()),
            ("--grace-period=-1", Value::Null),
            ("--grace-period=0", 1.into()),
            ("--grace-period=0 --force", 0.into()),
            ("--force", 0.into()),
            ("--now", 1.into()),
        ] {
            assert_eq!(grace(line), expected, "{line}");
        }
    }

    #[test]
    fn kubectls_ways_of_saying_it() {
        let parse =
            |line: &str| Line::try_parse_from(format!("delete {line}").split_whitespace()).map(|l| l.delete);
        assert!(!parse("pod x --wait=false").unwrap().wait);
        assert!(parse("pod x --wait").unwrap().wait);
        assert!(parse("").is_err());
        assert!(parse("-f a.yaml").is_ok());
        assert!(parse("pod x -f a.yaml").is_err());
    }
}
