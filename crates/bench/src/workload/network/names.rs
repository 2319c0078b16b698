//! How many questions the DNS server of the pods answers, and what they take of the engine's processor time.

use anyhow::Result;

use super::agent::Agent;
use crate::report::{Report, Row};
use crate::workload::Size;
use crate::workload::daemon::Daemon;

const NAME: &str = "kubernetes.default.svc.cluster.local";
const OUTSTANDING: usize = 32;
const PER_CORE_MIN: f64 = 20_000.0;

pub(super) fn measure(from: &Agent, daemon: &Daemon, size: Size, report: &mut Report) -> Result<()> {
    let (rounds, ms, _) = size.connections();
    let (mut rate, mut per_core) = (vec![], vec![]);
    for _ in 0..rounds {
        let before = daemon.processor_seconds()?;
        let [answers, ns] = from.tell(&format!("resolve {NAME} {OUTSTANDING} {ms}"))?;
        rate.push(answers / (ns / 1e9));
        per_core.push(answers / (daemon.processor_seconds()? - before));
    }
    let what = format!("answers to 1 pod, {OUTSTANDING} questions under way");
    report.add(Row::of("network.dns", &what, "per second", rate));
    report.add(Row::of(
        "network.dns.core",
        "  for each second of the engine's processors",
        "per second",
        per_core,
    ));
    report.at_least("network.dns.core", PER_CORE_MIN);
    Ok(())
}
