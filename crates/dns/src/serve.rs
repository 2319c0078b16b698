//! From a message to its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record};

use crate::answer::{Answer, Records, answer};
use crate::cache::{Key, Response};
use crate::forward::{Forwarder, NoAnswer};
use crate::message::{MESSAGE_BYTES_MAX, NoQuery, Query};
use crate::zone::Zone;

/// Answers messages, whichever way they came.
#[derive(Debug)]
pub(crate) struct Answers {
    zone: Zone,
    forwarder: Arc<Forwarder>,
    turn: AtomicUsize,
}

/// How the message came, and how much the answer may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Datagram,
    Stream,
}

#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Handled {
    /// To be answered by nobody.
    Ignored,
    Answer(Vec<u8>),
    /// Somebody has to be asked: `Answers::wait`.
    Wait,
}

impl Answers {
    pub(crate) fn new(zone: Zone, forwarder: Forwarder) -> Self {
        Self { zone, forwarder: Arc::new(forwarder), turn: AtomicUsize::new(0) }
    }

    /// What can be said at once.
    pub(crate) fn handle(&self, message: &[u8], way: Way) -> Handled {
        let query = match Query::read(message) {
            Ok(query) => query,
            Err(NoQuery::Ignored) => return Handled::Ignored,
            Err(NoQuery::Answered(answer)) => return Handled::Answer(answer),
        };
        let bytes_max = way.bytes_max(&query);
        match self.look(&query) {
            Answer::Records(records) => Handled::Answer(write(&query, records, bytes_max)),
            Answer::Refused => Handled::Answer(failure(&query, ResponseCode::Refused)),
            Answer::Elsewhere => match self.forwarder.cached(&key(&query, &query.name)) {
                Some(response) => Handled::Answer(relay(&query, &response, bytes_max)),
                None => Handled::Wait,
            },
            Answer::Alias { aliases, name } => match self.forwarder.cached(&key(&query, &name)) {
                Some(response) => Handled::Answer(behind(&query, aliases, Ok(response), bytes_max)),
                None => Handled::Wait,
            },
        }
    }

    /// The answer to a message that `handle` did not answer.
    pub(crate) async fn wait(&self, message: &[u8], way: Way) -> Option<Vec<u8>> {
        let query = Query::read(message).ok()?;
        let bytes_max = way.bytes_max(&query);
        match self.look(&query) {
            Answer::Records(records) => Some(write(&query, records, bytes_max)),
            Answer::Refused => Some(failure(&query, ResponseCode::Refused)),
            Answer::Elsewhere => match self.forwarder.resolve(&key(&query, &query.name)).await {
                Ok(response) => Some(relay(&query, &response, bytes_max)),
                Err(NoAnswer) => Some(failure(&query, ResponseCode::ServFail)),
            },
            Answer::Alias { aliases, name } => {
                let outcome = self.forwarder.resolve(&key(&query, &name)).await;
                Some(behind(&query, aliases, outcome, bytes_max))
            }
        }
    }

    fn look(&self, query: &Query) -> Answer {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        answer(&self.zone, &query.name, query.question.query_class, query.kind(), turn)
    }
}

impl Way {
    fn bytes_max(self, query: &Query) -> u16 {
        match self {
            Self::Datagram => query.datagram_bytes_max(),
            Self::Stream => MESSAGE_BYTES_MAX,
        }
    }
}

/// That too much is being asked at once.
pub(crate) fn too_much(message: &[u8]) -> Option<Vec<u8>> {
    Some(failure(&Query::read(message).ok()?, ResponseCode::ServFail))
}

fn key(query: &Query, name: &Name) -> Key {
    let (dnssec, checking_disabled) = (query.wants_dnssec(), query.checking_disabled());
    Key { name: name.clone(), kind: query.kind(), dnssec, checking_disabled }
}

fn failure(query: &Query, code: ResponseCode) -> Vec<u8> {
    query.reply(code, false).encode(query, MESSAGE_BYTES_MAX)
}

fn relay(query: &Query, response: &Response, bytes_max: u16) -> Vec<u8> {
    match response.message(Instant::now()) {
        Some(message) => query.relay(message).encode(query, bytes_max),
        None => failure(query, ResponseCode::ServFail),
    }
}

fn write(query: &Query, records: Records, bytes_max: u16) -> Vec<u8> {
    let mut reply = query.reply(records.code, true);
    reply.answers = records.answers;
    reply.authorities = records.negative;
    reply.additionals = records.additional;
    reply.encode(query, bytes_max)
}

/// What stands behind names of ours that lead elsewhere.
fn behind(
    query: &Query,
    aliases: Vec<Record>,
    outcome: Result<Arc<Response>, NoAnswer>,
    bytes_max: u16,
) -> Vec<u8> {
    let said = outcome.ok().and_then(|response| response.message(Instant::now()));
    let code = match &said {
        Some(said) if matches!(said.response_code, ResponseCode::NoError | ResponseCode::NXDomain) => {
            said.response_code
        }
        _ => ResponseCode::ServFail,
    };
    let mut reply = query.reply(code, true);
    reply.answers = aliases;
    if let Some(said) = said {
        reply.answers.extend(said.answers);
        reply.authorities = said.authorities;
    }
    reply.encode(query, bytes_max)
}
