//! What was measured, beside what is aimed at. Nothing here passes or fails.

#[cfg(test)]
pub(crate) mod example;

use serde::Serialize;

use crate::load::{Load, Reading};
use crate::machine::{Machine, Program};
use crate::profile::Profile;
use crate::stats::Stats;

/// A miss by more than this is marked: it is a defect.
const MISS_MAX: f64 = 2.0;

/// `--json`: fields may be added; none changes its meaning.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// What was measured, of which versions; monopod first.
    pub(crate) programs: Vec<Program>,
    /// What monopod was built from.
    pub(crate) commit: Option<String>,
    pub(crate) quick: bool,
    pub(crate) parts: Vec<Part>,
    pub(crate) rows: Vec<Row>,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) aims: Vec<Aim>,
    /// Where the time of starts goes.
    pub(crate) profiles: Vec<Profile>,
    /// What could not be measured here, and why.
    pub(crate) notes: Vec<String>,
}

/// What was measured together.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// Of the machine meanwhile.
    pub(crate) load: Load,
    /// Why rows of it are missing.
    pub(crate) failed: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// Of `samples`, once the row is added.
    pub(crate) stats: Stats,
    pub(crate) samples: Vec<f64>,
}

/// One row divided by another.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    pub(crate) row: String,
    pub(crate) by: String,
    pub(crate) of_minima: f64,
    pub(crate) of_medians: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Aim {
    pub(crate) row: String,
    /// The row that the first is divided by.
    pub(crate) by: Option<String>,
    pub(crate) bound: Bound,
    pub(crate) aim: f64,
    /// The median, the ratio of medians, or the 99th percentile of what is late.
    pub(crate) measured: f64,
    pub(crate) met: bool,
    /// How many times as much as the aim, or as little.
    pub(crate) missed_by: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost,
    AtLeast,
}

impl Report {
    pub(crate) fn new(machine: Machine, programs: Vec<Program>, commit: Option<String>, quick: bool) -> Self {
        let (parts, rows, ratios, aims, profiles, notes) = Default::default();
        Self { machine, programs, commit, quick, parts, rows, ratios, aims, profiles, notes }
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    /// A part that began with this reading is over.
    pub(crate) fn part(&mut self, name: &str, began: &Reading, failed: Option<String>) {
        self.parts.push(Part { name: name.to_owned(), load: began.until_now(), failed });
    }

    /// The parts that failed, and why.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().filter_map(|part| Some((part.name.as_str(), part.failed.as_deref()?)))
    }

    pub(crate) fn add(&mut self, mut row: Row) {
        row.stats = Stats::of(&row.samples);
        self.rows.push(row);
    }

    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Divides one row by another; the ratio of medians is aimed to be at most `aim`.
    pub(crate) fn compare(&mut self, row: &str, by: &str, aim: Option<f64>) {
        self.divide(row, by, Bound::AtMost, aim);
    }

    /// How many times as long a peer takes for what `row` is, by their medians; aimed to be at least `aim`.
    pub(crate) fn faster_than(&mut self, peer: &str, row: &str, aim: Option<f64>) {
        self.divide(peer, row, Bound::AtLeast, aim);
    }

    fn divide(&mut self, row: &str, by: &str, bound: Bound, aim: Option<f64>) {
        let ratio = |of: fn(&Stats) -> f64| self.stat(row, of) / self.stat(by, of);
        let (of_minima, of_medians) = (ratio(|stats| stats.min), ratio(|stats| stats.median));
        if let Some(aim) = aim {
            self.aim(row, Some(by), bound, aim, of_medians);
        }
        if !of_medians.is_nan() {
            self.ratios.push(Ratio { row: row.to_owned(), by: by.to_owned(), of_minima, of_medians });
        }
    }

    /// Not a number where nothing was measured.
    fn stat(&self, row: &str, of: fn(&Stats) -> f64) -> f64 {
        self.row(row).filter(|row| row.stats.n > 0).map_or(f64::NAN, |row| of(&row.stats))
    }

    pub(crate) fn at_most(&mut self, row: &str, aim: f64) {
        self.aim(row, None, Bound::AtMost, aim, self.stat(row, |stats| stats.median));
    }

    /// Of the 99th percentile, not of the median.
    pub(crate) fn p99_at_most(&mut self, row: &str, aim: f64) {
        self.aim(row, None, Bound::AtMost, aim, self.stat(row, |stats| stats.p99));
    }

    pub(crate) fn at_least(&mut self, row: &str, aim: f64) {
        self.aim(row, None, Bound::AtLeast, aim, self.stat(row, |stats| stats.median));
    }

    fn aim(&mut self, row: &str, by: Option<&str>, bound: Bound, aim: f64, measured: f64) {
        let met = match bound {
            Bound::AtMost => measured <= aim,
            Bound::AtLeast => measured >= aim,
        };
        let factor = match bound {
            Bound::AtMost => measured / aim,
            Bound::AtLeast => aim / measured,
        };
        let missed_by = (!met && !measured.is_nan()).then_some(factor);
        let by = by.map(str::to_owned);
        self.aims.push(Aim { row: row.to_owned(), by, bound, aim, measured, met, missed_by });
    }

    /// As JSON without the samples, which are most of it.
    pub(crate) fn summary(&self) -> serde_json::Result<serde_json::Value> {
        let mut summary = serde_json::to_value(self)?;
        let rows = summary["rows"].as_array_mut().into_iter().flatten();
        rows.filter_map(serde_json::Value::as_object_mut).for_each(|row| drop(row.remove("samples")));
        Ok(summary)
    }
}

impl Aim {
    /// Of what there is a row of.
    pub(crate) fn was_measured(&self) -> bool {
        !self.measured.is_nan()
    }

    pub(crate) fn is_missed_by_far(&self) -> bool {
        self.missed_by.is_some_and(|by| by > MISS_MAX)
    }
}

impl Row {
    pub(crate) fn new(name: &str, what: &str, unit: &'static str) -> Self {
        Self::of(name, what, unit, Vec::new())
    }

    pub(crate) fn of(name: &str, what: &str, unit: &'static str, samples: Vec<f64>) -> Self {
        Self { name: name.to_owned(), what: what.to_owned(), unit, stats: Stats::of(&[]), samples }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Report, Row, example};

    /// The second row is three times the first.
    fn report() -> Report {
        let mut report = Report::new(example::machine(), Vec::new(), None, false);
        report.add(Row::of("one", "one", "ms", vec![1.0, 2.0, 3.0]));
        report.add(Row::of("three", "three", "ms", vec![3.0, 6.0, 9.0]));
        report
    }

    #[test]
    fn a_miss_says_by_how_much() {
        let mut report = report();
        report.at_most("three", 2.5);
        report.at_least("one", 3.0);
        report.faster_than("three", "one", Some(3.0));
        report.p99_at_most("one", 2.0);
        let missed: Vec<_> = report.aims.iter().map(|aim| (aim.missed_by, aim.is_missed_by_far())).collect();
        assert_eq!(missed, [(Some(2.4), true), (Some(1.5), false), (None, false), (Some(1.5), false)]);
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let mut report = report();
        report.add(Row::new("none", "none", "ms"));
        report.at_most("none", 1.0);
        report.compare("none", "one", Some(1.0));
        report.compare("gone", "one", Some(1.0));
        report.compare("one", "gone", None);
        assert!(report.aims.iter().all(|aim| !aim.met && !aim.was_measured() && aim.missed_by.is_none()));
        assert!(report.ratios.is_empty());
    }

    #[test]
    fn a_summary_has_no_samples() {
        let summary = report().summary().unwrap();
        assert_eq!(summary["rows"][1]["samples"], Value::Null);
        assert_eq!(summary["rows"][1]["stats"]["median"], 6.0);
    }
}
