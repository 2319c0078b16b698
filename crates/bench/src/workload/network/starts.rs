//! What the network adds to a start: pods one after the other, by an engine that has one and by one that has none.

use anyhow::{Context, Result};

use super::cluster::Cluster;
use crate::bed::Bed;
use crate::pod::{self, EXCHANGE};
use crate::report::{Report, Row};
use crate::stats::Stats;
use crate::timed::{START, stamps};
use crate::wait::until;
use crate::workload::api::{PODS, ms};
use crate::workload::{Size, decided};

const ADDED_MS_MAX: f64 = 1.0;

pub(super) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let mut kinds = [
        (Cluster::start(bed)?, "with", Row::new("network.start", "decision until 1 container runs", "ms")),
        (
            Cluster::start_without_network(bed)?,
            "without",
            Row::new("network.start.without", "  without a pod network", "ms"),
        ),
    ];
    for round in 0..size.warm_up() + size.starts() {
        for (cluster, name, row) in &mut kinds {
            let took = start(cluster, &format!("{name}-{round}"))?;
            if round >= size.warm_up() {
                row.samples.push(ms(took));
            }
        }
        kinds.reverse();
    }
    kinds.sort_by_key(|(_, name, _)| *name);
    let [(with, _, row), (without, _, row_without)] = kinds;
    let added = Stats::of(&row.samples).median - Stats::of(&row_without.samples).median;
    report.add(row);
    report.add(row_without);
    report.add(Row::of("network.start.added", "  difference of the medians", "ms", vec![added]));
    report.at_most("network.start.added", ADDED_MS_MAX);
    with.stop()?;
    without.stop()
}

/// From the decision until the container's first instruction.
fn start(cluster: &Cluster<'_>, name: &str) -> Result<i64> {
    let exchange = cluster.bed.exchange();
    let file = format!("{EXCHANGE}/{name}");
    let container = [("main", vec!["timed", "live", &file])];
    let made =
        cluster.create(PODS, &pod::manifest(name, &cluster.bed.program(), Some(&exchange), &container))?;
    let uid = made["metadata"]["uid"].as_str().context("a pod without a UID")?;
    let began = until(name, || Ok(stamps(&exchange.join(name), START).first().copied()))?;
    let dir = Bed::paths(cluster.daemon.root()).pods_dir().join(uid);
    let decided = decided(&dir)?;
    cluster.delete_pod(name)?;
    Ok(began - decided)
}
