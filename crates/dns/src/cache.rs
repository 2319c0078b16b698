//! What the machine's resolvers said, as long as they said it holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::message::{self, HEADER_BYTES, Record, RecordAt, Records, Section, kind};
use crate::name::Name;

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
    pub(crate) kind: u16,
    pub(crate) dnssec: bool,
    pub(crate) checking_disabled: bool,
}

/// An answer of a resolver, without what EDNS added to it.
#[derive(Debug)]
pub(crate) struct Response {
    body: Vec<u8>,
    records: Vec<RecordAt>,
    came: Instant,
    lasts: Duration,
}

impl Response {
    /// `None`: it cannot be read, or is not an answer to this question.
    pub(crate) fn read(mut body: Vec<u8>, key: &Key, now: Instant) -> Option<Self> {
        let (name, end) = Name::read(&body, HEADER_BYTES)?;
        let is_plain = end - HEADER_BYTES == name.wire().len();
        let is_asked = (&name, message::word(&body, end)) == (&key.name, key.kind);
        if !message::is_response(&body) || message::word(&body, 4) != 1 || !is_plain || !is_asked {
            return None;
        }
        body.get(..end + 4)?;
        let mut records = Vec::new();
        let mut additional = 0;
        for record in Records::new(&body, end + 4) {
            let record = record?;
            if record.kind == kind::OPT {
                break;
            }
            additional += u16::from(record.section == Section::Additional);
            records.push(record);
        }
        // Whatever follows the OPT record nobody needs.
        body.truncate(records.last().map_or(end + 4, |record| record.end));
        message::set(&mut body, Section::Additional as usize, additional);
        let lasts = lasts(&body, &records);
        Some(Self { body, records, came: now, lasts })
    }

    pub(crate) fn code(&self) -> u16 {
        message::code_of(&self.body)
    }

    pub(crate) fn is_truncated(&self) -> bool {
        message::is_truncated(&self.body)
    }

    /// The message with the time that is left of each record, and where its answers end.
    pub(crate) fn aged(&self, now: Instant) -> (Vec<u8>, Vec<usize>) {
        let age = self.age(now);
        let mut body = self.body.clone();
        let mut ends = Vec::new();
        for record in &self.records {
            let ttl = record.ttl.saturating_sub(age);
            body[record.ttl_at..record.ttl_at + 4].copy_from_slice(&ttl.to_be_bytes());
            if record.section == Section::Answer {
                ends.push(record.end);
            }
        }
        (body, ends)
    }

    /// The records of a section.
    pub(crate) fn records(&self, section: Section, now: Instant) -> impl Iterator<Item = Record> {
        let age = self.age(now);
        let records = self.records.iter().filter(move |record| record.section == section);
        records.filter_map(move |record| record.record(&self.body, record.ttl.saturating_sub(age)))
    }

    fn age(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.came).as_secs()).unwrap_or(u32::MAX)
    }
}

/// The least of what its records say; of a negative one, what its SOA record says (RFC 2308).
fn lasts(body: &[u8], records: &[RecordAt]) -> Duration {
    const NO_SUCH_NAME: u16 = 3;
    let code = message::code_of(body);
    let has_answers = records.iter().any(|record| record.section == Section::Answer);
    let seconds = if code == 0 && has_answers {
        records.iter().map(|record| record.ttl).min()
    } else if code == 0 || code == NO_SUCH_NAME {
        let soa = records.iter().find(|record| record.kind == kind::SOA);
        soa.and_then(|soa| {
            let minimum = body.get(soa.data..soa.end)?.last_chunk::<4>()?;
            Some(soa.ttl.min(u32::from_be_bytes(*minimum)))
        })
    } else {
        None
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
