//! What was measured, beside what is aimed at. Nothing here passes or fails.

use serde::Serialize;

use crate::machine::Machine;
use crate::stats::Stats;
use crate::workload::Size;

/// `--json`: fields may be added; none changes its meaning.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) aims: Vec<Aim>,
    /// What could not be measured here, and why.
    pub(crate) notes: Vec<String>,
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
    pub(crate) floor: String,
    pub(crate) of_minima: f64,
    pub(crate) of_medians: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Aim {
    pub(crate) row: String,
    /// The row that the first is divided by.
    pub(crate) floor: Option<String>,
    pub(crate) bound: Bound,
    pub(crate) aim: f64,
    /// The median, the ratio of medians, or the 99th percentile of what is late.
    pub(crate) measured: f64,
    pub(crate) met: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost,
    AtLeast,
}

impl Report {
    pub(crate) fn new(size: Size) -> Self {
        let quick = size == Size::Quick;
        let (rows, ratios, aims, notes) = Default::default();
        Self { machine: Machine::now(), quick, rows, ratios, aims, notes }
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    pub(crate) fn add(&mut self, mut row: Row) {
        row.stats = Stats::of(&row.samples);
        self.rows.push(row);
    }

    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Divides one row by another; the ratio of medians is aimed to be at most `aim`.
    pub(crate) fn compare(&mut self, row: &str, floor: &str, aim: Option<f64>) {
        self.divide(row, floor, Bound::AtMost, aim);
    }

    /// How many times as long a peer takes for what `row` is, by their medians; aimed to be at least `aim`.
    pub(crate) fn faster_than(&mut self, peer: &str, row: &str, aim: Option<f64>) {
        self.divide(peer, row, Bound::AtLeast, aim);
    }

    fn divide(&mut self, row: &str, by: &str, bound: Bound, aim: Option<f64>) {
        let [above, below] = [row, by].map(|name| self.row(name).map_or(Stats::of(&[]), |row| row.stats));
        let ratio = Ratio {
            row: row.to_owned(),
            floor: by.to_owned(),
            of_minima: above.min / below.min,
            of_medians: above.median / below.median,
        };
        if let Some(aim) = aim {
            self.aim(row, Some(by), bound, aim, ratio.of_medians);
        }
        self.ratios.push(ratio);
    }

    pub(crate) fn at_most(&mut self, row: &str, aim: f64) {
        let median = self.row(row).map_or(f64::NAN, |row| row.stats.median);
        self.aim(row, None, Bound::AtMost, aim, median);
    }

    /// Of the 99th percentile, not of the median.
    pub(crate) fn p99_at_most(&mut self, row: &str, aim: f64) {
        let p99 = self.row(row).map_or(f64::NAN, |row| row.stats.p99);
        self.aim(row, None, Bound::AtMost, aim, p99);
    }

    pub(crate) fn at_least(&mut self, row: &str, aim: f64) {
        let median = self.row(row).map_or(f64::NAN, |row| row.stats.median);
        self.aim(row, None, Bound::AtLeast, aim, median);
    }

    fn aim(&mut self, row: &str, floor: Option<&str>, bound: Bound, aim: f64, measured: f64) {
        let met = match bound {
            Bound::AtMost => measured <= aim,
            Bound::AtLeast => measured >= aim,
        };
        let floor = floor.map(str::to_owned);
        self.aims.push(Aim { row: row.to_owned(), floor, bound, aim, measured, met });
    }

    pub(crate) fn finish(&mut self) {
        self.machine.finish();
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
