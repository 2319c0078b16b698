//! The command line of `monopod simulate`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use simulation::{Assumption, Assumptions, Flag, UNTIL_MAX};

use crate::cli::{OutputFormat, Restarts};
use crate::client;

pub(crate) const HELP: &str = "\
Examples:
  monopod simulate pod.yaml                           what happens if all goes as its manifest makes evident
  monopod simulate pod.yaml --exit main=1@5s,0@10s    the first attempt exits 1 after 5s, the next ones 0 after 10s
  monopod simulate pod.yaml --ready web@2s --startup web@3s   when its probes begin to succeed
  monopod simulate pod.yaml --pull 3s --pull web=ErrImagePull
  monopod simulate pod.yaml --delete@60s --term main=ignores  deleted after a minute; main ignores its stop signal
  monopod simulate pod.yaml --delete 60s,5s --hook main=preStop:10s
  monopod simulate pod.yaml --probe-fails web=liveness@30s --until 5m
  monopod simulate pod.yaml -o json | jq '.pods[].warnings'

Nothing is run and nothing is written, no daemon is asked, and no time passes: the rules that decide about pods are played on
virtual time. What is not stated is read from commands where it is evident (sleep 5, exit 1, a shell without a trap),
or assumed, and said: images are there; init containers exit 0 after 1s; app containers that are not always restarted exit 0
after 10s; all others run until they are stopped, which takes no time; probes and hooks succeed at once.

Times of --exit, --oom, --ready, --startup and --probe-fails count from the start of each attempt; those of --delete and
--until from the beginning. The last of a list repeats.
Exit code: 0, or 1 when a pod fails that nobody has deleted by then, or 2 when the command line or a manifest was refused.";

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Manifest files or directories of them (YAML or JSON); - is standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    pub(crate) manifests: Vec<PathBuf>,
    /// How CONTAINER's attempts end, one after the other: an exit code, or oom, and after how long; or never
    #[arg(long, value_name = "CONTAINER=CODE@TIME[,CODE@TIME...]", value_parser = |text: &str| Assumption::parse(Flag::Exit, text))]
    exit: Vec<Assumption>,
    /// CONTAINER is out of memory after TIME, in every attempt
    #[arg(long, value_name = "CONTAINER@TIME", value_parser = |text: &str| Assumption::parse(Flag::Oom, text))]
    oom: Vec<Assumption>,
    /// CONTAINER's readiness probe succeeds from TIME on
    #[arg(long, value_name = "CONTAINER@TIME", value_parser = |text: &str| Assumption::parse(Flag::Ready, text))]
    ready: Vec<Assumption>,
    /// CONTAINER's startup probe succeeds from TIME on
    #[arg(long, value_name = "CONTAINER@TIME", value_parser = |text: &str| Assumption::parse(Flag::Startup, text))]
    startup: Vec<Assumption>,
    /// A probe of CONTAINER (startup, liveness or readiness) fails from TIME on
    #[arg(long, value_name = "CONTAINER=PROBE@TIME", value_parser = |text: &str| Assumption::parse(Flag::ProbeFails, text))]
    probe_fails: Vec<Assumption>,
    /// How long CONTAINER's postStart or preStop hook takes; with :fail at the end, it fails
    #[arg(long, value_name = "CONTAINER=HOOK:TIME", value_parser = |text: &str| Assumption::parse(Flag::Hook, text))]
    hook: Vec<Assumption>,
    /// How long CONTAINER lives after its stop signal, and after a colon its exit code; or ignores
    #[arg(long, value_name = "CONTAINER=TIME", value_parser = |text: &str| Assumption::parse(Flag::Term, text))]
    term: Vec<Assumption>,
    /// How long the pull of CONTAINER's image takes, or why it fails, as ErrImagePull; of every image without a name
    #[arg(long, value_name = "[CONTAINER=]TIME|REASON", value_parser = |text: &str| Assumption::parse(Flag::Pull, text))]
    pull: Vec<Assumption>,
    /// The pods are deleted after TIME, with this grace instead of their own; also --delete@TIME
    #[arg(long, value_name = "TIME[,GRACE]", value_parser = |text: &str| Assumption::parse(Flag::Delete, text))]
    delete: Vec<Assumption>,
    /// How much time is simulated at most
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_until)]
    until: Duration,
    #[command(flatten)]
    restarts: Restarts,
    /// text, or json: one object
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: OutputFormat,
    /// Plain text on a terminal too, as with NO_COLOR set
    #[arg(long)]
    pub(crate) no_color: bool,
}

impl Simulate {
    pub(crate) fn assumptions(&self) -> Assumptions {
        let Self { exit, oom, ready, startup, probe_fails, hook, term, pull, delete, .. } = self;
        let stated = [exit, oom, ready, startup, probe_fails, hook, term, pull, delete];
        Assumptions {
            stated: stated.into_iter().flatten().cloned().collect(),
            until: self.until,
            backoff: self.restarts.backoff(),
            ..Assumptions::default()
        }
    }
}

fn parse_until(text: &str) -> Result<Duration, String> {
    let until = client::parse_duration(text)?;
    if until > UNTIL_MAX {
        return Err(format!(
            "{text} is more than the {} days that are simulated",
            UNTIL_MAX.as_secs() / 86_400
        ));
    }
    Ok(until)
}

/// `--delete@60s` is `--delete=60s`.
pub(crate) fn respelled(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut ours = false;
    let respell = |argument: OsString| {
        ours = argument != "--" && (ours || argument == "simulate");
        match argument.to_str().and_then(|text| text.strip_prefix("--delete@")) {
            Some(at) if ours => format!("--delete={at}").into(),
            _ => argument,
        }
    };
    arguments.map(respell).collect()
}
