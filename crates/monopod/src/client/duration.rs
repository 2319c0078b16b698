//! Durations as kubectl takes them: Go's (`1h30m`, `300ms`), and 0 without a unit.

use std::time::Duration;

use podspec::time::parse_go_duration;

/// A bound that is some time, for ever, or now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Limit {
    Within(Duration),
    Never,
}

/// Reads a duration that is not negative.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    parse_go_duration(text).ok_or_else(|| format!("{text:?} is no duration such as 30s, 5m or 1h30m"))
}

/// Reads a duration; one that is negative is for ever.
pub(super) fn parse_limit(text: &str) -> Result<Limit, String> {
    match text.strip_prefix('-') {
        Some(rest) => parse(rest).map(|_| Limit::Never),
        None => parse(text).map(Limit::Within),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Limit, parse, parse_limit};

    #[test]
    fn durations() {
        for (text, ms) in
            [("0", 0), ("0s", 0), ("5s", 5_000), ("1h30m", 5_400_000), ("1.5s", 1_500), ("300ms", 300)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "5", "s", "1d", "1 s", "-1s", "..s", "1e9h"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_limit("-1s"), Ok(Limit::Never));
        assert_eq!(parse_limit("2s"), Ok(Limit::Within(Duration::from_secs(2))));
    }
}
