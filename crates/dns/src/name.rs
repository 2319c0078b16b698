//! Domain names of text. They compare without regard to case.

use hickory_proto::rr::Name;

/// From text, with or without the last dot, in lower case. `None`: it is no name.
pub(crate) fn parse(text: &str) -> Option<Name> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    of(text.split('.').filter(|_| !text.is_empty()).map(str::as_bytes))
}

/// `None`: a label is empty or too long, or all of them are.
pub(crate) fn of<'a>(mut labels: impl Iterator<Item = &'a [u8]>) -> Option<Name> {
    labels.try_fold(Name::root(), |name, label| name.append_label(label).ok())
}

/// `label` before a name.
pub(crate) fn under(name: &Name, label: &str) -> Option<Name> {
    name.prepend_label(label).ok()
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Name;
    use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

    use super::parse;

    #[test]
    fn names_are_read_and_shown() {
        for (text, shown) in [
            ("Kubernetes.Default", Some("kubernetes.default.")),
            ("db.prod.svc.cluster.local.", Some("db.prod.svc.cluster.local.")),
            (".", Some(".")),
            ("", Some(".")),
            ("a..b", None),
            (".a", None),
        ] {
            assert_eq!(parse(text).map(|name| name.to_ascii()).as_deref(), shown, "{text}");
        }
        let long = ["x".repeat(63).as_str(); 4].join(".");
        assert_eq!(parse(&long), None, "256 bytes");
        assert!(parse(&long[2..]).is_some());
        assert_eq!(parse(&"x".repeat(64)), None);
    }

    #[test]
    fn compressed_names_end_where_they_end() {
        let read = |message: &[u8], offset: u16| {
            let mut decoder = BinDecoder::new(message).clone(offset);
            let name = Name::read(&mut decoder).ok()?;
            Some((name.to_ascii(), decoder.index()))
        };
        //             0              5  7             11
        let message = b"\x03Foo\x00\xAA\x01b\xC0\x00\xBB";
        assert_eq!(read(message, 6), Some(("b.Foo.".to_owned(), 10)));
        assert_eq!(read(b"\x01a\xC0\x00", 0), None, "a circle");
        assert_eq!(read(b"\x05ab", 0), None);
        assert_eq!(read(b"\x80ab\x00", 0), None);
    }
}
