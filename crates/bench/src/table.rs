//! The report for people.

use std::fmt::Write as _;

use crate::report::{Aim, Bound, Report};
use crate::stats::Stats;

pub(crate) fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let machine = &report.machine;
    writeln!(
        out,
        "\n{} CPUs ({}), Linux {}, cgroup {}; load {} before, {} after{}",
        machine.cpus,
        machine.cpu,
        machine.kernel,
        machine.cgroup,
        machine.load[0],
        machine.load[1],
        if report.quick { "; quick: too few repetitions for figures" } else { "" }
    )?;
    let mut unit = "";
    for row in &report.rows {
        if row.unit != unit {
            unit = row.unit;
            writeln!(
                out,
                "\n{unit:<48}{:>6}{:>10}{:>10}{:>10}{:>10}{:>10}",
                "n", "min", "median", "p90", "p99", "max"
            )?;
        }
        let Stats { n, min, median, p90, p99, max } = row.stats;
        let [min, median, p90, p99, max] = [min, median, p90, p99, max].map(figure);
        writeln!(out, "{:<48}{n:>6}{min:>10}{median:>10}{p90:>10}{p99:>10}{max:>10}", row.what)?;
    }
    writeln!(out, "\n{:<56}{:>10}{:>10}", "one divided by the other", "minima", "medians")?;
    for ratio in &report.ratios {
        writeln!(
            out,
            "{:<56}{:>10.2}{:>10.2}",
            format!("{} / {}", ratio.row, ratio.floor),
            ratio.of_minima,
            ratio.of_medians
        )?;
    }
    writeln!(out, "\naims")?;
    report.aims.iter().try_for_each(|aim| write_aim(out, report, aim))?;
    report.notes.iter().try_for_each(|note| writeln!(out, "\n{note}"))
}

fn write_aim(out: &mut String, report: &Report, aim: &Aim) -> std::fmt::Result {
    let (verdict, off) = if aim.met { ("met   ", String::new()) } else { ("missed", off_by(aim)) };
    let unit = match &aim.floor {
        Some(floor) => format!("x {floor}"),
        None => report.row(&aim.row).map_or("", |row| row.unit).to_owned(),
    };
    let bound = if aim.bound == Bound::AtMost { "at most" } else { "at least" };
    let measured = figure(aim.measured);
    writeln!(out, "  {verdict}  {:<18} {measured:>8} {unit}, {bound} {}{off}", aim.row, figure(aim.aim))
}

fn off_by(aim: &Aim) -> String {
    format!(", off by {:.1} %", ((aim.measured / aim.aim - 1.0) * 100.0).abs())
}

/// Three digits or more.
fn figure(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}
