//! Starts: of a whole `monopod run`, and from the decision to start until all containers run.
//!
//! A start is measured until the first instruction of the last container, which says the time itself. Engine and floor take turns.

use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::turns::measure_in_turns;
use super::{Size, decided};
use crate::bed::Bed;
use crate::engine::{Engine, Stamps};
use crate::floor::DECIDED;
use crate::pod;
use crate::report::{Report, Row};

const NAMES: [&str; 3] = ["one", "two", "three"];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Cold,
    Warm,
    /// Of one container that exits at once.
    Floor,
    Start(usize),
    FloorStart(usize),
}

const KINDS: [Kind; 7] = [
    Kind::Floor,
    Kind::Warm,
    Kind::Cold,
    Kind::FloorStart(1),
    Kind::Start(1),
    Kind::FloorStart(3),
    Kind::Start(3),
];

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let files = Files::new(bed)?;
    let mut rows = rows();
    measure_in_turns(&KINDS.map(|kind| (kind, 1)), size, size.starts(), &mut rows, |kind| {
        let took = files.measure(bed, kind).with_context(|| format!("cannot measure {kind:?}"))?;
        Ok(took.into_iter().map(|(name, ns)| (name.to_owned(), ns)).collect())
    })?;
    rows.into_iter().for_each(|row| report.add(row));
    report.compare("run.warm", "floor.run", Some(3.0));
    report.compare("run.warm.first", "floor.run.first", None);
    report.compare("start.1", "floor.start.1", Some(3.0));
    report.compare("start.3", "floor.start.3", Some(3.0));
    report.at_most("run.cold.first", 60.0);
    Ok(())
}

fn rows() -> Vec<Row> {
    [
        ("run.cold", "monopod run, whole process, empty root"),
        ("run.cold.first", "  until the container's first instruction"),
        ("run.warm", "monopod run, whole process, root in use"),
        ("run.warm.first", "  until the container's first instruction"),
        ("run.warm.decided", "  until the decision to start"),
        ("floor.run", "floor, whole process"),
        ("floor.run.first", "  until the container's first instruction"),
        ("start.1", "decision until 1 container runs"),
        ("floor.start.1", "  floor"),
        ("start.3", "decision until 3 containers run"),
        ("floor.start.3", "  floor"),
    ]
    .map(|(name, what)| Row::new(name, what, "ms"))
    .into()
}

type Named = Vec<(&'static str, i64)>;

#[derive(Debug)]
struct Files {
    exits: PathBuf,
    floor_exits: PathBuf,
    /// Of one and of three containers.
    holds: [(PathBuf, PathBuf); 2],
}

impl Files {
    fn new(bed: &Bed) -> Result<Self> {
        let pod = |name: &str, what, count| {
            let containers: Vec<_> = NAMES[..count].iter().map(|name| (*name, vec![what, *name])).collect();
            pod::manifest(name, &bed.program(), None, &containers)
        };
        let exits = pod("exits", "stamp", 1);
        let hold = |count: usize| -> Result<_> {
            let pod = pod("holds", "hold", count);
            let file = bed.file(&format!("hold-{count}.yaml"), std::slice::from_ref(&pod))?;
            Ok((file, bed.plan(&format!("floor-hold-{count}"), &pod, true)?))
        };
        Ok(Self {
            floor_exits: bed.plan("floor-exits", &exits, false)?,
            exits: bed.file("exits.yaml", &[exits])?,
            holds: [hold(1)?, hold(3)?],
        })
    }

    fn measure(&self, bed: &Bed, kind: Kind) -> Result<Named> {
        let (file, plan) = &self.holds[usize::from(matches!(kind, Kind::Start(3) | Kind::FloorStart(3)))];
        match kind {
            Kind::Cold => {
                let run = Engine::start(&mut bed.run(&bed.new_cold_root()?, &self.exits))?.finish()?;
                let first = last(&run.stamps())?;
                Ok(vec![("run.cold", run.ended_ns - run.began_ns), ("run.cold.first", first - run.began_ns)])
            }
            Kind::Warm => {
                let run = Engine::start(&mut bed.run(&bed.root(), &self.exits))?.finish()?;
                let first = last(&run.stamps())?;
                Ok(vec![("run.warm", run.ended_ns - run.began_ns), ("run.warm.first", first - run.began_ns)])
            }
            Kind::Floor => {
                let run = Engine::start(&mut bed.floor(&self.floor_exits))?.finish()?;
                let first = last(&run.stamps())?;
                Ok(vec![
                    ("floor.run", run.ended_ns - run.began_ns),
                    ("floor.run.first", first - run.began_ns),
                ])
            }
            Kind::Start(count) => start(bed, file, count),
            Kind::FloorStart(count) => {
                let mut floor = Engine::start(&mut bed.floor(plan))?;
                let stamps = floor.wait_stamps(count + 1)?;
                floor.close_stdin();
                floor.finish()?;
                let decided = stamps.get(DECIDED).context("the floor did not say when it began")?;
                let name = if count == 1 { "floor.start.1" } else { "floor.start.3" };
                Ok(vec![(name, last(&stamps)? - decided)])
            }
        }
    }
}

/// The pod's journal is read while the containers wait.
fn start(bed: &Bed, file: &std::path::Path, count: usize) -> Result<Named> {
    let mut run = Engine::start(&mut bed.run(&bed.root(), file))?;
    let last = last(&run.wait_stamps(count)?)?;
    let decided = decided(&Bed::pod_dir(&bed.root())?)?;
    let began = run.began_ns;
    run.signal(Signal::INT)?;
    run.finish()?;
    Ok(match count {
        1 => vec![("start.1", last - decided), ("run.warm.decided", decided - began)],
        _ => vec![("start.3", last - decided)],
    })
}

fn last(stamps: &Stamps) -> Result<i64> {
    let containers = stamps.iter().filter(|(name, _)| *name != DECIDED);
    containers.map(|(_, at)| *at).max().context("no container said when it began")
}
