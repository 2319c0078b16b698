//! What test programs report: read from their closing lines, added up, and printed as one.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use anyhow::{Result, bail};

/// About how much is told of why a test failed.
const REASON_BYTES_MAX: usize = 400;

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
    /// The tests that failed, and the first words of why, as far as their lines were seen.
    pub(crate) failures: BTreeMap<String, String>,
}

/// Reads why a test failed from the lines that follow the one which says so.
#[derive(Default, Debug)]
pub(crate) struct Reasons {
    /// The failure that the lines are of.
    current: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    name: String,
    /// Until the words that a runner puts before the reason were seen.
    heralded: bool,
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

    /// Counts a failure by its name.
    pub(crate) fn fail(&mut self, name: &str, why: &str) {
        self.failed += 1;
        self.failures.insert(name.to_owned(), why.to_owned());
    }

    /// Prints what failed, with the first words of why, and the closing line; an error when something failed or nothing ran.
    pub(crate) fn conclude(self) -> Result<()> {
        let Self { passed, failed, skipped, failures } = self;
        for (name, why) in failures {
            println!("failed: {name}: {why}");
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
        self.failures.extend(other.failures);
    }
}

impl Reasons {
    /// Notes whose failure a line of a runner tells, and why, if it does.
    pub(crate) fn note(&mut self, line: &str, failures: &mut BTreeMap<String, String>) {
        if let Some((failure, why)) = Failure::told(line) {
            failures.entry(failure.name.clone()).or_insert(why);
            self.current = Some(failure);
            return;
        }
        let Some(Failure { name, heralded }) = &mut self.current else { return };
        let Some(why) = failures.get_mut(name) else { return };
        if !*heralded {
            *heralded = line.contains(" panicked at ");
        } else if !line.starts_with(' ') || why.len() >= REASON_BYTES_MAX {
            self.current = None;
        } else {
            why.push_str(if why.is_empty() { "" } else { " " });
            why.extend(line.trim().chars().take(REASON_BYTES_MAX));
        }
    }
}

impl Failure {
    fn told(line: &str) -> Option<(Self, String)> {
        // `FAILED  suite::test (1.2s)`, or `FAILED  part: why`
        if let Some(told) = line.strip_prefix("FAILED  ") {
            let (name, why) = told.split_once(": ").unwrap_or((told, ""));
            let name = name.rsplit_once(" (").map_or(name, |(name, _)| name).to_owned();
            return Some((Self { name, heralded: true }, why.to_owned()));
        }
        // `        FAIL [   0.123s] crate module::test`
        let (head, name) = line.split_once("] ")?;
        let is_failure = ["FAIL [", "TIMEOUT [", "SIGABRT [", "SIGSEGV ["]
            .iter()
            .any(|word| head.trim_start().starts_with(word));
        is_failure.then(|| (Self { name: name.trim().to_owned(), heralded: false }, String::new()))
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
    fn knows_what_failed_and_why() {
        let (mut reasons, mut failures) = (Reasons::default(), BTreeMap::new());
        for line in [
            "FAILED  suite::test (33.8s)",
            "    app: no line",
            "      for 30 s",
            "passed  suite::other (1.0s)",
            "    nothing of it",
            "FAILED  qemu: skipped, but it may not be skipped here",
            "        FAIL [   0.005s] (12/99) images store::reclaim::tests::a",
            "  stderr ---",
            "    thread 'a' (1) panicked at a.rs:1:2:",
            "    left is not right",
            "",
            "        FAIL [   0.005s] (12/99) images store::reclaim::tests::a",
            "     TIMEOUT [  60.005s] dns forward",
            "        PASS [   0.005s] dns b",
            "    FAILED  said by a test",
        ] {
            reasons.note(line, &mut failures);
        }
        let failures: Vec<(&str, &str)> =
            failures.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        assert_eq!(
            failures,
            [
                ("(12/99) images store::reclaim::tests::a", "left is not right"),
                ("dns forward", ""),
                ("qemu", "skipped, but it may not be skipped here"),
                ("suite::test", "app: no line for 30 s"),
            ]
        );
    }

    #[test]
    fn a_long_reason_is_cut() {
        let (mut reasons, mut failures) = (Reasons::default(), BTreeMap::new());
        let long = format!("    {}", "long ".repeat(200));
        for line in ["FAILED  a (1.0s)", &long, &long] {
            reasons.note(line, &mut failures);
        }
        let length = failures["a"].len();
        assert!((REASON_BYTES_MAX - 5..=REASON_BYTES_MAX).contains(&length), "{length}");
    }
}
