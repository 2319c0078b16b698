//! Statements as the expressions that the kernel evaluates.

use ipnet::IpNet;

use crate::field::Field;
use crate::netlink::Writer;
use crate::statement::{Family, Lookup, Statement, Verdict};
use crate::value::{Kind, REGISTER_BYTES, Value, concatenate};

/// `NFT_REG_VERDICT`
const VERDICT_REGISTER: u32 = 0;
/// `NFT_REG32_00`: what a field was loaded into. A key is at most 32 bytes long: an interface and an address of IPv6.
const KEY_REGISTER: u32 = 8;
/// `NFT_REG32_08`: what was chosen.
const CHOSEN_REGISTER: u32 = 16;

const CMP_EQ: u32 = 0;
const CMP_NEQ: u32 = 1;
const LOOKUP_INVERTED: u32 = 1;
const NAT_SOURCE: u32 = 0;
const NAT_DESTINATION: u32 = 1;
/// `NF_NAT_RANGE_PROTO_RANDOM_FULLY`
const PORT_FULLY_RANDOM: u32 = 16;
const DYNSET_UPDATE: u32 = 1;
const DYNSET_DELETE: u32 = 2;
/// `NFT_REJECT_TCP_RST`, `NFT_REJECT_ICMPX_UNREACH`
const REJECT_RESET: u32 = 1;
const REJECT_ICMPX: u32 = 2;
/// `NFT_REJECT_ICMPX_PORT_UNREACH`
const PORT_UNREACHABLE: u8 = 1;

/// What a lookup calls its set: a name, and, for one made in the same transaction with the rule, its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetName<'a> {
    pub(crate) name: &'a str,
    pub(crate) number: Option<u32>,
}

/// Writes what the statement does, as elements of a rule's list. `set` is what it looks up in.
pub(crate) fn write(writer: &mut Writer, statement: &Statement, set: SetName<'_>) {
    match statement {
        Statement::Of(family) => {
            const NFPROTO: u32 = 15;
            meta(writer, NFPROTO);
            compare(writer, CMP_EQ, &[family.number()]);
        }
        Statement::Is(field, value) => is(writer, *field, CMP_EQ, &value.encode()),
        Statement::IsNot(field, value) => is(writer, *field, CMP_NEQ, &value.encode()),
        Statement::Begins(field, begin) => is(writer, *field, CMP_EQ, begin.as_bytes()),
        Statement::BeginsNot(field, begin) => is(writer, *field, CMP_NEQ, begin.as_bytes()),
        Statement::HasAny(field, bits) => {
            load(writer, *field, KEY_REGISTER);
            mask(writer, &bits.to_ne_bytes());
            compare(writer, CMP_NEQ, &[0; 4]);
        }
        Statement::Within(field, range) => within(writer, *field, CMP_EQ, range),
        Statement::NotWithin(field, range) => within(writer, *field, CMP_NEQ, range),
        Statement::In(fields, _) => look_up(writer, fields, set, None, 0),
        Statement::NotIn(fields, _) => look_up(writer, fields, set, None, LOOKUP_INVERTED),
        Statement::Dispatch(fields, _) => look_up(writer, fields, set, Some(VERDICT_REGISTER), 0),
        Statement::Choose(fields, _) => look_up(writer, fields, set, Some(CHOSEN_REGISTER), 0),
        Statement::ChooseOnly(values) => {
            let mut register = CHOSEN_REGISTER;
            for value in values {
                immediate(writer, register, &value.encode());
                register += registers(value.kind());
            }
        }
        Statement::ChosenIn(_) => lookup(writer, CHOSEN_REGISTER, set, None, 0),
        Statement::Remember { map, key, timeout } => {
            let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            dynset(writer, map, *key, DYNSET_UPDATE, Some(timeout_ms));
        }
        Statement::Forget { map, key } => dynset(writer, map, *key, DYNSET_DELETE, None),
        Statement::DnatToChosen(family) => {
            let address = if *family == Family::Ipv4 { Kind::Ipv4 } else { Kind::Ipv6 };
            nat(writer, NAT_DESTINATION, *family, Some(CHOSEN_REGISTER + registers(address)));
        }
        Statement::Snat(address) => {
            immediate(writer, CHOSEN_REGISTER, &Value::from(*address).encode());
            nat(writer, NAT_SOURCE, Family::of(*address), None);
        }
        Statement::Masquerade => expression(writer, "masq", |writer| writer.u32(1, PORT_FULLY_RANDOM)),
        Statement::RejectWithReset => reject(writer, REJECT_RESET, 0),
        Statement::RejectPort => reject(writer, REJECT_ICMPX, PORT_UNREACHABLE),
        Statement::Do(verdict) => expression(writer, "immediate", |writer| {
            writer.u32(1, VERDICT_REGISTER);
            writer.nested(2, |writer| write_verdict(writer, verdict));
        }),
    }
}

/// As `NFTA_DATA_VERDICT`.
pub(crate) fn write_verdict(writer: &mut Writer, verdict: &Verdict) {
    const NFTA_DATA_VERDICT: u16 = 2;
    let (code, chain) = match verdict {
        Verdict::Drop => (0, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3_i32, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5, None),
    };
    writer.nested(NFTA_DATA_VERDICT, |writer| {
        writer.u32(1, code.cast_unsigned());
        if let Some(chain) = chain {
            writer.text(2, chain);
        }
    });
}

/// As `NFTA_DATA_VALUE`.
pub(crate) fn write_value(writer: &mut Writer, bytes: &[u8]) {
    const NFTA_DATA_VALUE: u16 = 1;
    writer.bytes(NFTA_DATA_VALUE, bytes);
}

/// What `lookup` is made of when it belongs to one rule: each element's key and datum; the end of a range is an element, too.
pub(crate) fn is_interval(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::Ranges(_))
}

fn registers(kind: Kind) -> u32 {
    u32::try_from(kind.bytes().div_ceil(REGISTER_BYTES)).expect("4 at most")
}

fn expression(writer: &mut Writer, name: &str, body: impl FnOnce(&mut Writer)) {
    const NFTA_LIST_ELEM: u16 = 1;
    const NFTA_EXPR_NAME: u16 = 1;
    const NFTA_EXPR_DATA: u16 = 2;
    writer.nested(NFTA_LIST_ELEM, |writer| {
        writer.text(NFTA_EXPR_NAME, name);
        writer.nested(NFTA_EXPR_DATA, body);
    });
}

fn meta(writer: &mut Writer, key: u32) {
    meta_to(writer, key, KEY_REGISTER);
}

fn meta_to(writer: &mut Writer, key: u32, register: u32) {
    expression(writer, "meta", |writer| {
        writer.u32(1, register);
        writer.u32(2, key);
    });
}

fn load(writer: &mut Writer, field: Field, register: u32) {
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;
    /// `NFT_FIB_RESULT_*`, `NFTA_FIB_F_*`
    const OUTPUT_INTERFACE: u32 = 1;
    const ADDRESS_TYPE: u32 = 3;
    const OF_SOURCE: u32 = 1;
    const OF_DESTINATION: u32 = 2;
    const OF_INPUT_INTERFACE: u32 = 8;
    match field {
        Field::Source4 => payload(writer, NETWORK, 12, field, register),
        Field::Destination4 => payload(writer, NETWORK, 16, field, register),
        Field::Source6 => payload(writer, NETWORK, 8, field, register),
        Field::Destination6 => payload(writer, NETWORK, 24, field, register),
        Field::DestinationPort => payload(writer, TRANSPORT, 2, field, register),
        Field::InputInterface => meta_to(writer, 6, register),
        Field::OutputInterface => meta_to(writer, 7, register),
        Field::Protocol => meta_to(writer, 16, register),
        Field::DestinationType => fib(writer, ADDRESS_TYPE, OF_DESTINATION, register),
        Field::ReversePath => fib(writer, OUTPUT_INTERFACE, OF_SOURCE | OF_INPUT_INTERFACE, register),
        Field::ConnectionState => expression(writer, "ct", |writer| {
            const STATE: u32 = 0;
            writer.u32(1, register);
            writer.u32(2, STATE);
        }),
        Field::Random(below) => expression(writer, "numgen", |writer| {
            const RANDOM: u32 = 1;
            writer.u32(1, register);
            writer.u32(2, below);
            writer.u32(3, RANDOM);
            writer.u32(4, 0);
        }),
    }
}

fn fib(writer: &mut Writer, result: u32, flags: u32, register: u32) {
    expression(writer, "fib", |writer| {
        writer.u32(1, register);
        writer.u32(2, result);
        writer.u32(3, flags);
    });
}

fn payload(writer: &mut Writer, base: u32, offset: u32, field: Field, register: u32) {
    expression(writer, "payload", |writer| {
        writer.u32(1, register);
        writer.u32(2, base);
        writer.u32(3, offset);
        writer.u32(4, u32::try_from(field.kind().bytes()).expect("16 at most"));
    });
}

fn compare(writer: &mut Writer, operator: u32, bytes: &[u8]) {
    expression(writer, "cmp", |writer| {
        writer.u32(1, KEY_REGISTER);
        writer.u32(2, operator);
        writer.nested(3, |writer| write_value(writer, bytes));
    });
}

fn is(writer: &mut Writer, field: Field, operator: u32, bytes: &[u8]) {
    load(writer, field, KEY_REGISTER);
    compare(writer, operator, bytes);
}

fn mask(writer: &mut Writer, bits: &[u8]) {
    expression(writer, "bitwise", |writer| {
        writer.u32(1, KEY_REGISTER);
        writer.u32(2, KEY_REGISTER);
        writer.u32(3, u32::try_from(bits.len()).expect("16 at most"));
        writer.nested(4, |writer| write_value(writer, bits));
        writer.nested(5, |writer| write_value(writer, &vec![0; bits.len()]));
    });
}

fn within(writer: &mut Writer, field: Field, operator: u32, range: &IpNet) {
    load(writer, field, KEY_REGISTER);
    mask(writer, &Value::from(range.netmask()).encode());
    compare(writer, operator, &Value::from(range.network()).encode());
}

fn look_up(writer: &mut Writer, fields: &[Field], set: SetName<'_>, to: Option<u32>, flags: u32) {
    let mut register = KEY_REGISTER;
    for field in fields {
        load(writer, *field, register);
        register += registers(field.kind());
    }
    lookup(writer, KEY_REGISTER, set, to, flags);
}

fn lookup(writer: &mut Writer, from: u32, set: SetName<'_>, to: Option<u32>, flags: u32) {
    expression(writer, "lookup", |writer| {
        writer.text(1, set.name);
        writer.u32(2, from);
        if let Some(register) = to {
            writer.u32(3, register);
        }
        if let Some(number) = set.number {
            writer.u32(4, number);
        }
        if flags != 0 {
            writer.u32(5, flags);
        }
    });
}

fn dynset(writer: &mut Writer, map: &str, key: Field, operation: u32, timeout_ms: Option<u64>) {
    load(writer, key, KEY_REGISTER);
    expression(writer, "dynset", |writer| {
        writer.text(1, map);
        writer.u32(3, operation);
        writer.u32(4, KEY_REGISTER);
        writer.u32(5, CHOSEN_REGISTER);
        if let Some(timeout_ms) = timeout_ms {
            writer.u64(6, timeout_ms);
        }
    });
}

fn immediate(writer: &mut Writer, register: u32, bytes: &[u8]) {
    expression(writer, "immediate", |writer| {
        writer.u32(1, register);
        writer.nested(2, |writer| write_value(writer, bytes));
    });
}

fn nat(writer: &mut Writer, direction: u32, family: Family, port_register: Option<u32>) {
    expression(writer, "nat", |writer| {
        writer.u32(1, direction);
        writer.u32(2, u32::from(family.number()));
        writer.u32(3, CHOSEN_REGISTER);
        if let Some(register) = port_register {
            writer.u32(5, register);
        }
    });
}

fn reject(writer: &mut Writer, kind: u32, code: u8) {
    expression(writer, "reject", |writer| {
        writer.u32(1, kind);
        writer.bytes(2, &[code]);
    });
}

/// The first values behind a range: where an element that ends it stands. `None` at the end of everything.
pub(crate) fn behind(last: &Value) -> Option<Vec<u8>> {
    let mut bytes = concatenate(std::slice::from_ref(last));
    for byte in bytes.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::behind;
    use crate::value::Value;

    #[test]
    fn a_range_ends_before_the_next_value() {
        assert_eq!(behind(&Value::Port(0x01ff)), Some(vec![2, 0]));
        assert_eq!(behind(&Value::Ipv4([10, 255, 255, 255].into())), Some(vec![11, 0, 0, 0]));
        assert_eq!(behind(&Value::Port(u16::MAX)), None);
    }
}
