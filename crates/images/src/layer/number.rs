//! Numbers in tar headers: octal text, or binary with the first bit set.

/// `None` when the field holds no number, or one that 64 bits do not hold.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => binary(*first, field.get(1..)?),
        _ => octal(field),
    }
}

/// Two's complement, of which the very first bit is only the mark of the format.
fn binary(first: u8, rest: &[u8]) -> Option<i64> {
    let sign = if first & 0x40 == 0 { 0 } else { -1_i128 };
    // The longest field has 12 bytes.
    let value = rest.iter().fold(sign << 6 | i128::from(first & 0x3f), |v, byte| v << 8 | i128::from(*byte));
    value.try_into().ok()
}

/// Padded with spaces or NULs on either side. An empty field is zero.
fn octal(field: &[u8]) -> Option<i64> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_padding(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let digits = &digits[..digits.iter().position(is_padding).unwrap_or(digits.len())];
    digits.iter().try_fold(0_i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn octal_and_binary_fields() {
        let negative = [0xff; 12];
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"", Some(0)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"12 34\0", Some(0o12)),
            (b"0000008\0", None),
            (b"-000001\0", None),
            (b"\x80\0\0\0\0\0\0\x01\0\0\0\0", Some(1 << 32)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\x05", None),
            (b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (&negative, Some(-1)),
        ] {
            assert_eq!(number(field), expected, "{field:x?}");
        }
    }
}
