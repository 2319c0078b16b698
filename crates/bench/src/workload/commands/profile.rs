//! Where the time of starts goes, under a daemon of its own that says so, which costs it something: nothing else is measured of it.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::kind::Kind;
use super::load_image;
use super::monopod::{Monopod, NAMESPACE};
use crate::bed::Bed;
use crate::engine::Engine;
use crate::pod;
use crate::profile::{Profile, Start, Subject, starts};
use crate::report::Report;
use crate::workload::Size;
use crate::workload::daemon::Daemon;

const TRACE: [&str; 3] = ["--trace-start", "--log-format", "json"];
const EXITS: &str = "exits";

impl Size {
    /// Starts of each kind.
    const fn profiled(self) -> usize {
        match self {
            Self::Full => 15,
            Self::Quick => 2,
        }
    }
}

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    load_image(bed)?;
    let applied = applied(bed, size)?;
    for kind in Kind::ALL {
        let what = format!("apply of pod {} ({}), from its creation on", kind.name(), kind.what());
        report.profiles.push(profile(&what, Subject::Pod, kind.name(), &applied, size)?);
    }
    let run = run(bed, size)?;
    report.profiles.push(profile("run, root in use: the engine", Subject::Engine, "", &run, size)?);
    report.profiles.push(profile(
        "run, root in use: its pod (1 container)",
        Subject::Pod,
        EXITS,
        &run,
        size,
    )?);
    Ok(())
}

/// What a daemon tells of its pods, one after the other.
fn applied(bed: &Bed, size: Size) -> Result<Vec<Start>> {
    let daemon = Daemon::start_with(bed, &bed.root(), &TRACE)?;
    let monopod = Monopod::new(bed, &daemon)?;
    for _ in 0..size.warm_up() + size.profiled() {
        for kind in Kind::ALL {
            let (_, pod_dir) = monopod.apply(kind)?;
            monopod.delete(kind, &pod_dir)?;
        }
    }
    starts(&daemon.errors()?)
}

/// What engines of `run` tell, one after the other.
fn run(bed: &Bed, size: Size) -> Result<Vec<Start>> {
    let pod = pod::manifest(EXITS, &bed.program(), None, &[("one", vec!["stamp", "one"])]);
    let file: PathBuf = bed.file("profile.yaml", &[pod])?;
    let mut told = Vec::new();
    for _ in 0..size.warm_up() + size.profiled() {
        let ran = Engine::start(bed.run(&bed.root(), &file).args(TRACE))?.finish()?;
        told.extend(starts(&ran.errors)?);
    }
    Ok(told)
}

/// Without those that warm up.
fn profile(what: &str, subject: Subject, pod: &str, told: &[Start], size: Size) -> Result<Profile> {
    let pod = format!("{NAMESPACE}/{pod}");
    let told: Vec<Start> = told.iter().filter(|start| start.is_of(subject, &pod)).cloned().collect();
    let wanted = size.warm_up() + size.profiled();
    ensure!(told.len() == wanted, "{} starts were told of instead of {wanted}: {what}", told.len());
    Ok(Profile::of(what, told.get(size.warm_up()..).context("no start counts")?))
}
