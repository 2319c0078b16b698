//! Which protocol a request to upgrade leads to, and the answer that says so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::refusal::Refusal;

/// The name of SPDY in `Upgrade`.
pub(crate) const SPDY: &str = "SPDY/3.1";
/// The SPDY protocols a client can speak, and the one the server chose.
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("x-stream-protocol-version");
/// The SPDY protocols the server would have accepted.
const ACCEPTED_VERSIONS: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");
/// RFC 6455, section 1.3.
const WEBSOCKET_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// RFC 6455, section 4.1: the key is 16 bytes.
const WEBSOCKET_KEY_BYTES: usize = 16;
/// Protocols of one request that are looked at.
const OFFERS_MAX: usize = 32;

/// What carries the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Messages of a WebSocket.
    WebSocket,
    /// Streams of SPDY/3.1 on the connection itself.
    Spdy,
}

/// Whether a request asks to upgrade its connection to a WebSocket or to SPDY.
pub fn wants_upgrade(headers: &HeaderMap) -> bool {
    transport(headers).is_some()
}

pub(crate) fn transport(headers: &HeaderMap) -> Option<Transport> {
    let upgrades = headers.get_all(CONNECTION).iter().any(|value| has_token(value, "upgrade"));
    let upgrade = headers.get_all(UPGRADE);
    if !upgrades {
        None
    } else if upgrade.iter().any(|value| has_token(value, "websocket")) {
        Some(Transport::WebSocket)
    } else if upgrade.iter().any(|value| has_token(value, SPDY)) {
        Some(Transport::Spdy)
    } else {
        None
    }
}

/// The transport, or the refusal of a request without one.
pub(crate) fn need_transport(headers: &HeaderMap) -> Result<Transport, Refusal> {
    transport(headers).ok_or_else(|| {
        Refusal::bad_request(
            "Upgrade request required: send `Connection: Upgrade` with `Upgrade: websocket` or `Upgrade: SPDY/3.1`",
        )
    })
}

fn has_token(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
}

/// The values of a comma-separated header, in the client's order.
pub(crate) fn offers<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|offer| !offer.is_empty())
        .take(OFFERS_MAX)
        .collect()
}

/// The subprotocol of a WebSocket: the client's first that is among `supported`. A client that names none gets none, which
/// is right if `supported` has the empty name.
pub(crate) fn websocket_protocol(
    headers: &HeaderMap,
    supported: &[&'static str],
) -> Result<&'static str, Refusal> {
    check_websocket(headers)?;
    let mut offered = offers(headers, &SEC_WEBSOCKET_PROTOCOL);
    if offered.is_empty() {
        offered.push("");
    }
    choose(&offered, supported).ok_or_else(|| Refusal {
        status: StatusCode::FORBIDDEN,
        message: format!("requested protocol(s) are not supported: {offered:?}; supports {supported:?}"),
        headers: vec![],
    })
}

/// The protocol of a SPDY connection: the client's first that is among `supported`.
pub(crate) fn spdy_protocol(
    headers: &HeaderMap,
    supported: &[&'static str],
) -> Result<&'static str, Refusal> {
    let offered = offers(headers, &PROTOCOL_VERSION);
    if offered.is_empty() {
        return Err(Refusal::bad_request(
            "unable to upgrade: header X-Stream-Protocol-Version is missing or names no protocol",
        ));
    }
    choose(&offered, supported).ok_or_else(|| Refusal {
        status: StatusCode::FORBIDDEN,
        message: format!(
            "unable to upgrade: unable to negotiate protocol: client supports {offered:?}, server accepts {supported:?}"
        ),
        headers: supported.iter().map(|&name| (ACCEPTED_VERSIONS, HeaderValue::from_static(name))).collect(),
    })
}

fn choose(offered: &[&str], supported: &[&'static str]) -> Option<&'static str> {
    offered.iter().find_map(|offer| supported.iter().find(|name| *name == offer)).copied()
}

fn check_websocket(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal {
            headers: vec![(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))],
            ..Refusal::bad_request("unable to upgrade: Sec-WebSocket-Version must be 13")
        });
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key.as_bytes()).ok());
    if key.is_none_or(|key| key.len() != WEBSOCKET_KEY_BYTES) {
        return Err(Refusal::bad_request("unable to upgrade: Sec-WebSocket-Key must be 16 bytes in base64"));
    }
    Ok(())
}

/// The 101 of a WebSocket.
pub(crate) fn websocket_response(headers: &HeaderMap, protocol: &'static str) -> Response<()> {
    let mut response = switching("websocket");
    let key = headers.get(SEC_WEBSOCKET_KEY).map_or(&b""[..], HeaderValue::as_bytes);
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept_value(key));
    if !protocol.is_empty() {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    response
}

/// The 101 of a SPDY connection.
pub(crate) fn spdy_response(protocol: &'static str) -> Response<()> {
    let mut response = switching(SPDY);
    response.headers_mut().insert(PROTOCOL_VERSION, HeaderValue::from_static(protocol));
    response
}

fn switching(upgrade: &'static str) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(upgrade));
    response
}

/// What proves that a WebSocket request was understood (RFC 6455, section 4.2.2).
pub(crate) fn accept_value(key: &[u8]) -> HeaderValue {
    let mut sha1 = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key);
    sha1.update(WEBSOCKET_GUID);
    HeaderValue::try_from(STANDARD.encode(sha1.finish())).expect("base64 is fit for a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let parse =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in lines.iter().map(parse) {
            map.append::<HeaderName>(name, value);
        }
        map
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION: (&str, &str) = ("sec-websocket-version", "13");

    #[test]
    fn transports() {
        for (connection, upgrade, expected) in [
            ("Upgrade", "websocket", Some(Transport::WebSocket)),
            ("keep-alive, upgrade", "WebSocket", Some(Transport::WebSocket)),
            ("Upgrade", "SPDY/3.1", Some(Transport::Spdy)),
            ("Upgrade", "spdy/3.1", Some(Transport::Spdy)),
            ("Upgrade", "h2c", None),
            ("keep-alive", "websocket", None),
        ] {
            let map = headers(&[("connection", connection), ("upgrade", upgrade)]);
            assert_eq!(transport(&map), expected, "{connection} {upgrade}");
        }
        assert!(!wants_upgrade(&HeaderMap::new()));
    }

    #[test]
    fn the_clients_first_supported_subprotocol_is_chosen() {
        let supported = ["v5", "v4", ""];
        for (offered, expected) in [
            (vec!["v9, v4, v5"], Some("v4")),
            (vec!["v9", " v5"], Some("v5")),
            (vec![], Some("")),
            (vec!["v9"], None),
        ] {
            let mut lines = vec![KEY, VERSION];
            lines.extend(offered.iter().map(|offer| ("sec-websocket-protocol", *offer)));
            let chosen = websocket_protocol(&headers(&lines), &supported);
            assert_eq!(chosen.as_ref().ok().copied(), expected, "{offered:?}");
            assert_eq!(
                chosen.err().map(|refusal| refusal.status),
                expected.is_none().then_some(StatusCode::FORBIDDEN)
            );
        }
    }

    #[test]
    fn a_bad_websocket_request_is_refused() {
        for lines in [vec![KEY], vec![VERSION], vec![VERSION, ("sec-websocket-key", "c2hvcnQ=")]] {
            assert_eq!(
                websocket_protocol(&headers(&lines), &[""]).unwrap_err().status,
                StatusCode::BAD_REQUEST
            );
        }
    }

    #[test]
    fn the_accept_value_is_that_of_the_rfc() {
        assert_eq!(accept_value(KEY.1.as_bytes()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn spdy_versions() {
        let supported = ["v4.channel.k8s.io", "channel.k8s.io"];
        let map = headers(&[("x-stream-protocol-version", "v5.channel.k8s.io,v4.channel.k8s.io")]);
        assert_eq!(spdy_protocol(&map, &supported).unwrap(), "v4.channel.k8s.io");
        let refusal =
            spdy_protocol(&headers(&[("x-stream-protocol-version", "v9")]), &supported).unwrap_err();
        assert_eq!((refusal.status, refusal.headers.len()), (StatusCode::FORBIDDEN, 2));
        assert_eq!(spdy_protocol(&HeaderMap::new(), &supported).unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
