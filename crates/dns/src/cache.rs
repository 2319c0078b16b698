//! What the machine's resolvers said, as long as they said it holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Header, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use crate::message;

/// Answers that are kept are at most twice as many.
const GENERATION_MAX: usize = 1_024;
/// Larger answers are asked for again.
const KEPT_BYTES_MAX: usize = 4_096;
/// Longer is nothing kept, as where CoreDNS stands in a cluster: what changes elsewhere shows soon.
const KEPT_MAX: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub(crate) name: Name,
    pub(crate) kind: RecordType,
    pub(crate) dnssec: bool,
    pub(crate) checking_disabled: bool,
}

/// An answer of a resolver. It is kept as it came, which is a tenth of what it is when it is read.
#[derive(Debug)]
pub(crate) struct Response {
    body: Vec<u8>,
    code: ResponseCode,
    is_truncated: bool,
    came: Instant,
    lasts: Duration,
}

impl Response {
    /// `None`: it cannot be read, or is not an answer to this question.
    pub(crate) fn read(body: Vec<u8>, key: &Key, now: Instant) -> Option<Self> {
        let message = read(&body)?;
        let question = message.queries.first()?;
        if (&question.name, question.query_type) != (&key.name, key.kind) {
            return None;
        }
        let (code, is_truncated) = (message.response_code, message.truncation);
        Some(Self { lasts: lasts(&message), body, code, is_truncated, came: now })
    }

    pub(crate) fn code(&self) -> ResponseCode {
        self.code
    }

    pub(crate) fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// The message with the time that is left of each record.
    pub(crate) fn message(&self, now: Instant) -> Option<Message> {
        let age = u32::try_from(now.saturating_duration_since(self.came).as_secs()).unwrap_or(u32::MAX);
        let mut message = read(&self.body)?;
        for section in [&mut message.answers, &mut message.authorities, &mut message.additionals] {
            for record in section {
                record.decrement_ttl(age);
            }
        }
        Some(message)
    }
}

fn read(body: &[u8]) -> Option<Message> {
    let mut decoder = BinDecoder::new(body);
    let Header { metadata, counts } = Header::read(&mut decoder).ok()?;
    let mut message = Message::new(metadata.id, MessageType::Response, metadata.op_code);
    if metadata.message_type != MessageType::Response {
        return None;
    }
    message.metadata = metadata;
    message.add_query(message::question(&mut decoder, &counts)?);
    let mut records = |count: u16, is_additional| {
        Message::read_records(&mut decoder, count.into(), is_additional, OpCode::Query).ok()
    };
    message.answers = records(counts.answers, false)?.0;
    message.authorities = records(counts.authorities, false)?.0;
    // A record after the OPT record has to be readable, too.
    let (additionals, edns, _) = records(counts.additionals, true)?;
    message.additionals = additionals;
    if let Some(edns) = edns {
        message.metadata.response_code = ResponseCode::from(edns.rcode_high(), message.response_code.low());
    }
    Some(message)
}

/// The least of what its records say; of a negative one, what its SOA record says (RFC 2308).
fn lasts(message: &Message) -> Duration {
    let seconds = match message.response_code {
        ResponseCode::NoError if !message.answers.is_empty() => {
            message.all_sections().map(|record| record.ttl).min()
        }
        ResponseCode::NoError | ResponseCode::NXDomain => {
            message.all_sections().find_map(|record| match &record.data {
                RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
                _ => None,
            })
        }
        _ => None,
    };
    Duration::from_secs(seconds.unwrap_or(0).into()).min(KEPT_MAX)
}

/// Answers in two generations: what is not asked for while one fills is forgotten with it.
#[derive(Default, Debug)]
pub(crate) struct Cache {
    young: HashMap<Key, Arc<Response>>,
    old: HashMap<Key, Arc<Response>>,
}

impl Cache {
    pub(crate) fn get(&mut self, key: &Key, now: Instant) -> Option<Arc<Response>> {
        let found = match self.young.get(key) {
            Some(found) => found.clone(),
            None => {
                let found = self.old.remove(key)?;
                self.put(key.clone(), found.clone());
                found
            }
        };
        (now.saturating_duration_since(found.came) < found.lasts).then_some(found)
    }

    pub(crate) fn put(&mut self, key: Key, response: Arc<Response>) {
        if response.lasts.is_zero() || response.body.len() > KEPT_BYTES_MAX {
            return;
        }
        if self.young.len() >= GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, response);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
