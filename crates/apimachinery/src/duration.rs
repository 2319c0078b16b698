//! Ages, as columns print them.

use std::time::Duration;

use podspec::WallTime;
pub use podspec::time::human_duration as human;

/// The AGE column of what is from `then`; `<unknown>` when it does not say, `<invalid>` when it is from the
/// future by more than clocks differ.
#[must_use]
pub fn age(then: Option<WallTime>, now: WallTime) -> String {
    let Some(then) = then else { return "<unknown>".to_owned() };
    let nanos = now.0.saturating_sub(then.0);
    match u64::try_from(nanos) {
        Ok(nanos) => human(Duration::from_nanos(nanos)),
        // Less than two seconds ahead is a difference of clocks.
        Err(_) if nanos > -2_000_000_000 => "0s".to_owned(),
        Err(_) => "<invalid>".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use podspec::WallTime;

    use super::{age, human};

    #[test]
    fn ages_have_two_figures() {
        let (m, h, d, y) = (60, 3_600, 86_400, 365 * 86_400);
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (2 * m, "2m"),
            (2 * m + 1, "2m1s"),
            (9 * m + 59, "9m59s"),
            (10 * m, "10m"),
            (179 * m, "179m"),
            (3 * h, "3h"),
            (7 * h + 59 * m, "7h59m"),
            (8 * h, "8h"),
            (47 * h, "47h"),
            (2 * d, "2d"),
            (2 * d + h, "2d1h"),
            (8 * d, "8d"),
            (2 * y - d, "729d"),
            (2 * y, "2y"),
            (2 * y + 3 * d, "2y3d"),
            (8 * y + d, "8y"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), text);
        }
        let now = WallTime::from_unix(100, 0);
        for (then, text) in [
            (None, "<unknown>"),
            (Some(WallTime::from_unix(40, 0)), "60s"),
            (Some(WallTime::from_unix(101, 0)), "0s"),
            (Some(WallTime::from_unix(103, 0)), "<invalid>"),
        ] {
            assert_eq!(age(then, now), text);
        }
    }
}
