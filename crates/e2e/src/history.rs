//! What the containers of one pod wrote of themselves with `mark`: what happened, in the order in which it did,
//! and when by the boot clock. Each has one file, and one `write` in append mode is atomic.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

/// The resolution of what `mark` reads.
const TICK_S: f64 = 0.011;

/// Now, as marks have it.
pub(crate) fn now_s() -> Result<f64> {
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let now = uptime.split(' ').next().and_then(|now| now.parse().ok());
    now.with_context(|| format!("/proc/uptime: {uptime:?}"))
}

/// One line: `CONTAINER WHAT`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Mark {
    /// Seconds since the machine was booted.
    pub(crate) at_s: f64,
    pub(crate) line: String,
}

/// The marks so far.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct History(pub(crate) Vec<Mark>);

impl History {
    /// Of the pod whose containers have `trace_dir` as their `/trace`; empty before the first mark.
    pub(crate) fn read(trace_dir: &Path, pod: &str) -> Self {
        let text = std::fs::read_to_string(trace_dir.join(format!("{pod}.marks"))).unwrap_or_default();
        Self(text.lines().filter_map(Mark::parse).collect())
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.0.iter().filter(|mark| mark.line == line).count()
    }

    /// When it was marked, the first time.
    pub(crate) fn at(&self, line: &str) -> Result<f64> {
        self.nth(line, 0)
    }

    /// When it was marked, after `n` times before.
    pub(crate) fn nth(&self, line: &str, n: usize) -> Result<f64> {
        let mut found = self.0.iter().filter(|mark| mark.line == line);
        let mark = found.nth(n).with_context(|| format!("{line:?} number {n} is missing\n{self}"))?;
        Ok(mark.at_s)
    }

    /// The newest time.
    pub(crate) fn last(&self, line: &str) -> Result<f64> {
        self.nth(line, self.count(line).saturating_sub(1))
    }

    /// Fails unless each of `expected` was marked, in this order; other marks may lie between.
    pub(crate) fn expect_order(&self, expected: &[&str]) -> Result<()> {
        let mut rest = self.0.iter();
        for line in expected {
            if !rest.any(|mark| mark.line == *line) {
                bail!("{line:?} is missing, or not after those before it.\nexpected {expected:?}\n{self}");
            }
        }
        Ok(())
    }

    pub(crate) fn expect_count(&self, line: &str, count: usize) -> Result<()> {
        let found = self.count(line);
        ensure!(found == count, "{line:?} was marked {found} times, expected {count}\n{self}");
        Ok(())
    }

    pub(crate) fn expect_absent(&self, line: &str) -> Result<()> {
        self.expect_count(line, 0)
    }

    /// Fails unless the second mark came at least `least_s` after the first, and less than `most_s`.
    pub(crate) fn expect_between(&self, first: &str, second: &str, least_s: f64, most_s: f64) -> Result<()> {
        let took = self.at(second)? - self.at(first)?;
        ensure!(
            (least_s - TICK_S..most_s).contains(&took),
            "{second:?} came {took:.2} s after {first:?}, expected {least_s} to {most_s}\n{self}"
        );
        Ok(())
    }
}

impl Mark {
    /// `AT CONTAINER WHAT`; `None` for a line that has yet to be written to its end.
    fn parse(line: &str) -> Option<Self> {
        let (at, line) = line.split_once(' ')?;
        Some(Self { at_s: at.parse().ok()?, line: line.to_owned() })
    }
}

impl std::fmt::Display for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let began = self.0.first().map_or(0.0, |mark| mark.at_s);
        self.0.iter().try_for_each(|mark| writeln!(f, "  {:7.2} {}", mark.at_s - began, mark.line))
    }
}

#[cfg(test)]
mod tests {
    use super::{History, Mark};

    #[test]
    fn marks_have_their_time_first() {
        let mark = Mark::parse("12.34 main pre-stop end").unwrap();
        assert_eq!((mark.at_s, mark.line.as_str()), (12.34, "main pre-stop end"));
        assert!(Mark::parse("12.34").is_none());
        let history = History(vec![mark]);
        assert!(history.expect_order(&["main pre-stop end"]).is_ok());
        assert!(history.at("main end").is_err());
    }
}
