//! `monopod why`.

use clap::{Args, ValueEnum};
use explain::why::Explanation;
use podspec::ContainerName;

use crate::client::failure::{Failure, Result};
use crate::client::target::pod_name;
use crate::client::{context::Context, print, record};

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
    output: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) async fn why(options: &Why, context: &Context) -> Result<()> {
    let name = pod_name(&options.pod)?;
    let record = record::obtain(context, name).await?;
    let container = options.container.as_deref().map(ContainerName::new);
    if let Some(unknown) = container.as_ref().filter(|name| record.pod.spec.container(name).is_none()) {
        let names: Vec<&str> = record.pod.spec.all_containers().map(|c| c.name.as_str()).collect();
        let names = names.join(" ");
        return Err(Failure::refused(format!(
            "container {unknown} is not valid for pod {name}, choose one of: [{names}]"
        )));
    }
    let explanation = explain::why(&record, container.as_ref());
    match options.output {
        Format::Json => print::text(&format!("{}\n", json(&explanation)?)),
        Format::Text => print::text(&format!("{}\n", explanation.cause)),
    }
}

fn json(explanation: &Explanation) -> Result<String> {
    let text = serde_json::to_string_pretty(explanation);
    text.map_err(|error| Failure::said(format!("the explanation is no JSON: {error}")))
}
