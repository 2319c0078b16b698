//! Options of `monopod lint`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lint::text::{all_rules, rule};

pub(crate) const HELP: &str = "\
Examples:
  monopod lint pod.yaml                         what will not work, with arrows into the text
  monopod lint ./manifests/                     every .yaml, .yml and .json file in it
  helm template . | monopod lint -              from standard input
  monopod lint --fix --diff pod.yaml            show the corrections, as a patch
  monopod lint --fix pod.yaml                   and write them; comments and layout stay
  monopod lint --explain sidecar-as-init        what a rule is about
  monopod lint --strict -o github ./manifests/  in a workflow: annotations, and warnings count

It needs neither an engine nor root. Pods are looked at, and the pod templates of Deployment, ReplicaSet, StatefulSet,
DaemonSet, Job, CronJob, ReplicationController and PodTemplate; Services are host names; other objects are left alone.
A rule is silenced by --allow ID, or by a comment on the line or above it:  # monopod:allow ID
Exit code: 0 without errors, 1 with errors (with --strict: or warnings), 2 when something cannot be read.";

#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Manifest files or directories of them (YAML or JSON); - is standard input
    #[arg(required_unless_present_any = ["explain", "list"], value_name = "FILE|DIR|-")]
    pub(super) manifests: Vec<PathBuf>,
    /// human, json, sarif (2.1.0), or github (commands for its workflows)
    #[arg(short, long, value_name = "FORMAT", default_value = "human")]
    pub(super) output: Format,
    /// Write corrections where the manifests are (of standard input: to standard output); comments and layout stay
    #[arg(long)]
    pub(super) fix: bool,
    /// With --fix: show them as a patch, and write nothing
    #[arg(long, visible_alias = "dry-run", requires = "fix")]
    pub(super) diff: bool,
    /// Warnings change the exit code too
    #[arg(long)]
    pub(super) strict: bool,
    /// Silence a rule
    #[arg(long, value_name = "ID", value_delimiter = ',', value_parser = rule_id)]
    pub(super) allow: Vec<String>,
    /// Only what these rules find, and what cannot be read
    #[arg(long = "rule", value_name = "ID", value_delimiter = ',', value_parser = rule_id)]
    pub(super) rules: Vec<String>,
    /// Plain text on a terminal too, as with NO_COLOR set
    #[arg(long)]
    pub(super) no_color: bool,
    /// Print what a rule is about, with examples
    #[arg(long, value_name = "ID", value_parser = rule_id, conflicts_with_all = ["manifests", "list"])]
    pub(super) explain: Option<String>,
    /// Print every rule
    #[arg(long, conflicts_with = "manifests")]
    pub(super) list: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    Human,
    Json,
    Sarif,
    Github,
}

fn rule_id(id: &str) -> Result<String, String> {
    if rule(id).is_some() {
        return Ok(id.to_owned());
    }
    let rules = all_rules();
    let meant = podspec::nearest(id, rules.iter().map(|rule| rule.id));
    let meant = meant.map_or(String::new(), |meant| format!(", did you mean {meant}?"));
    Err(format!("there is no rule {id}{meant} (monopod lint --list prints all of them)"))
}
