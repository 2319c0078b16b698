//! What test programs report: read from their closing lines, added up, and printed as one.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use anyhow::{Result, bail};

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
    /// Of the tests that failed, as far as their lines were seen.
    pub(crate) names: BTreeSet<String>,
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

    /// Notes whose failure a line of a runner tells, if it does.
    pub(crate) fn note_failure(&mut self, line: &str) {
        // `FAILED  suite::test (1.2s)`, or `FAILED  part: why`
        let ours = || line.strip_prefix("FAILED  ")?.split(' ').next().map(|name| name.trim_end_matches(':'));
        // `        FAIL [   0.123s] crate module::test`
        let nextest = || {
            let (head, name) = line.split_once("] ")?;
            let is_failure = ["FAIL [", "TIMEOUT [", "SIGABRT [", "SIGSEGV ["]
                .iter()
                .any(|word| head.trim_start().starts_with(word));
            is_failure.then_some(name.trim())
        };
        self.names.extend(ours().or_else(nextest).map(str::to_owned));
    }

    /// Prints the names of what failed and the closing line; an error when something failed or nothing ran.
    pub(crate) fn conclude(self) -> Result<()> {
        let Self { passed, failed, skipped, names } = self;
        for name in names {
            println!("failed: {name}");
        }
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
        self.names.extend(other.names);
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
        let counts = |passed, failed, skipped| Some(Counts { passed, failed, skipped, ..Counts::default() });
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

    #[test]
    fn knows_the_names_of_what_failed() {
        let mut counts = Counts::default();
        for line in [
            "FAILED  suite::test (33.8s)",
            "FAILED  qemu: skipped, but it may not be skipped here",
            "        FAIL [   0.005s] (12/99) images store::reclaim::tests::a",
            "        FAIL [   0.005s] (12/99) images store::reclaim::tests::a",
            "     TIMEOUT [  60.005s] dns forward",
            "        PASS [   0.005s] dns b",
            "    FAILED  said by a test",
        ] {
            counts.note_failure(line);
        }
        let names: Vec<&str> = counts.names.iter().map(String::as_str).collect();
        assert_eq!(names, ["(12/99) images store::reclaim::tests::a", "dns forward", "qemu", "suite::test"]);
    }
}
