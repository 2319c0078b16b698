//! RFC 3339 times, as Go reads them.

use podspec::WallTime;
use podspec::time::Civil;

/// What Go's layout calls the whole form, and its parts in their order.
const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";

/// Where the years 0 and 10000 begin.
const YEAR_0: i64 = -62_167_219_200;
const YEAR_10000: i64 = 253_402_300_800;

/// Seconds of 400 years.
const CYCLE: i64 = 146_097 * 86_400;

/// An instant within the years 0 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Instant {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl Instant {
    /// # Errors
    /// The text is no such time; says where, as Go does.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = Rest { text, left: text };
        let year = rest.digits(4, "2006")?;
        rest.literal('-', "-")?;
        let month = rest.digits(2, "01")?;
        rest.literal('-', "-")?;
        let day = rest.digits(2, "02")?;
        rest.literal('T', "T")?;
        let hour = rest.digits(2, "15")?;
        rest.literal(':', ":")?;
        let minute = rest.digits(2, "04")?;
        rest.literal(':', ":")?;
        let second = rest.digits(2, "05")?;
        let nanos = rest.fraction();
        let offset = rest.zone()?;
        if !rest.left.is_empty() {
            return Err(format!("parsing time {:?}: extra text: {:?}", text, rest.left));
        }
        for (name, ok) in [
            ("month", (1..=12).contains(&month)),
            ("day", day >= 1 && day <= days_of(year, month)),
            ("hour", hour < 24),
            ("minute", minute < 60),
            ("second", second < 60),
        ] {
            if !ok {
                return Err(format!("parsing time {text:?}: {name} out of range"));
            }
        }
        let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
        Ok(Self { seconds, nanos })
    }

    /// `2006-01-02T15:04:05Z`, or with microseconds; `None` outside of the years 0 to 9999.
    pub(crate) fn to_text(self, micro: bool) -> Option<String> {
        if !(YEAR_0..YEAR_10000).contains(&self.seconds) {
            return None;
        }
        // A wall time reaches from 1677 to 2262, and the calendar repeats every 400 years.
        let cycles = (self.seconds + CYCLE / 2).div_euclid(CYCLE);
        let mut civil = WallTime::from_unix(self.seconds - cycles * CYCLE, self.nanos).civil();
        civil.year += cycles * 400;
        let Civil { year, month, day, hour, minute, second, nanosecond } = civil;
        let fraction = if micro { format!(".{:06}", nanosecond / 1_000) } else { String::new() };
        Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
    }
}

/// What is left of a text.
struct Rest<'a> {
    text: &'a str,
    left: &'a str,
}

impl Rest<'_> {
    fn cannot(&self, part: &str) -> String {
        format!("parsing time {:?} as {LAYOUT:?}: cannot parse {:?} as {part:?}", self.text, self.left)
    }

    fn digits(&mut self, count: usize, part: &str) -> Result<i64, String> {
        let head = self.left.get(..count).filter(|head| head.bytes().all(|b| b.is_ascii_digit()));
        let number = head.and_then(|head| head.parse().ok()).ok_or_else(|| self.cannot(part))?;
        self.left = &self.left[count..];
        Ok(number)
    }

    fn literal(&mut self, literal: char, part: &str) -> Result<(), String> {
        self.left = self.left.strip_prefix(literal).ok_or_else(|| self.cannot(part))?;
        Ok(())
    }

    /// Nanoseconds; finer digits are dropped.
    fn fraction(&mut self) -> u32 {
        let Some(after) = self.left.strip_prefix(['.', ',']) else { return 0 };
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return 0;
        }
        self.left = &after[count..];
        format!("{:0<9}", &after[..count.min(9)]).parse().unwrap_or(0)
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Result<i64, String> {
        if let Some(left) = self.left.strip_prefix('Z') {
            self.left = left;
            return Ok(0);
        }
        let before = self.left;
        let sign = match before.as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.cannot("Z07:00")),
        };
        self.left = &before[1..];
        let mut parse = || {
            let hours = self.digits(2, "")?;
            self.literal(':', "")?;
            Ok::<i64, String>(sign * (hours * 3_600 + self.digits(2, "")? * 60))
        };
        match parse() {
            Ok(offset) if offset.abs() < 86_400 => Ok(offset),
            _ => {
                self.left = before;
                Err(self.cannot("Z07:00"))
            }
        }
    }
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since the epoch (Howard Hinnant's days-from-civil algorithm).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::Instant;

    #[test]
    fn reads_and_prints() {
        for (text, seconds, micros) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
            ("2024-02-29T23:59:59.123456789Z", "2024-02-29T23:59:59Z", "2024-02-29T23:59:59.123456Z"),
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z", "2025-12-31T23:30:00.000000Z"),
            ("2026-01-01T00:30:00.5-00:30", "2026-01-01T01:00:00Z", "2026-01-01T01:00:00.500000Z"),
        ] {
            let instant = Instant::parse(text).unwrap();
            assert_eq!(instant.to_text(false).unwrap(), seconds);
            assert_eq!(instant.to_text(true).unwrap(), micros);
        }
        for text in
            ["0000-01-01T00:00:00Z", "1600-02-29T00:00:00Z", "2400-02-29T12:00:00Z", "9999-12-31T23:59:59Z"]
        {
            assert_eq!(Instant::parse(text).unwrap().to_text(false).as_deref(), Some(text));
        }
        for seconds in [i64::MIN, i64::MAX, -62_167_219_201, 253_402_300_800] {
            assert_eq!(Instant { seconds, nanos: 0 }.to_text(true), None);
        }
    }

    #[test]
    fn says_what_is_no_time() {
        let layout = "\"2006-01-02T15:04:05Z07:00\"";
        for (text, expected) in [
            ("", format!("parsing time \"\" as {layout}: cannot parse \"\" as \"2006\"")),
            ("2024-01-01", format!("parsing time \"2024-01-01\" as {layout}: cannot parse \"\" as \"T\"")),
            (
                "2024-01-01T00:00:00",
                format!("parsing time \"2024-01-01T00:00:00\" as {layout}: cannot parse \"\" as \"Z07:00\""),
            ),
            ("2024-13-01T00:00:00Z", "parsing time \"2024-13-01T00:00:00Z\": month out of range".to_owned()),
            ("2023-02-29T00:00:00Z", "parsing time \"2023-02-29T00:00:00Z\": day out of range".to_owned()),
            ("2023-02-20T00:00:00Zx", "parsing time \"2023-02-20T00:00:00Zx\": extra text: \"x\"".to_owned()),
        ] {
            assert_eq!(Instant::parse(text).unwrap_err(), expected, "{text}");
        }
        for text in ["20\u{e9}4-01-01T00:00:00Z", "2024-01-01T00:00:00+1:00", "2024-01-01T00:00:00+\u{e9}"] {
            assert!(Instant::parse(text).is_err(), "{text}");
        }
    }
}
