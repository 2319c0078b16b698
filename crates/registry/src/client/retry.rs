//! Whether what failed is tried again, and when.

use std::time::Duration;

use super::Limits;
use crate::error::Problem;

/// What to do after a failure that was the `attempt`th in a row, from 1 on.
///
/// `may_wait` is false while there are other endpoints that can be asked meanwhile: then what asks for patience is left alone.
pub(super) fn pause(
    problem: &Problem,
    attempt: u32,
    attempts_max: u32,
    may_wait: bool,
    limits: &Limits,
) -> Option<Duration> {
    if attempt >= attempts_max {
        return None;
    }
    match problem {
        Problem::Elsewhere { problem, .. } => pause(problem, attempt, attempts_max, may_wait, limits),
        Problem::Connect(_) | Problem::Stalled(_) | Problem::Slow { .. } | Problem::Cut(_) => {
            Some(backoff(attempt, limits))
        }
        Problem::Status { status: 429, .. } if !may_wait => None,
        // Who is told to come later than that is not asked again by this pull, but by the next.
        Problem::Status { status: 408 | 429 | 500.., retry_after: Some(after), .. } => {
            (may_wait && *after <= limits.retry_after_max).then_some(*after)
        }
        Problem::Status { status: 408 | 429 | 500.., retry_after: None, .. } => {
            Some(backoff(attempt, limits))
        }
        _ => None,
    }
}

/// Doubling, less up to a half of it by chance, so that not all come back at once.
pub(super) fn backoff(attempt: u32, limits: &Limits) -> Duration {
    let doubled = limits.backoff.saturating_mul(1 << (attempt.clamp(1, 16) - 1));
    doubled.min(limits.retry_after_max).mul_f64(1.0 - (limits.jitter)().clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pause;
    use crate::client::Limits;
    use crate::error::Problem;

    fn status(status: u16, retry_after_s: Option<u64>) -> Problem {
        let retry_after = retry_after_s.map(Duration::from_secs);
        Problem::Status { who: "the registry".to_owned(), status, message: String::new(), retry_after }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let cut = || Problem::Cut("reset".to_owned());
        for (problem, attempt, may_wait, expected_ms) in [
            (cut(), 1, true, Some(200)),
            (cut(), 2, true, Some(400)),
            (cut(), 4, true, Some(1600)),
            (cut(), 5, true, None),
            (cut(), 1, false, Some(200)),
            (Problem::Stalled(Duration::ZERO), 1, true, Some(200)),
            (Problem::Connect("refused".to_owned()), 1, true, Some(200)),
            (Problem::NoName("nowhere".to_owned()), 1, true, None),
            (Problem::Wrong("digest".to_owned()), 1, true, None),
            (status(500, None), 1, true, Some(200)),
            (status(503, Some(2)), 1, true, Some(2000)),
            (status(503, Some(30)), 1, true, Some(30_000)),
            (status(503, Some(31)), 1, true, None),
            (status(503, Some(2)), 1, false, None),
            (status(429, None), 1, true, Some(200)),
            (status(429, Some(0)), 1, true, Some(0)),
            (status(429, None), 1, false, None),
            (status(408, None), 1, true, Some(200)),
            (status(400, None), 1, true, None),
            (status(401, None), 1, true, None),
            (status(403, Some(1)), 1, true, None),
            (status(404, None), 1, true, None),
        ] {
            let limits = Limits { jitter: || 0.0, ..Limits::default() };
            let found = pause(&problem, attempt, 5, may_wait, &limits);
            assert_eq!(found, expected_ms.map(Duration::from_millis), "{problem} {attempt}");
        }
    }

    #[test]
    fn chance_takes_up_to_a_half() {
        let cases: [(fn() -> f64, u64); 2] = [(|| 0.5, 150), (|| 1.0, 100)];
        for (jitter, expected_ms) in cases {
            let limits = Limits { jitter, ..Limits::default() };
            assert_eq!(super::backoff(1, &limits), Duration::from_millis(expected_ms));
        }
    }
}
