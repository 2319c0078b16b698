//! What is measured.

mod api;
mod commands;
mod daemon;
mod fairness;
mod idle;
mod logs;
mod many;
mod memory;
mod network;
mod pods;
mod processor;
mod pull;
mod recovery;
mod size;
mod start;
mod timing;
mod turns;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use journal::Happening;

use crate::bed::Bed;
use crate::load::Reading;
use crate::report::Report;

type Measure = fn(&Bed, Size, &mut Report) -> Result<()>;

/// The parts by the names that `--only` takes.
const PARTS: [(&str, Measure); 12] = [
    ("starts", starts),
    ("pods", commands::measure),
    ("profile", commands::profile::measure),
    ("memory", memory::measure),
    ("logs", logs::measure),
    ("api", api::measure),
    ("timing", timing::measure),
    ("network", network::measure),
    ("pull", pull::measure),
    ("many", many::measure),
    ("idle", idle::measure),
    ("recovery", recovery::measure),
];

/// Measures everything, or the parts whose names are given, with commas between them. `program` is the release binary.
/// A part that fails takes no rows but its own with it.
pub(crate) fn measure(
    bed: &Bed,
    size: Size,
    only: Option<&str>,
    program: &Path,
    report: &mut Report,
) -> Result<()> {
    for name in only.into_iter().flat_map(|only| only.split(',')) {
        let is_part = PARTS.iter().any(|(part, _)| *part == name);
        ensure!(is_part, "no part is called {name:?}: {}", PARTS.map(|(name, _)| name).join(", "));
    }
    let is_chosen = |part: &str| only.is_none_or(|only| only.split(',').any(|name| name == part));
    for (name, part) in PARTS.iter().filter(|(name, _)| is_chosen(name)) {
        eprintln!("bench: {name}");
        let began = Reading::now();
        let failed = part(bed, size, report).err().map(|error| format!("{error:#}"));
        let is_failed = failed.is_some();
        report.part(name, &began, failed);
        if is_failed && let Err(error) = bed.renew() {
            report.note(&format!(
                "nothing was measured after the part {name}, which left something: {error:#}"
            ));
            break;
        }
    }
    size::measure(program, report)
}

fn starts(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    fairness::check(bed)?;
    start::measure(bed, size, report)
}

/// When it was decided to start the pod: the first action in its journal. Boot clock.
fn decided(pod_dir: &Path) -> Result<i64> {
    let entries = journal::read(pod_dir)?;
    let decided = entries.iter().find(|entry| matches!(entry.what, Happening::Issued(_)));
    Ok(decided.context("no decision in the pod's journal")?.at.boot.0)
}

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Size {
    Full,
    /// To see that it works; the figures mean little.
    Quick,
}

impl Size {
    /// Measured starts of each kind.
    pub(crate) const fn starts(self) -> usize {
        match self {
            Self::Full => 40,
            Self::Quick => 4,
        }
    }

    /// Rounds in which each kind of pod is started, and how often by monopod and the floor in one.
    pub(crate) const fn plays(self) -> (usize, usize) {
        match self {
            Self::Full => (12, 3),
            Self::Quick => (2, 1),
        }
    }

    /// Starts of each kind before those that count.
    pub(crate) const fn warm_up(self) -> usize {
        match self {
            Self::Full => 3,
            Self::Quick => 1,
        }
    }

    /// How many pods idle while their memory is looked at.
    pub(crate) const fn pods(self) -> &'static [usize] {
        match self {
            Self::Full => &[1, 10, 100],
            Self::Quick => &[1, 10],
        }
    }

    pub(crate) const fn log_bytes(self) -> u64 {
        match self {
            Self::Full => 512 << 20,
            Self::Quick => 64 << 20,
        }
    }

    /// Measured runs of each kind of log.
    pub(crate) const fn logs(self) -> usize {
        match self {
            Self::Full => 5,
            Self::Quick => 1,
        }
    }
    /// Measured starts of the daemon of each kind.
    pub(crate) const fn serves(self) -> usize {
        match self {
            Self::Full => 20,
            Self::Quick => 2,
        }
    }

    /// Pods that are in the store and do not run.
    pub(crate) const fn stored_pods(self) -> usize {
        match self {
            Self::Full => 1_000,
            Self::Quick => 100,
        }
    }

    /// Measured creates of each kind.
    pub(crate) const fn creates(self) -> usize {
        match self {
            Self::Full => 200,
            Self::Quick => 20,
        }
    }

    /// Measured lists of each form.
    pub(crate) const fn lists(self) -> usize {
        match self {
            Self::Full => 50,
            Self::Quick => 5,
        }
    }

    /// Connections, and watches on each.
    pub(crate) const fn watches(self) -> (usize, usize) {
        match self {
            Self::Full => (50, 100),
            Self::Quick => (5, 20),
        }
    }

    /// Writes whose events are measured.
    pub(crate) const fn writes(self) -> usize {
        match self {
            Self::Full => 20,
            Self::Quick => 2,
        }
    }

    /// Pods of each kind that live for a while, how long, and pods of each kind that end.
    pub(crate) const fn timings(self) -> (usize, Duration, usize) {
        match self {
            Self::Full => (4, Duration::from_secs(40), 40),
            Self::Quick => (1, Duration::from_secs(8), 3),
        }
    }

    /// Rounds of connections, how long each kind is measured in one, in milliseconds, and how many bytes go there and back.
    pub(crate) const fn connections(self) -> (usize, u64, usize) {
        match self {
            Self::Full => (9, 1_000, 10_000),
            Self::Quick => (2, 100, 200),
        }
    }

    /// Measured changes of endpoints of each kind.
    pub(crate) const fn changes(self) -> usize {
        match self {
            Self::Full => 40,
            Self::Quick => 2,
        }
    }

    /// Bytes of an image that is pulled, and how often.
    pub(crate) const fn pulls(self) -> (usize, usize) {
        match self {
            Self::Full => (500_000_000, 7),
            Self::Quick => (16_000_000, 1),
        }
    }

    /// Pods and Services that a change of endpoints has nothing to do with.
    pub(crate) const fn crowd(self) -> (usize, usize) {
        match self {
            Self::Full => (250, 50),
            Self::Quick => (6, 3),
        }
    }
}
