//! Many pods at once: 50, 500 and 1,000 of three containers, under a daemon of their own that has none yet.
//!
//! Measured from before `monopod apply` of a file with all of them is started, until the last container of the last pod has begun,
//! which says so itself. The floor makes the same pods, as many at a time as there are processors; podman plays the fewest of them,
//! in few rounds. What is aimed at for the larger numbers is how much longer a pod takes among many than among few, for part of that
//! is the kernel's.

mod podman;

use anyhow::Result;
use serde_json::Value;

use super::Size;
use super::api::ms;
use super::pods::{self, CONTAINERS_B, Pods, wait_begun, wait_unlinked};
use super::turns::take_turns;
use crate::bed::Bed;
use crate::engine::Engine;
use crate::report::{Report, Row};
use crate::stats::Stats;
use podman::Player;

/// For the fewest.
const SECONDS_MAX: f64 = 1.0;
/// How much more the time per pod may grow than that of the floor.
const GROWTH_MAX: f64 = 1.2;
const MS_PER_SECOND: f64 = 1e3;

impl Size {
    /// How many pods at once, and measured rounds of that.
    const fn many(self) -> &'static [(usize, usize)] {
        match self {
            Self::Full => &[(50, 10), (500, 3), (1_000, 2)],
            Self::Quick => &[(4, 1), (8, 1)],
        }
    }

    /// The first rounds of the fewest, in which podman has its turn.
    const fn many_by_podman(self) -> usize {
        match self {
            Self::Full => 3,
            Self::Quick => 1,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Monopod,
    Floor,
    Podman,
}

const TURNS: [(Turn, usize); 3] = [(Turn::Monopod, 1), (Turn::Floor, 1), (Turn::Podman, 1)];

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    let [(fewest, _), more @ ..] = size.many() else { return Ok(()) };
    let mut player = Player::start(bed, report)?;
    // To have all in memory that is read.
    let mut warm_up = Rows::new(*fewest);
    warm_up.monopod(bed, "warm-up")?;
    warm_up.floor(bed, "warm-up")?;
    for (count, rounds) in size.many() {
        let mut rows = Rows::new(*count);
        take_turns(&TURNS, *rounds, |turn, round| {
            let name = format!("many-{count}-{round}");
            match turn {
                Turn::Monopod => rows.monopod(bed, &name),
                Turn::Floor => rows.floor(bed, &name),
                Turn::Podman if count == fewest && round < size.many_by_podman() => {
                    rows.podman(&mut player, bed, &name, report);
                    Ok(())
                }
                Turn::Podman => Ok(()),
            }
        })?;
        rows.add(report);
    }
    player.stop()?;
    report.at_most(&format!("many.{fewest}"), SECONDS_MAX);
    for (count, _) in more {
        for prefix in ["", "floor."] {
            add_growth(report, prefix, *fewest, *count);
        }
        report.compare(
            &format!("many.growth.{count}"),
            &format!("floor.many.growth.{count}"),
            Some(GROWTH_MAX),
        );
    }
    Ok(())
}

/// In milliseconds until the rows are added.
#[derive(Debug)]
struct Rows {
    count: usize,
    begun: Vec<f64>,
    applied: Vec<f64>,
    floor: Vec<f64>,
    podman: Vec<f64>,
}

impl Rows {
    const fn new(count: usize) -> Self {
        Self { count, begun: Vec::new(), applied: Vec::new(), floor: Vec::new(), podman: Vec::new() }
    }

    fn monopod(&mut self, bed: &Bed, name: &str) -> Result<()> {
        let manifests = self.manifests(bed, name);
        let pods = Pods::apply(bed, pods::daemon(bed)?, &manifests, name, self.containers())?;
        self.begun.push(ms(pods.begun_ns));
        self.applied.push(ms(pods.applied_ns));
        pods.end()
    }

    fn floor(&mut self, bed: &Bed, name: &str) -> Result<()> {
        let name = format!("floor-{name}");
        let list = bed.plans(&name, &self.manifests(bed, &name))?;
        let mut floor = Engine::start(&mut bed.floor_many(&list))?;
        let last = wait_begun(&bed.exchange().join(&name), self.containers())?;
        self.floor.push(ms(last - floor.began_ns));
        floor.close_stdin();
        floor.finish()?;
        wait_unlinked()
    }

    fn podman(&mut self, player: &mut Player<'_>, bed: &Bed, name: &str, report: &mut Report) {
        let name = format!("podman-{name}");
        let played = player.play(&self.manifests(bed, &name), &name, self.containers(), report);
        self.podman.extend(played.map(ms));
    }

    /// Their containers write to the file `name`.
    fn manifests(&self, bed: &Bed, name: &str) -> Vec<Value> {
        (0..self.count).map(|n| pods::manifest(bed, &format!("many-{n}"), name, &CONTAINERS_B)).collect()
    }

    const fn containers(&self) -> usize {
        self.count * CONTAINERS_B.len()
    }

    fn add(self, report: &mut Report) {
        let Self { count, begun, applied, floor, podman } = self;
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let per_pod = |ms: &[f64]| -> Vec<f64> { ms.iter().map(|ms| ms / count as f64).collect() };
        let seconds = |ms: &[f64]| -> Vec<f64> { ms.iter().map(|ms| ms / MS_PER_SECOND).collect() };
        let pods = format!("{count} pods of 3 containers");
        for (name, what, ms) in [
            ("many", format!("{pods}, applied until the last began"), &begun),
            ("many.applied", "  until monopod apply ended".to_owned(), &applied),
            ("floor.many", "  floor".to_owned(), &floor),
        ] {
            report.add(Row::of(&format!("{name}.{count}"), &what, "s", seconds(ms)));
        }
        if !podman.is_empty() {
            let what = "  podman kube play of one file, until the last began";
            report.add(Row::of(&format!("podman.many.{count}"), what, "s", seconds(&podman)));
            report.faster_than(&format!("podman.many.{count}"), &format!("many.{count}"), None);
        }
        for (name, what, ms) in [
            ("many.per_pod", format!("{pods}, each"), &begun),
            ("floor.many.per_pod", "  floor".to_owned(), &floor),
        ] {
            report.add(Row::of(&format!("{name}.{count}"), &what, "ms", per_pod(ms)));
        }
        report.compare(&format!("many.{count}"), &format!("floor.many.{count}"), None);
    }
}

/// How many times as long a pod takes as one among the fewest, by the medians.
fn add_growth(report: &mut Report, prefix: &str, fewest: usize, count: usize) {
    let per_pod = |count| {
        let row = report.row(&format!("{prefix}many.per_pod.{count}"));
        row.map_or(f64::NAN, |row| Stats::of(&row.samples).median)
    };
    let growth = per_pod(count) / per_pod(fewest);
    let what = match prefix {
        "" => format!("time of a pod among {count} by that among {fewest}"),
        _ => "  floor".to_owned(),
    };
    report.add(Row::of(&format!("{prefix}many.growth.{count}"), &what, "x", vec![growth]));
}
