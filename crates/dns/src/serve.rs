//! From a message to its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::answer::{Answer, Records, answer};
use crate::cache::{Key, Response};
use crate::forward::{Forwarder, NoAnswer};
use crate::message::{self, Code, MESSAGE_BYTES_MAX, NoQuery, Query, Record, Reply, Section};
use crate::name::Name;
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
            Err(NoQuery::Answered { id, flags, code }) => {
                return Handled::Answer(message::refusal(id, flags, code));
            }
        };
        let bytes_max = way.bytes_max(&query);
        match self.look(&query) {
            Answer::Records(records) => Handled::Answer(write(&query, &records, bytes_max)),
            Answer::Refused => Handled::Answer(failure(&query, Code::Refused)),
            Answer::Elsewhere => match self.forwarder.cached(&key(&query, &query.name)) {
                Some(response) => Handled::Answer(relay(&query, &response, bytes_max)),
                None => Handled::Wait,
            },
            Answer::Alias { aliases, name } => match self.forwarder.cached(&key(&query, &name)) {
                Some(response) => Handled::Answer(behind(&query, &aliases, Ok(response), bytes_max)),
                None => Handled::Wait,
            },
        }
    }

    /// The answer to a message that `handle` did not answer.
    pub(crate) async fn wait(&self, message: &[u8], way: Way) -> Option<Vec<u8>> {
        let query = Query::read(message).ok()?;
        let bytes_max = way.bytes_max(&query);
        match self.look(&query) {
            Answer::Records(records) => Some(write(&query, &records, bytes_max)),
            Answer::Refused => Some(failure(&query, Code::Refused)),
            Answer::Elsewhere => match self.forwarder.resolve(&key(&query, &query.name)).await {
                Ok(response) => Some(relay(&query, &response, bytes_max)),
                Err(NoAnswer) => Some(failure(&query, Code::ServerFailure)),
            },
            Answer::Alias { aliases, name } => {
                let outcome = self.forwarder.resolve(&key(&query, &name)).await;
                Some(behind(&query, &aliases, outcome, bytes_max))
            }
        }
    }

    fn look(&self, query: &Query<'_>) -> Answer {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        answer(&self.zone, &query.name, query.class, query.kind, turn)
    }
}

impl Way {
    fn bytes_max(self, query: &Query<'_>) -> usize {
        match self {
            Self::Datagram => query.datagram_bytes_max(),
            Self::Stream => MESSAGE_BYTES_MAX,
        }
    }
}

/// That too much is being asked at once.
pub(crate) fn too_much(message: &[u8]) -> Option<Vec<u8>> {
    Some(failure(&Query::read(message).ok()?, Code::ServerFailure))
}

fn key(query: &Query<'_>, name: &Name) -> Key {
    let (dnssec, checking_disabled) = (query.wants_dnssec(), query.checking_disabled());
    Key { name: name.clone(), kind: query.kind, dnssec, checking_disabled }
}

fn failure(query: &Query<'_>, code: Code) -> Vec<u8> {
    Reply::new(query, code, false, MESSAGE_BYTES_MAX).finish()
}

fn relay(query: &Query<'_>, response: &Response, bytes_max: usize) -> Vec<u8> {
    let (body, ends) = response.aged(Instant::now());
    message::relayed(query, &body, &ends, bytes_max)
}

fn write(query: &Query<'_>, records: &Records, bytes_max: usize) -> Vec<u8> {
    let mut reply = Reply::new(query, records.code, true, bytes_max);
    push(&mut reply, Section::Answer, &records.answers);
    if let Some(negative) = &records.negative {
        reply.push(Section::Authority, negative);
    }
    push(&mut reply, Section::Additional, &records.additional);
    reply.finish()
}

/// What stands behind names of ours that lead elsewhere.
fn behind(
    query: &Query<'_>,
    aliases: &[Record],
    outcome: Result<Arc<Response>, NoAnswer>,
    bytes_max: usize,
) -> Vec<u8> {
    let code = match &outcome {
        Ok(response) if response.code() == Code::NoError as u16 => Code::NoError,
        Ok(response) if response.code() == Code::NoSuchName as u16 => Code::NoSuchName,
        _ => Code::ServerFailure,
    };
    let mut reply = Reply::new(query, code, true, bytes_max);
    push(&mut reply, Section::Answer, aliases);
    if let Ok(response) = outcome {
        let now = Instant::now();
        for section in [Section::Answer, Section::Authority] {
            for record in response.records(section, now) {
                reply.push(section, &record);
            }
        }
    }
    reply.finish()
}

fn push(reply: &mut Reply, section: Section, records: &[Record]) {
    for record in records {
        reply.push(section, record);
    }
}
