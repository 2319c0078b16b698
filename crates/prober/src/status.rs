//! How gRPC says that a call failed (<https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>).

use http::{HeaderMap, StatusCode};

use crate::error::quote;
use crate::http2::reason_name;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Code(pub(crate) u32);

impl Code {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const CANCELED: Self = Self(1);
    pub(crate) const UNKNOWN: Self = Self(2);
    pub(crate) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(crate) const PERMISSION_DENIED: Self = Self(7);
    pub(crate) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    pub(crate) const INTERNAL: Self = Self(13);
    pub(crate) const UNAVAILABLE: Self = Self(14);
    pub(crate) const UNAUTHENTICATED: Self = Self(16);

    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];

    pub(crate) fn name(self) -> String {
        let known = usize::try_from(self.0).ok().and_then(|code| Self::NAMES.get(code));
        known.map_or_else(|| format!("Code({})", self.0), |name| (*name).to_owned())
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Status {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl Status {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Of an answer that is none of gRPC's. `None`: it is one.
    pub(crate) fn of_foreign(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let of_type = match headers.get(http::header::CONTENT_TYPE) {
            None => "malformed header: missing HTTP content-type".to_owned(),
            Some(value) if is_grpc(value.as_bytes()) => return None,
            Some(value) => {
                let value = String::from_utf8_lossy(value.as_bytes());
                format!("transport: received unexpected content-type {}", quote(&value))
            }
        };
        let code = match status.as_u16() {
            400 => Code::INTERNAL,
            401 => Code::UNAUTHENTICATED,
            403 => Code::PERMISSION_DENIED,
            404 => Code::UNIMPLEMENTED,
            429 | 502..=504 => Code::UNAVAILABLE,
            _ => Code::UNKNOWN,
        };
        let reason = status.canonical_reason().unwrap_or_default();
        let number = status.as_u16();
        let message =
            format!("unexpected HTTP status code received from server: {number} ({reason}); {of_type}");
        Some(Self::new(code, message))
    }

    /// Of the trailers, or of the headers of an answer that has nothing else.
    pub(crate) fn of_trailers(trailers: &HeaderMap) -> Self {
        let Some(code) = trailers.get("grpc-status") else { return Self::new(Code::UNKNOWN, "") };
        let code = String::from_utf8_lossy(code.as_bytes());
        let Ok(number) = code.parse::<i32>() else {
            let reason = format!("strconv.ParseInt: parsing {}: invalid syntax", quote(&code));
            return Self::new(Code::UNKNOWN, format!("transport: malformed grpc-status: {reason}"));
        };
        let message = trailers.get("grpc-message").map(|message| decoded(message.as_bytes()));
        Self::new(Code(number.cast_unsigned()), message.unwrap_or_default())
    }

    /// Of a stream that ended by an error.
    pub(crate) fn of_reset(reason: h2::Reason) -> Self {
        let code = match reason {
            h2::Reason::FLOW_CONTROL_ERROR | h2::Reason::ENHANCE_YOUR_CALM => Code::RESOURCE_EXHAUSTED,
            h2::Reason::REFUSED_STREAM => Code::UNAVAILABLE,
            h2::Reason::CANCEL => Code::CANCELED,
            h2::Reason::INADEQUATE_SECURITY => Code::PERMISSION_DENIED,
            _ => Code::INTERNAL,
        };
        let reason = reason_name(reason);
        Self::new(code, format!("stream terminated by RST_STREAM with error code: {reason}"))
    }
}

fn is_grpc(content_type: &[u8]) -> bool {
    let Some(rest) = content_type.to_ascii_lowercase().strip_prefix(b"application/grpc").map(<[u8]>::to_vec)
    else {
        return false;
    };
    matches!(rest.first(), None | Some(b'+' | b';'))
}

/// `grpc-message` is percent-encoded.
fn decoded(message: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(message.len());
    let mut rest = message;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |n: usize| after.get(n).and_then(|&byte| char::from(byte).to_digit(16));
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Code, decoded, is_grpc};

    #[test]
    fn names_codes() {
        assert_eq!(Code::UNAVAILABLE.name(), "Unavailable");
        assert_eq!(Code::UNAUTHENTICATED.name(), "Unauthenticated");
        assert_eq!(Code(17).name(), "Code(17)");
    }

    #[test]
    fn knows_content_types() {
        for (text, is) in
            [("application/grpc", true), ("application/GRPC+proto", true), ("application/grpcx", false)]
        {
            assert_eq!(is_grpc(text.as_bytes()), is, "{text}");
        }
    }

    #[test]
    fn decodes_messages() {
        assert_eq!(decoded(b"a%20b%zz%c3%a9%2"), "a b%zz\u{e9}%2");
    }
}
