//! Two clocks. Durations are measured on the boot clock; the wall clock is only printed.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds on `CLOCK_BOOTTIME`. May be negative for moments before the last boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct BootTime(pub i64);

/// Nanoseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct WallTime(pub i64);

/// One instant on both clocks, read together at an edge of the system.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default)]
pub struct Moment {
    pub boot: BootTime,
    pub wall: WallTime,
}

impl BootTime {
    /// The time since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This instant moved `by` into the future; saturates.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Moment {
    /// This instant moved `by` into the future on both clocks.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        Self { boot: self.boot.after(by), wall: WallTime(self.wall.0.saturating_add(nanos)) }
    }
}

/// A date and time of day in UTC, as RFC 3339 and the CRI log format print it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    pub year: i64,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub nanosecond: u32,
}

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl WallTime {
    #[must_use]
    pub fn from_unix(seconds: i64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(i64::from(nanos)))
    }

    /// The proleptic Gregorian date in UTC (Howard Hinnant's days-to-civil algorithm).
    #[must_use]
    pub fn civil(self) -> Civil {
        let seconds = self.0.div_euclid(NANOS_PER_SECOND);
        let day_seconds = seconds.rem_euclid(SECONDS_PER_DAY);
        let days = seconds.div_euclid(SECONDS_PER_DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let small = |n: i64| u8::try_from(n).unwrap_or(0);
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: small(month),
            day: small(day_of_year - (153 * shifted_month + 2) / 5 + 1),
            hour: small(day_seconds / 3_600),
            minute: small(day_seconds / 60 % 60),
            second: small(day_seconds % 60),
            nanosecond: u32::try_from(self.0.rem_euclid(NANOS_PER_SECOND)).unwrap_or(0),
        }
    }

    /// Reads RFC 3339 with any number of fractional digits (those past nanoseconds are dropped) and any
    /// offset. `None` for anything else.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let (time, rest) = rest.split_at_checked(9)?;
        let separators = [date[4], date[7], time[0], time[3], time[6]];
        if separators != *b"--T::" && separators != *b"--t::" {
            return None;
        }
        let days = days_from_civil(digits(&date[0..4])?, digits(&date[5..7])?, digits(&date[8..10])?)?;
        let (hour, minute, second) = (digits(&time[1..3])?, digits(&time[4..6])?, digits(&time[7..9])?);
        // 60 is a leap second.
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (nanos, rest) = fraction(rest)?;
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset_seconds(rest)?;
        Some(Self::from_unix(seconds, nanos))
    }

    /// `2006-01-02T15:04:05Z`, the form of `metav1.Time`.
    #[must_use]
    pub fn rfc3339_seconds(self) -> String {
        let c = self.civil();
        format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
    }
}

/// The value of at most nine ASCII digits.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, &byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// `.123` and what follows it; no fraction is zero.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let Some(tail) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let kept = digits(&tail[..length.min(9)])?;
    let scale = 10_i64.pow(u32::try_from(9 - length.min(9)).ok()?);
    (length > 0).then_some((u32::try_from(kept * scale).ok()?, &tail[length..]))
}

/// `Z` or `+hh:mm`.
fn offset_seconds(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let seconds = digits(&[*h1, *h2])? * 3_600 + digits(&[*m1, *m2])? * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// Days since the epoch of a proleptic Gregorian date (Howard Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

impl fmt::Display for WallTime {
    /// `2006-01-02T15:04:05.123456Z`, the form of `metav1.MicroTime`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            c.year,
            c.month,
            c.day,
            c.hour,
            c.minute,
            c.second,
            c.nanosecond / 1_000
        )
    }
}

impl fmt::Debug for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for BootTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot+{}.{:09}s", self.0.div_euclid(NANOS_PER_SECOND), self.0.rem_euclid(NANOS_PER_SECOND))
    }
}

/// A duration as Go prints it, to the millisecond: `340ms`, `1.2s`, `1m20s`, `1h0m5.25s`.
#[must_use]
pub fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let (seconds, thousandths) = (millis / 1_000 % 60, millis % 1_000);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if hours > 0 || minutes > 0 {
        text.push_str(&format!("{minutes}m"));
    }
    text.push_str(&seconds.to_string());
    if thousandths > 0 {
        text.push('.');
        text.push_str(format!("{thousandths:03}").trim_end_matches('0'));
    }
    text.push('s');
    text
}

/// A duration as Go reads it, without a sign: `340ms`, `1m20s`, `1.5h`. `None` when it is none.
#[must_use]
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() || text.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit_on) = rest.split_at(number_end);
        let unit_end = unit_on.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit_on.len());
        let (unit, next) = unit_on.split_at(unit_end);
        let unit_s = match unit {
            "ns" => 1e-9,
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit_s;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// An age as kubectl prints it, with two figures of precision that fall with age: `45s`, `5m30s`, `47h`, `3d`.
#[must_use]
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let pair = |whole: u64, unit: char, rest: u64, rest_unit: char| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{rest_unit}") }
    };
    match hours {
        0 if seconds < 120 => format!("{seconds}s"),
        0 if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        0..3 => format!("{minutes}m"),
        3..8 => pair(hours, 'h', minutes % 60, 'm'),
        8..48 => format!("{hours}h"),
        48..192 => pair(days, 'd', hours % 24, 'h'),
        _ if days < 2 * 365 => format!("{days}d"),
        _ if years < 8 => pair(years, 'y', days % 365, 'd'),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{WallTime, go_duration, parse_go_duration};

    #[test]
    fn civil_dates_match_known_instants() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_475_712_009, "2016-10-06T00:00:09Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(WallTime::from_unix(seconds, 0).rfc3339_seconds(), text);
        }
    }

    #[test]
    fn durations_are_as_go_prints_them() {
        for (millis, text) in [
            (0, "0s"),
            (340, "340ms"),
            (1_200, "1.2s"),
            (10_000, "10s"),
            (59_000, "59s"),
            (60_000, "1m0s"),
            (80_000, "1m20s"),
            (160_000, "2m40s"),
            (300_000, "5m0s"),
            (3_605_250, "1h0m5.25s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
            assert_eq!(parse_go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_of_go_is_none() {
        for wrong in ["", "5", "s", "1d", "1 s", "-1s", "..s", "1..5s", "1e9h", "99999999999999999999999h"] {
            assert_eq!(parse_go_duration(wrong), None, "{wrong}");
        }
    }
}
