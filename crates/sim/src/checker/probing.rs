//! What the checker knows of one kind of probe of one attempt.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use lifecycle::{ProbeKind, ProbeOutcome};
use podspec::Probe;

/// A probe that cannot be made is tried so often before it has had its turn.
const TRIES: u32 = 3;

#[derive(Clone, Debug, Default)]
pub(super) struct Probing {
    successes: u32,
    failures: u32,
    errors: u32,
    pub(super) in_flight: bool,
    /// When this engine began the last one; none when it is to be begun again at once.
    last: Option<Duration>,
    /// What it says of the container, and since when.
    verdict: Option<(bool, Duration)>,
}

impl Probing {
    pub(super) fn passed(&self) -> bool {
        self.verdict.is_some_and(|(good, _)| good)
    }

    pub(super) fn passed_at(&self) -> Option<Duration> {
        self.verdict.filter(|(good, _)| *good).map(|(_, since)| since)
    }

    /// Since when it has failed.
    pub(super) fn failed(&self) -> Option<Duration> {
        self.verdict.filter(|(good, _)| !good).map(|(_, since)| since)
    }

    /// Nothing is asked any more: a startup probe that has an answer, a liveness probe that has failed.
    fn over(&self, kind: ProbeKind) -> bool {
        match kind {
            ProbeKind::Startup => self.verdict.is_some(),
            ProbeKind::Liveness => self.failed().is_some(),
            ProbeKind::Readiness => false,
        }
    }

    fn next(&self, probe: &Probe, since: Duration) -> Duration {
        self.last.map_or(since + probe.initial_delay, |last| last + probe.period)
    }

    /// It is to be under way by now.
    pub(super) fn due(&self, kind: ProbeKind, probe: &Probe, since: Duration, at: Duration) -> bool {
        !self.in_flight && !self.over(kind) && at >= self.next(probe, since)
    }

    pub(super) fn begin(
        &mut self,
        name: &str,
        kind: ProbeKind,
        probe: &Probe,
        since: Duration,
        at: Duration,
    ) {
        assert!(!self.in_flight, "two {kind:?} probes of {name} at once");
        assert!(!self.over(kind), "{name} is probed although its {kind:?} probe has said enough");
        assert!(at >= self.next(probe, since), "the {kind:?} probe of {name} comes too soon");
        (self.in_flight, self.last) = (true, Some(at));
    }

    pub(super) fn finished(&mut self, kind: ProbeKind, probe: &Probe, outcome: &ProbeOutcome, at: Duration) {
        self.in_flight = false;
        if self.over(kind) {
            return;
        }
        let good = match outcome {
            ProbeOutcome::Success | ProbeOutcome::Warning(_) => true,
            ProbeOutcome::Failure(_) => false,
            ProbeOutcome::Error(_) => {
                self.errors += 1;
                if self.errors == TRIES {
                    self.errors = 0;
                } else {
                    self.last = None;
                }
                return;
            }
        };
        self.errors = 0;
        if good {
            (self.successes, self.failures) = (self.successes + 1, 0);
        } else {
            (self.successes, self.failures) = (0, self.failures + 1);
        }
        let enough = (good && self.successes >= probe.success_threshold)
            || (!good && self.failures >= probe.failure_threshold);
        if enough && self.verdict.is_none_or(|(before, _)| before != good) {
            self.verdict = Some((good, at));
        }
    }

    pub(super) fn engine_restarted(&mut self) {
        (self.in_flight, self.last) = (false, None);
    }

    pub(super) fn key(&self, probe: &Probe, since: Duration, now: Duration, hasher: &mut impl Hasher) {
        let Self { successes, failures, errors, in_flight, last, verdict: _ } = self;
        let left = |until: Duration| until.saturating_sub(now);
        (probe.success_threshold.min(*successes), probe.failure_threshold.min(*failures)).hash(hasher);
        (errors, in_flight, last.map(|last| left(last + probe.period))).hash(hasher);
        (self.passed(), self.failed().map(|at| now.saturating_sub(at))).hash(hasher);
        left(since + probe.initial_delay).hash(hasher);
    }
}
