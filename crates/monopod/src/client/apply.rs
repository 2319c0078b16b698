//! `monopod apply`: server-side apply.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use client::ClientError;
use http::{Method, StatusCode};
use podspec::json::text;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::context::{Context, with_query};
use crate::client::discovery::Discovery;
use crate::client::duration::{self, Limit};
use crate::client::failure::{Failure, Result};
use crate::client::get::{Output, print_objects};
use crate::client::manifests::{self, Manifest};
use crate::client::print;
use crate::client::wait::deadline;
use crate::client::watch::{JSON, Watch};
use crate::outcome::REFUSED;

pub(super) const HELP: &str = "\
Examples:
  monopod apply -f pod.yaml
  monopod apply -f ./manifests/ --wait=ready       and wait until every pod is ready
  generate-pod | monopod apply -f -
  monopod apply -f pod.yaml --dry-run=server       say what would happen

Fields that a manifest no longer has are removed, if they came from here. A field that somebody
else has set otherwise is a conflict; --force-conflicts takes it over.
Exit code: 0, 1 when something failed, 2 when the command line or a manifest was refused.";

const APPLY_PATCH: &str = "application/apply-patch+yaml";

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Manifest files or directories of them (YAML or JSON); - is standard input
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE|DIR|-", value_delimiter = ',')]
    files: Vec<PathBuf>,
    /// Wait until every pod has started (or ended), or is ready (or has succeeded)
    #[arg(long, value_name = "UNTIL", num_args = 0..=1, require_equals = true, default_missing_value = "ready")]
    wait: Option<Until>,
    /// How long to wait, such as 30s or 5m; a negative time is for ever
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration::parse_limit, allow_hyphen_values = true)]
    timeout: Limit,
    /// Take over fields that others have set
    #[arg(long)]
    force_conflicts: bool,
    /// In whose name fields are set
    #[arg(long, value_name = "NAME", default_value = "monopod")]
    field_manager: String,
    /// none, or server: nothing is kept
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "server", default_value = "none")]
    dry_run: DryRun,
    /// What to do about unknown fields: strict, warn or ignore
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "strict", default_value = "strict")]
    validate: Validate,
    /// Accepted, as kubectl has it: it is always so
    #[arg(long, hide = true)]
    server_side: bool,
    /// Print the objects: yaml, json, name, jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORMAT", value_parser = Output::parse)]
    output: Option<Output>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Until {
    Started,
    Ready,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum DryRun {
    None,
    Server,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Validate {
    #[value(alias = "true")]
    Strict,
    Warn,
    #[value(alias = "false")]
    Ignore,
}

impl DryRun {
    pub(super) fn query(self) -> (&'static str, &'static str) {
        ("dryRun", if self == Self::Server { "All" } else { "" })
    }

    pub(super) fn suffix(self) -> &'static str {
        if self == Self::Server { " (server dry run)" } else { "" }
    }
}

pub(super) async fn apply(options: &Apply, context: &Context) -> Result<()> {
    let documents = manifests::read(&options.files)?;
    let discovery = Discovery::ask(context, |known| manifests::are_known(known, &documents)).await?;
    let manifests =
        manifests::resolve(documents, &discovery, context, context.explicit_namespace.as_deref())?;
    let mut failed = None;
    let mut applied = Vec::new();
    for manifest in &manifests {
        match one(options, context, manifest).await {
            Ok(object) => applied.push((manifest, object)),
            Err(failure @ Failure::ReaderGone) => return Err(failure),
            // The others are as right as they were.
            Err(failure) => {
                failure.say();
                let refused = is_refusal(&failure) && failed != Some(crate::outcome::FAILURE);
                failed = Some(if refused { REFUSED } else { failure.code() });
            }
        }
    }
    if let Some(until) = options.wait.filter(|_| options.dry_run == DryRun::None) {
        let deadline = deadline(options.timeout);
        for (manifest, object) in &applied {
            if manifest.kind.kind == "Pod" && manifest.kind.group.is_empty() {
                wait_for_pod(context, manifest, object, until, deadline).await?;
            }
        }
    }
    failed.map_or(Ok(()), |code| Err(Failure::Code(code)))
}

/// Whether the server finds something wrong with the manifest itself.
fn is_refusal(failure: &Failure) -> bool {
    matches!(failure, Failure::Api { error: ClientError::Status { code: 400 | 422, .. }, .. })
}

async fn one(options: &Apply, context: &Context, manifest: &Manifest<'_>) -> Result<Value> {
    let path = manifest.kind.object_path(&manifest.namespace, &manifest.name);
    let doing = |failure: Failure| match failure {
        Failure::Api { error, .. } => {
            Failure::Api { doing: Some(format!("error when applying {:?}", manifest.source)), error }
        }
        other => other,
    };
    let before = match context.get(&path).await {
        Ok(object) => Some(text(&object["metadata"], "resourceVersion").to_owned()),
        Err(failure) if failure.is_not_found() => None,
        Err(failure) => return Err(doing(failure)),
    };
    let validation = match options.validate {
        Validate::Strict => "Strict",
        Validate::Warn => "Warn",
        Validate::Ignore => "Ignore",
    };
    let path = with_query(
        &path,
        &[
            ("fieldManager", &options.field_manager),
            ("fieldValidation", validation),
            ("force", if options.force_conflicts { "true" } else { "" }),
            options.dry_run.query(),
        ],
    );
    let body = Some((APPLY_PATCH, &manifest.value));
    let (code, object) = context.send(Method::PATCH, &path, body, None).await.map_err(doing)?;
    let done = match before {
        _ if code == StatusCode::CREATED => "created",
        Some(version) if version == text(&object["metadata"], "resourceVersion") => "unchanged",
        _ => "configured",
    };
    match &options.output {
        Some(output) => print_objects(output, &[(manifest.kind, object.clone())], false, false)?,
        None => print::line(format_args!(
            "{}/{} {done}{}",
            manifest.kind.singular(),
            manifest.name,
            options.dry_run.suffix()
        ))?,
    }
    Ok(object)
}

/// Where a pod is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Under,
    Done,
    Failed,
}

fn progress(pod: &Value, until: Until) -> Progress {
    let status = &pod["status"];
    let condition = |name: &str| {
        podspec::json::list(status, "conditions")
            .iter()
            .any(|condition| condition["type"] == name && condition["status"] == "True")
    };
    match (text(status, "phase"), until) {
        ("Succeeded", _) => Progress::Done,
        ("Failed", _) => Progress::Failed,
        ("Running", Until::Started) => Progress::Done,
        (_, Until::Ready) if condition("Ready") => Progress::Done,
        _ => Progress::Under,
    }
}

async fn wait_for_pod(
    context: &Context,
    manifest: &Manifest<'_>,
    pod: &Value,
    until: Until,
    deadline: Option<Instant>,
) -> Result<()> {
    let name = &manifest.name;
    let fields = format!("metadata.name={name}");
    let path = manifest.kind.path(Some(&manifest.namespace));
    let path = with_query(&path, &[("fieldSelector", &fields), ("watch", "true")]);
    let reached = async {
        let mut watch = Watch::start(context, path, JSON, text(&pod["metadata"], "resourceVersion")).await?;
        let mut now = progress(pod, until);
        loop {
            match now {
                Progress::Done => return Ok(()),
                Progress::Failed => return Err(Failure::said(format!("pod {name:?} has failed"))),
                Progress::Under => {}
            }
            let event = watch.next().await?;
            if event.kind == "DELETED" {
                return Err(Failure::said(format!("pod {name:?} was deleted while it was waited for")));
            }
            now = progress(&event.object, until);
        }
    };
    let far = Duration::from_secs(60 * 60 * 24 * 365);
    let deadline = deadline.unwrap_or_else(|| Instant::now() + far);
    tokio::time::timeout_at(deadline, reached).await.unwrap_or_else(|_| {
        let what = if until == Until::Ready { "ready" } else { "started" };
        Err(Failure::said(format!(
            "timed out: pod {name:?} is not {what}; `monopod describe pod {name}` says why"
        )))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Progress, Until, progress};

    #[test]
    fn pods_get_on() {
        let pod = |phase: &str, ready: &str| json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        for (phase, ready, until, expected) in [
            ("Pending", "False", Until::Started, Progress::Under),
            ("Running", "False", Until::Started, Progress::Done),
            ("Running", "False", Until::Ready, Progress::Under),
            ("Running", "True", Until::Ready, Progress::Done),
            ("Succeeded", "False", Until::Ready, Progress::Done),
            ("Failed", "False", Until::Started, Progress::Failed),
        ] {
            assert_eq!(progress(&pod(phase, ready), until), expected, "{phase} {ready} {until:?}");
        }
    }
}
