//! Netlink messages and their attributes, written and read.

use rustix::io::Errno;

/// Of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// Of `struct nfgenmsg`, which follows it in every message of netfilter.
const NFGENMSG_BYTES: usize = 4;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
const NESTED: u16 = 1 << 15;
/// What of an attribute's type is its type.
const KIND_MASK: u16 = !(3 << 14);

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_APPEND: u16 = 0x800;
/// In an answer: the list changed while it was being read.
pub(crate) const NLM_F_DUMP_INTR: u16 = 0x10;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// What a message begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Subsystem and message.
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// `NFPROTO_*`
    pub(crate) family: u8,
    pub(crate) resource: u16,
}

/// Messages, one after the other.
#[derive(Default, Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn message(&mut self, header: Header, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(header.kind.to_ne_bytes());
        self.bytes.extend((header.flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend(header.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend([header.family, 0]);
        self.bytes.extend(header.resource.to_be_bytes());
        body(self);
        let length = u32::try_from(self.bytes.len() - start).expect("a message is far below 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    pub(crate) fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        self.attribute(kind | NESTED, body);
    }

    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, |writer| writer.bytes.extend(value));
    }

    /// Ended by a NUL.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, |writer| {
            writer.bytes.extend(value.as_bytes());
            writer.bytes.push(0);
        });
    }

    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn attribute(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        body(self);
        let length = u16::try_from(self.bytes.len() - start).expect("lists of elements are split before");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// A message that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// Whose request it answers or tells of.
    pub(crate) port: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Of an acknowledgement or an error; `None`: it is something else.
    pub(crate) fn outcome(&self) -> Option<Result<(), Errno>> {
        (self.kind == NLMSG_ERROR).then(|| self.code())
    }

    /// What a dump ended with; `None`: it is something else.
    pub(crate) fn done(&self) -> Option<Result<(), Errno>> {
        (self.kind == NLMSG_DONE).then(|| self.code())
    }

    /// The negative errno that the message begins with.
    fn code(&self) -> Result<(), Errno> {
        const LAST_ERRNO: i32 = -4095;
        let code = self.body.get(..4).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
        match code {
            Some(0) => Ok(()),
            Some(code @ LAST_ERRNO..0) => Err(Errno::from_raw_os_error(-code)),
            _ => Err(Errno::PROTO),
        }
    }

    pub(crate) fn family(&self) -> u8 {
        self.body.first().copied().unwrap_or(0)
    }

    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes { rest: self.body.get(NFGENMSG_BYTES..).unwrap_or_default() }
    }
}

/// The messages of a datagram; what is cut off is left out.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let u32_at = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let u16_at = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let length = usize::try_from(u32_at(0)?).ok()?;
        let body = bytes.get(HEADER_BYTES..length)?;
        let message =
            Message { kind: u16_at(4)?, flags: u16_at(6)?, sequence: u32_at(8)?, port: u32_at(12)?, body };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Attributes that follow one another.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The value of the first of this kind.
    pub(crate) fn value(&self, kind: u16) -> Option<&'a [u8]> {
        let mut all = *self;
        all.find_map(|(found, value)| (found == kind).then_some(value))
    }

    pub(crate) fn nested(&self, kind: u16) -> Attributes<'a> {
        Attributes { rest: self.value(kind).unwrap_or_default() }
    }

    /// Without its NUL.
    pub(crate) fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.value(kind)?).ok().map(|text| text.trim_end_matches('\0'))
    }

    pub(crate) fn u32(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.value(kind)?.try_into().ok()?))
    }

    pub(crate) fn u64(&self, kind: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.value(kind)?.try_into().ok()?))
    }
}

impl<'a> From<&'a [u8]> for Attributes<'a> {
    fn from(rest: &'a [u8]) -> Self {
        Self { rest }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(self.rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.rest.get(2..4)?.try_into().ok()?) & KIND_MASK;
        let value = self.rest.get(ATTRIBUTE_HEADER_BYTES..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::{Attributes, Header, Writer, messages};

    const HEADER: Header = Header { kind: 0x0a03, flags: 4, sequence: 7, family: 1, resource: 0 };

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        for name in ["one", "another"] {
            writer.message(HEADER, |writer| {
                writer.text(1, name);
                writer.nested(2, |writer| {
                    writer.u32(1, 5);
                    writer.bytes(3, &[1]);
                    writer.u64(4, 6);
                });
            });
        }
        let bytes = writer.into_bytes();
        assert_eq!(bytes.len() % 4, 0);
        let found: Vec<_> = messages(&bytes).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].kind, found[1].flags, found[1].sequence), (0x0a03, 5, 7));
        assert_eq!(found[1].family(), 1);
        let attributes = found[1].attributes();
        assert_eq!(attributes.text(1), Some("another"));
        let nested = attributes.nested(2);
        assert_eq!((nested.u32(1), nested.value(3), nested.u64(4)), (Some(5), Some(&[1][..]), Some(6)));
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_ends_the_reading() {
        let mut writer = Writer::default();
        writer.message(HEADER, |writer| writer.u32(1, 5));
        let bytes = writer.into_bytes();
        for cut in 0..bytes.len() {
            assert_eq!(messages(&bytes[..cut]).count(), 0, "{cut}");
        }
        for length in [0_u16, 3, 9, u16::MAX] {
            let mut attribute = [0; 8];
            attribute[..2].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Attributes::from(&attribute[..]).count(), 0, "{length}");
        }
    }
}
