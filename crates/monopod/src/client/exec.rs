//! `monopod exec`.

use std::process::ExitCode;

use clap::Args;
use podspec::json::text;
use serde_json::Value;

use crate::client::container::choose;
use crate::client::context::{Context, pod_path, with_query};
use crate::client::failure::{Failure, Result};
use crate::client::session::{Wanted, interact};
use crate::client::target::pod_name;
use crate::client::{print, terminal};

pub(super) const HELP: &str = "\
Examples:
  monopod exec web -- ls /                     in the pod's default container
  monopod exec -it web -c main -- sh           a shell
  tar c . | monopod exec -i web -- tar x       with standard input

The exit code is the command's.";

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// NAME or pod/NAME
    #[arg(value_name = "POD")]
    pod: String,
    /// The command and its arguments, after --
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Which container; the first, or that of the annotation kubectl.kubernetes.io/default-container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// With a terminal
    #[arg(short, long)]
    tty: bool,
    /// Only the command's output
    #[arg(short, long)]
    quiet: bool,
}

pub(super) async fn exec(options: &Exec, context: &Context) -> Result<ExitCode> {
    let name = pod_name(&options.pod)?;
    let pod = context.pod(&context.namespace, name).await?;
    refuse_completed(&pod, "exec into")?;
    let container = choose(&pod, options.container.as_deref())?;
    let tty = options.tty && has_terminal(options.quiet);
    let wanted = Wanted { stdin: options.stdin, stdout: true, stderr: !tty, tty };
    let path = exec_path(&context.namespace, name, wanted, &container, &options.command);
    interact(context, &path, wanted).await
}

/// Nothing runs in a pod that has ended. `what`: what was to be done with a container of it.
pub(super) fn refuse_completed(pod: &Value, what: &str) -> Result<()> {
    let phase = text(&pod["status"], "phase");
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(Failure::said(format!(
            "cannot {what} a container in a completed pod; current phase is {phase}"
        )));
    }
    Ok(())
}

/// Whether there is one; it is said when there is none.
pub(super) fn has_terminal(quiet: bool) -> bool {
    let is_there = terminal::is_there();
    if !is_there && !quiet {
        print::note(format_args!("Unable to use a TTY - input is not a terminal or the right kind of file"));
    }
    is_there
}

pub(super) fn exec_path(
    namespace: &str,
    pod: &str,
    wanted: Wanted,
    container: &str,
    command: &[String],
) -> String {
    session_path(&format!("{}/exec", pod_path(namespace, pod)), wanted, container, command)
}

/// `path` with what a session on one container asks for.
pub(super) fn session_path(path: &str, wanted: Wanted, container: &str, command: &[String]) -> String {
    let query = wanted.query(container, command);
    let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    with_query(path, &query)
}
