//! What the pod network costs and how fast it is.

mod agent;
mod cluster;
mod data;
mod live;
mod names;
mod peers;
mod starts;

use anyhow::Result;
use serde_json::json;

use super::Size;
use crate::bed::Bed;
use crate::inside::servers::{ECHO_PORT, NAME_PORT, SINK_PORT};
use crate::report::Report;
use crate::workload::api::PODS;
use agent::Agent;
use cluster::Cluster;
use peers::Peers;

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    starts::measure(bed, size, report)?;
    let cluster = Cluster::start(bed)?;
    for name in ["from", "to", "other"] {
        let mut pod = cluster.agent_pod(name, &json!({"app": name}));
        let cpu = format!("{}m", peers::CPU_MILLIS);
        pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": cpu}});
        cluster.create(PODS, &pod)?;
    }
    let (from, _) = cluster.agent("from")?;
    let (to, address) = cluster.agent("to")?;
    let (other, other_address) = cluster.agent("other")?;
    connections(&cluster, &from, &address, size, report)?;
    names::measure(&from, &cluster.daemon, size, report)?;
    changes(&cluster, from, [(to.name, address), (other.name, other_address)], size, report)?;
    cluster.stop()
}

fn connections(cluster: &Cluster<'_>, from: &Agent, to: &str, size: Size, report: &mut Report) -> Result<()> {
    let service = cluster.service("to", &json!({"app": "to"}), &[SINK_PORT, ECHO_PORT, NAME_PORT])?;
    // Until it leads there.
    from.tell::<2>(&format!("reach to {service}"))?;
    let peers = Peers::start(cluster.bed, report)?;
    let path = |name, what, to: &str| data::Path { name, what, from: from.clone(), to: to.to_owned() };
    let mut paths = vec![path("pod", "pod to pod", to), path("service", "pod to Service", &service)];
    paths.extend(peers.as_ref().map(Peers::path));
    data::measure(&paths, size, report)?;
    peers.map_or(Ok(()), Peers::stop)
}

fn changes(
    cluster: &Cluster<'_>,
    from: Agent,
    by_hand: [(String, String); 2],
    size: Size,
    report: &mut Report,
) -> Result<()> {
    let endpoints = live::Endpoints::new(cluster, from, by_hand)?;
    endpoints.measure("few", "few Services", size, report)?;
    let (pods, services) = size.crowd();
    live::crowd(cluster, pods, services)?;
    endpoints.measure("many", &format!("{services} Services of {pods} pods"), size, report)?;
    for kind in ["slice", "ready"] {
        report.compare(&format!("network.live.{kind}.many"), &format!("network.live.{kind}.few"), None);
    }
    Ok(())
}
