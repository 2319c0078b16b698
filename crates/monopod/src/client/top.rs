//! `monopod top`: what metrics.k8s.io says, where the API has it.

use clap::{Args, Subcommand};
use podspec::json::{list, text};
use podspec::quantity::Quantity;
use serde_json::Value;

use crate::client::context::{Context, with_query};
use crate::client::failure::{Failure, Result};
use crate::client::{print, table};

pub(super) const HELP: &str = "\
Examples:
  monopod top pod
  monopod top pod web --containers
  monopod top node";

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Top {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// CPU and memory of pods
    #[command(visible_aliases = ["pods", "po"])]
    Pod(Of),
    /// CPU and memory of nodes
    #[command(visible_aliases = ["nodes", "no"])]
    Node(Of),
}

#[derive(Debug, Args)]
struct Of {
    /// One of them
    name: Option<String>,
    /// Only those with these labels
    #[arg(
        short = 'l',
        long = "selector",
        value_name = "LABELS",
        default_value = "",
        hide_default_value = true
    )]
    labels: String,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Each container of the pods
    #[arg(long)]
    containers: bool,
    /// A table without its head
    #[arg(long)]
    no_headers: bool,
}

pub(super) async fn top(options: &Top, context: &Context) -> Result<()> {
    let (of, collection) = match &options.what {
        What::Node(of) => (of, format!("{METRICS}/nodes")),
        What::Pod(of) if of.all_namespaces => (of, format!("{METRICS}/pods")),
        What::Pod(of) => (of, format!("{METRICS}/namespaces/{}/pods", context.namespace)),
    };
    if let Err(failure) = context.get(METRICS).await {
        return Err(if failure.is_not_found() {
            Failure::said(
                "Metrics API not available\n\
                 remedy: this server has no metrics.k8s.io: what pods use is not measured yet",
            )
        } else {
            failure
        });
    }
    let items = match &of.name {
        Some(name) => vec![context.get(&format!("{collection}/{name}")).await?],
        None => {
            let listed = context.get(&with_query(&collection, &[("labelSelector", &of.labels)])).await?;
            list(&listed, "items").to_vec()
        }
    };
    if items.is_empty() {
        print::note(format_args!("No resources found"));
        return Ok(());
    }
    let is_pod = matches!(options.what, What::Pod(_));
    print::text(&table::plain(&lines(of, is_pod, &items)))
}

fn lines(of: &Of, is_pod: bool, items: &[Value]) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    if !of.no_headers {
        let mut head = Vec::new();
        if of.all_namespaces && is_pod {
            head.push("NAMESPACE");
        }
        head.push(if of.containers && is_pod { "POD" } else { "NAME" });
        if of.containers && is_pod {
            head.push("NAME");
        }
        head.extend(["CPU(cores)", "MEMORY(bytes)"]);
        lines.push(head.into_iter().map(str::to_owned).collect());
    }
    for item in items {
        let metadata = &item["metadata"];
        let mut begin = Vec::new();
        if of.all_namespaces && is_pod {
            begin.push(text(metadata, "namespace").to_owned());
        }
        begin.push(text(metadata, "name").to_owned());
        if !is_pod {
            lines.push([begin, used(std::slice::from_ref(item)).to_vec()].concat());
        } else if of.containers {
            for container in list(item, "containers") {
                let name = vec![text(container, "name").to_owned()];
                lines.push([begin.clone(), name, used(std::slice::from_ref(container)).to_vec()].concat());
            }
        } else {
            lines.push([begin, used(list(item, "containers")).to_vec()].concat());
        }
    }
    lines
}

/// CPU in thousandths, memory in MiB.
fn used(of: &[Value]) -> [String; 2] {
    let sum = |name: &str, amount: fn(Quantity) -> u64| -> u64 {
        of.iter().filter_map(|of| Quantity::parse(text(&of["usage"], name)).ok()).map(amount).sum()
    };
    let (cpu, memory) = (sum("cpu", Quantity::to_milli), sum("memory", Quantity::to_units));
    [format!("{cpu}m"), format!("{}Mi", memory >> 20)]
}
