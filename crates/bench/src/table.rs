//! The report for people: text in columns.

use std::fmt::Write as _;

use crate::machine::Program;
use crate::report::{Aim, Bound, Report, Row};
use crate::stats::Stats;

/// Whose rows have names that begin so, with a dot. The last ones are programs.
pub(crate) const OTHERS: [&str; 4] = ["floor", "podman", "crun", "skopeo"];
/// Of a row's name.
const NAME: usize = 26;

pub(crate) fn table(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, report);
    out
}

/// What is measured, where and when.
pub(crate) fn head(report: &Report) -> String {
    let mut out = String::new();
    let _ = write_head(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    write_head(out, report)?;
    write_parts(out, report)?;
    for rows in report.rows.chunk_by(|one, next| one.unit == next.unit) {
        write_rows(out, report, rows)?;
    }
    writeln!(out, "\n{:<56}{:>10}{:>10}", "one divided by the other", "minima", "medians")?;
    for ratio in &report.ratios {
        let of = format!("{} / {}", ratio.row, ratio.by);
        writeln!(out, "{of:<56}{:>10}{:>10}", figure(ratio.of_minima), figure(ratio.of_medians))?;
    }
    writeln!(out, "\naims")?;
    report.aims.iter().try_for_each(|aim| write_aim(out, report, aim))?;
    report.notes.iter().try_for_each(|note| writeln!(out, "\n{note}"))
}

fn write_head(out: &mut String, report: &Report) -> std::fmt::Result {
    let machine = &report.machine;
    let kind = if machine.is_virtual { ", a virtual machine" } else { "" };
    writeln!(
        out,
        "\n{}: {} CPUs ({}{kind}), {} MiB",
        machine.date, machine.cpus, machine.cpu, machine.memory_mib
    )?;
    writeln!(out, "Linux {}, cgroup {}, {}", machine.kernel, machine.cgroup, machine.file_system)?;
    writeln!(out, "{}", programs(report))?;
    writeln!(out, "load average {} before, {} after", figure(machine.load[0]), figure(machine.load[1]))?;
    if report.quick {
        writeln!(out, "quick: too few repetitions for figures")?;
    }
    Ok(())
}

/// All of them with their versions, then those that are not there.
pub(crate) fn programs(report: &Report) -> String {
    let of = |program: &Program| Some(format!("{} {}", program.name, program.version.as_deref()?));
    let mut found: Vec<String> = report.programs.iter().filter_map(of).collect();
    if let (Some(monopod), Some(commit)) = (found.first_mut(), &report.commit) {
        let _ = write!(monopod, " (commit {commit})");
    }
    let absent = report.programs.iter().filter(|program| program.version.is_none());
    let absent: Vec<&str> = absent.map(|program| program.name.as_str()).collect();
    if !absent.is_empty() {
        found.push(format!("not installed: {}", absent.join(", ")));
    }
    found.join(", ")
}

fn write_parts(out: &mut String, report: &Report) -> std::fmt::Result {
    if report.parts.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:<NAME$}{:>9}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "part", "seconds", "load", "after", "busy %", "others %", "stolen %"
    )?;
    for part in &report.parts {
        let load = &part.load;
        write!(out, "{:<NAME$}{:>9.0}", part.name, load.seconds)?;
        let [before, after] = load.average;
        for value in [before, after, load.busy_percent, load.others_percent, load.steal_percent] {
            write!(out, "{:>10}", figure(value))?;
        }
        writeln!(out, "{}", if part.failed.is_some() { "  failed" } else { "" })?;
    }
    for part in &report.parts {
        if let Some(error) = &part.failed {
            writeln!(out, "\npart {} failed, and rows of it are missing: {error}", part.name)?;
        }
    }
    Ok(())
}

/// Of one unit.
fn write_rows(out: &mut String, report: &Report, rows: &[Row]) -> std::fmt::Result {
    let ratios = |other| rows.iter().map(move |row| ratio(report, row, other));
    let others: Vec<&str> =
        OTHERS.into_iter().filter(|other| ratios(*other).any(|ratio| ratio.is_some())).collect();
    let unit = rows.first().map_or("", |row| row.unit);
    write!(out, "\n{unit:<NAME$}{:>6}{:>10}{:>10}{:>10}{:>10}", "n", "min", "median", "p99", "max")?;
    others.iter().try_for_each(|other| write!(out, "{:>10}", format!("/ {other}")))?;
    writeln!(out)?;
    for row in rows {
        let Stats { n, min, median, p99, max, .. } = row.stats;
        write!(out, "{:<NAME$}{n:>6}", row.name)?;
        [min, median, p99, max].into_iter().try_for_each(|value| write!(out, "{:>10}", figure(value)))?;
        for other in &others {
            write!(out, "{:>10}", ratio(report, row, other).map_or(String::new(), figure))?;
        }
        writeln!(out, "  {}", row.what)?;
    }
    Ok(())
}

/// The median of what is monopod's divided by that of the other's row that it was compared with.
fn ratio(report: &Report, row: &Row, other: &str) -> Option<f64> {
    let is_others = |name: &str| OTHERS.iter().any(|other| is_of(name, other));
    if is_others(&row.name) {
        return None;
    }
    report.ratios.iter().find_map(|ratio| {
        if ratio.row == row.name && is_of(&ratio.by, other) {
            return Some(ratio.of_medians);
        }
        (ratio.by == row.name && is_of(&ratio.row, other)).then(|| 1.0 / ratio.of_medians)
    })
}

pub(crate) fn is_of(name: &str, other: &str) -> bool {
    name.strip_prefix(other).is_some_and(|rest| rest.starts_with('.'))
}

fn write_aim(out: &mut String, report: &Report, aim: &Aim) -> std::fmt::Result {
    let (verdict, off) = match aim.missed_by {
        Some(by) if aim.is_missed_by_far() => {
            ("MISSED", format!(": missed by more than 2x, by a factor of {}", figure(by)))
        }
        Some(by) => ("missed", format!(": missed by a factor of {}", figure(by))),
        None if aim.was_measured() => ("met", String::new()),
        None => ("not measured", String::new()),
    };
    let unit = match &aim.by {
        Some(by) => format!("x {by}"),
        None => report.row(&aim.row).map_or("", |row| row.unit).to_owned(),
    };
    let bound = if aim.bound == Bound::AtMost { "at most" } else { "at least" };
    let measured = if aim.was_measured() { figure(aim.measured) } else { "-".to_owned() };
    writeln!(out, "  {verdict:<12}  {:<NAME$}{measured:>8} {unit}, {bound} {}{off}", aim.row, figure(aim.aim))
}

/// Three digits or more.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        small if small < 0.1 && small > 0.0 => format!("{value:.3}"),
        usual if usual < 100.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::table;
    use crate::report::example;

    #[test]
    fn a_report_is_read_from_the_left() {
        expect_file!["../tests/table.txt"].assert_eq(&table(&example::report()));
    }
}
