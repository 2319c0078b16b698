//! Messages of DNS (RFC 1035, RFC 6891): what is asked, and what is answered.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::name::Name;

pub(crate) const HEADER_BYTES: usize = 12;
/// What any client takes in a datagram.
const DATAGRAM_BYTES_MIN: u16 = 512;
/// What passes every link in one piece.
pub(crate) const DATAGRAM_BYTES_MAX: u16 = 1_232;
pub(crate) const MESSAGE_BYTES_MAX: usize = 65_535;
/// Names that later ones may point to.
const NAMES_KEPT_MAX: usize = 16;

const RESPONSE: u16 = 1 << 15;
const OPCODE: u16 = 0xF << 11;
const AUTHORITATIVE: u16 = 1 << 10;
const TRUNCATED: u16 = 1 << 9;
const WANTS_RECURSION: u16 = 1 << 8;
const HAS_RECURSION: u16 = 1 << 7;
const CHECKING_DISABLED: u16 = 1 << 4;
const DNSSEC: u32 = 1 << 15;

pub(crate) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const HINFO: u16 = 13;
    pub(crate) const MX: u16 = 15;
    pub(crate) const TXT: u16 = 16;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const SRV: u16 = 33;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const ANY: u16 = 255;
}

pub(crate) const INTERNET: u16 = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    NoError = 0,
    Malformed = 1,
    ServerFailure = 2,
    NoSuchName = 3,
    NotImplemented = 4,
    Refused = 5,
    /// Of EDNS; its upper bits stand in the OPT record.
    BadVersion = 16,
}

/// EDNS of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Edns {
    pub(crate) datagram_bytes: u16,
    pub(crate) dnssec: bool,
    version: u8,
}

/// A query with one question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Query<'a> {
    id: u16,
    flags: u16,
    pub(crate) name: Name,
    pub(crate) kind: u16,
    pub(crate) class: u16,
    /// As it came: names keep their case.
    question: &'a [u8],
    pub(crate) edns: Option<Edns>,
}

/// Why there is no query in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoQuery {
    /// Nothing that may be answered.
    Ignored,
    Answered {
        id: u16,
        flags: u16,
        code: Code,
    },
}

impl<'a> Query<'a> {
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, NoQuery> {
        let header = message.get(..HEADER_BYTES).ok_or(NoQuery::Ignored)?;
        let (id, flags) = (word(header, 0), word(header, 2));
        if flags & RESPONSE != 0 {
            return Err(NoQuery::Ignored);
        }
        let refuse = |code| NoQuery::Answered { id, flags, code };
        if flags & OPCODE != 0 {
            return Err(refuse(Code::NotImplemented));
        }
        if word(header, 4) != 1 {
            return Err(refuse(Code::Malformed));
        }
        let query = Self::parse(message, id, flags).ok_or(refuse(Code::Malformed))?;
        if query.edns.is_some_and(|edns| edns.version != 0) {
            return Err(refuse(Code::BadVersion));
        }
        Ok(query)
    }

    fn parse(message: &'a [u8], id: u16, flags: u16) -> Option<Self> {
        let (name, end) = Name::read(message, HEADER_BYTES)?;
        // Nothing stands before it that it could point to.
        if end - HEADER_BYTES != name.wire().len() {
            return None;
        }
        let question = message.get(HEADER_BYTES..end + 4)?;
        let mut edns = None;
        for record in Records::new(message, end + 4) {
            let record = record?;
            if record.kind == kind::OPT && edns.replace(record.edns()).is_some() {
                return None;
            }
        }
        let (kind, class) = (word(message, end), word(message, end + 2));
        Some(Self { id, flags, name, kind, class, question, edns })
    }

    /// How many bytes an answer in a datagram may have.
    pub(crate) fn datagram_bytes_max(&self) -> usize {
        let bytes = self.edns.map_or(DATAGRAM_BYTES_MIN, |edns| edns.datagram_bytes);
        usize::from(bytes.clamp(DATAGRAM_BYTES_MIN, DATAGRAM_BYTES_MAX))
    }

    pub(crate) fn wants_dnssec(&self) -> bool {
        self.edns.is_some_and(|edns| edns.dnssec)
    }

    pub(crate) fn checking_disabled(&self) -> bool {
        self.flags & CHECKING_DISABLED != 0
    }
}

/// The answer to what is not a query.
pub(crate) fn refusal(id: u16, flags: u16, code: Code) -> Vec<u8> {
    let flags = RESPONSE | flags & (OPCODE | WANTS_RECURSION) | HAS_RECURSION;
    let (low, is_extended) = (code as u16 & 0xF, code as u16 > 0xF);
    let mut message = Vec::with_capacity(HEADER_BYTES + 11);
    for field in [id, flags | low, 0, 0, 0, u16::from(is_extended)] {
        message.extend(field.to_be_bytes());
    }
    if is_extended {
        message.extend(opt(code as u16 >> 4, false));
    }
    message
}

/// An answer of the resolvers' for this query: `body` with the query's own identity, flags and letters. `ends` says
/// where each of its answers ends, and `None` that it has to be cut nowhere.
pub(crate) fn relayed(query: &Query<'_>, body: &[u8], ends: &[usize], bytes_max: usize) -> Vec<u8> {
    let question = HEADER_BYTES + query.question.len();
    let opt_bytes = if query.edns.is_some() { 11 } else { 0 };
    let mut message = Vec::with_capacity(body.len() + opt_bytes);
    if body.len() + opt_bytes <= bytes_max {
        message.extend_from_slice(body);
    } else {
        let kept = ends.iter().take_while(|end| **end + opt_bytes <= bytes_max).count();
        let end = kept.checked_sub(1).map_or(question, |last| ends[last]);
        message.extend_from_slice(&body[..end.min(body.len())]);
        let flags = word(&message, 2) | TRUNCATED;
        set(&mut message, 2, flags);
        set(&mut message, 6, u16::try_from(kept).unwrap_or(u16::MAX));
        set(&mut message, 8, 0);
        set(&mut message, 10, 0);
    }
    let flags = word(&message, 2) & !(WANTS_RECURSION | CHECKING_DISABLED);
    let asked = query.flags & (WANTS_RECURSION | CHECKING_DISABLED);
    set(&mut message, 0, query.id);
    set(&mut message, 2, flags | asked | RESPONSE | HAS_RECURSION);
    message[HEADER_BYTES..question].copy_from_slice(query.question);
    if let Some(edns) = query.edns {
        message.extend(opt(0, edns.dnssec));
        let count = word(&message, 10) + 1;
        set(&mut message, 10, count);
    }
    message
}

/// A query of our own.
pub(crate) fn query(id: u16, name: &Name, kind: u16, edns: Option<bool>, checking_disabled: bool) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER_BYTES + name.wire().len() + 15);
    let checking = if checking_disabled { CHECKING_DISABLED } else { 0 };
    for field in [id, WANTS_RECURSION | checking, 1, 0, 0, u16::from(edns.is_some())] {
        message.extend(field.to_be_bytes());
    }
    message.extend_from_slice(name.wire());
    message.extend(kind.to_be_bytes());
    message.extend(INTERNET.to_be_bytes());
    if let Some(dnssec) = edns {
        message.extend(opt(0, dnssec));
    }
    message
}

fn opt(code_high: u16, dnssec: bool) -> [u8; 11] {
    let mut record = [0; 11];
    set(&mut record, 1, kind::OPT);
    set(&mut record, 3, DATAGRAM_BYTES_MAX);
    record[5] = code_high.to_be_bytes()[1];
    if dnssec {
        record[7] = 0x80;
    }
    record
}

/// What a record of ours says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(Name),
    Ptr(Name),
    Ns(Name),
    Srv {
        weight: u16,
        port: u16,
        target: Name,
    },
    Txt(&'static str),
    /// Its server, whom to write to, and its number.
    Soa {
        server: Name,
        contact: Name,
        serial: u32,
    },
    /// To questions for everything (RFC 8482).
    Hinfo(&'static str),
    /// Somebody else's record, its names without compression.
    Other {
        kind: u16,
        bytes: Vec<u8>,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    pub(crate) owner: Name,
    pub(crate) ttl: u32,
    pub(crate) data: Data,
}

/// An answer that is being written.
#[derive(Debug)]
pub(crate) struct Reply {
    message: Vec<u8>,
    bytes_max: usize,
    names: Vec<(Name, u16)>,
    edns: Option<Edns>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    Answer = 6,
    Authority = 8,
    Additional = 10,
}

impl Reply {
    pub(crate) fn new(query: &Query<'_>, code: Code, authoritative: bool, bytes_max: usize) -> Self {
        let mut message = Vec::with_capacity(512);
        let authoritative = if authoritative { AUTHORITATIVE } else { 0 };
        let asked = query.flags & (WANTS_RECURSION | CHECKING_DISABLED);
        let flags = RESPONSE | asked | HAS_RECURSION | authoritative | code as u16 & 0xF;
        for field in [query.id, flags, 1, 0, 0, 0] {
            message.extend(field.to_be_bytes());
        }
        message.extend_from_slice(query.question);
        let mut names = Vec::with_capacity(NAMES_KEPT_MAX);
        names.push((query.name.clone(), HEADER_BYTES as u16));
        let bytes_max = bytes_max - if query.edns.is_some() { 11 } else { 0 };
        Self { message, bytes_max, names, edns: query.edns }
    }

    /// What does not fit is left out, and said to be if it was asked for.
    pub(crate) fn push(&mut self, section: Section, record: &Record) {
        let start = self.message.len();
        let names = self.names.len();
        self.write(record);
        if self.message.len() <= self.bytes_max {
            let count = word(&self.message, section as usize) + 1;
            set(&mut self.message, section as usize, count);
            return;
        }
        self.message.truncate(start);
        self.names.truncate(names);
        if section == Section::Answer {
            let flags = word(&self.message, 2) | TRUNCATED;
            set(&mut self.message, 2, flags);
        }
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        if let Some(edns) = self.edns {
            self.message.extend(opt(0, edns.dnssec));
            let count = word(&self.message, 10) + 1;
            set(&mut self.message, 10, count);
        }
        self.message
    }

    fn write(&mut self, record: &Record) {
        self.name(&record.owner);
        let number = match record.data {
            Data::A(_) => kind::A,
            Data::Aaaa(_) => kind::AAAA,
            Data::Cname(_) => kind::CNAME,
            Data::Ptr(_) => kind::PTR,
            Data::Ns(_) => kind::NS,
            Data::Srv { .. } => kind::SRV,
            Data::Txt(_) => kind::TXT,
            Data::Soa { .. } => kind::SOA,
            Data::Hinfo(_) => kind::HINFO,
            Data::Other { kind, .. } => kind,
        };
        self.message.extend(number.to_be_bytes());
        self.message.extend(INTERNET.to_be_bytes());
        self.message.extend(record.ttl.to_be_bytes());
        let length_at = self.message.len();
        self.message.extend([0, 0]);
        self.data(&record.data, record.ttl);
        let length = self.message.len() - length_at - 2;
        set(&mut self.message, length_at, u16::try_from(length).unwrap_or(u16::MAX));
    }

    fn data(&mut self, data: &Data, ttl: u32) {
        match data {
            Data::A(address) => self.message.extend(address.octets()),
            Data::Aaaa(address) => self.message.extend(address.octets()),
            Data::Cname(name) | Data::Ptr(name) | Data::Ns(name) => self.name(name),
            Data::Srv { weight, port, target } => {
                for field in [0, *weight, *port] {
                    self.message.extend(field.to_be_bytes());
                }
                // Targets of SRV are not compressed (RFC 2782).
                self.message.extend_from_slice(target.wire());
            }
            Data::Txt(text) => self.text(text),
            Data::Other { bytes, .. } => self.message.extend_from_slice(bytes),
            Data::Hinfo(text) => {
                self.text(text);
                self.text("");
            }
            Data::Soa { server, contact, serial } => {
                self.name(server);
                self.name(contact);
                // Nobody transfers the zone; the last is how long a name that is not there may be remembered.
                for field in [*serial, 7_200, 1_800, 86_400, ttl] {
                    self.message.extend(field.to_be_bytes());
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        let bytes = &text.as_bytes()[..text.len().min(255)];
        self.message.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        self.message.extend_from_slice(bytes);
    }

    /// With a pointer to what is there already.
    fn name(&mut self, name: &Name) {
        let start = self.message.len();
        let wire = name.wire();
        let mut at = 0;
        while wire[at] != 0 {
            let known = self.names.iter().find_map(|(known, offset)| {
                let before = known.wire().len().checked_sub(wire.len() - at)?;
                // Both end with the root, and only there does an equal tail start with a label.
                let is_tail = known.wire()[before..] == wire[at..] && is_label_start(known.wire(), before);
                is_tail.then(|| usize::from(*offset) + before)
            });
            if let Some(offset) = known.filter(|offset| *offset < 0x4000) {
                self.message.extend((0xC000 | offset as u16).to_be_bytes());
                break;
            }
            let next = at + 1 + usize::from(wire[at]);
            self.message.extend_from_slice(&wire[at..next]);
            at = next;
        }
        if wire[at] == 0 {
            self.message.push(0);
            if let Ok(start) = u16::try_from(start)
                && at > 0
                && self.names.len() < NAMES_KEPT_MAX
            {
                self.names.push((name.clone(), start));
            }
        }
    }
}

fn is_label_start(wire: &[u8], offset: usize) -> bool {
    let mut at = 0;
    while at < offset {
        at += 1 + usize::from(wire[at]);
    }
    at == offset
}

/// A record of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordAt {
    pub(crate) start: usize,
    pub(crate) kind: u16,
    class: u16,
    pub(crate) ttl: u32,
    pub(crate) ttl_at: usize,
    pub(crate) data: usize,
    pub(crate) end: usize,
    pub(crate) section: Section,
}

impl RecordAt {
    /// A copy that stands by itself.
    pub(crate) fn record(&self, message: &[u8], ttl: u32) -> Option<Record> {
        let (owner, _) = Name::read(message, self.start)?;
        // What comes before the names of such a record, and how many there are; all others have none that is compressed.
        let (before, names) = match self.kind {
            kind::CNAME | kind::NS | kind::PTR => (0, 1),
            kind::MX => (2, 1),
            kind::SOA => (0, 2),
            _ => (0, 0),
        };
        let mut at = self.data + before;
        let mut bytes = message.get(self.data..at)?.to_vec();
        for _ in 0..names {
            let (name, end) = Name::read(message, at)?;
            bytes.extend_from_slice(name.wire());
            at = end;
        }
        bytes.extend_from_slice(message.get(at..self.end)?);
        Some(Record { owner, ttl, data: Data::Other { kind: self.kind, bytes } })
    }

    fn edns(&self) -> Edns {
        let version = self.ttl.to_be_bytes()[1];
        Edns { datagram_bytes: self.class, dnssec: self.ttl & DNSSEC != 0, version }
    }
}

/// All records of a message, `None` for one that cannot be read.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    message: &'a [u8],
    at: usize,
    left: [u16; 3],
}

impl<'a> Records<'a> {
    /// `at` is where the question ends.
    pub(crate) fn new(message: &'a [u8], at: usize) -> Self {
        Self { message, at, left: [word(message, 6), word(message, 8), word(message, 10)] }
    }

    fn read(&self, section: Section) -> Option<RecordAt> {
        let fixed = Name::skip(self.message, self.at)?;
        let data = fixed + 10;
        self.message.get(fixed..data)?;
        let end = data + usize::from(word(self.message, fixed + 8));
        let (high, low) = (word(self.message, fixed + 4), word(self.message, fixed + 6));
        (end <= self.message.len()).then(|| RecordAt {
            start: self.at,
            kind: word(self.message, fixed),
            class: word(self.message, fixed + 2),
            ttl: u32::from(high) << 16 | u32::from(low),
            ttl_at: fixed + 4,
            data,
            end,
            section,
        })
    }
}

impl Iterator for Records<'_> {
    type Item = Option<RecordAt>;

    fn next(&mut self) -> Option<Option<RecordAt>> {
        let index = self.left.iter().position(|left| *left > 0)?;
        self.left[index] -= 1;
        let sections = [Section::Answer, Section::Authority, Section::Additional];
        let record = self.read(sections[index]);
        match record {
            Some(record) => self.at = record.end,
            None => self.left = [0; 3],
        }
        Some(record)
    }
}

/// The 16 bits at `at`; what is not there is 0.
pub(crate) fn word(bytes: &[u8], at: usize) -> u16 {
    let pair = bytes.get(at..at + 2).and_then(|pair| pair.try_into().ok());
    pair.map_or(0, u16::from_be_bytes)
}

pub(crate) fn set(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

pub(crate) fn is_response(message: &[u8]) -> bool {
    message.len() >= HEADER_BYTES && word(message, 2) & RESPONSE != 0
}

pub(crate) fn is_truncated(message: &[u8]) -> bool {
    word(message, 2) & TRUNCATED != 0
}

pub(crate) fn code_of(message: &[u8]) -> u16 {
    word(message, 2) & 0xF
}
