//! Netlink messages and their attributes, written and read (netlink(7), RFC 3549): what all families of it have in common.

use rustix::io::Errno;

/// Of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
const NESTED: u16 = 1 << 15;
/// What of an attribute's type is its type.
const KIND_MASK: u16 = !(3 << 14);

const NLM_F_REQUEST: u16 = 0x1;
pub const NLM_F_ACK: u16 = 0x4;
pub const NLM_F_DUMP: u16 = 0x300;
pub const NLM_F_REPLACE: u16 = 0x100;
pub const NLM_F_EXCL: u16 = 0x200;
pub const NLM_F_CREATE: u16 = 0x400;
pub const NLM_F_APPEND: u16 = 0x800;
/// In an answer: the list changed while it was being read.
pub const NLM_F_DUMP_INTR: u16 = 0x10;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// What a message begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
}

/// Messages, one after the other, or what is in one.
#[derive(Clone, Default, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// `head` is the structure that the kind of message begins with.
    pub fn message(&mut self, header: Header, head: &[u8], body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(header.kind.to_ne_bytes());
        self.bytes.extend((header.flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend(header.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.raw(head);
        body(self);
        let length = u32::try_from(self.bytes.len() - start).expect("a message is far below 4 GiB");
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// A structure that a message or an attribute begins with.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        self.attribute(kind | NESTED, body);
    }

    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, |writer| writer.bytes.extend(value));
    }

    /// Ended by a NUL.
    pub fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, |writer| {
            writer.bytes.extend(value.as_bytes());
            writer.bytes.push(0);
        });
    }

    /// In the order of the network, as netfilter has it.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// In the machine's order, as routes and links have it.
    pub fn native_u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    pub fn u64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
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
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// Whose request it answers or tells of.
    pub port: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Of an acknowledgement or an error; `None`: it is something else.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), Errno>> {
        (self.kind == NLMSG_ERROR).then(|| self.code())
    }

    /// What a dump ended with; `None`: it is something else.
    #[must_use]
    pub fn done(&self) -> Option<Result<(), Errno>> {
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

    /// The structure it begins with, of so many bytes; `None` when it is shorter.
    #[must_use]
    pub fn head<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.body.first_chunk()
    }

    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Those after a structure of so many bytes.
    #[must_use]
    pub fn attributes(&self, head_bytes: usize) -> Attributes<'a> {
        self.body.get(head_bytes.next_multiple_of(4)..).unwrap_or_default().into()
    }
}

/// The messages of a datagram; what is cut off is left out.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
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
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The value of the first of this kind.
    #[must_use]
    pub fn value(&self, kind: u16) -> Option<&'a [u8]> {
        let mut all = *self;
        all.find_map(|(found, value)| (found == kind).then_some(value))
    }

    #[must_use]
    pub fn nested(&self, kind: u16) -> Attributes<'a> {
        Attributes { rest: self.value(kind).unwrap_or_default() }
    }

    /// Without its NUL.
    #[must_use]
    pub fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.value(kind)?).ok().map(|text| text.trim_end_matches('\0'))
    }

    #[must_use]
    pub fn u32(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.value(kind)?.try_into().ok()?))
    }

    #[must_use]
    pub fn native_u32(&self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.value(kind)?.try_into().ok()?))
    }

    #[must_use]
    pub fn u64(&self, kind: u16) -> Option<u64> {
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

    const HEADER: Header = Header { kind: 0x0a03, flags: 4, sequence: 7 };

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        for name in ["one", "another"] {
            writer.message(HEADER, &[1, 2, 3, 4, 5], |writer| {
                writer.text(1, name);
                writer.nested(2, |writer| {
                    writer.u32(1, 5);
                    writer.bytes(3, &[1]);
                    writer.u64(4, 6);
                    writer.nested(5, |writer| {
                        writer.raw(&[7, 8]);
                        writer.native_u32(1, 9);
                    });
                });
            });
        }
        let bytes = writer.into_bytes();
        assert_eq!(bytes.len() % 4, 0);
        let found: Vec<_> = messages(&bytes).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[1].kind, found[1].flags, found[1].sequence), (0x0a03, 5, 7));
        assert_eq!(found[1].head(), Some(&[1, 2, 3, 4, 5]));
        assert_eq!(found[1].head::<99>(), None);
        let attributes = found[1].attributes(5);
        assert_eq!(attributes.text(1), Some("another"));
        let nested = attributes.nested(2);
        let inner = nested.value(5).unwrap();
        assert_eq!((&inner[..4], Attributes::from(&inner[4..]).native_u32(1)), (&[7, 8, 0, 0][..], Some(9)));
        assert_eq!((nested.u32(1), nested.value(3), nested.u64(4)), (Some(5), Some(&[1][..]), Some(6)));
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_ends_the_reading() {
        let mut writer = Writer::default();
        writer.message(HEADER, &[1, 2, 3, 4, 5], |writer| writer.u32(1, 5));
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
