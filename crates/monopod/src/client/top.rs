//! `monopod top`: what metrics.k8s.io says, where the API has it.

use std::cmp::Reverse;

use clap::{Args, Subcommand, ValueEnum};
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
  monopod top pod -A --sort-by memory
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
    /// The largest first
    #[arg(long, value_name = "RESOURCE")]
    sort_by: Option<Resource>,
    /// A table without its head
    #[arg(long)]
    no_headers: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Resource {
    Cpu,
    Memory,
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
                 remedy: install metrics-server in that cluster; the engine of monopod needs none",
            )
        } else {
            failure
        });
    }
    let mut items = match &of.name {
        Some(name) => vec![context.get(&format!("{collection}/{name}")).await?],
        None => {
            let listed = context.get(&with_query(&collection, &[("labelSelector", &of.labels)])).await?;
            list(&listed, "items").to_vec()
        }
    };
    let is_pod = matches!(options.what, What::Pod(_));
    if items.is_empty() {
        print::note(format_args!("{}", nothing_found(of, is_pod, &context.namespace)));
        return Ok(());
    }
    sort(&mut items, of, is_pod);
    let lines = if is_pod {
        pod_lines(of, &items)
    } else {
        node_lines(of, &items, list(&context.get("/api/v1/nodes").await?, "items"))
    };
    print::text(&table::plain(&lines))
}

fn nothing_found(of: &Of, is_pod: bool, namespace: &str) -> String {
    if is_pod && !of.all_namespaces {
        format!("No resources found in {namespace} namespace.")
    } else {
        "No resources found".to_owned()
    }
}

/// By name, or the largest first.
fn sort(items: &mut [Value], of: &Of, is_pod: bool) {
    let size = |measured: &[Value]| {
        let used = Used::of(measured);
        Reverse(match of.sort_by {
            Some(Resource::Cpu) => used.cpu_milli,
            Some(Resource::Memory) => used.memory_bytes,
            None => 0,
        })
    };
    for item in items.iter_mut() {
        if let Some(containers) = item["containers"].as_array_mut() {
            containers.sort_by_key(|container| {
                (size(std::slice::from_ref(container)), text(container, "name").to_owned())
            });
        }
    }
    items.sort_by_key(|item| {
        let name = |name| text(&item["metadata"], name).to_owned();
        let measured = if is_pod { list(item, "containers") } else { std::slice::from_ref(item) };
        (size(measured), name("namespace"), name("name"))
    });
}

fn pod_lines(of: &Of, pods: &[Value]) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    if !of.no_headers {
        let namespace = of.all_namespaces.then_some("NAMESPACE");
        let name: &[&str] = if of.containers { &["POD", "NAME"] } else { &["NAME"] };
        lines.push(head(namespace.iter().chain(name).chain(&["CPU(cores)", "MEMORY(bytes)"])));
    }
    for pod in pods {
        let metadata = &pod["metadata"];
        let mut begin = Vec::new();
        if of.all_namespaces {
            begin.push(text(metadata, "namespace").to_owned());
        }
        begin.push(text(metadata, "name").to_owned());
        if of.containers {
            for container in list(pod, "containers") {
                let name = vec![text(container, "name").to_owned()];
                let used = Used::of(std::slice::from_ref(container)).cells();
                lines.push([begin.clone(), name, used.to_vec()].concat());
            }
        } else {
            lines.push([begin, Used::of(list(pod, "containers")).cells().to_vec()].concat());
        }
    }
    lines
}

fn node_lines(of: &Of, measured: &[Value], nodes: &[Value]) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    if !of.no_headers {
        lines.push(head(["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"].iter()));
    }
    for item in measured {
        let name = text(&item["metadata"], "name");
        let node = nodes.iter().find(|node| text(&node["metadata"], "name") == name);
        let has = node.map_or(Used::default(), |node| Used::read(&node["status"]["allocatable"]));
        let used = Used::of(std::slice::from_ref(item));
        let [cpu, memory] = used.cells();
        let cpu_part = part(used.cpu_milli, has.cpu_milli);
        let memory_part = part(used.memory_bytes, has.memory_bytes);
        lines.push(vec![name.to_owned(), cpu, cpu_part, memory, memory_part]);
    }
    lines
}

fn head<'a>(names: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    names.map(|name| (*name).to_owned()).collect()
}

fn part(used: u64, of: u64) -> String {
    match (u128::from(used) * 100).checked_div(u128::from(of)) {
        Some(percent) => format!("{percent}%"),
        None => "<unknown>".to_owned(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Used {
    cpu_milli: u64,
    memory_bytes: u64,
}

impl Used {
    /// Of all of them together.
    fn of(measured: &[Value]) -> Self {
        let each = measured.iter().map(|of| Self::read(&of["usage"]));
        each.fold(Self::default(), |sum, used| Self {
            cpu_milli: sum.cpu_milli.saturating_add(used.cpu_milli),
            memory_bytes: sum.memory_bytes.saturating_add(used.memory_bytes),
        })
    }

    fn read(resources: &Value) -> Self {
        let amount = |name| Quantity::parse(text(resources, name)).ok();
        Self {
            cpu_milli: amount("cpu").map_or(0, Quantity::to_milli),
            memory_bytes: amount("memory").map_or(0, Quantity::to_units),
        }
    }

    /// CPU in thousandths, memory in MiB.
    fn cells(self) -> [String; 2] {
        [format!("{}m", self.cpu_milli), format!("{}Mi", self.memory_bytes >> 20)]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Of, Resource, node_lines, pod_lines, sort};

    fn of(containers: bool, sort_by: Option<Resource>) -> Of {
        Of { name: None, labels: String::new(), all_namespaces: true, containers, sort_by, no_headers: false }
    }

    fn pods() -> Vec<Value> {
        let container = |name: &str, cpu: &str, memory: &str| json!({"name": name, "usage": {"cpu": cpu, "memory": memory}});
        let pod = |name: &str, containers: Value| json!({"metadata": {"namespace": "n", "name": name}, "containers": containers});
        vec![
            pod("web", json!([container("b", "1500001n", "3Mi"), container("a", "250m", "1Ki")])),
            pod("db", json!([container("x", "1", "1Gi")])),
        ]
    }

    fn lines(of: &Of) -> Vec<String> {
        let mut pods = pods();
        sort(&mut pods, of, true);
        pod_lines(of, &pods).iter().map(|line| line.join(" ")).collect()
    }

    #[test]
    fn pods_and_their_containers() {
        let expected = ["NAMESPACE NAME CPU(cores) MEMORY(bytes)", "n db 1000m 1024Mi", "n web 252m 3Mi"];
        assert_eq!(lines(&of(false, None)), expected);
        assert_eq!(
            lines(&of(true, None)),
            [
                "NAMESPACE POD NAME CPU(cores) MEMORY(bytes)",
                "n db x 1000m 1024Mi",
                "n web a 250m 0Mi",
                "n web b 2m 3Mi"
            ]
        );
        assert_eq!(lines(&of(true, Some(Resource::Memory)))[2..], ["n web b 2m 3Mi", "n web a 250m 0Mi"]);
    }

    #[test]
    fn nodes_with_the_part_of_what_they_have() {
        let used = [json!({"metadata": {"name": "box"}, "usage": {"cpu": "500m", "memory": "1Gi"}})];
        let node =
            json!({"metadata": {"name": "box"}, "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}});
        let lines = |nodes: &[Value]| node_lines(&of(false, None), &used, nodes)[1].join(" ");
        assert_eq!(lines(&[node]), "box 500m 25% 1024Mi 25%");
        assert_eq!(lines(&[]), "box 500m <unknown> 1024Mi <unknown>");
    }
}
