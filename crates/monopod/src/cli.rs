//! The command line.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use container_config::LogLimits;
use ipnet::IpNet;
use lifecycle::BackoffLimits;
use local_cluster::Thresholds;
use podspec::quantity::Quantity;

use crate::client;
use crate::image::Image;
use crate::images::ImageOptions;
use crate::lint;
use crate::simulate::{self, Simulate};

#[derive(Debug, Parser)]
#[command(
    name = "monopod",
    version,
    about = "Runs Kubernetes Pods on this machine: no container runtime, no cluster",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  monopod lint examples/sidecar.yaml            what will not work, before anything starts
  sudo monopod run examples/sidecar.yaml        run a pod, follow its logs, Ctrl-C stops it in order
  sudo monopod run web.yaml db.yaml             several pods side by side
  sudo monopod --root /tmp/try run pod.yaml     with everything below a directory of its own
  sudo monopod serve                            the API for kubectl, and for the verbs that follow
  sudo monopod apply -f pod.yaml --wait=ready   get, describe, logs, exec, ... as with kubectl
  sudo monopod why web                          what a pod waits for, and what mends it
  sudo monopod image load web.tar               an image for pods to use
  monopod simulate pod.yaml --exit main=1@5s    what would happen then, without any of it
  monopod run --help                            more about run";

/// Before or after the command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Keep everything below DIR: DIR/var/lib/monopod, DIR/run/monopod, DIR/var/log/pods
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// Keep pods and images in DIR instead of var/lib/monopod under the root
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Speak to the API of FILE's current context; without it, to the engine under the root
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The namespace of objects that name none; in a manifest, one that names another is refused
    #[arg(short, long, global = true, value_name = "NS")]
    pub(crate) namespace: Option<String>,
    /// Say more about what the engine does, on standard error; twice for all of it
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How the engine's own messages look
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run pods in the foreground: start them, follow every log, show what happens, stop in order
    #[command(after_help = RUN_HELP)]
    Run(Run),
    /// Serve the Kubernetes API for Pods on this machine, for kubectl
    #[command(after_help = SERVE_HELP)]
    Serve(Serve),
    /// Show what would happen to a manifest's pods: timeline, statuses, events and warnings, at once and without root
    #[command(after_help = simulate::HELP)]
    Simulate(Simulate),
    #[command(flatten)]
    Client(client::Verb),
    /// Say what will not work in manifests, and mend it: offline, without root
    #[command(after_help = lint::HELP)]
    Lint(lint::Lint),
    /// Load, list, inspect and remove images
    Image(Image),
    /// Remove all that engines under the root have made: pods, logs, images
    #[command(after_help = RESET_HELP)]
    Reset(Reset),
    /// Print the version
    Version,
    /// Print a completion script, as in: source <(monopod completion bash)
    Completion { shell: clap_complete::Shell },
}

impl Command {
    pub(crate) fn traces_starts(&self) -> bool {
        match self {
            Self::Run(run) => run.starts.trace_start,
            Self::Serve(serve) => serve.starts.trace_start,
            _ => false,
        }
    }
}

const RUN_HELP: &str = "\
Examples:
  sudo monopod run examples/sidecar.yaml
  sudo monopod run ./manifests/                       every .yaml, .yml and .json file in it
  sudo monopod run pod.yaml -o json | jq .            one JSON object per line
  generate-pod | sudo monopod run -                   from standard input
  sudo monopod run pod.yaml --registry-config ./certs.d  mirrors and authorities from ./certs.d/HOST/hosts.toml
  sudo monopod run pod.yaml --trace-start             and say how long each part of its start took

Ctrl-C stops every pod in order, within its grace period; a second one forces.
Exit code: 0 when all pods succeeded or you stopped them, 1 when one failed,
2 when the command line or a manifest was refused.";

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Manifest files or directories of them (YAML or JSON); - is standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    pub(crate) manifests: Vec<PathBuf>,
    /// Begin each line with its time (UTC)
    #[arg(long)]
    pub(crate) timestamps: bool,
    /// Plain text on a terminal too, as with NO_COLOR set
    #[arg(long)]
    pub(crate) no_color: bool,
    /// Serve the API over TLS too, for kubectl; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) restarts: Restarts,
    /// When pods are evicted, as the kubelet's flag; none for never
    #[arg(long, value_name = "SIGNALS", default_value = EVICTION_HARD, value_parser = Thresholds::parse)]
    pub(crate) eviction_hard: Thresholds,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    #[command(flatten)]
    pub(crate) logs: LogFlags,
    #[command(flatten)]
    pub(crate) network: Network,
    /// text, or json: one object per line, of type step, log, event or summary
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: OutputFormat,
    #[command(flatten)]
    pub(crate) images: ImageOptions,
    #[command(flatten)]
    pub(crate) starts: Starts,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum OutputFormat {
    Text,
    Json,
}

const SERVE_HELP: &str = "\
Examples:
  sudo monopod serve                                  then, from another terminal:
  sudo kubectl --kubeconfig /var/lib/monopod/kubeconfig get pods
  sudo monopod --root /tmp/try serve --listen 127.0.0.1:0
  sudo monopod serve --image-gc-high-threshold 100    images are never removed, however full the disk is
  sudo monopod serve --trace-start --log-format json  how long each part of every start took, for machines

Prints one line when it is ready. SIGTERM or Ctrl-C ends the server and leaves its pods running;
the next one takes them over. `monopod reset` removes them.";

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where kubectl finds the API, over TLS; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6443")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) restarts: Restarts,
    /// When pods are evicted, as the kubelet's flag; none for never
    #[arg(long, value_name = "SIGNALS", default_value = EVICTION_HARD, value_parser = Thresholds::parse)]
    pub(crate) eviction_hard: Thresholds,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
    #[command(flatten)]
    pub(crate) logs: LogFlags,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) images: ImageOptions,
    #[command(flatten)]
    pub(crate) starts: Starts,
}

/// What is told of starts.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Starts {
    /// Say on standard error where the time of each start goes: the engine's, and each pod's when all its containers have
    /// run; with --log-format json one object per line, of type start
    #[arg(long)]
    pub(crate) trace_start: bool,
}

/// A kubelet has its disk to itself and wants a tenth of it free; of a machine that is somebody's own, that may be
/// more than there ever is.
const EVICTION_HARD: &str = "memory.available<100Mi,nodefs.available<100Mi,nodefs.inodesFree<1%";

/// What a pod may take of the machine, whatever it asks for.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Bounds {
    /// How many processes and threads each pod may have, as the kubelet's flag; unless given, as many as the machine
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) pod_max_pids: Option<u64>,
}

/// What is kept of the logs of containers, as the kubelet's flags.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LogFlags {
    /// A container's log is rotated before a file of it grows over this, such as 512Ki or 1Gi; at least 4Ki
    #[arg(long, value_name = "SIZE", default_value = "10Mi", value_parser = parse_log_size)]
    container_log_max_size: u64,
    /// How many files of the log of a container's attempt are kept, the one being written among them; from 2 to 1000
    #[arg(long, value_name = "NUMBER", default_value = "5", value_parser = clap::value_parser!(u32).range(LOG_FILES))]
    container_log_max_files: u32,
}

/// A reader opens all of them.
const LOG_FILES: RangeInclusive<i64> = 2..=1_000;
/// With less, it would be the names of files that change all the time.
const LOG_FILE_BYTES_MIN: u64 = 4 << 10;

impl LogFlags {
    pub(crate) fn limits(self) -> LogLimits {
        let files_max = usize::try_from(self.container_log_max_files).unwrap_or(usize::MAX);
        LogLimits { file_bytes_max: self.container_log_max_size, files_max }
    }
}

fn parse_log_size(text: &str) -> Result<u64, String> {
    let size =
        Quantity::parse(text).map_err(|error| format!("{error}: give a size such as 512Ki or 10Mi"))?;
    let bytes = size.to_units();
    if bytes < LOG_FILE_BYTES_MIN {
        return Err(format!("{text} is less than {}", Quantity::from_bytes(LOG_FILE_BYTES_MIN)));
    }
    Ok(bytes)
}

/// What addresses pods have.
#[derive(Clone, Debug, Args)]
pub(crate) struct Network {
    /// Addresses for pods: a range of IPv4 and, after a comma, one of IPv6; unless given, ranges that are free
    #[arg(long, value_name = "CIDR[,CIDR]", value_delimiter = ',', conflicts_with = "no_pod_network")]
    pub(crate) pod_cidr: Vec<IpNet>,
    /// Addresses for Services, in the same way
    #[arg(long, value_name = "CIDR[,CIDR]", value_delimiter = ',', conflicts_with = "no_pod_network")]
    pub(crate) service_cidr: Vec<IpNet>,
    /// Change nothing of this machine's network: each pod has its own loopback, and nothing else
    #[arg(long)]
    pub(crate) no_pod_network: bool,
}

/// How long containers that crash are kept waiting.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Restarts {
    /// The longest wait before a container that crashes is restarted, from 1s to 5m
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_longest_backoff)]
    max_restart_backoff: Duration,
    /// For development: a container that crashes waits 1s, 2s, 4s and so on up to 10s
    #[arg(long, conflicts_with = "max_restart_backoff")]
    dev: bool,
}

/// With `--dev`.
const DEV_BACKOFF: BackoffLimits =
    BackoffLimits { initial: Duration::from_secs(1), max: Duration::from_secs(10) };

impl Restarts {
    pub(crate) fn backoff(self) -> BackoffLimits {
        if self.dev { DEV_BACKOFF } else { BackoffLimits::up_to(self.max_restart_backoff) }
    }
}

/// The bounds of `crashLoopBackOff.maxContainerRestartPeriod` of a kubelet.
fn parse_longest_backoff(text: &str) -> Result<Duration, String> {
    let longest = client::parse_duration(text)?;
    if (Duration::from_secs(1)..=lifecycle::BACKOFF_MAX).contains(&longest) {
        return Ok(longest);
    }
    Err(format!("{text} is not between 1s and 5m"))
}

const RESET_HELP: &str = "\
Examples:
  sudo monopod reset
  sudo monopod --root /tmp/try reset --keep-images";

#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// Leave the image store as it is
    #[arg(long)]
    pub(crate) keep_images: bool,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use container_config::LogLimits;
    use local_cluster::Thresholds;

    use super::{Cli, Command};

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn pods_are_evicted_from_a_machine_that_is_nearly_full() {
        let parsed = |line: &str| match Cli::try_parse_from(line.split(' ')).map(|cli| cli.command) {
            Ok(Command::Serve(serve)) => Some(serve.eviction_hard),
            _ => None,
        };
        assert_eq!(parsed("monopod serve"), Thresholds::parse(super::EVICTION_HARD).ok());
        assert_eq!(parsed("monopod serve --eviction-hard none"), Some(Thresholds::default()));
        assert_eq!(parsed("monopod serve --eviction-hard memory<1"), None);
    }

    #[test]
    fn logs_are_kept_as_a_kubelet_keeps_them_unless_it_is_said() {
        let parsed = |flags: &str| {
            let line = format!("monopod run a.yaml {flags}");
            match Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command) {
                Ok(Command::Run(run)) => Ok(run.logs.limits()),
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error.to_string()),
            }
        };
        let limits = |file_bytes_max, files_max| Ok(LogLimits { file_bytes_max, files_max });
        assert_eq!(parsed(""), Ok(LogLimits::default()));
        assert_eq!(parsed("--container-log-max-size=4Ki --container-log-max-files=2"), limits(4 << 10, 2));
        assert_eq!(parsed("--container-log-max-size 2Gi"), limits(2 << 30, 5));
        for (flags, why) in [
            ("--container-log-max-size=4095", "4095 is less than 4Ki"),
            ("--container-log-max-size=-1", "-1 is less than 4Ki"),
            ("--container-log-max-size=much", "give a size such as 512Ki or 10Mi"),
            ("--container-log-max-files=1", "1 is not in 2..=1000"),
            ("--container-log-max-files=1001", "1001 is not in 2..=1000"),
        ] {
            let error = parsed(flags).expect_err(flags);
            assert!(error.contains(why), "{flags}: {error}");
        }
    }

    #[test]
    fn global_flags_go_before_and_after_the_command() {
        for line in ["monopod --root /x -v run a.yaml", "monopod run a.yaml --root /x -v"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!((cli.global.root.to_str(), cli.global.verbose), (Some("/x"), 1), "{line}");
            assert!(matches!(cli.command, Command::Run(_)));
        }
    }
}
