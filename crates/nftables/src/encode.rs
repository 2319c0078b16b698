//! Transactions as messages.

use crate::expression::{SetName, behind, is_interval, write as write_statement, write_value, write_verdict};
use crate::netlink::{Header, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, Writer};
use crate::object::{Base, Chain, Data, Datum, Element, Operation, Set, Transaction};
use crate::socket::head;
use crate::statement::{Lookup, Rule};
use crate::value::{Kind, concatenate, length, number};

pub(crate) const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
pub(crate) const NFPROTO_INET: u8 = 1;

pub(crate) const NFT_MSG_NEWTABLE: u16 = 0;
pub(crate) const NFT_MSG_DELTABLE: u16 = 2;
pub(crate) const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_DELCHAIN: u16 = 5;
pub(crate) const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_DELRULE: u16 = 8;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_DELSET: u16 = 11;
pub(crate) const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;

const NFT_SET_ANONYMOUS: u32 = 0x1;
const NFT_SET_CONSTANT: u32 = 0x2;
const NFT_SET_INTERVAL: u32 = 0x4;
const NFT_SET_MAP: u32 = 0x8;
const NFT_SET_TIMEOUT: u32 = 0x10;
const NFT_SET_EVAL: u32 = 0x20;
const NFT_SET_ELEM_INTERVAL_END: u32 = 0x1;
/// `NFT_DATA_VERDICT`
const VERDICT_DATA: u32 = 0xffff_ff00;
/// The kernel puts a number in.
const ANONYMOUS_NAME: &str = "__set%d";

/// An attribute is at most 64 KiB long, so longer lists of elements go in several messages.
const ELEMENTS_BYTES_MAX: usize = 32 << 10;

/// A transaction as one datagram.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    first: u32,
    /// Of the message whose acknowledgement says that all is done.
    pub(crate) last: u32,
    /// The first sequence number of each operation.
    begins: Vec<u32>,
}

impl Batch {
    /// Its messages have the sequence numbers from `first` on.
    pub(crate) fn new(transaction: &Transaction, first: u32) -> Self {
        let mut encoder =
            Encoder { writer: Writer::default(), table: &transaction.table, sequence: first, sets: 0 };
        let mut begins = vec![];
        encoder.bracket(NFNL_MSG_BATCH_BEGIN);
        for (n, operation) in transaction.operations.iter().enumerate() {
            begins.push(encoder.sequence);
            encoder.operation(operation, n + 1 == transaction.operations.len());
        }
        let last = encoder.sequence.wrapping_sub(1);
        encoder.bracket(NFNL_MSG_BATCH_END);
        Self { bytes: encoder.writer.into_bytes(), first, last, begins }
    }

    /// Which operation the message is of; `None`: the whole.
    pub(crate) fn operation(&self, sequence: u32) -> Option<usize> {
        self.begins.iter().rposition(|begin| sequence.wrapping_sub(*begin) < u32::MAX / 2)
    }

    pub(crate) fn owns(&self, sequence: u32) -> bool {
        sequence.wrapping_sub(self.first) < self.next().wrapping_sub(self.first)
    }

    /// The sequence number that nothing of it has.
    pub(crate) fn next(&self) -> u32 {
        self.last.wrapping_add(2)
    }
}

struct Encoder<'a> {
    writer: Writer,
    table: &'a str,
    /// Of the next message.
    sequence: u32,
    /// How many sets without a name there are.
    sets: u32,
}

impl Encoder<'_> {
    fn bracket(&mut self, kind: u16) {
        let header = Header { kind, flags: 0, sequence: self.sequence };
        self.writer.message(header, &head(0, NFNL_SUBSYS_NFTABLES), |_| {});
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Writes a message about the table.
    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Writer)) {
        const TABLE: u16 = 1;
        let kind = NFNL_SUBSYS_NFTABLES << 8 | kind;
        let header = Header { kind, flags, sequence: self.sequence };
        let table = self.table;
        self.writer.message(header, &head(NFPROTO_INET, 0), |writer| {
            writer.text(TABLE, table);
            body(writer);
        });
        self.sequence = self.sequence.wrapping_add(1);
    }

    fn operation(&mut self, operation: &Operation, is_last: bool) {
        const CHAIN_NAME: u16 = 3;
        const RULE_CHAIN: u16 = 2;
        const SET_NAME: u16 = 2;
        let ack = if is_last { NLM_F_ACK } else { 0 };
        match operation {
            Operation::AddTable => self.message(NFT_MSG_NEWTABLE, NLM_F_CREATE | ack, |_| {}),
            Operation::DeleteTable => self.message(NFT_MSG_DELTABLE, ack, |_| {}),
            Operation::AddChain(chain) => {
                self.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE | ack, |writer| write_chain(writer, chain));
            }
            Operation::FlushChain(name) => {
                self.message(NFT_MSG_DELRULE, ack, |writer| writer.text(RULE_CHAIN, name));
            }
            Operation::DeleteChain(name) => {
                self.message(NFT_MSG_DELCHAIN, ack, |writer| writer.text(CHAIN_NAME, name));
            }
            Operation::AddRule { chain, rule } => self.rule(chain, rule, ack),
            Operation::AddSet(set) => {
                self.sets += 1;
                let number = self.sets;
                self.message(NFT_MSG_NEWSET, NLM_F_CREATE | ack, |writer| write_set(writer, set, number));
            }
            Operation::DeleteSet(name) => {
                self.message(NFT_MSG_DELSET, ack, |writer| writer.text(SET_NAME, name));
            }
            Operation::AddElements { set, elements } => {
                let set = SetName { name: set, number: None };
                let entries = elements.iter().map(Entry::of).collect();
                self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, ack, set, entries);
            }
            Operation::DeleteElements { set, elements } => {
                let set = SetName { name: set, number: None };
                let entries = elements.iter().map(Entry::key_of).collect();
                self.elements(NFT_MSG_DELSETELEM, 0, ack, set, entries);
            }
        }
    }

    fn rule(&mut self, chain: &str, rule: &Rule, ack: u16) {
        const CHAIN: u16 = 2;
        const EXPRESSIONS: u16 = 4;
        let numbers: Vec<Option<u32>> =
            rule.0.iter().map(|statement| self.anonymous(statement.lookup()?)).collect();
        self.message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | ack, |writer| {
            writer.text(CHAIN, chain);
            writer.nested(EXPRESSIONS, |writer| {
                for (statement, number) in rule.0.iter().zip(numbers) {
                    let name = match statement.lookup() {
                        Some(Lookup::Named(name)) => name,
                        _ => ANONYMOUS_NAME,
                    };
                    write_statement(writer, statement, SetName { name, number });
                }
            });
        });
    }

    /// Makes the set that belongs to a rule; its number in this transaction.
    fn anonymous(&mut self, lookup: &Lookup) -> Option<u32> {
        let (entries, data) = match lookup {
            Lookup::Named(_) => return None,
            Lookup::Elements(elements) => {
                let data = elements.first().map_or(Data::Nothing, |element| element.datum.data());
                (elements.iter().map(Entry::of).collect(), data)
            }
            Lookup::Ranges(ranges) => {
                let ends = ranges.iter().flat_map(|(first, last)| {
                    let end = behind(last).map(|key| Entry { is_end: true, ..Entry::key(key) });
                    [Some(Entry::key(first.encode())), end].into_iter().flatten()
                });
                (ends.collect::<Vec<_>>(), Data::Nothing)
            }
        };
        self.sets += 1;
        let number = self.sets;
        let interval = if is_interval(lookup) { NFT_SET_INTERVAL } else { 0 };
        let flags = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | interval;
        let size = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        self.message(NFT_MSG_NEWSET, NLM_F_CREATE, |writer| {
            let head = SetHead { name: ANONYMOUS_NAME, flags, key: &lookup.kinds(), data: &data };
            head.write(writer, number, Some(size));
        });
        let set = SetName { name: ANONYMOUS_NAME, number: Some(number) };
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, 0, set, entries);
        Some(number)
    }

    /// `ack` is for the last of the messages.
    fn elements(&mut self, kind: u16, flags: u16, ack: u16, set: SetName<'_>, entries: Vec<Entry<'_>>) {
        const SET: u16 = 2;
        const ELEMENTS: u16 = 3;
        const SET_ID: u16 = 4;
        let mut entries = entries.into_iter().peekable();
        loop {
            let mut message = vec![];
            let mut bytes = 0;
            while let Some(entry) = entries.next_if(|_| bytes < ELEMENTS_BYTES_MAX) {
                bytes += entry.bytes_max();
                message.push(entry);
            }
            let is_last = entries.peek().is_none();
            self.message(kind, flags | if is_last { ack } else { 0 }, |writer| {
                writer.text(SET, set.name);
                if let Some(number) = set.number {
                    writer.u32(SET_ID, number);
                }
                writer.nested(ELEMENTS, |writer| message.iter().for_each(|entry| entry.write(writer)));
            });
            if is_last {
                return;
            }
        }
    }
}

impl Datum {
    fn data(&self) -> Data {
        match self {
            Self::Nothing => Data::Nothing,
            Self::Verdict(_) => Data::Verdict,
            Self::Values(values) => Data::Values(values.iter().map(crate::value::Value::kind).collect()),
        }
    }
}

/// An element as it is sent.
struct Entry<'a> {
    key: Vec<u8>,
    element: Option<&'a Element>,
    is_end: bool,
}

impl<'a> Entry<'a> {
    fn of(element: &'a Element) -> Self {
        Self { element: Some(element), ..Self::key_of(element) }
    }

    fn key_of(element: &Element) -> Self {
        Self::key(concatenate(&element.key))
    }

    fn key(key: Vec<u8>) -> Self {
        Self { key, element: None, is_end: false }
    }

    /// Not less than what [`Self::write`] writes.
    fn bytes_max(&self) -> usize {
        const HEADERS_AND_TIMES: usize = 96;
        const CHAIN_NAME_MAX: usize = 256;
        HEADERS_AND_TIMES + CHAIN_NAME_MAX + self.key.len()
    }

    fn write(&self, writer: &mut Writer) {
        const LIST_ELEM: u16 = 1;
        const KEY: u16 = 1;
        const DATA: u16 = 2;
        const FLAGS: u16 = 3;
        const TIMEOUT: u16 = 4;
        const EXPIRATION: u16 = 5;
        writer.nested(LIST_ELEM, |writer| {
            writer.nested(KEY, |writer| write_value(writer, &self.key));
            if self.is_end {
                writer.u32(FLAGS, NFT_SET_ELEM_INTERVAL_END);
            }
            let Some(element) = self.element else { return };
            match &element.datum {
                Datum::Nothing => {}
                Datum::Verdict(verdict) => {
                    writer.nested(DATA, |writer| write_verdict(writer, verdict));
                }
                Datum::Values(values) => {
                    writer.nested(DATA, |writer| write_value(writer, &concatenate(values)));
                }
            }
            if let Some((timeout, left)) = element.timeout {
                let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                writer.u64(TIMEOUT, ms(timeout));
                writer.u64(EXPIRATION, ms(left));
            }
        });
    }
}

fn write_chain(writer: &mut Writer, chain: &Chain) {
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const TYPE: u16 = 7;
    writer.text(NAME, &chain.name);
    let Some(Base { chain_type, hook, priority, policy }) = chain.base else { return };
    writer.nested(HOOK, |writer| {
        writer.u32(1, hook.number());
        writer.u32(2, priority.cast_unsigned());
    });
    writer.u32(POLICY, policy.number());
    writer.text(TYPE, chain_type.name());
}

fn write_set(writer: &mut Writer, set: &Set, number: u32) {
    let remembers = set.remembers.map_or(0, |_| NFT_SET_TIMEOUT | NFT_SET_EVAL);
    let head = SetHead { name: &set.name, flags: remembers, key: &set.key, data: &set.data };
    head.write(writer, number, set.remembers);
}

struct SetHead<'a> {
    name: &'a str,
    flags: u32,
    key: &'a [Kind],
    data: &'a Data,
}

impl SetHead<'_> {
    fn write(&self, writer: &mut Writer, set_number: u32, size: Option<u32>) {
        const NAME: u16 = 2;
        const FLAGS: u16 = 3;
        const KEY_TYPE: u16 = 4;
        const KEY_LEN: u16 = 5;
        const DATA_TYPE: u16 = 6;
        const DATA_LEN: u16 = 7;
        const DESC: u16 = 9;
        const ID: u16 = 10;
        let bytes = |kinds: &[Kind]| u32::try_from(length(kinds)).expect("a few registers");
        let map = if *self.data == Data::Nothing { 0 } else { NFT_SET_MAP };
        writer.text(NAME, self.name);
        writer.u32(FLAGS, self.flags | map);
        writer.u32(KEY_TYPE, number(self.key));
        writer.u32(KEY_LEN, bytes(self.key));
        match self.data {
            Data::Nothing => {}
            Data::Verdict => writer.u32(DATA_TYPE, VERDICT_DATA),
            Data::Values(kinds) => {
                writer.u32(DATA_TYPE, number(kinds));
                writer.u32(DATA_LEN, bytes(kinds));
            }
        }
        writer.u32(ID, set_number);
        if let Some(size) = size {
            writer.nested(DESC, |writer| writer.u32(1, size));
        }
    }
}
