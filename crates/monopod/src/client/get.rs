//! `monopod get`.

mod output;

use clap::Args;
use podspec::json::text;
use serde_json::{Value, json};

use crate::client::context::Context;
use crate::client::discovery::{Discovery, Kind};
use crate::client::failure::{Failure, Result};
use crate::client::print;
use crate::client::table::{Printer, Shape};
use crate::client::target::{Selector, Target, are_known, targets};
use crate::client::watch::{JSON, Watch};
pub(super) use output::Output;
pub(super) use output::objects as print_objects;

pub(super) const HELP: &str = "\
Examples:
  monopod get pods                             as a table, in the namespace default
  monopod get pods -A -o wide                  with more columns, in all namespaces
  monopod get pod web -o yaml
  monopod get pods -l app=web -w               the pods with a label, and each change
  monopod get pod/web svc/kubernetes           objects of several types
  monopod get pods -o jsonpath='{.items[*].metadata.name}'
  monopod get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP

JSONPath: {.a.b} {['a.b']} {[0]} {[-1]} {[1:3]} {[*]} {..name} {[?(@.type==\"Ready\")]}
{range ...}{end} {\"\\n\"}, and text between braces.";

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// TYPE, TYPE NAME..., TYPE/NAME..., or several types with commas between them
    #[arg(required = true, value_name = "TYPE[/NAME]")]
    arguments: Vec<String>,
    #[command(flatten)]
    selector: Selector,
    /// wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=HEAD:.path,...
    #[arg(short, long, value_name = "FORMAT", value_parser = Output::parse, default_value = "", hide_default_value = true)]
    output: Output,
    /// Go on with every change
    #[arg(short, long)]
    watch: bool,
    /// Only what changes from now on
    #[arg(long)]
    watch_only: bool,
    /// A table without its head
    #[arg(long)]
    no_headers: bool,
    /// A column with all labels
    #[arg(long)]
    show_labels: bool,
    /// A column for a label; may be given several times
    #[arg(short = 'L', long = "label-columns", value_name = "LABEL", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// It is no failure when an object is not there
    #[arg(long)]
    ignore_not_found: bool,
    /// Show metadata.managedFields too
    #[arg(long)]
    show_managed_fields: bool,
}

pub(super) async fn get(options: &Get, context: &Context) -> Result<()> {
    let discovery = Discovery::ask(context, |known| are_known(known, &options.arguments)).await?;
    let targets = targets(&discovery, &options.arguments)?;
    let has_names = targets.iter().any(|target| target.name.is_some());
    if has_names && (!options.selector.is_empty() || options.selector.all_namespaces) {
        return Err(Failure::refused("names, and -l, --field-selector or -A do not go together"));
    }
    if options.watch || options.watch_only {
        return watch(options, context, &targets).await;
    }
    match &options.output {
        Output::Table { wide } => tables(options, context, &targets, *wide).await,
        output => objects(options, context, &targets, output).await,
    }
}

impl Get {
    fn shape(&self, wide: bool, prefix: String, kind: &Kind) -> Shape {
        Shape {
            wide,
            no_headers: self.no_headers,
            namespaces: self.selector.all_namespaces && kind.namespaced,
            labels: self.show_labels,
            label_columns: self.label_columns.clone(),
            prefix,
        }
    }

    fn path(&self, context: &Context, target: &Target<'_>) -> String {
        match &target.name {
            Some(name) => target.kind.object_path(&context.namespace, name),
            None => self.selector.path(context, target.kind, &[]),
        }
    }

    /// `Ok(None)` for what need not be there; what is not, but has to be, is said and goes on.
    async fn ask(
        &self,
        context: &Context,
        target: &Target<'_>,
        accept: &str,
        failed: &mut Option<Failure>,
    ) -> Result<Option<Value>> {
        match context.get_as(&self.path(context, target), accept).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.is_not_found() && target.name.is_some() => {
                if !self.ignore_not_found {
                    failure.say();
                    *failed = Some(Failure::Code(failure.code()));
                }
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}

/// One table for each type, with an empty line between them.
async fn tables(options: &Get, context: &Context, targets: &[Target<'_>], wide: bool) -> Result<()> {
    let several = targets.iter().any(|target| target.kind != targets[0].kind);
    let mut printer: Option<(&Kind, Printer)> = None;
    let (mut failed, mut any) = (None, false);
    for target in targets {
        let Some(mut table) = options.ask(context, target, TABLE, &mut failed).await? else { continue };
        if table["kind"] != "Table" {
            table = single_table(&table);
        }
        if podspec::json::list(&table, "rows").is_empty() {
            continue;
        }
        let begins = printer.as_ref().is_none_or(|(kind, _)| *kind != target.kind);
        if begins {
            if any && !options.no_headers {
                print::text("\n")?;
            }
            let prefix = if several { format!("{}/", target.kind.singular()) } else { String::new() };
            printer = Some((target.kind, Printer::new(options.shape(wide, prefix, target.kind))));
        }
        if let Some((_, printer)) = &mut printer {
            print::text(&printer.text(&table))?;
        }
        any = true;
    }
    if let Some(failed) = failed {
        return Err(failed);
    }
    if !any && targets.iter().any(|target| target.name.is_none()) {
        match options.selector.namespace(context).filter(|_| targets[0].kind.namespaced) {
            Some(namespace) => print::note(format_args!("No resources found in {namespace} namespace.")),
            None => print::note(format_args!("No resources found")),
        }
    }
    Ok(())
}

/// A server that makes no tables: names alone.
fn single_table(answer: &Value) -> Value {
    let items = answer["items"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
    let row = |object: Value| json!({"cells": [text(&object["metadata"], "name")], "object": object});
    json!({
        "columnDefinitions": [{"name": "Name", "format": "name", "priority": 0}],
        "rows": items.into_iter().map(row).collect::<Vec<_>>(),
    })
}

async fn objects(options: &Get, context: &Context, targets: &[Target<'_>], output: &Output) -> Result<()> {
    let (mut found, mut failed) = (Vec::new(), None);
    for target in targets {
        let Some(mut answer) = options.ask(context, target, JSON, &mut failed).await? else { continue };
        match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) if target.name.is_none() => {
                found.extend(
                    items.into_iter().map(|item| (target.kind, output::with_kind(item, target.kind))),
                );
            }
            _ => found.push((target.kind, answer)),
        }
    }
    if !options.show_managed_fields {
        found.iter_mut().for_each(|(_, object)| output::without_managed_fields(object));
    }
    let is_list = targets.len() != 1 || targets[0].name.is_none();
    if !found.is_empty() || is_list && failed.is_none() {
        output::objects(output, &found, is_list, options.no_headers)?;
    }
    failed.map_or(Ok(()), Err)
}

async fn watch(options: &Get, context: &Context, targets: &[Target<'_>]) -> Result<()> {
    let [target] = targets else {
        return Err(Failure::refused("-w watches one object, or those of one type"));
    };
    let named = target.name.as_ref().map(|name| format!("metadata.name={name}"));
    let selector = Selector {
        labels: options.selector.labels.clone(),
        fields: named.unwrap_or_else(|| options.selector.fields.clone()),
        all_namespaces: options.selector.all_namespaces,
    };
    let (accept, wide) = match options.output {
        Output::Table { wide } => (TABLE, Some(wide)),
        _ => (JSON, None),
    };
    let mut shower = Shower {
        kind: target.kind,
        output: &options.output,
        printer: wide.map(|wide| Printer::new(options.shape(wide, String::new(), target.kind))),
        show_managed_fields: options.show_managed_fields,
        count: 0,
    };
    let first = context.get_as(&options.path(context, target), accept).await?;
    let metadata = &first["metadata"];
    let version = text(metadata, "resourceVersion").to_owned();
    if !options.watch_only {
        match first["items"].as_array() {
            Some(items) if target.name.is_none() => {
                for item in items {
                    shower.show(output::with_kind(item.clone(), target.kind))?;
                }
            }
            _ => shower.show(first)?,
        }
    }
    let path = selector.path(context, target.kind, &[("watch", "true")]);
    let mut watch = Watch::start(context, path, accept, &version).await?;
    loop {
        shower.show(watch.next().await?.object)?;
    }
}

/// Prints what a watch brings.
struct Shower<'a> {
    kind: &'a Kind,
    output: &'a Output,
    /// For tables.
    printer: Option<Printer>,
    show_managed_fields: bool,
    count: usize,
}

impl Shower<'_> {
    fn show(&mut self, mut object: Value) -> Result<()> {
        if let Some(printer) = &mut self.printer {
            if object["kind"] != "Table" {
                object = single_table(&object);
            }
            return print::text(&printer.text(&object));
        }
        if !self.show_managed_fields {
            output::without_managed_fields(&mut object);
        }
        if self.count > 0 && *self.output == Output::Yaml {
            print::text("---\n")?;
        }
        self.count += 1;
        let with_head = self.count > 1;
        output::objects(self.output, &[(self.kind, object)], false, with_head)
    }
}
