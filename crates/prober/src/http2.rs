//! A request over HTTP/2, and what that and gRPC have in common.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Request, Uri};

use crate::error::chain;
use crate::transport::{Body, Driver, Ends, HEAD_BYTES_MAX, Response, Source, Stream};
use crate::url::Url;

/// Those of HTTP/1.1, which may not be sent.
const OF_CONNECTIONS: [HeaderName; 6] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Every bound of what a server may send that is not the default.
pub(crate) fn builder() -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    let list_bytes_max = u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX);
    builder.enable_push(false).max_header_list_size(list_bytes_max);
    builder
}

pub(crate) async fn get(
    stream: Stream,
    ends: Ends,
    url: &Url,
    mut headers: HeaderMap,
) -> Result<Response, String> {
    let failed = |error: h2::Error| failure(&error, &ends);
    let (sender, connection) = builder().handshake::<_, Bytes>(stream).await.map_err(failed)?;
    let mut driver = Driver::new(async {
        let _ = connection.await;
    });
    let host = headers.remove(HOST);
    let authority = host.as_ref().and_then(|host| host.to_str().ok()).filter(|host| !host.is_empty());
    let uri = Uri::builder().scheme("https").authority(authority.unwrap_or(&url.authority));
    let uri = uri.path_and_query(url.target()).build().map_err(|error| format!("net/http: {error}"))?;
    for name in OF_CONNECTIONS {
        headers.remove(name);
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let mut sender = driver.run(sender.ready()).await.map_err(failed)?;
    let (response, _) = sender.send_request(request, true).map_err(failed)?;
    let (parts, body) = driver.run(response).await.map_err(failed)?.into_parts();
    Ok(Response {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: Body { source: Source::Http2(body), driver, ends },
    })
}

pub(crate) fn failure(error: &h2::Error, ends: &Ends) -> String {
    match (error.get_io(), error.reason()) {
        (Some(error), _) => ends.failure(error).unwrap_or_else(|| error.to_string()),
        (None, Some(reason)) if error.is_reset() => format!("stream error: {}", reason_name(reason)),
        (None, Some(reason)) if error.is_remote() => {
            format!("http2: server sent GOAWAY and closed the connection; ErrCode={}", reason_name(reason))
        }
        _ => format!("http2: {}", chain(error)),
    }
}

/// As RFC 9113 calls it.
pub(crate) fn reason_name(reason: h2::Reason) -> String {
    format!("{reason:?}")
}
