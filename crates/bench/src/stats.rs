//! Order statistics of a few samples.

use serde::Serialize;

#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct Stats {
    pub(crate) n: usize,
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Stats {
    /// Zeros for no samples.
    pub(crate) fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |percent| sorted.get(rank(percent, sorted.len())).copied().unwrap_or_default();
        Self { n: sorted.len(), min: at(0), median: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}

/// The nearest rank: the index of the smallest sample that at least `percent` of all are not above.
const fn rank(percent: usize, count: usize) -> usize {
    (percent * count).div_ceil(100).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::Stats;

    #[test]
    fn percentiles_are_samples() {
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        let stats = Stats { n: 200, min: 1.0, median: 100.0, p90: 180.0, p99: 198.0, max: 200.0 };
        assert_eq!(Stats::of(&samples), stats);
        let one = Stats { n: 1, min: 7.0, median: 7.0, p90: 7.0, p99: 7.0, max: 7.0 };
        assert_eq!(Stats::of(&[7.0]), one);
        assert_eq!(Stats::of(&[2.0, 1.0]).median, 1.0);
        assert_eq!(Stats::of(&[]).n, 0);
    }
}
