//! What test programs report: read from their closing lines, added up, and printed as one.

use std::ops::AddAssign;

use anyhow::{Result, bail};

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Counts {
    /// From a closing line of cargo test, of nextest, or of the end-to-end suites.
    pub(crate) fn from_closing_line(line: &str) -> Option<Self> {
        // A runner shows the closing lines of a failed test's own output with an indent.
        let line = line.trim_end();
        let report = match (line.strip_prefix("test result:"), line.split_once(" run: ")) {
            (Some(cargo), _) => cargo,
            (None, Some((head, nextest))) if head.trim_start().starts_with("Summary") => nextest,
            _ if is_plain(line) => line,
            _ => return None,
        };
        let mut counts = Self::default();
        let words: Vec<&str> = report.split_whitespace().collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u32>() else { continue };
            match pair[1].trim_end_matches([',', ';', '.']) {
                "passed" => counts.passed += number,
                "failed" | "timed" => counts.failed += number,
                "skipped" | "ignored" => counts.skipped += number,
                _ => {}
            }
        }
        Some(counts)
    }

    /// Prints the closing line; an error when something failed or nothing ran.
    pub(crate) fn conclude(self) -> Result<()> {
        let Self { passed, failed, skipped } = self;
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if failed > 0 {
            bail!("{failed} tests failed");
        }
        if passed == 0 {
            bail!("no test ran");
        }
        Ok(())
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// `N passed, N failed, N skipped` and nothing else.
fn is_plain(line: &str) -> bool {
    let mut words = line.split(", ").map(|part| part.split_once(' '));
    ["passed", "failed", "skipped"].iter().all(|expected| {
        words
            .next()
            .flatten()
            .is_some_and(|(number, word)| number.parse::<u32>().is_ok() && word == *expected)
    }) && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_closing_line() {
        let counts = |passed, failed, skipped| Some(Counts { passed, failed, skipped });
        let cases = [
            (
                "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
                counts(5, 0, 1),
            ),
            (
                "     Summary [   0.123s] 12 tests run: 10 passed (1 slow), 2 failed, 3 skipped",
                counts(10, 2, 3),
            ),
            ("     Summary [   0.1s] 1 test run: 0 passed, 1 timed out, 0 skipped", counts(0, 1, 0)),
            ("90 passed, 1 failed, 2 skipped", counts(90, 1, 2)),
            ("passed  suite::test (1.2s)", None),
            ("    test result: FAILED. 0 passed; 1 failed; 0 ignored", None),
            ("said 90 passed, 1 failed, 2 skipped", None),
        ];
        for (line, expected) in cases {
            assert_eq!(Counts::from_closing_line(line), expected, "{line}");
        }
    }
}
