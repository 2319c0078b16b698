//! `monopod attach`.

use std::process::ExitCode;

use clap::Args;
use podspec::json::flag;

use crate::client::container::{choose, of_name};
use crate::client::context::{Context, pod_path};
use crate::client::exec::{has_terminal, refuse_completed, session_path};
use crate::client::failure::Result;
use crate::client::print;
use crate::client::session::{Wanted, interact};
use crate::client::target::pod_name;

pub(super) const HELP: &str = "\
Examples:
  monopod attach web                   its output from now on
  monopod attach -it web -c shell      its terminal; the container needs stdin: true and tty: true";

#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// NAME or pod/NAME
    #[arg(value_name = "POD")]
    pod: String,
    /// Which container; the first, or that of the annotation kubectl.kubernetes.io/default-container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Pass standard input on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// With the container's terminal
    #[arg(short, long)]
    tty: bool,
    /// Only the container's output
    #[arg(short, long)]
    quiet: bool,
}

pub(super) async fn attach(options: &Attach, context: &Context) -> Result<ExitCode> {
    let name = pod_name(&options.pod)?;
    let pod = context.pod(&context.namespace, name).await?;
    refuse_completed(&pod, "attach")?;
    let container = choose(&pod, options.container.as_deref())?;
    let has_tty = flag(of_name(&pod, &container), "tty");
    if options.tty && !has_tty && !options.quiet {
        print::note(format_args!("Unable to use a TTY - container {container} did not allocate one"));
    }
    // A container with a terminal writes to nothing else.
    let tty = has_tty && options.tty && has_terminal(options.quiet);
    let wanted = Wanted { stdin: options.stdin, stdout: true, stderr: !has_tty, tty: has_tty };
    if tty && options.stdin && !options.quiet {
        print::note(format_args!("If you don't see a command prompt, try pressing enter."));
    }
    let path = format!("{}/attach", pod_path(&context.namespace, name));
    let path = session_path(&path, wanted, &container, &[]);
    interact(context, &path, Wanted { tty, ..wanted }).await
}
