//! A message as text, read without the code that wrote it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// `CODE flags | name TTL TYPE data; .. | authority | additional`, without the OPT record's content.
pub(super) fn shown(message: &[u8]) -> String {
    let mut reader = Reader { message, at: 12 };
    let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let flags = word(2);
    let mut text = format!("{}", flags & 0xF);
    for (bit, name) in [(15, "qr"), (10, "aa"), (9, "tc"), (8, "rd"), (7, "ra")] {
        if flags >> bit & 1 == 1 {
            write!(text, " {name}").unwrap();
        }
    }
    for _ in 0..word(4) {
        reader.name();
        reader.at += 4;
    }
    for count in [word(6), word(8), word(10)] {
        let records: Vec<String> = (0..count).map(|_| reader.record()).collect();
        write!(text, " | {}", records.join("; ")).unwrap();
    }
    assert_eq!(reader.at, message.len(), "{text}: bytes are left");
    text.trim_end().to_owned()
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> u16 {
        self.at += 2;
        u16::from_be_bytes([self.message[self.at - 2], self.message[self.at - 1]])
    }

    fn name(&mut self) -> String {
        let length = self.message[self.at];
        if length >= 0xC0 {
            let to = usize::from(self.word() & 0x3FFF);
            assert!(to < self.at - 2, "a pointer forward");
            return Reader { message: self.message, at: to }.name();
        }
        self.at += 1;
        if length == 0 {
            return String::new();
        }
        let end = self.at + usize::from(length);
        let label = String::from_utf8_lossy(&self.message[self.at..end]).into_owned();
        self.at = end;
        format!("{label}.{}", self.name())
    }

    fn record(&mut self) -> String {
        let name = self.name();
        let (kind, _class) = (self.word(), self.word());
        let ttl = u32::from(self.word()) << 16 | u32::from(self.word());
        let end = usize::from(self.word()) + self.at;
        let data = &self.message[self.at..end];
        let text = match kind {
            1 => format!("A {}", Ipv4Addr::from(<[u8; 4]>::try_from(data).unwrap())),
            28 => format!("AAAA {}", Ipv6Addr::from(<[u8; 16]>::try_from(data).unwrap())),
            2 => format!("NS {}", self.name()),
            5 => format!("CNAME {}", self.name()),
            12 => format!("PTR {}", self.name()),
            13 => format!("HINFO {}", String::from_utf8_lossy(data)),
            16 => format!("TXT {}", String::from_utf8_lossy(&data[1..])),
            6 => format!("SOA {} {}", self.name(), self.name()),
            33 => format!("SRV {} {} {} {}", self.word(), self.word(), self.word(), self.name()),
            41 => {
                self.at = end;
                return "OPT".to_owned();
            }
            other => format!("TYPE{other}"),
        };
        self.at = end;
        format!("{name} {ttl} {text}")
    }
}
