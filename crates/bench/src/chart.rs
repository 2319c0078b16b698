//! The report as a picture: one file that needs nothing else, light or dark as its viewer is, and readable aloud.
//!
//! Bars are as long as medians, on a scale from 0 that is the group's own: twice as long is twice as much.

mod groups;

use std::fmt::Write as _;

use explain::timeline::escaped;
use groups::{Bar, GROUPS, Group};

use crate::report::{Report, Row};
use crate::table::programs;

const WIDTH: u32 = 1_040;
const MARGIN: u32 = 16;
const NAMES: u32 = 250;
const BARS: u32 = 430;
const HEAD: u32 = 28;
const LINE: u32 = 17;
const LINE_CHARS_MAX: usize = 150;
const TITLE: u32 = 34;
const PITCH: u32 = 20;
const BAR: u32 = 14;
/// However little it is, in tenths of a unit.
const BAR_TENTHS_MIN: u32 = 10;

const STYLE: &str = "\
svg{font-family:ui-sans-serif,system-ui,sans-serif;font-size:12px}.back{fill:#fff}text{fill:#1f2328}.dim{fill:#656d76}\
.axis{stroke:#8d96a0}.head{font-size:15px;font-weight:600}.title{font-weight:600}.end{text-anchor:end}.bad{fill:#cf222e}\
.monopod{fill:#1f6feb}.inside{fill:#7fb0ff}.floor{fill:#8d96a0}.podman{fill:#d4763a}.crun{fill:#3f9a8a}.skopeo{fill:#a475d6}\
@media(prefers-color-scheme:dark){.back{fill:#0d1117}text{fill:#e6edf3}.dim{fill:#8d96a0}.axis{stroke:#656d76}.bad{fill:#ff7b72}\
.monopod{fill:#388bfd}.inside{fill:#2a5ea8}.floor{fill:#6e7681}.podman{fill:#b8622d}.crun{fill:#2f8577}.skopeo{fill:#8560b3}}";

/// Of the image alone; ends with a newline.
pub(crate) fn svg(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report) -> std::fmt::Result {
    let groups: Vec<Drawn<'_>> = GROUPS.iter().filter_map(|group| Drawn::of(group, report)).collect();
    let head = head(report);
    let lines = u32::try_from(head.len()).unwrap_or_default();
    let below = HEAD + LINE * (lines + 1);
    let height = below + groups.iter().map(Drawn::height).sum::<u32>() + MARGIN;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>How fast monopod is</title>\n<desc>{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"head\" x=\"{MARGIN}\" y=\"{HEAD}\">monopod beside podman, crun and the floor, in one run on one machine</text>",
        escaped(&head.join(" "))
    )?;
    let mut y = HEAD + LINE + 2;
    if report.quick {
        writeln!(
            out,
            "<text class=\"bad\" x=\"{}\" y=\"{HEAD}\">quick: too few repetitions for figures</text>",
            WIDTH - 280
        )?;
    }
    for line in &head {
        writeln!(out, "<text class=\"dim\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", escaped(line))?;
        y += LINE;
    }
    let mut y = below;
    for group in &groups {
        group.write(out, y)?;
        y += group.height();
    }
    writeln!(out, "</svg>")
}

/// What the picture is of.
fn head(report: &Report) -> Vec<String> {
    let machine = &report.machine;
    let kind = if machine.is_virtual { ", a virtual machine" } else { "" };
    let date = machine.date.split('T').next().unwrap_or_default();
    let place = format!(
        "{date}, {} CPUs ({}{kind}), {} MiB, Linux {}, cgroup {}, {}; load average {:.1} before, {:.1} after.",
        machine.cpus,
        machine.cpu,
        machine.memory_mib,
        machine.kernel,
        machine.cgroup,
        machine.file_system,
        machine.load[0],
        machine.load[1]
    );
    let how = "Bars and first figures are medians; in grey from the minimum to the 99th percentile. Each group has a scale of its own, \
               from 0. All that are in a group took turns. The floor is a program that makes the same namespaces, network, cgroups, \
               mounts and filter, and does nothing else.";
    [how, &place, &format!("{}.", programs(report))].into_iter().flat_map(lines).collect()
}

/// Broken between words.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let full =
            lines.last().is_some_and(|line| line.chars().count() + word.chars().count() >= LINE_CHARS_MAX);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// A group of which there are rows of monopod and of others.
#[derive(Debug)]
struct Drawn<'r> {
    group: &'static Group,
    bars: Vec<(&'static Bar, Measured<'r>)>,
}

/// In the unit in which bars of one group are compared.
#[derive(Clone, Copy, Debug)]
struct Measured<'r> {
    row: &'r Row,
    factor: f64,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Milliseconds,
    Kibibytes,
    Other(&'static str),
}

impl<'r> Drawn<'r> {
    /// `None` when nothing stands beside monopod's. What is of another unit than the first cannot.
    fn of(group: &'static Group, report: &'r Report) -> Option<Self> {
        let bars = group.bars.iter().filter_map(|bar| Some((bar, Measured::of(report, bar.row)?)));
        let mut bars: Vec<_> = bars.collect();
        let first = bars.iter().find(|(bar, _)| bar.is_monopods()).map(|(_, measured)| measured.unit)?;
        bars.retain(|(_, measured)| measured.unit == first);
        bars.iter().any(|(bar, _)| !bar.is_monopods()).then_some(Self { group, bars })
    }

    fn height(&self) -> u32 {
        TITLE + PITCH * u32::try_from(self.bars.len()).unwrap_or_default()
    }

    fn write(&self, out: &mut String, y: u32) -> std::fmt::Result {
        let better = if self.group.more_is_better { "more is better" } else { "less is better" };
        writeln!(
            out,
            "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{}<tspan class=\"dim\" font-weight=\"400\">: {better}</tspan></text>",
            y + TITLE - 8,
            escaped(self.group.title)
        )?;
        let most = self.bars.iter().map(|(_, measured)| measured.median()).fold(0.0, f64::max);
        let mut top = y + TITLE;
        for (bar, measured) in &self.bars {
            self.write_bar(out, bar, *measured, most, top)?;
            top += PITCH;
        }
        let x = MARGIN + NAMES;
        writeln!(
            out,
            "<line class=\"axis\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>",
            y + TITLE - 3,
            top - 3
        )
    }

    fn write_bar(
        &self,
        out: &mut String,
        bar: &Bar,
        measured: Measured<'_>,
        most: f64,
        top: u32,
    ) -> std::fmt::Result {
        let width = tenths(measured.median() / most * f64::from(BARS * 10));
        let (x, base) = (MARGIN + NAMES, top + BAR - 3);
        let (n, median) = (measured.row.stats.n, said(measured.median(), measured.unit));
        writeln!(
            out,
            "<g><title>{}: {median}, n {n}</title><text class=\"end\" x=\"{}\" y=\"{base}\">{}</text>\
             <rect class=\"{}\" x=\"{x}\" y=\"{top}\" width=\"{}.{}\" height=\"{BAR}\"/>\
             <text x=\"{}\" y=\"{base}\">{median}{}{}</text></g>",
            escaped(&measured.row.name),
            x - 8,
            escaped(bar.says),
            bar.class(),
            width / 10,
            width % 10,
            x + width / 10 + 8,
            measured.spread(),
            self.times(bar, measured),
        )
    }

    /// What it is of the bar that it is to be compared with.
    fn times(&self, bar: &Bar, measured: Measured<'_>) -> String {
        let Some((row, words)) = bar.times else { return String::new() };
        let other = self.bars.iter().find(|(bar, _)| bar.row == row);
        other.map_or(String::new(), |(_, other)| {
            format!(", {} times {}", digits(measured.median() / other.median()), escaped(words))
        })
    }
}

impl<'r> Measured<'r> {
    fn of(report: &'r Report, row: &str) -> Option<Self> {
        let row = report.row(row).filter(|row| row.stats.n > 0)?;
        let (factor, unit) = match row.unit {
            "us" => (1e-3, Unit::Milliseconds),
            "ms" => (1.0, Unit::Milliseconds),
            "s" => (1e3, Unit::Milliseconds),
            // As the kernel says it.
            "kB" | "KiB" => (1.0, Unit::Kibibytes),
            "MiB" => (1024.0, Unit::Kibibytes),
            other => (1.0, Unit::Other(other)),
        };
        Some(Self { row, factor, unit })
    }

    fn median(&self) -> f64 {
        self.factor * self.row.stats.median
    }

    /// Nothing for a single sample.
    fn spread(&self) -> String {
        let [min, p99] =
            [self.row.stats.min, self.row.stats.p99].map(|value| said(self.factor * value, self.unit));
        if min == p99 {
            return String::new();
        }
        format!(" <tspan class=\"dim\">({min} to {p99})</tspan>")
    }
}

fn said(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Milliseconds if value >= 1e3 => format!("{} s", digits(value / 1e3)),
        Unit::Milliseconds => format!("{} ms", digits(value)),
        Unit::Kibibytes if value >= 1024.0 => format!("{} MiB", digits(value / 1024.0)),
        Unit::Kibibytes => format!("{} KiB", digits(value)),
        Unit::Other(unit) => format!("{} {}", digits(value), escaped(unit)),
    }
}

/// Three, or all before the point.
fn digits(value: f64) -> String {
    match value {
        small if small < 10.0 => format!("{small:.2}"),
        some if some < 100.0 => format!("{some:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the width")]
fn tenths(value: f64) -> u32 {
    (value.round() as u32).max(BAR_TENTHS_MIN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use expect_test::expect_file;

    use super::groups::GROUPS;
    use super::{digits, lines, svg};
    use crate::report::{Row, example};

    #[test]
    fn a_report_is_drawn() {
        let picture = svg(&example::report());
        expect_file!["../tests/chart.svg"].assert_eq(&picture);
        assert!(!picture.contains("podman.stop.b"), "a group without monopod is left out");
        assert!(!picture.contains("pod.memory.100"), "and one without anything else");
        assert!(!picture.contains("<script") && !picture.contains("url("));
    }

    #[test]
    fn what_has_another_unit_stands_in_no_group() {
        let mut report = example::report();
        report.add(Row::of("podman.play.b", "", "MiB/s", vec![1.0]));
        report.add(Row::of("apply.b", "", "ms", vec![1.0]));
        assert!(!svg(&report).contains("apply.b"), "there is nothing beside it");
        report.add(Row::of("floor.pod.b", "", "us", vec![1.0]));
        let picture = svg(&report);
        assert!(picture.contains("apply.b") && !picture.contains("podman.play.b"));
    }

    #[test]
    fn each_row_is_drawn_once_and_compared_within_its_group() {
        let mut rows = BTreeSet::new();
        for group in GROUPS {
            for bar in group.bars {
                assert!(rows.insert(bar.row), "{} is drawn twice", bar.row);
                let other = bar.times.map(|(row, _)| row);
                assert!(other.is_none_or(|row| group.bars.iter().any(|bar| bar.row == row)), "{other:?}");
            }
        }
    }

    #[test]
    fn texts_fit() {
        assert_eq!([0.052, 9.994, 10.04, 99.4, 738.6].map(digits), ["0.05", "9.99", "10.0", "99.4", "739"]);
        let text = "word ".repeat(100);
        let broken = lines(text.trim());
        assert!(broken.iter().all(|line| line.len() <= super::LINE_CHARS_MAX));
        assert_eq!(broken.join(" "), text.trim());
    }
}
