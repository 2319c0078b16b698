//! Pods that are simulated and run, and what is not the same.

mod compare;
mod drive;
mod generate;

pub(crate) use compare::{Story, disagreement};
pub(crate) use drive::{Driven, drive};
pub(crate) use generate::generate;

use anyhow::{Context as _, Result};
use journal::Entry;
use podspec::{IDENTITY_BYTES, Pod};
use serde_json::Value;
use simulation::{Assumption, Assumptions, Flag};
use std::time::Duration;

/// As `monopod serve --dev` has it.
pub(crate) const DEV: lifecycle::BackoffLimits =
    lifecycle::BackoffLimits { initial: Duration::from_secs(1), max: Duration::from_secs(10) };

/// How slow a machine may be. What does not come out the same on all of these says nothing of the rules.
pub(crate) const MACHINES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(30),
    Duration::from_millis(80),
    Duration::from_millis(150),
    Duration::from_millis(250),
];

/// A pod, how it is said to behave, and when it is deleted.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) manifest: Value,
    pub(crate) pod: Pod,
    pub(crate) stated: Vec<Assumption>,
    /// One of these holds, too: where nobody knows which.
    pub(crate) either: Vec<Assumption>,
    pub(crate) delete_after: Duration,
}

impl Case {
    pub(crate) fn new(manifest: Value, stated: &[(Flag, String)], delete_after: Duration) -> Result<Self> {
        let text = manifest.to_string();
        let loaded = podspec::load_pods("a case", &text, || [7; IDENTITY_BYTES])
            .with_context(|| format!("{manifest:#}"))?;
        let pod = loaded.into_iter().next().context("one pod")?.admitted.pod;
        let stated = stated.iter().map(|(flag, text)| assumption(*flag, text)).collect::<Result<_>>()?;
        let case = Self { name: pod.name.clone(), manifest, pod, stated, either: Vec::new(), delete_after };
        let misfits = case.assumptions(Duration::ZERO, Duration::ZERO, None).misfits(&[&case.pod]);
        anyhow::ensure!(misfits.is_empty(), "{misfits:?}");
        Ok(case)
    }

    /// On a machine that takes this long, and deleted then.
    pub(crate) fn simulated(&self, machine: Duration, deleted: Duration) -> Vec<Entry> {
        simulation::run(&self.pod, &self.assumptions(machine, deleted, None)).record.entries
    }

    /// All that may happen, when it is deleted then.
    pub(crate) fn possible(&self, deleted: Duration) -> impl Iterator<Item = Vec<Entry>> {
        let either = self.either.iter().map(Some).chain(self.either.is_empty().then_some(None));
        let each = either.flat_map(|either| MACHINES.map(|machine| (machine, either)));
        each.map(move |(machine, either)| {
            simulation::run(&self.pod, &self.assumptions(machine, deleted, either)).record.entries
        })
    }

    fn assumptions(&self, machine: Duration, deleted: Duration, either: Option<&Assumption>) -> Assumptions {
        let mut stated = self.stated.clone();
        stated.extend(either.cloned());
        stated.extend(Assumption::parse(Flag::Delete, &format!("{}ns", deleted.as_nanos())));
        Assumptions { stated, backoff: DEV, machine, ..Assumptions::default() }
    }
}

pub(crate) fn assumption(flag: Flag, text: &str) -> Result<Assumption> {
    Assumption::parse(flag, text).map_err(anyhow::Error::msg)
}
