//! The client verbs: kubectl's words, thin over the same API. Without `--kubeconfig` they speak to the engine under
//! the root and to nothing else: a local `delete` must not reach somebody's production cluster.

mod apply;
mod attach;
mod bug_report;
mod container;
mod context;
mod copy;
mod delete;
mod describe;
mod discovery;
mod duration;
mod events;
mod exec;
mod expectation;
mod failure;
mod get;
mod jsonpath;
mod logs;
mod manifests;
mod port_forward;
mod print;
pub(crate) mod record;
mod record_file;
mod replay;
mod session;
mod table;
mod tabs;
mod target;
mod terminal;
mod timeline;
mod top;
mod wait;
mod watch;
mod why;

use std::process::ExitCode;

use clap::{Arg, ArgAction, Subcommand, value_parser};

use crate::cli::Global;
use context::Context;
pub(crate) use duration::parse as parse_duration;
use failure::Result;
use kubelet::Paths;
pub(crate) use tabs::align;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make or change objects as manifests say
    #[command(mut_args(kubectl_flag), after_help = apply::HELP)]
    Apply(apply::Apply),
    /// Show objects as a table, YAML, JSON, or a part of them
    #[command(mut_args(kubectl_flag), after_help = get::HELP)]
    Get(get::Get),
    /// Show all there is to know of a pod, with its events
    #[command(mut_args(kubectl_flag), after_help = describe::HELP)]
    Describe(describe::Describe),
    /// Print the logs of a pod's containers
    #[command(mut_args(kubectl_flag), after_help = logs::HELP)]
    Logs(logs::Logs),
    /// Run a command in a container
    #[command(mut_args(kubectl_flag), after_help = exec::HELP)]
    Exec(exec::Exec),
    /// Join the process of a container
    #[command(mut_args(kubectl_flag), after_help = attach::HELP)]
    Attach(attach::Attach),
    /// Copy files to and from containers
    #[command(mut_args(kubectl_flag), after_help = copy::HELP)]
    Cp(copy::Copy),
    /// Forward local ports to a pod
    #[command(mut_args(kubectl_flag), after_help = port_forward::HELP)]
    PortForward(port_forward::PortForward),
    /// Delete objects, by name, file or selector
    #[command(mut_args(kubectl_flag), after_help = delete::HELP)]
    Delete(delete::Delete),
    /// Wait until something is true of objects
    #[command(mut_args(kubectl_flag), after_help = wait::HELP)]
    Wait(wait::Wait),
    /// List events
    #[command(mut_args(kubectl_flag), after_help = events::HELP)]
    Events(events::Events),
    /// Show what a pod's containers did when: as bars on one axis of time, as a picture, or as JSON
    #[command(mut_args(kubectl_flag), after_help = timeline::HELP)]
    Timeline(timeline::Options),
    /// Show what pods and nodes use
    #[command(mut_args(kubectl_flag), after_help = top::HELP)]
    Top(top::Top),
    /// Say why a pod is as it is: what it waits for, since when, what its containers said, and what mends it
    #[command(mut_args(kubectl_flag), after_help = why::HELP)]
    Why(why::Why),
    /// Say whether this version decides as it is on record: of a pod, or of a report
    #[command(mut_args(kubectl_flag), after_help = replay::HELP)]
    Replay(replay::Replay),
    /// Write what happened to a pod into one file, without secrets
    #[command(mut_args(kubectl_flag), after_help = bug_report::HELP)]
    BugReport(bug_report::BugReport),
}

/// A flag is also `--flag=true` and `--flag=false`, as kubectl has it.
fn kubectl_flag(flag: Arg) -> Arg {
    if !matches!(flag.get_action(), ArgAction::SetTrue) {
        return flag;
    }
    flag.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .value_parser(value_parser!(bool))
        .value_name("BOOL")
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .hide_possible_values(true)
}

/// Runs a verb against the engine under these paths, or the API of `--kubeconfig`.
pub(crate) fn run(verb: &Verb, global: &Global, paths: &Paths) -> anyhow::Result<ExitCode> {
    let runtime = crate::runtime()?;
    let outcome = runtime.block_on(async {
        let context = Context::new(global, paths)?;
        dispatch(verb, &context).await
    });
    // A thread that waits for standard input ends with the process.
    runtime.shutdown_background();
    Ok(match outcome {
        Ok(code) => code,
        Err(failure) => failure.report(),
    })
}

async fn dispatch(verb: &Verb, context: &Context) -> Result<ExitCode> {
    let done = match verb {
        Verb::Apply(options) => Box::pin(apply::apply(options, context)).await,
        Verb::Get(options) => Box::pin(get::get(options, context)).await,
        Verb::Describe(options) => Box::pin(describe::describe(options, context)).await,
        Verb::Logs(options) => Box::pin(logs::logs(options, context)).await,
        Verb::Exec(options) => return Box::pin(exec::exec(options, context)).await,
        Verb::Attach(options) => return Box::pin(attach::attach(options, context)).await,
        Verb::Cp(options) => Box::pin(copy::copy(options, context)).await,
        Verb::PortForward(options) => Box::pin(port_forward::port_forward(options, context)).await,
        Verb::Delete(options) => Box::pin(delete::delete(options, context)).await,
        Verb::Wait(options) => Box::pin(wait::wait(options, context)).await,
        Verb::Events(options) => Box::pin(events::events(options, context)).await,
        Verb::Timeline(options) => Box::pin(timeline::timeline(options, context)).await,
        Verb::Top(options) => Box::pin(top::top(options, context)).await,
        Verb::Why(options) => Box::pin(why::why(options, context)).await,
        Verb::Replay(options) => return Box::pin(replay::replay(options, context)).await,
        Verb::BugReport(options) => Box::pin(bug_report::bug_report(options, context)).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    #[test]
    fn kubectls_habits() {
        for line in [
            "get pods",
            "get pods -A -o wide --show-labels=true",
            "get pod web -oyaml -n other",
            "get -w pods --no-headers",
            "logs -f web -c main --tail=-1",
            "logs --previous=true web",
            "logs --all-containers=true web --follow=false",
            "exec -it web -- sh",
            "exec -ti web -c main -- sh -c ls",
            "exec web -itc main -- sh",
            "exec --stdin=true --tty=false web -- ls -l",
            "attach -it web -c main",
            "delete pod web --grace-period=0 --force",
            "delete pod web --force=true --wait=false --timeout=5s",
            "delete -f a.yaml -f b.yaml --ignore-not-found=true",
            "wait --for=condition=Ready pod/web --timeout=-1s",
            "wait pod web --for delete",
            "apply -f a.yaml --server-side --force-conflicts --wait=started",
            "apply --filename a.yaml --dry-run=server",
            "port-forward web 8080:80 :90",
            "cp web:/a ./b -c main",
            "events --for pod/web -w",
            "top pod",
            "timeline",
            "timeline pod/web -w --since 10m --ascii",
            "timeline web -o svg --width 120 --color always",
            "describe pod web --show-events=false",
            "--kubeconfig /x get pods",
            "replay -",
            "replay pod/web -v --until 12 -ojson",
            "bug-report web --include logs,env -o - --force",
        ] {
            let parsed = Cli::try_parse_from(format!("monopod {line}").split_whitespace());
            assert!(
                parsed.is_ok(),
                "{line}: {}",
                parsed.err().map(|error| error.to_string()).unwrap_or_default()
            );
        }
        for wrong in [
            "get",
            "exec web ls",
            "exec web --",
            "wait pod/web",
            "apply",
            "apply -f a --wait=soon",
            "get pods -o xml",
            "timeline web --width 3",
        ] {
            assert!(Cli::try_parse_from(format!("monopod {wrong}").split_whitespace()).is_err(), "{wrong}");
        }
    }
}
