//! Memory of shims and engine while pods idle.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::Signal;
use shim_protocol::{SandboxRecord, read_record};

use super::Size;
use crate::bed::Bed;
use crate::engine::Engine;
use crate::pod;
use crate::report::{Report, Row};

const SHIM_PSS_KB_MAX: f64 = 200.0;

pub(crate) fn measure(bed: &Bed, size: Size, report: &mut Report) -> Result<()> {
    for count in size.pods() {
        let pods: Vec<_> = (0..*count)
            .map(|n| {
                let name = format!("idle-{n}");
                pod::manifest(&name, &bed.program(), None, &[("app", vec!["hold", &name])])
            })
            .collect();
        let file = bed.file("idle.yaml", &pods)?;
        let mut run = Engine::start(&mut bed.run(&bed.root(), &file))?;
        run.wait_stamps(*count)?;
        let pods = if *count == 1 { "1 pod".to_owned() } else { format!("{count} pods") };
        add_shims(bed, *count, &pods, report)?;
        let engine = rollup(run.pid())?;
        for (name, what, key) in [("pss", "PSS", "Pss:"), ("rss", "RSS", "Rss:")] {
            let name = format!("engine.{name}.{count}");
            report.add(Row::of(&name, &format!("engine, {pods}: {what}"), "kB", vec![kb(&engine, key)?]));
        }
        run.signal(Signal::INT)?;
        run.finish()?;
    }
    Ok(())
}

fn add_shims(bed: &Bed, count: usize, pods: &str, report: &mut Report) -> Result<()> {
    let mut rollups = Vec::new();
    for pod_dir in Bed::pod_dirs(&bed.root())? {
        let record: SandboxRecord = read_record(&SandboxRecord::path(&pod_dir))?;
        rollups.push(rollup(record.shim_pid.try_into()?)?);
    }
    for (name, what, key) in
        [("pss", "PSS", "Pss:"), ("private", "private dirty", "Private_Dirty:"), ("rss", "RSS", "Rss:")]
    {
        let samples = rollups.iter().map(|text| kb(text, key)).collect::<Result<_>>()?;
        let name = format!("shim.{name}.{count}");
        report.add(Row::of(&name, &format!("shim, {pods}: {what}"), "kB", samples));
    }
    report.at_most(&format!("shim.pss.{count}"), SHIM_PSS_KB_MAX);
    Ok(())
}

fn rollup(pid: u32) -> Result<String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

fn kb(rollup: &str, key: &str) -> Result<f64> {
    let value =
        rollup.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("no {key} in smaps_rollup"))
}
