//! Rules for names and numbers, with Kubernetes' wording
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>).
//!
//! Each rule returns what is wrong, one message per reason; nothing when the value is fine.

use std::net::{IpAddr, Ipv4Addr};

const LABEL_BYTES_MAX: usize = 63;
const SUBDOMAIN_BYTES_MAX: usize = 253;
const PORT_NAME_BYTES_MAX: usize = 15;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

#[must_use]
pub fn dns_label(value: &str) -> Vec<String> {
    let mut messages = longer_than(value, LABEL_BYTES_MAX);
    if !is_label(value) {
        messages.push(if is_subdomain(value) { "must not contain dots" } else { LABEL }.to_owned());
    }
    messages
}

#[must_use]
pub fn dns_subdomain(value: &str) -> Vec<String> {
    let mut messages = longer_than(value, SUBDOMAIN_BYTES_MAX);
    if !is_subdomain(value) {
        messages.push(SUBDOMAIN.to_owned());
    }
    messages
}

/// An element of a URL's path.
#[must_use]
pub fn path_segment(value: &str) -> Vec<String> {
    if matches!(value, "." | "..") {
        return vec![format!("may not be '{value}'")];
    }
    path_segment_prefix(value)
}

/// The beginning of an element of a URL's path.
#[must_use]
pub fn path_segment_prefix(value: &str) -> Vec<String> {
    ["/", "%"].iter().filter(|c| value.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// The key of a label or annotation, or the name of a resource: `[prefix/]name`.
#[must_use]
pub fn qualified_name(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    let parts: Vec<&str> = value.split('/').collect();
    let name = match parts[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                messages.push("prefix part must be non-empty".to_owned());
            } else {
                let in_bytes = |m: String| format!("prefix part {}", m.replace("characters", "bytes"));
                let too_long = longer_than(prefix, SUBDOMAIN_BYTES_MAX).into_iter().map(in_bytes);
                messages.extend(too_long);
                messages.extend((!is_subdomain(prefix)).then(|| format!("prefix part {SUBDOMAIN}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid label key {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_BYTES_MAX {
        messages.push(format!("name part must be no more than {LABEL_BYTES_MAX} bytes"));
    }
    if !is_name_part(name) {
        messages.push(format!("name part {NAME_PART}"));
    }
    messages
}

#[must_use]
pub fn label_value(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > LABEL_BYTES_MAX {
        messages.push(format!("must be no more than {LABEL_BYTES_MAX} bytes"));
    }
    if !value.is_empty() && !is_name_part(value) {
        messages.push(LABEL_VALUE.to_owned());
    }
    messages
}

/// Any printable ASCII without `=` (RelaxedEnvironmentVariableValidation, KEP-4369).
#[must_use]
pub fn environment_name(value: &str) -> Vec<String> {
    if value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

/// Where a resolver searches: a DNS subdomain whose labels may have underscores (KEP-4427).
#[must_use]
pub fn search_domain(value: &str) -> Vec<String> {
    let mut messages = longer_than(value, SUBDOMAIN_BYTES_MAX);
    let is_label = |label: &str| {
        let rest = label.strip_prefix('_').unwrap_or(label);
        framed_by(rest, |b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    if !value.split('.').all(is_label) {
        messages.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', \
             and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation \
             is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    messages
}

/// A key of a config map or secret.
#[must_use]
pub fn config_key(value: &str) -> Vec<String> {
    let mut messages = longer_than(value, SUBDOMAIN_BYTES_MAX);
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        messages.push(CONFIG_KEY.to_owned());
    }
    match value {
        "." | ".." => messages.push(format!("must not be '{value}'")),
        _ if value.starts_with("..") => messages.push("must not start with '..'".to_owned()),
        _ => {}
    }
    messages
}

/// Letters, digits and hyphens: fewer than RFC 9110 allows.
#[must_use]
pub fn http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Vec::new();
    }
    vec![
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for \
         validation is '[-A-Za-z0-9]+')"
            .to_owned(),
    ]
}

#[must_use]
pub fn port_name(value: &str) -> Vec<String> {
    let mut messages = longer_than(value, PORT_NAME_BYTES_MAX);
    let mut add = |wrong: bool, message: &str| messages.extend(wrong.then(|| message.to_owned()));
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    add(
        !value.bytes().all(|b| alphanumeric(b) || b == b'-'),
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
    );
    add(!value.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)");
    add(value.contains("--"), "must not contain consecutive hyphens");
    add(value.starts_with('-') || value.ends_with('-'), "must not begin or end with a hyphen");
    messages
}

#[must_use]
pub fn port_number(value: i64) -> Vec<String> {
    in_range(value, 1, 65_535)
}

/// A user or group id.
#[must_use]
pub fn id(value: i64) -> Vec<String> {
    in_range(value, 0, i64::from(i32::MAX))
}

#[must_use]
pub fn in_range(value: i64, min: i64, max: i64) -> Vec<String> {
    if (min..=max).contains(&value) {
        return Vec::new();
    }
    vec![format!("must be between {min} and {max}, inclusive")]
}

/// StrictIPCIDRValidation (KEP-4858), on in 1.36.
#[must_use]
pub fn ip_address(value: &str) -> Vec<String> {
    match value.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => {
            vec!["must not be an IPv4-mapped IPv6 address".to_owned()]
        }
        Ok(_) => Vec::new(),
        Err(_) if has_leading_zeros(value) => vec!["must not have leading 0s".to_owned()],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
    }
}

/// An address in the one form that names have it in.
#[must_use]
pub fn canonical_ip_address(value: &str) -> Vec<String> {
    let mut messages = ip_address(value);
    if let Ok(ip) = value.parse::<IpAddr>()
        && messages.is_empty()
        && ip.to_string() != value
    {
        messages.push(format!("must be in canonical form ({})", crate::field::quote(&ip.to_string())));
    }
    messages
}

/// Where a service may lead: an address that is somebody's, and neither this machine's alone nor a link's.
#[must_use]
pub fn endpoint_address(value: &str) -> Vec<String> {
    let messages = ip_address(value);
    let Ok(ip) = value.parse::<IpAddr>() else { return messages };
    let (link, multicast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    let wrong = [
        (ip.is_unspecified(), format!("may not be unspecified ({value})")),
        (ip.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()),
    ];
    messages.into_iter().chain(wrong.into_iter().filter(|(is, _)| *is).map(|(_, message)| message)).collect()
}

/// A range of addresses, with no bits set behind its prefix (StrictIPCIDRValidation).
#[must_use]
pub fn cidr(value: &str) -> Vec<String> {
    let unreadable = || vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned()];
    let Some((address, prefix)) = value.split_once('/') else { return unreadable() };
    if has_leading_zeros(address) && address.parse::<IpAddr>().is_err() {
        return vec!["must not have leading 0s in IP or prefix length".to_owned()];
    }
    let Ok(address) = address.parse::<IpAddr>() else { return unreadable() };
    let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
    let Some(length) = prefix.parse::<u32>().ok().filter(|length| *length <= bits) else {
        return unreadable();
    };
    if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return vec!["must not have an IPv4-mapped IPv6 address".to_owned()];
    }
    if prefix != length.to_string() {
        return vec!["must not have leading 0s in IP or prefix length".to_owned()];
    }
    let number = match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => v6.into(),
    };
    let behind = 1_u128.checked_shl(bits - length).map_or(u128::MAX, |size| size - 1);
    if number & behind != 0 {
        return vec!["must not have bits set beyond the prefix length".to_owned()];
    }
    Vec::new()
}

fn has_leading_zeros(value: &str) -> bool {
    let octets: Vec<&str> = value.split('.').map(|o| o.trim_start_matches('0')).collect();
    let octets: Vec<&str> = octets.into_iter().map(|o| if o.is_empty() { "0" } else { o }).collect();
    octets.join(".").parse::<Ipv4Addr>().is_ok() && !value.contains("..") && !value.ends_with('.')
}

fn longer_than(value: &str, bytes_max: usize) -> Vec<String> {
    if value.len() <= bytes_max {
        return Vec::new();
    }
    vec![format!("must be no more than {bytes_max} characters")]
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
fn is_label(value: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    framed_by(value, alphanumeric) && value.bytes().all(|b| alphanumeric(b) || b == b'-')
}

fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`
fn is_name_part(value: &str) -> bool {
    framed_by(value, |b| b.is_ascii_alphanumeric())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn framed_by(value: &str, frame: impl Fn(u8) -> bool) -> bool {
    matches!((value.bytes().next(), value.bytes().last()), (Some(first), Some(last)) if frame(first) && frame(last))
}

#[cfg(test)]
mod tests {
    use super::{
        cidr, dns_label, dns_subdomain, endpoint_address, environment_name, ip_address, label_value,
        port_name, qualified_name,
    };

    #[test]
    fn addresses() {
        let valid = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        for (ip, message) in [
            ("127.0.0.1", None),
            ("::1", None),
            ("010.2.3.4", Some("must not have leading 0s")),
            ("0.0.0.0", None),
            ("00.0.0.0", Some("must not have leading 0s")),
            ("::ffff:1.2.3.4", Some("must not be an IPv4-mapped IPv6 address")),
            ("1.2.3", Some(valid)),
            ("1.2.3.", Some(valid)),
            ("", Some(valid)),
            ("host", Some(valid)),
        ] {
            assert_eq!(ip_address(ip).first().map(String::as_str), message, "{ip}");
        }
    }

    #[test]
    fn addresses_of_endpoints() {
        for (ip, message) in [
            ("10.0.0.1", None),
            ("2001:db8::1", None),
            ("0.0.0.0", Some("may not be unspecified (0.0.0.0)")),
            ("127.0.0.1", Some("may not be in the loopback range (127.0.0.0/8, ::1/128)")),
            ("::1", Some("may not be in the loopback range (127.0.0.0/8, ::1/128)")),
            ("169.254.1.1", Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)")),
            ("fe80::1", Some("may not be in the link-local range (169.254.0.0/16, fe80::/10)")),
            ("224.0.0.1", Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")),
            ("ff02::1", Some("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")),
            ("here", Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")),
        ] {
            let found = endpoint_address(ip);
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), message.as_slice(), "{ip}");
        }
    }

    #[test]
    fn ranges() {
        let valid = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        for (range, message) in [
            ("10.0.0.0/8", None),
            ("0.0.0.0/0", None),
            ("1.2.3.4/32", None),
            ("::/0", None),
            ("2001:db8::/64", None),
            ("10.0.0.1/8", Some("must not have bits set beyond the prefix length")),
            ("2001:db8::1/64", Some("must not have bits set beyond the prefix length")),
            ("010.0.0.0/8", Some("must not have leading 0s in IP or prefix length")),
            ("10.0.0.0/08", Some("must not have leading 0s in IP or prefix length")),
            ("::ffff:1.2.3.0/120", Some("must not have an IPv4-mapped IPv6 address")),
            ("10.0.0.0/33", Some(valid)),
            ("10.0.0.0", Some(valid)),
            ("10.0.0.0/", Some(valid)),
            ("x/8", Some(valid)),
            ("", Some(valid)),
        ] {
            assert_eq!(cidr(range).first().map(String::as_str), message, "{range}");
        }
    }

    #[test]
    fn names() {
        assert!(dns_label("a-1").is_empty() && dns_label("0").is_empty());
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert_eq!(dns_label("").len() + dns_label("-a").len() + dns_label("A").len(), 3);
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert!(dns_subdomain("a.b-c.d").is_empty());
        assert_eq!(dns_subdomain("a..b").len() + dns_subdomain("a_b").len(), 2);
        assert!(qualified_name("example.com/My_name.x").is_empty());
        assert_eq!(qualified_name("/x"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("a/").len(), 2);
        assert_eq!(qualified_name("a/b/c").len(), 1);
        assert!(label_value("").is_empty() && label_value("A.b_c-1").is_empty());
        assert_eq!(label_value("-").len() + label_value(&"a".repeat(64)).len(), 2);
        assert!(environment_name("my.env-name 1").is_empty());
        assert_eq!(environment_name("a=b").len() + environment_name("\u{e9}").len(), 2);
        assert!(port_name("http-1").is_empty());
        assert_eq!(port_name("-1--2-").len(), 3);
    }
}
