//! Messages of DNS (RFC 1035, RFC 6891): what is asked, and what is answered. How they are written is hickory's to know.

use hickory_proto::ProtoError;
use hickory_proto::op::{
    self, Edns, Header, HeaderCounts, Message, MessageType, Metadata, OpCode, ResponseCode,
};
use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder, BinEncodable as _, BinEncoder};

pub(crate) const HEADER_BYTES: usize = 12;
/// What any client takes in a datagram.
const DATAGRAM_BYTES_MIN: u16 = 512;
/// What passes every link in one piece.
pub(crate) const DATAGRAM_BYTES_MAX: u16 = 1_232;
pub(crate) const MESSAGE_BYTES_MAX: u16 = u16::MAX;
/// Records of a query: a client sends one or two. Each may take a walk through the whole message.
const QUERY_RECORDS_MAX: u32 = 8;
/// Of an OPT record without options.
const OPT_BYTES: u16 = 11;

/// A query with one question.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Query {
    metadata: Metadata,
    /// As it came: its name keeps its case.
    pub(crate) question: op::Query,
    /// In lower case.
    pub(crate) name: Name,
    edns: Option<Edns>,
}

/// Why there is no query in a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum NoQuery {
    /// Nothing that may be answered.
    Ignored,
    Answered(Vec<u8>),
}

impl Query {
    pub(crate) fn read(message: &[u8]) -> Result<Self, NoQuery> {
        let mut decoder = BinDecoder::new(message);
        let Header { metadata, counts } = Header::read(&mut decoder).map_err(|_| NoQuery::Ignored)?;
        if metadata.message_type == MessageType::Response {
            return Err(NoQuery::Ignored);
        }
        let refuse = |code| NoQuery::Answered(refusal(&metadata, code));
        if metadata.op_code != OpCode::Query {
            return Err(refuse(ResponseCode::NotImp));
        }
        let (question, edns) = Self::parse(&mut decoder, &counts).ok_or(refuse(ResponseCode::FormErr))?;
        if edns.as_ref().is_some_and(|edns| edns.version() != 0) {
            return Err(refuse(ResponseCode::BADVERS));
        }
        Ok(Self { metadata, name: question.name.to_lowercase(), question, edns })
    }

    fn parse(decoder: &mut BinDecoder<'_>, counts: &HeaderCounts) -> Option<(op::Query, Option<Edns>)> {
        let question = question(decoder, counts)?;
        let records = [counts.answers, counts.authorities, counts.additionals].map(u32::from);
        if records.iter().sum::<u32>() > QUERY_RECORDS_MAX {
            return None;
        }
        for count in [counts.answers, counts.authorities] {
            Message::read_records(decoder, count.into(), false, OpCode::Query).ok()?;
        }
        let (_, edns, _) =
            Message::read_records(decoder, counts.additionals.into(), true, OpCode::Query).ok()?;
        Some((question, edns))
    }

    pub(crate) fn kind(&self) -> RecordType {
        self.question.query_type
    }

    /// How many bytes an answer in a datagram may have.
    pub(crate) fn datagram_bytes_max(&self) -> u16 {
        let bytes = self.edns.as_ref().map_or(DATAGRAM_BYTES_MIN, Edns::max_payload);
        bytes.clamp(DATAGRAM_BYTES_MIN, DATAGRAM_BYTES_MAX)
    }

    pub(crate) fn wants_dnssec(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok)
    }

    pub(crate) fn checking_disabled(&self) -> bool {
        self.metadata.checking_disabled
    }

    /// A message that answers this query.
    pub(crate) fn reply(&self, code: ResponseCode, authoritative: bool) -> Reply {
        let mut metadata = answering(&self.metadata);
        metadata.response_code = code;
        metadata.authoritative = authoritative;
        Reply { metadata, answers: Vec::new(), authorities: Vec::new(), additionals: Vec::new() }
    }

    /// What a resolver said, as an answer to this query.
    pub(crate) fn relay(&self, said: Message) -> Reply {
        let Message { mut metadata, answers, authorities, additionals, .. } = said;
        metadata.id = self.metadata.id;
        metadata.recursion_desired = self.metadata.recursion_desired;
        metadata.checking_disabled = self.metadata.checking_disabled;
        metadata.recursion_available = true;
        Reply { metadata, answers, authorities, additionals }
    }
}

/// The only question of a message, whose name stands there as a whole: there is nothing before it to point to.
pub(crate) fn question(decoder: &mut BinDecoder<'_>, counts: &HeaderCounts) -> Option<op::Query> {
    if counts.queries != 1 {
        return None;
    }
    let start = decoder.index();
    let question = op::Query::read(decoder).ok()?;
    let root = usize::from(!question.name.is_root());
    (decoder.index() - start == question.name.len() + root + 4).then_some(question)
}

fn answering(query: &Metadata) -> Metadata {
    let mut metadata = Metadata::response_from_request(query);
    metadata.recursion_available = true;
    metadata
}

/// The answer to what is not a query.
fn refusal(query: &Metadata, code: ResponseCode) -> Vec<u8> {
    let mut metadata = answering(query);
    metadata.response_code = code;
    let edns = (code.high() != 0).then(|| edns(false));
    encode(&metadata, None, &Sections::default(), edns, MESSAGE_BYTES_MAX).unwrap_or_default()
}

/// A query of our own.
pub(crate) fn query(
    id: u16,
    name: &Name,
    kind: RecordType,
    edns_dnssec: Option<bool>,
    checking_disabled: bool,
) -> Vec<u8> {
    let mut metadata = Metadata::new(id, MessageType::Query, OpCode::Query);
    metadata.recursion_desired = true;
    metadata.checking_disabled = checking_disabled;
    let question = op::Query::query(name.clone(), kind);
    let edns = edns_dnssec.map(edns);
    encode(&metadata, Some(&question), &Sections::default(), edns, MESSAGE_BYTES_MAX).unwrap_or_default()
}

fn edns(dnssec: bool) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM_BYTES_MAX).set_dnssec_ok(dnssec);
    edns
}

/// An answer before it is bytes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Reply {
    metadata: Metadata,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

impl Reply {
    /// What does not fit is left out, and said to be if it was asked for.
    pub(crate) fn encode(&mut self, query: &Query, bytes_max: u16) -> Vec<u8> {
        // The letters of the question are those of what answers it, so that its name has to be written once.
        for record in &mut self.answers {
            if record.name == query.name {
                record.name.clone_from(&query.question.name);
            }
        }
        let edns = query.edns.as_ref().map(|edns| self::edns(edns.flags().dnssec_ok));
        let sections = Sections {
            answers: &self.answers,
            authorities: &self.authorities,
            additionals: &self.additionals,
        };
        encode(&self.metadata, Some(&query.question), &sections, edns, bytes_max).unwrap_or_else(|error| {
            tracing::debug!(name = %query.name, %error, "an answer cannot be written");
            refusal(&query.metadata, ResponseCode::ServFail)
        })
    }
}

#[derive(Default)]
struct Sections<'a> {
    answers: &'a [Record],
    authorities: &'a [Record],
    additionals: &'a [Record],
}

/// Unlike hickory's own, it keeps place for the OPT record, and asks no client to come again for what it did not ask for.
fn encode(
    metadata: &Metadata,
    question: Option<&op::Query>,
    sections: &Sections<'_>,
    edns: Option<Edns>,
    bytes_max: u16,
) -> Result<Vec<u8>, ProtoError> {
    let mut message = Vec::with_capacity(512);
    let mut encoder = BinEncoder::new(&mut message);
    let opt_bytes = if edns.is_some() { OPT_BYTES } else { 0 };
    let end = usize::from(bytes_max - opt_bytes);
    let place = encoder.place::<Header>()?;
    question.map(|question| question.emit(&mut encoder)).transpose()?;
    let (answers, is_cut) = records(&mut encoder, sections.answers, end)?;
    let (authorities, _) = records(&mut encoder, sections.authorities, end)?;
    let (additionals, _) = records(&mut encoder, sections.additionals, end)?;
    let opts = u16::from(edns.is_some());
    if let Some(mut edns) = edns {
        edns.set_rcode_high(metadata.response_code.high());
        edns.emit(&mut encoder)?;
    }
    let additionals = additionals + opts;
    let counts = HeaderCounts { queries: u16::from(question.is_some()), answers, authorities, additionals };
    let mut metadata = *metadata;
    metadata.truncation |= is_cut;
    place.replace(&mut encoder, Header { metadata, counts })?;
    Ok(message)
}

/// How many records of a section fit, and whether that is not all. hickory writes a name as a whole before it finds that
/// a pointer will do, so it may have more room than there is.
fn records(encoder: &mut BinEncoder<'_>, section: &[Record], end: usize) -> Result<(u16, bool), ProtoError> {
    let mut count = 0;
    for record in section {
        let start = encoder.offset();
        match record.emit(encoder) {
            Ok(()) if encoder.offset() <= end => count += 1,
            Ok(()) | Err(ProtoError::MaxBufferSizeExceeded(_)) => {
                encoder.set_offset(start);
                encoder.trim();
                return Ok((count, true));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((count, false))
}
