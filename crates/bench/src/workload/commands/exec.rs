//! A program that ends at once, executed in a container that runs: the whole process of the client.

use anyhow::Result;

use super::kind::Kind;
use super::monopod::Monopod;
use super::peers::Peers;
use super::{faster_than, put};
use crate::pod::PROGRAM;
use crate::report::{Report, Row};
use crate::workload::Size;
use crate::workload::turns::{Took, measure_in_turns};

const OF_PODMAN: f64 = 10.0;
const OF_CRUN: f64 = 1.0;
/// The pod on all sides.
pub(super) const KIND: Kind = Kind::A;
pub(super) const COMMAND: [&str; 2] = [PROGRAM, "true"];

#[derive(Clone, Copy, Debug)]
enum Turn {
    Monopod,
    Crun,
    Podman,
}

pub(super) fn measure(
    monopod: &Monopod<'_>,
    peers: &mut Peers,
    size: Size,
    report: &mut Report,
) -> Result<()> {
    let (_, pod_dir) = monopod.apply(KIND)?;
    peers.start_for_exec(report);
    let mut rows = rows();
    let (rounds, ours) = size.plays();
    let turns = [(Turn::Monopod, ours), (Turn::Crun, ours), (Turn::Podman, 1)];
    measure_in_turns(&turns, size, rounds, &mut rows, |turn| match turn {
        Turn::Monopod => exec(monopod),
        Turn::Crun => Ok(peers.exec_by_crun(report)),
        Turn::Podman => Ok(peers.exec_by_podman(report)),
    })?;
    monopod.delete(KIND, &pod_dir)?;
    put(rows, report);
    faster_than(report, "podman.exec", "exec", Some(OF_PODMAN));
    faster_than(report, "crun.exec", "exec", Some(OF_CRUN));
    Ok(())
}

fn exec(monopod: &Monopod<'_>) -> Result<Took> {
    let ran = monopod.client(&[&["exec", KIND.name(), "--"], &COMMAND[..]].concat())?;
    Ok(vec![("exec".to_owned(), ran.ended_ns - ran.began_ns)])
}

fn rows() -> Vec<Row> {
    [
        ("exec", "exec of a program that ends at once"),
        ("podman.exec", "  podman exec"),
        ("crun.exec", "  crun exec"),
    ]
    .map(|(name, what)| Row::new(name, what, "ms"))
    .into()
}
