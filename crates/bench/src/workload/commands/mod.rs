//! What people compare with podman: starts of whole pods, their removal, and an exec, each as the command that a user gives.
//!
//! All sides run the same program of the same image, and take turns.

mod crun;
mod exec;
mod kind;
mod monopod;
mod peers;
pub(super) mod profile;
mod remains;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Size;
use super::daemon::Daemon;
use super::turns::{Took, measure_in_turns};
use crate::bed::Bed;
use crate::engine::Engine;
use crate::floor::DECIDED;
use crate::image;
use crate::report::{Report, Row};
use kind::Kind;
use monopod::Monopod;
use peers::Peers;

const OF_PODMAN_START: f64 = 15.0;
const OF_PODMAN_DELETE: f64 = 12.0;
const OF_FLOOR: f64 = 3.0;
/// By then the interfaces of a pod that is gone are gone, too.
const LINK_MS_MAX: f64 = 1_000.0;

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let [archive, layer] = load_image(bed)?;
    let mut peers = Peers::start(bed, &archive, &layer, report)?;
    let daemon = Daemon::start(bed, &bed.root())?;
    let monopod = Monopod::new(bed, &daemon)?;
    starts(&monopod, &mut peers, size, report)?;
    exec::measure(&monopod, &mut peers, size, report)?;
    peers.stop()?;
    daemon.stop()
}

/// Into the root that is used again and again. The image as an archive, and its only layer.
fn load_image(bed: &Bed) -> Result<[PathBuf; 2]> {
    let [archive, layer] = ["image.tar", "layer.tar"].map(|name| bed.dir().join(name));
    image::archive(&bed.program(), &archive, &layer)?;
    let load = ["image", "load", archive.to_str().context("a directory with a strange name")?];
    Engine::start(&mut bed.client(&bed.root(), &load))?.finish()?;
    Ok([archive, layer])
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Monopod,
    Floor,
    Podman,
}

fn starts(monopod: &Monopod<'_>, peers: &mut Peers, size: Size, report: &mut Report) -> Result<()> {
    let floors = Kind::ALL.map(|kind| monopod.plan(kind).map(|plan| (kind, plan)));
    let floors: Vec<(Kind, PathBuf)> = floors.into_iter().collect::<Result<_>>()?;
    let mut rows = rows();
    let (rounds, ours) = size.plays();
    let turns_of = |(kind, plan)| {
        [(Turn::Monopod, ours), (Turn::Floor, ours), (Turn::Podman, 1)]
            .map(|(turn, times)| ((turn, kind, plan), times))
    };
    let turns: Vec<_> = floors.iter().map(|(kind, plan)| (*kind, plan)).flat_map(turns_of).collect();
    measure_in_turns(&turns, size, rounds, &mut rows, |(turn, kind, plan)| match turn {
        Turn::Monopod => monopod.start_and_delete(kind),
        Turn::Floor => floor(monopod.bed, kind, plan),
        Turn::Podman => Ok(peers.play_and_down(kind, report)),
    })?;
    put(rows, report);
    judge(report);
    Ok(())
}

fn floor(bed: &Bed, kind: Kind, plan: &Path) -> Result<Took> {
    let mut floor = Engine::start(&mut bed.floor(plan))?;
    let stamps = floor.wait_stamps(kind.lasting().len() + 1)?;
    floor.close_stdin();
    floor.finish()?;
    let decided = stamps.get(DECIDED).context("the floor did not say when it began")?;
    let last = stamps.values().max().context("no container said when it began")?;
    Ok(vec![(format!("floor.pod.{}", kind.name()), last - decided)])
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        let (name, podman) = (kind.name(), kind.of_podman());
        let mut row = |name: String, what: &str| rows.push(Row::new(&name, what, "ms"));
        row(format!("apply.{name}"), &format!("apply --wait=started, {name}: {}", kind.what()));
        let played = format!("  podman kube play, {}: {}", podman.name(), podman.what());
        row(format!("podman.play.{}", podman.name()), &played);
        row(format!("serve.start.{name}"), "  decision until the last container runs");
        row(format!("floor.pod.{name}"), "    floor");
    }
    rows.push(Row::new("delete.b", "delete pod b, until nothing is left of it", "ms"));
    rows.push(Row::new("podman.down.b", "  podman kube down", "ms"));
    rows.push(Row::new("podman.stop.b", "  podman pod stop, then podman pod rm", "ms"));
    rows.push(Row::new("delete.b.link", "  from then until its interface is gone", "ms"));
    rows
}

fn judge(report: &mut Report) {
    for kind in Kind::ALL {
        let of = |what: &str, kind: Kind| format!("{what}.{}", kind.name());
        let played = of("podman.play", kind.of_podman());
        faster_than(report, &played, &of("apply", kind), Some(OF_PODMAN_START));
        report.compare(&of("serve.start", kind), &of("floor.pod", kind), Some(OF_FLOOR));
    }
    // What `kube down` of podman 4 waits for is a lock of its own.
    faster_than(report, "podman.stop.b", "delete.b", Some(OF_PODMAN_DELETE));
    faster_than(report, "podman.down.b", "delete.b", None);
    report.at_most("delete.b.link", LINK_MS_MAX);
}

/// If there is the peer.
fn faster_than(report: &mut Report, peer: &str, row: &str, aim: Option<f64>) {
    if report.row(peer).is_some() {
        report.faster_than(peer, row, aim);
    }
}

/// Those of peers that there are none of are empty.
fn put(rows: Vec<Row>, report: &mut Report) {
    rows.into_iter().filter(|row| !row.samples.is_empty()).for_each(|row| report.add(row));
}
