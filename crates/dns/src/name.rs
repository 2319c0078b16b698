//! Domain names, as they stand in messages.

use std::fmt;

/// Of a name in a message, with the root's empty label (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;
/// What a compressed name may jump: more is a circle.
const JUMPS_MAX: usize = 64;

/// A domain name in lower case: labels with their lengths, and the root's at the end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(Box<[u8]>);

impl Name {
    /// From text, with or without the last dot. `None`: it is no name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let labels = text.split('.').filter(|_| !text.is_empty());
        Self::of(labels.map(str::as_bytes))
    }

    /// `None`: a label is empty or too long, or all of them are.
    pub(crate) fn of<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut bytes = Vec::with_capacity(64);
        for label in labels {
            if label.is_empty() || label.len() > LABEL_BYTES_MAX {
                return None;
            }
            bytes.push(u8::try_from(label.len()).ok()?);
            bytes.extend(label.iter().map(u8::to_ascii_lowercase));
        }
        bytes.push(0);
        (bytes.len() <= NAME_BYTES_MAX).then(|| Self(bytes.into()))
    }

    /// `label` before this name.
    pub(crate) fn under(&self, label: &str) -> Option<Self> {
        Self::of(std::iter::once(label.as_bytes()).chain(self.labels()))
    }

    /// The first comes first; the root's is left out.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first().filter(|(length, _)| **length != 0)?;
            let (label, after) = after.split_at_checked(usize::from(length))?;
            rest = after;
            Some(label)
        })
    }

    /// As it is written into a message, without compression.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The name that starts at `offset` of a message, and where what follows it starts.
    pub(crate) fn read(message: &[u8], offset: usize) -> Option<(Self, usize)> {
        let mut bytes = Vec::with_capacity(64);
        let (mut at, mut end, mut jumps) = (offset, None, 0);
        loop {
            let length = usize::from(*message.get(at)?);
            match length {
                0 => break,
                1..=LABEL_BYTES_MAX => {
                    let label = message.get(at..=at + length)?;
                    bytes.extend(label.iter().map(u8::to_ascii_lowercase));
                    at += 1 + length;
                }
                0xC0.. => {
                    let low = usize::from(*message.get(at + 1)?);
                    end.get_or_insert(at + 2);
                    at = (length & 0x3F) << 8 | low;
                    jumps += 1;
                }
                _ => return None,
            }
            if bytes.len() >= NAME_BYTES_MAX || jumps > JUMPS_MAX {
                return None;
            }
        }
        bytes.push(0);
        Some((Self(bytes.into()), end.unwrap_or(at + 1)))
    }

    /// Where what follows the name at `offset` starts.
    pub(crate) fn skip(message: &[u8], offset: usize) -> Option<usize> {
        let mut at = offset;
        loop {
            let length = usize::from(*message.get(at)?);
            match length {
                0 => return Some(at + 1),
                1..=LABEL_BYTES_MAX => at += 1 + length,
                0xC0.. => return message.get(at + 1).map(|_| at + 2),
                _ => return None,
            }
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, label) in self.labels().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(f, "{dot}{}", label.escape_ascii())?;
        }
        if self.0.len() == 1 { f.write_str(".") } else { Ok(()) }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn names_are_read_and_shown() {
        for (text, shown) in [
            ("Kubernetes.Default", Some("kubernetes.default")),
            ("db.prod.svc.cluster.local.", Some("db.prod.svc.cluster.local")),
            (".", Some(".")),
            ("", Some(".")),
            ("a..b", None),
            (".a", None),
        ] {
            assert_eq!(Name::parse(text).map(|name| name.to_string()).as_deref(), shown, "{text}");
        }
        let long = ["x".repeat(63).as_str(); 4].join(".");
        assert_eq!(Name::parse(&long), None, "256 bytes");
        assert!(Name::parse(&long[2..]).is_some());
        assert_eq!(Name::parse(&"x".repeat(64)), None);
    }

    #[test]
    fn compressed_names_end_where_they_end() {
        //             0              5  7             11
        let message = b"\x03Foo\x00\xAA\x01b\xC0\x00\xBB";
        let (name, end) = Name::read(message, 6).unwrap();
        assert_eq!((name.to_string().as_str(), end), ("b.foo", 10));
        assert_eq!(Name::skip(message, 6), Some(10));
        let circle = b"\x01a\xC0\x00";
        assert_eq!(Name::read(circle, 0), None);
        assert_eq!(Name::read(b"\x05ab", 0), None);
        assert_eq!(Name::read(b"\x80ab\x00", 0), None);
    }
}
