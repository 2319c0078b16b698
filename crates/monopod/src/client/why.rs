//! `monopod why`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};

use clap::Args;
use explain::why::{Explanation, Look, Surroundings};
use podspec::ContainerName;
use podspec::json::{list, text};
use rustix::stdio::stdout;
use rustix::termios::tcgetwinsize;
use serde_json::Value;

use crate::cli::OutputFormat;
use crate::client::context::{Context, encode};
use crate::client::failure::{Failure, Result};
use crate::client::target::pod_name;
use crate::client::{events, print, record};
use crate::outcome;

/// Without a terminal.
const WIDTH: usize = 120;

pub(super) const HELP: &str = "\
Examples:
  monopod why web                    what is wrong with a pod, or that nothing is
  monopod why web -c sidecar         with one container of it
  monopod why pod/web -n shop -o json | jq .cause
  sudo monopod why web               also when no engine runs, or the pod has ended";

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// NAME or pod/NAME
    #[arg(value_name = "POD")]
    pod: String,
    /// Only this container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// text, or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,
}

pub(super) async fn why(options: &Why, context: &Context) -> Result<()> {
    let unplaced = match pod_name(&options.pod) {
        Ok(name) => unplaced_pod(context, name).await,
        // It may be a file.
        Err(_) => None,
    };
    let explanation = match unplaced {
        Some(pod) => explain::why::unplaced(&pod, events::now()),
        None => of_record(options, context, &options.pod).await?,
    };
    match options.output {
        OutputFormat::Json => print::text(&format!("{}\n", json(&explanation)?)),
        OutputFormat::Text => print::text(&explain::why::text(&explanation, look())),
    }
}

/// The pod's object, when no node has taken it.
async fn unplaced_pod(context: &Context, name: &str) -> Option<Value> {
    let pod = context.pod(&context.namespace, name).await.ok()?;
    text(&pod["spec"], "nodeName").is_empty().then_some(pod)
}

async fn of_record(options: &Why, context: &Context, pod: &str) -> Result<Explanation> {
    let record = record::meant(context, pod).await?;
    let pod = &record.pod.name;
    let container = options.container.as_deref().map(ContainerName::new);
    if let Some(unknown) = container.as_ref().filter(|name| record.pod.spec.container(name).is_none()) {
        let names: Vec<&str> = record.pod.spec.all_containers().map(|c| c.name.as_str()).collect();
        let names = names.join(" ");
        return Err(Failure::refused(format!(
            "container {unknown} is not valid for pod {pod}, choose one of: [{names}]"
        )));
    }
    let around = surroundings(context).await.unwrap_or_default();
    Ok(explain::why::why_among(&record, container.as_ref(), &around))
}

/// The Services of the namespace; nothing is known of them where nobody answers, or who asks may not see them.
async fn surroundings(context: &Context) -> Option<Surroundings> {
    let namespace = encode(&context.namespace);
    let services = context.get(&format!("/api/v1/namespaces/{namespace}/services")).await.ok()?;
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let slices = context.get(&slices).await.ok()?;
    Some(among(&services, &slices))
}

fn among(services: &Value, slices: &Value) -> Surroundings {
    let names = list(services, "items").iter().map(|service| text(&service["metadata"], "name").to_owned());
    let mut services: BTreeMap<String, usize> = names.map(|name| (name, 0)).collect();
    for slice in list(slices, "items") {
        let service = text(&slice["metadata"]["labels"], "kubernetes.io/service-name");
        let Some(ready) = services.get_mut(service) else { continue };
        // What is not said counts as ready.
        *ready += list(slice, "endpoints").iter().filter(|e| e["conditions"]["ready"] != false).count();
    }
    Surroundings { services, complete: true }
}

/// As wide as the terminal.
fn look() -> Look {
    let is_terminal = io::stdout().is_terminal();
    let columns =
        tcgetwinsize(stdout()).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    let columns = columns.or_else(|| std::env::var("COLUMNS").ok()?.parse().ok());
    Look { width: columns.unwrap_or(WIDTH), color: is_terminal && outcome::may_color() }
}

fn json(explanation: &Explanation) -> Result<String> {
    let text = serde_json::to_string_pretty(explanation);
    text.map_err(|error| Failure::said(format!("the explanation is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::among;

    #[test]
    fn endpoints_that_are_ready_are_counted() {
        let service = |name: &str| json!({"metadata": {"name": name}});
        let slice = |service: &str, ready: &[Option<bool>]| {
            let endpoints: Vec<_> =
                ready.iter().map(|ready| json!({"conditions": {"ready": ready}})).collect();
            json!({"metadata": {"labels": {"kubernetes.io/service-name": service}}, "endpoints": endpoints})
        };
        let slices = [
            slice("a", &[Some(true), None]),
            slice("a", &[Some(true)]),
            slice("b", &[Some(false)]),
            slice("c", &[None]),
        ];
        let around = among(&json!({"items": [service("a"), service("b")]}), &json!({"items": slices}));
        assert_eq!(
            around.services.into_iter().collect::<Vec<_>>(),
            [("a".to_owned(), 3), ("b".to_owned(), 0)]
        );
        assert!(among(&json!(null), &json!(null)).services.is_empty());
    }
}
