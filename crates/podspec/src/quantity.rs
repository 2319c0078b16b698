//! Resource quantities: `100m`, `1.5`, `64Mi`, `2e3`
//! (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).

use std::cmp::Ordering;
use std::fmt;

/// A number with at most nine decimal places; finer ones are rounded away from zero, and anything
/// beyond 2^63-1 is that. Remembers which kind of suffix it was written with.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// Billionths, at most `NANOS_MAX` in magnitude.
    nanos: i128,
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    /// `k`, `M`, `m`: powers of 1000.
    DecimalSi,
    /// `Ki`, `Mi`: powers of 1024.
    BinarySi,
    /// `e3`.
    DecimalExponent,
}

/// The messages are Kubernetes' own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QuantityError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse numeric part of quantity")]
    Number,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const NANOS: i128 = 1_000_000_000;
const NANOS_MAX: i128 = i64::MAX as i128 * NANOS;

/// Decimal places kept of what is multiplied by a power of 1024; the rest is rounded up.
const BINARY_DECIMALS_MAX: usize = 18;

impl Quantity {
    /// # Errors
    /// The text is no quantity.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_end);
        if !number.contains(|c: char| c.is_ascii_digit()) || !is_suffix(suffix) {
            return Err(QuantityError::Format);
        }
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') {
            return Err(QuantityError::Number);
        }
        let (scale, format) = interpret(suffix).ok_or(QuantityError::Suffix)?;
        let magnitude = match scale {
            Scale::Ten(exponent) => decimal(whole, fraction, exponent),
            Scale::Two(exponent) => binary(whole, fraction, exponent),
        };
        let nanos = magnitude.min(NANOS_MAX);
        Ok(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// The value in whole units (bytes), rounded up; negative values are 0.
    #[must_use]
    pub fn to_units(self) -> u64 {
        self.divided(NANOS)
    }

    /// The value in thousandths (millicores), rounded up and capped; negative values are 0.
    #[must_use]
    pub fn to_milli(self) -> u64 {
        self.divided(NANOS / 1_000)
    }

    /// Whole units, without a suffix of its own.
    #[must_use]
    pub fn from_units(units: u64) -> Self {
        Self { nanos: (i128::from(units) * NANOS).min(NANOS_MAX), format: Format::DecimalSi }
    }

    /// Whole units, with a suffix that is a power of 1024.
    #[must_use]
    pub fn from_bytes(bytes: u64) -> Self {
        Self { format: Format::BinarySi, ..Self::from_units(bytes) }
    }

    /// The sum in the form of the first that is not zero; never beyond what a quantity holds.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: (self.nanos + other.nanos).clamp(-NANOS_MAX, NANOS_MAX), format }
    }

    /// The difference, which may be negative.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { nanos: (self.nanos - other.nanos).clamp(-NANOS_MAX, NANOS_MAX), format: self.format }
    }

    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it has no part smaller than one.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.nanos % NANOS == 0
    }

    fn divided(self, by: i128) -> u64 {
        let rounded_up = (self.nanos.max(0) + by - 1) / by;
        u64::try_from(rounded_up).unwrap_or(u64::MAX)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that needs none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let small = self.nanos.abs() < 1024 * NANOS;
        if self.format == Format::BinarySi && self.is_whole() && !small {
            let (number, times) = without_factors(self.nanos / NANOS, 1024);
            return write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][times.min(6)]);
        }
        if self.is_zero() {
            return f.write_str("0");
        }
        let (number, times) = without_factors(self.nanos, 1000);
        match self.format {
            Format::DecimalExponent if times == 3 => write!(f, "{number}"),
            Format::DecimalExponent => write!(f, "{number}e{}", 3 * i64::try_from(times).unwrap_or(0) - 9),
            _ => write!(f, "{number}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][times.min(9)]),
        }
    }
}

enum Scale {
    Ten(i64),
    Two(u32),
}

/// `[eEinumkKMGTP]*[-+]?[0-9]*`
fn is_suffix(suffix: &str) -> bool {
    let rest = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    rest.bytes().all(|b| b.is_ascii_digit())
}

fn interpret(suffix: &str) -> Option<(Scale, Format)> {
    let decimal = |exponent| Some((Scale::Ten(exponent), Format::DecimalSi));
    let binary = |exponent| Some((Scale::Two(exponent), Format::BinarySi));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i64>().ok()?;
            Some((Scale::Ten(exponent), Format::DecimalExponent))
        }
    }
}

/// `whole.fraction * 10^exponent` in billionths, rounded up; at least `NANOS_MAX` when it is larger.
fn decimal(whole: &str, fraction: &str, exponent: i64) -> i128 {
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    // How many of the digits are billionths or more; the rest is rounded up.
    let kept = length(digits).saturating_sub(length(fraction)).saturating_add(exponent).saturating_add(9);
    // NANOS_MAX has 28 digits.
    if kept > 28 {
        return NANOS_MAX;
    }
    let kept = usize::try_from(kept).unwrap_or(0);
    let (head, tail) = digits.split_at(kept.min(digits.len()));
    let zeros = u32::try_from(kept - head.len()).unwrap_or(0);
    let number = head.parse::<i128>().unwrap_or(0) * 10_i128.pow(zeros);
    number + i128::from(tail.contains(|c| c != '0'))
}

/// `whole.fraction * 2^exponent` in billionths, rounded up; at least `NANOS_MAX` when it is larger.
fn binary(whole: &str, fraction: &str, exponent: u32) -> i128 {
    let whole = whole.trim_start_matches('0');
    if whole.len() > 19 {
        return NANOS_MAX;
    }
    let units = whole.parse::<i128>().unwrap_or(0) << exponent;
    let (head, tail) = fraction.split_at(fraction.len().min(BINARY_DECIMALS_MAX));
    let head = format!("{head:0<BINARY_DECIMALS_MAX$}");
    let part = head.parse::<i128>().unwrap_or(0) + i128::from(tail.contains(|c| c != '0'));
    // In billionths of a billionth, of which 10^9 make one billionth.
    let part = (part << exponent).div_euclid(NANOS) + i128::from((part << exponent).rem_euclid(NANOS) != 0);
    units.min(NANOS_MAX / NANOS) * NANOS + part
}

/// `number` without its factors `factor`, and how many there were.
fn without_factors(mut number: i128, factor: i128) -> (i128, usize) {
    let mut times = 0;
    while number != 0 && number % factor == 0 {
        number /= factor;
        times += 1;
    }
    (number, times)
}

#[cfg(test)]
mod tests {
    use super::{Quantity, QuantityError};

    #[test]
    fn parses_every_form() {
        for (text, milli, units, canonical) in [
            ("0", 0, 0, "0"),
            ("1", 1_000, 1, "1"),
            ("+1", 1_000, 1, "1"),
            ("100m", 100, 1, "100m"),
            ("0.1", 100, 1, "100m"),
            ("1.5", 1_500, 2, "1500m"),
            ("0.5m", 1, 1, "500u"),
            ("1n", 1, 1, "1n"),
            ("0.1n", 1, 1, "1n"),
            ("1u", 1, 1, "1u"),
            ("1k", 1_000_000, 1_000, "1k"),
            ("1000", 1_000_000, 1_000, "1k"),
            ("64Mi", 67_108_864_000, 67_108_864, "64Mi"),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736, "1536Mi"),
            ("0.5Ki", 512_000, 512, "512"),
            ("2048Ki", 2_097_152_000, 2_097_152, "2Mi"),
            ("1.1Ki", 1_126_400, 1_127, "1126400m"),
            ("2e3", 2_000_000, 2_000, "2e3"),
            ("2E3", 2_000_000, 2_000, "2e3"),
            ("12e-3", 12, 1, "12e-3"),
            ("1.", 1_000, 1, "1"),
            (".5", 500, 1, "500m"),
            ("007", 7_000, 7, "7"),
            ("1e-400", 1, 1, "1e-9"),
        ] {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!(
                (quantity.to_milli(), quantity.to_units(), quantity.to_string().as_str()),
                (milli, units, canonical),
                "{text}"
            );
        }
    }

    #[test]
    fn large_values_are_capped() {
        let max = u64::try_from(i64::MAX).unwrap();
        let long = "9".repeat(5_000);
        for text in ["8Ei", "9999Ei", "9223372036854775807", "1e30", "1e9223372036854775807", "100E", &long] {
            assert_eq!(Quantity::parse(text).unwrap().to_units(), max, "{text}");
        }
        assert_eq!(Quantity::parse("7Ei").unwrap().to_units(), 7 << 60);
        assert_eq!(Quantity::parse("9E").unwrap().to_milli(), u64::MAX);
        assert_eq!(Quantity::parse(&format!("0.{long}Ei")).unwrap().to_units(), 1 << 60);
        assert!(Quantity::parse("-1").unwrap().is_negative());
        assert_eq!(Quantity::parse("-1").unwrap().to_units(), 0);
    }

    #[test]
    fn sums_keep_the_form_of_what_counts() {
        let quantity = |text| Quantity::parse(text).unwrap();
        for (a, b, sum, difference) in [
            ("0", "64Mi", "64Mi", "-67108864"),
            ("64Mi", "64Mi", "128Mi", "0"),
            ("1", "250m", "1250m", "750m"),
            ("9223372036854775807", "1k", "9223372036854775807", "9223372036854774807"),
        ] {
            let (a, b) = (quantity(a), quantity(b));
            assert_eq!(
                (a.plus(b).to_string(), a.minus(b).to_string()),
                (sum.to_owned(), difference.to_owned())
            );
        }
        assert_eq!(Quantity::from_units(2_000).to_string(), "2k");
    }

    #[test]
    fn refuses_the_rest_with_the_known_words() {
        for (text, error) in [
            ("", QuantityError::Format),
            (".", QuantityError::Format),
            ("-", QuantityError::Format),
            ("1 Mi", QuantityError::Format),
            ("1MB", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1,5", QuantityError::Format),
            ("1.2.3", QuantityError::Number),
            ("1mi", QuantityError::Suffix),
            ("1K", QuantityError::Suffix),
            ("1e", QuantityError::Suffix),
            ("1M5", QuantityError::Suffix),
        ] {
            assert_eq!(Quantity::parse(text).unwrap_err(), error, "{text}");
        }
    }
}
