//! Timestamps with nine digits of nanoseconds, in UTC: of fixed width, so that they sort as text.

use podspec::WallTime;

/// The length of a written timestamp.
pub const TIMESTAMP_BYTES: usize = 30;

/// A formatted instant. Made once for all records of one read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp(pub(crate) [u8; TIMESTAMP_BYTES]);

impl Timestamp {
    /// Years outside 0..=9999 have no form of this width and are clamped.
    #[must_use]
    pub fn new(at: WallTime) -> Self {
        let c = at.civil();
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        let year = u32::try_from(c.year.clamp(0, 9_999)).unwrap_or(0);
        write_digits(&mut text[0..4], year);
        write_digits(&mut text[5..7], u32::from(c.month));
        write_digits(&mut text[8..10], u32::from(c.day));
        write_digits(&mut text[11..13], u32::from(c.hour));
        write_digits(&mut text[14..16], u32::from(c.minute));
        write_digits(&mut text[17..19], u32::from(c.second));
        write_digits(&mut text[20..29], c.nanosecond);
        Self(text)
    }

    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; TIMESTAMP_BYTES] {
        &self.0
    }
}

/// Reads RFC 3339 with any number of fractional digits (those past nanoseconds are dropped) and any
/// offset. `None` for anything else.
#[must_use]
pub fn parse_timestamp(text: &[u8]) -> Option<WallTime> {
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
    Some(WallTime::from_unix(seconds, nanos))
}

fn write_digits(target: &mut [u8], mut value: u32) {
    for digit in target.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
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

#[cfg(test)]
mod tests {
    use podspec::WallTime;

    use super::{Timestamp, parse_timestamp};

    #[test]
    fn has_nine_digits_of_nanoseconds() {
        for (seconds, nanos, text) in [
            (1_475_713_029, 669_794_202, "2016-10-06T00:17:09.669794202Z"),
            (0, 0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, 5, "2000-02-29T00:00:00.000000005Z"),
        ] {
            let at = WallTime::from_unix(seconds, nanos);
            assert_eq!(Timestamp::new(at).as_bytes(), text.as_bytes());
            assert_eq!(parse_timestamp(text.as_bytes()), Some(at), "{text}");
        }
    }

    #[test]
    fn every_instant_survives_the_round_trip() {
        let mut seconds: i64 = -62_000_000_000;
        while seconds < 250_000_000_000 {
            let at = WallTime::from_unix(seconds.clamp(-9_000_000_000, 9_000_000_000), 123_456_789);
            assert_eq!(parse_timestamp(Timestamp::new(at).as_bytes()), Some(at));
            seconds += 1_234_567_891;
        }
    }

    #[test]
    fn reads_other_writers_forms() {
        let at = |nanos| Some(WallTime::from_unix(1_475_713_029, nanos));
        for (text, expected) in [
            ("2016-10-06T00:17:09Z", at(0)),
            ("2016-10-06T00:17:09.5Z", at(500_000_000)),
            ("2016-10-06T02:17:09.25+02:00", at(250_000_000)),
            ("2016-10-05T18:47:09.669794202-05:30", at(669_794_202)),
            ("2016-10-06T00:17:09.6697942021234Z", at(669_794_202)),
            ("2016-10-06 00:17:09Z", None),
            ("2016-10-06T00:17:09", None),
            ("2016-10-06T00:17:09.Z", None),
            ("2016-13-06T00:17:09Z", None),
            ("2016-10-06T24:17:09Z", None),
            ("", None),
        ] {
            assert_eq!(parse_timestamp(text.as_bytes()), expected, "{text}");
        }
    }
}
