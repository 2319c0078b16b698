//! `monopod wait`: by watch.

use std::time::Duration;

use clap::Args;
use podspec::json::{list, text};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::client::context::Context;
use crate::client::discovery::{Discovery, Kind};
use crate::client::duration::{self, Limit};
use crate::client::expectation::Expectation;
use crate::client::failure::{Failure, Result};
use crate::client::print;
use crate::client::target::{Selector, are_known, targets};
use crate::client::watch::{JSON, Watch, is_expired};

pub(super) const HELP: &str = "\
Examples:
  monopod wait pod/web --for=condition=Ready
  monopod wait pods -l app=web --for=condition=Ready --timeout=2m
  monopod wait pod/job --for=jsonpath='{.status.phase}'=Succeeded
  monopod wait pod web --for=delete

With --timeout=0 it only looks; with a negative one it waits for ever.";

#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// TYPE NAME..., TYPE/NAME..., or TYPE with -l or --all
    #[arg(required = true, value_name = "TYPE[/NAME]")]
    arguments: Vec<String>,
    #[command(flatten)]
    selector: Selector,
    /// Every object of the type
    #[arg(long)]
    all: bool,
    /// condition=NAME[=STATUS], delete, create, or jsonpath={.path}[=VALUE]
    #[arg(long = "for", required = true, value_name = "WHAT", value_parser = Expectation::parse)]
    expectation: Expectation,
    /// How long, such as 30s or 5m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration::parse_limit, allow_hyphen_values = true)]
    timeout: Limit,
}

pub(super) async fn wait(options: &Wait, context: &Context) -> Result<()> {
    let discovery = Discovery::ask(context, |known| are_known(known, &options.arguments)).await?;
    let deadline = deadline(options.timeout);
    let mut found: Vec<(&Kind, String, String)> = Vec::new();
    for target in targets(&discovery, &options.arguments)? {
        let Some(name) = target.name else {
            if options.selector.is_empty() && !options.all {
                return Err(Failure::refused(
                    "name objects, or choose them with -l, --field-selector or --all",
                ));
            }
            let items = context.get(&options.selector.path(context, target.kind, &[])).await?;
            found.extend(list(&items, "items").iter().map(|item| {
                let metadata = &item["metadata"];
                let namespace = text(metadata, "namespace").to_owned();
                (target.kind, namespace, text(metadata, "name").to_owned())
            }));
            continue;
        };
        found.push((target.kind, context.namespace.clone(), name));
    }
    if found.is_empty() {
        if options.expectation == Expectation::Delete {
            return Ok(());
        }
        return Err(Failure::said("no matching resources found"));
    }
    for (kind, namespace, name) in found {
        until(context, kind, &namespace, &name, &options.expectation, None, deadline).await?;
        print::line(format_args!("{}/{name} condition met", kind.singular()))?;
    }
    Ok(())
}

/// `None`: never. What is only to be looked at has a moment for the answer.
pub(super) fn deadline(limit: Limit) -> Option<Instant> {
    const ONE_LOOK: Duration = Duration::from_secs(1);
    match limit {
        Limit::Never => None,
        Limit::Within(Duration::ZERO) => Instant::now().checked_add(ONE_LOOK),
        Limit::Within(duration) => Instant::now().checked_add(duration),
    }
}

/// Waits for one object. With a `uid`, another one of the same name counts as none.
pub(super) async fn until(
    context: &Context,
    kind: &Kind,
    namespace: &str,
    name: &str,
    expectation: &Expectation,
    uid: Option<&str>,
    deadline: Option<Instant>,
) -> Result<()> {
    let waiting = Waiting { context, kind, namespace, name, expectation, uid };
    let done = async {
        loop {
            match waiting.watch().await {
                Err(failure) if is_expired(&failure) => {}
                outcome => return outcome,
            }
        }
    };
    let Some(deadline) = deadline else { return done.await };
    timeout_at(deadline, done).await.unwrap_or_else(|_| {
        Err(Failure::said(format!("timed out waiting for the condition on {}/{name}", kind.qualified())))
    })
}

struct Waiting<'a> {
    context: &'a Context,
    kind: &'a Kind,
    namespace: &'a str,
    name: &'a str,
    expectation: &'a Expectation,
    uid: Option<&'a str>,
}

impl Waiting<'_> {
    async fn watch(&self) -> Result<()> {
        let Self { context, kind, namespace, name, expectation, .. } = self;
        let fields = format!("metadata.name={name}");
        let listed =
            crate::client::context::with_query(&kind.path(Some(namespace)), &[("fieldSelector", &fields)]);
        let answer = context.get(&listed).await?;
        match list(&answer, "items").first() {
            Some(object) if self.is_done(object) => return Ok(()),
            Some(_) => {}
            None if **expectation == Expectation::Delete => return Ok(()),
            None if **expectation == Expectation::Create => {}
            None => {
                // The server's own words for what is not there.
                context.get(&kind.object_path(namespace, name)).await?;
            }
        }
        let version = text(&answer["metadata"], "resourceVersion").to_owned();
        let path = format!("{listed}&watch=true");
        let mut watch = Watch::start(context, path, JSON, &version).await?;
        loop {
            let event = watch.next().await?;
            let is_gone = event.kind == "DELETED";
            if is_gone && **expectation == Expectation::Delete || !is_gone && self.is_done(&event.object) {
                return Ok(());
            }
            if is_gone && **expectation != Expectation::Create {
                return Err(Failure::said(format!(
                    "{}/{name} was deleted while it was waited for",
                    kind.qualified()
                )));
            }
        }
    }

    fn is_done(&self, object: &Value) -> bool {
        let is_another = self.uid.is_some_and(|uid| text(&object["metadata"], "uid") != uid);
        if *self.expectation == Expectation::Delete { is_another } else { self.expectation.is_met(object) }
    }
}
