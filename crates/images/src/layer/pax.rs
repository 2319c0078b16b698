//! Extended headers of POSIX pax: `LENGTH KEYWORD=VALUE\n`
//! (<https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html>).

/// The records of one extended header, in order. A value may hold any byte. `None` stands for what is
/// no record, and is the last item then.
pub(super) fn records(mut data: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let Some((keyword, value, rest)) = record(data) else {
            data = &[];
            return Some(None);
        };
        data = rest;
        Some(Some((keyword, value)))
    })
}

fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().position(|&byte| byte == b' ')?;
    let length: usize = decimal(&data[..space])?.try_into().ok()?;
    let body = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    (equals > 0).then(|| (&body[..equals], &body[equals + 1..], &data[length..]))
}

/// Digits and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Seconds and nanoseconds of `[-]SECONDS[.FRACTION]`; further digits are dropped.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (is_negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let point = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    let seconds = i64::try_from(decimal(&text[..point])?).ok()?;
    let fraction = text.get(point + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanoseconds = digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    match (is_negative, nanoseconds) {
        (false, _) => Some((seconds, nanoseconds)),
        (true, 0) => Some((-seconds, 0)),
        // What is added to the whole seconds is never negative.
        (true, _) => Some((-seconds - 1, 1_000_000_000 - nanoseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::{records, time};

    #[test]
    fn values_hold_any_byte() {
        let data = b"9 path=a\n18 SCHILY.x=\n\0=\n \n10 path=\xff\n";
        let found: Vec<_> = records(data).collect();
        let expected: [Option<(&[u8], &[u8])>; 3] =
            [Some((b"path", b"a")), Some((b"SCHILY.x", b"\n\0=\n ")), Some((b"path", b"\xff"))];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_record_ends_them() {
        for data in [
            &b"x"[..],
            b"9 path=a",
            b"8 path=a\n",
            b"99 path=a\n",
            b" path=a\n",
            b"-9 path=a\n",
            b"5 =a\n",
            b"4 a\n",
            b"0 a=\n",
            b"1 ",
            b"99999999999999999999 path=a\n",
        ] {
            assert_eq!(records(data).collect::<Vec<_>>(), [None], "{data:?}");
        }
    }

    #[test]
    fn times() {
        for (text, expected) in [
            (&b"0"[..], Some((0, 0))),
            (b"1350244992.023960108", Some((1_350_244_992, 23_960_108))),
            (b"1.5", Some((1, 500_000_000))),
            (b"1.", Some((1, 0))),
            (b"1.0000000019", Some((1, 1))),
            (b"-1", Some((-1, 0))),
            (b"-1.25", Some((-2, 750_000_000))),
            (b"-0.5", Some((-1, 500_000_000))),
            (b"", None),
            (b"-", None),
            (b".5", None),
            (b"1.x", None),
            (b"1e9", None),
            (b"99999999999999999999", None),
        ] {
            assert_eq!(time(text), expected, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
