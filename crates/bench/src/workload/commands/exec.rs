//! A program that ends at once, executed in a container that runs: the whole process of the client.

use anyhow::Result;

use super::kind::Kind;
use super::monopod::Monopod;
use super::peers::Peers;
use super::{Took, add, faster_than, put};
use crate::pod::PROGRAM;
use crate::report::{Report, Row};
use crate::workload::Size;

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
    for round in 0..size.warm_up() + rounds {
        let mut turns = [Turn::Monopod, Turn::Crun, Turn::Podman];
        if round % 2 == 1 {
            turns.reverse();
        }
        for turn in turns {
            let times = if matches!(turn, Turn::Podman) { 1 } else { ours };
            for _ in 0..times {
                let took = match turn {
                    Turn::Monopod => exec(monopod)?,
                    Turn::Crun => peers.exec_by_crun(report),
                    Turn::Podman => peers.exec_by_podman(report),
                };
                if round >= size.warm_up() {
                    add(&mut rows, took)?;
                }
            }
        }
    }
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
