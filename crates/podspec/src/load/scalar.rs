//! What a plain scalar means in YAML 1.1, as the YAML library under kubectl reads it
//! (go.yaml.in/yaml/v2, through sigs.k8s.io/yaml).

use serde_json::Number;

use super::node::Content;

/// The meaning of an untagged plain scalar. The error is why JSON cannot hold it.
pub(super) fn plain(text: &str) -> Result<Content, String> {
    if let Some(word) = word(text) {
        return Ok(word);
    }
    if matches!(text.trim_start_matches(['+', '-']), ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Err(format!("{text} has no place in a manifest"));
    }
    let Some(first) = text.bytes().next() else { return Ok(Content::Null) };
    let number = match first {
        b'.' => float(text),
        b'+' | b'-' | b'0'..=b'9' => integer(text).or_else(|| float(&text.replace('_', ""))),
        _ => None,
    };
    Ok(number.map_or_else(|| Content::Text(text.to_owned()), Content::Number))
}

/// The meaning of a scalar tagged `!!name`. The error is what is wrong.
pub(super) fn tagged(name: &str, text: String) -> Result<Content, String> {
    let meant = match name {
        "str" => return Ok(Content::Text(text)),
        "bool" | "null" | "int" | "float" => plain(&text)?,
        _ => return Err(format!("tag !!{name} has no place in a manifest")),
    };
    let fits = match (&meant, name) {
        (Content::Flag(_), "bool") | (Content::Null, "null") | (Content::Number(_), "float") => true,
        (Content::Number(number), "int") => !number.is_f64(),
        _ => false,
    };
    if fits { Ok(meant) } else { Err(format!("{text} is no !!{name}")) }
}

/// What a key of a mapping is as a string.
pub(super) fn key(content: Content) -> Option<String> {
    match content {
        Content::Text(text) => Some(text),
        Content::Flag(flag) => Some(flag.to_string()),
        Content::Number(number) => Some(number.to_string()),
        Content::Null | Content::List(_) | Content::Map(_) => None,
    }
}

fn word(text: &str) -> Option<Content> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Content::Flag(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Content::Flag(false)
        }
        "~" | "null" | "Null" | "NULL" => Content::Null,
        _ => return None,
    })
}

/// Decimal, `0x`, `0b`, `0o` or, with a leading zero alone, octal; underscores between digits are
/// skipped.
fn integer(text: &str) -> Option<Number> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text.as_str()),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let number = if negative { -magnitude } else { magnitude };
    i64::try_from(number).map(Number::from).or_else(|_| u64::try_from(number).map(Number::from)).ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`; one without a fraction is an integer in
/// JSON.
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    if exponent.is_some_and(|e| e.is_empty() || !digits(e)) {
        return None;
    }
    let value = text.parse::<f64>().ok().filter(|v| v.is_finite())?;
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use super::super::node::Content;
    use super::plain;

    fn json(text: &str) -> String {
        match plain(text) {
            Ok(Content::Null) => "null".to_owned(),
            Ok(Content::Flag(flag)) => flag.to_string(),
            Ok(Content::Number(number)) => number.to_string(),
            Ok(Content::Text(text)) => format!("{text:?}"),
            Ok(other) => format!("{other:?}"),
            Err(error) => error,
        }
    }

    #[test]
    fn plain_scalars_mean_what_they_mean_to_kubectl() {
        for (text, meaning) in [
            ("", "null"),
            ("~", "null"),
            ("nULL", "\"nULL\""),
            ("yes", "true"),
            ("On", "true"),
            ("y", "true"),
            ("N", "false"),
            ("off", "false"),
            ("oFF", "\"oFF\""),
            ("0", "0"),
            ("12", "12"),
            ("+12", "12"),
            ("-0x1F", "-31"),
            ("0644", "420"),
            ("0o644", "420"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("08", "8.0"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "1.8446744073709552e+19"),
            ("1.5", "1.5"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("6.02e23", "6.02e+23"),
            ("1e3", "1000.0"),
            ("1:30", "\"1:30\""),
            ("190:20:30", "\"190:20:30\""),
            ("1.2.3", "\"1.2.3\""),
            ("1e", "\"1e\""),
            ("0x", "\"0x\""),
            ("0xg", "\"0xg\""),
            ("--1", "\"--1\""),
            ("+-1", "\"+-1\""),
            ("-", "\"-\""),
            (".", "\".\""),
            ("100m", "\"100m\""),
            ("64Mi", "\"64Mi\""),
            ("2001-01-01", "\"2001-01-01\""),
            ("inf", "\"inf\""),
            (".inf", ".inf has no place in a manifest"),
            ("-.INF", "-.INF has no place in a manifest"),
        ] {
            assert_eq!(json(text), meaning, "{text}");
        }
    }
}
