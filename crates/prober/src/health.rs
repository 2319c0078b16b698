//! The messages of the gRPC health protocol
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>), and how gRPC frames them.

/// Before a message: whether it is compressed, and its length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// `HealthCheckRequest`, framed.
pub(crate) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(service.len() + 6);
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        push_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let length =
        u32::try_from(message.len()).expect("a service's name is part of a manifest, which has a bound");
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&message);
    framed
}

/// The `status` of a `HealthCheckResponse`; `None` when it is none.
pub(crate) fn serving_status(mut message: &[u8]) -> Option<i32> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (0, _) => return None,
            // What does not fit is cut to 32 bits, as protobuf says.
            (1, 0) => status = take_varint(&mut message)? as i32,
            (_, 0) => _ = take_varint(&mut message)?,
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

pub(crate) const SERVING: i32 = 1;

pub(crate) fn status_name(status: i32) -> String {
    match status {
        0 => "UNKNOWN".to_owned(),
        SERVING => "SERVING".to_owned(),
        2 => "NOT_SERVING".to_owned(),
        3 => "SERVICE_UNKNOWN".to_owned(),
        other => other.to_string(),
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for n in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte < 0x80 {
            // The tenth byte has room for one bit.
            return (n < 9 || byte <= 1).then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{request, serving_status};

    #[test]
    fn requests() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("abc"), *b"\0\0\0\0\x05\x0a\x03abc");
        assert_eq!(request(&"x".repeat(300))[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
    }

    #[test]
    fn responses() {
        for (message, status) in [
            (&b""[..], Some(0)),
            (b"\x08\x01", Some(1)),
            (b"\x08\x01\x08\x02", Some(2)),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Some(-1)),
            (b"\x12\x02ab\x1d1234\x21\x31\x32\x33\x34\x35\x36\x37\x38\x28\x07\x08\x03", Some(3)),
            (b"\x08", None),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", None),
            (b"\x12\x05ab", None),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),
            (b"\x00\x01", None),
            (b"\x0b", None),
            (b"garbage", None),
        ] {
            assert_eq!(serving_status(message), status, "{message:?}");
        }
    }
}
