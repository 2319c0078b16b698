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

/// [`WallTime::parse`] of the form that log lines have.
#[must_use]
pub fn parse_timestamp(text: &[u8]) -> Option<WallTime> {
    WallTime::parse(text)
}

fn write_digits(target: &mut [u8], mut value: u32) {
    for digit in target.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
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
