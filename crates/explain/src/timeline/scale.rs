//! One axis of time: where a moment is on it, and which round numbers stand along it.

use std::time::Duration;

use podspec::Moment;

const MS: u64 = 1;
const S: u64 = 1_000;
const M: u64 = 60 * S;
const H: u64 = 60 * M;
const D: u64 = 24 * H;

/// What ticks may be apart, in milliseconds.
const STEPS_MS: [u64; 36] = [
    MS,
    2 * MS,
    5 * MS,
    10 * MS,
    20 * MS,
    50 * MS,
    100 * MS,
    200 * MS,
    500 * MS,
    S,
    2 * S,
    5 * S,
    10 * S,
    15 * S,
    30 * S,
    M,
    2 * M,
    5 * M,
    10 * M,
    15 * M,
    30 * M,
    H,
    2 * H,
    3 * H,
    6 * H,
    12 * H,
    D,
    2 * D,
    5 * D,
    10 * D,
    20 * D,
    50 * D,
    100 * D,
    200 * D,
    500 * D,
    1_000 * D,
];
/// However long it is.
const TICKS_MAX: usize = 200;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    begin: i64,
    nanos: u64,
    /// Columns or pixels.
    length: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tick {
    pub(crate) at: u32,
    pub(crate) label: String,
}

impl Scale {
    pub(crate) fn new(begin: Moment, end: Moment, length: u32) -> Self {
        let nanos = end.boot.0.saturating_sub(begin.boot.0);
        Self { begin: begin.boot.0, nanos: u64::try_from(nanos).unwrap_or(0).max(1), length }
    }

    /// From 0 to the length, both included.
    pub(crate) fn place(self, at: Moment) -> u32 {
        self.of_nanos(u64::try_from(at.boot.0.saturating_sub(self.begin)).unwrap_or(0))
    }

    /// As [`Self::place`], in tenths.
    pub(crate) fn tenths(self, at: Moment) -> u32 {
        Self { length: self.length.saturating_mul(10), ..self }.place(at)
    }

    fn of_nanos(self, nanos: u64) -> u32 {
        let place = u128::from(nanos.min(self.nanos)) * u128::from(self.length) / u128::from(self.nanos);
        u32::try_from(place).unwrap_or(self.length).min(self.length)
    }

    /// At least `apart` from one another.
    pub(crate) fn ticks(self, apart: u32) -> Vec<Tick> {
        let is_far = |step: &u64| {
            u128::from(*step) * 1_000_000 * u128::from(self.length)
                >= u128::from(apart) * u128::from(self.nanos)
        };
        let mut step = STEPS_MS.into_iter().find(is_far).unwrap_or(1_000 * D);
        while !is_far(&step) && step < u64::MAX / 2 {
            step *= 2;
        }
        let mut ticks = Vec::new();
        let mut at_ms = 0_u64;
        while ticks.len() < TICKS_MAX && u128::from(at_ms) * 1_000_000 <= u128::from(self.nanos) {
            let at = self.of_nanos(at_ms.saturating_mul(1_000_000));
            ticks.push(Tick { at, label: amount(Duration::from_millis(at_ms)) });
            at_ms = at_ms.saturating_add(step);
        }
        ticks
    }
}

/// Three figures at most, in the two units that fit: `0s`, `250ms`, `1.5s`, `1m30s`, `2h5m`, `3d4h`.
pub(crate) fn amount(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let two = |large: u64, unit: char, small: u64, small_unit: char| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match ms {
        0 if duration.is_zero() => "0s".to_owned(),
        0 => "<1ms".to_owned(),
        1..S => format!("{ms}ms"),
        S..10_000 if ms % S >= 100 => format!("{}.{}s", ms / S, ms % S / 100),
        S..M => format!("{}s", ms / S),
        M..H => two(ms / M, 'm', ms % M / S, 's'),
        H..D => two(ms / H, 'h', ms % H / M, 'm'),
        _ => two(ms / D, 'd', ms % D / H, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use podspec::{BootTime, Moment};

    use super::{Scale, amount};

    fn at(ms: i64) -> Moment {
        Moment { boot: BootTime(ms.saturating_mul(1_000_000)), ..Moment::default() }
    }

    #[test]
    fn ticks_are_round_numbers_that_fit() {
        for (ms, length, expected) in [
            (1_000, 60, "0s@0 200ms@12 400ms@24 600ms@36 800ms@48 1s@60"),
            (83_000, 80, "0s@0 15s@14 30s@28 45s@43 1m@57 1m15s@72"),
            (3 * 86_400_000, 60, "0s@0 12h@10 1d@20 1d12h@30 2d@40 2d12h@50 3d@60"),
            (1, 8, "0s@0"),
            (0, 60, "0s@0"),
        ] {
            let ticks = Scale::new(at(0), at(ms), length).ticks(10);
            let said: Vec<String> = ticks.iter().map(|tick| format!("{}@{}", tick.label, tick.at)).collect();
            assert_eq!(said.join(" "), expected, "{ms}");
        }
        let whole = Scale::new(Moment { boot: BootTime(i64::MIN), ..at(0) }, at(i64::MAX), 40);
        assert!(whole.ticks(10).len() <= 5);
        assert_eq!((whole.place(at(i64::MIN)), whole.place(at(i64::MAX))), (0, 40));
    }

    #[test]
    fn amounts() {
        for (ms, text) in [
            (0, "0s"),
            (250, "250ms"),
            (1_000, "1s"),
            (1_550, "1.5s"),
            (12_900, "12s"),
            (90_000, "1m30s"),
            (3_600_000, "1h"),
            (7_500_000, "2h5m"),
            (273_600_000, "3d4h"),
        ] {
            assert_eq!(amount(Duration::from_millis(ms)), text);
        }
        assert_eq!(amount(Duration::from_micros(3)), "<1ms");
        assert!(!amount(Duration::MAX).is_empty());
    }
}
