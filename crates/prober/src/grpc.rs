//! The probe `grpc`: a health check in clear (<https://grpc.io/docs/guides/health-checking/>).

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use podspec::GrpcAction;
use podspec::time::go_duration;
use tokio::time::Instant;

use crate::dial::{Dial, Place, Pod};
use crate::error::quote;
use crate::health::{self, PREFIX_BYTES, SERVING};
use crate::http2::{self, builder};
use crate::request::within;
use crate::status::{Code, Status};
use crate::tap::Tap;
use crate::transport::{Driver, Ends};
use crate::{KUBERNETES_VERSION, Outcome};

const METHOD: &str = "/grpc.health.v1.Health/Check";
/// Of the answer, which is a number.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Between attempts to connect, growing by [`BACKOFF_FACTOR`].
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_FACTOR: f64 = 1.6;
const BACKOFF_MAX: Duration = Duration::from_secs(120);
/// Of a frame of HTTP/2, and the type of the one that every server begins with.
const FRAME_HEAD_BYTES: usize = 9;
const SETTINGS: u8 = 4;

/// Makes a gRPC probe of the pod. A service that says it serves is a success, everything else a failure. A server that
/// cannot be reached is tried again until `timeout` has passed.
pub async fn grpc_health<D: Dial>(pod: &Pod<D>, action: &GrpcAction, timeout: Duration) -> Outcome {
    let deadline = Instant::now().checked_add(timeout);
    let authority = pod.authority(Place::Pod, action.port);
    let Some(channel) = within(deadline, connect(pod, action.port)).await else {
        return Outcome::Failure(format!(
            "timeout: failed to connect service {} within {}: context deadline exceeded",
            quote(&authority),
            go_duration(timeout)
        ));
    };
    let too_late = || Status::new(Code::DEADLINE_EXCEEDED, "context deadline exceeded");
    let checked = within(deadline, check(channel, &authority, &action.service, timeout)).await;
    match checked.unwrap_or_else(|| Err(too_late())) {
        Ok(SERVING) => Outcome::Success,
        Ok(status) => {
            let status = quote(&health::status_name(status));
            Outcome::Failure(format!("service unhealthy (responded with {status})"))
        }
        Err(status) => Outcome::Failure(failure(&status, timeout)),
    }
}

fn failure(status: &Status, timeout: Duration) -> String {
    let Status { code, message } = status;
    match *code {
        Code::UNIMPLEMENTED => {
            format!(
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {message}"
            )
        }
        Code::DEADLINE_EXCEEDED => {
            format!("timeout: health rpc did not complete within {}", go_duration(timeout))
        }
        code => {
            format!("error: health rpc probe failed: rpc error: code = {} desc = {message}", code.name())
        }
    }
}

/// A connection whose server speaks HTTP/2.
struct Channel {
    sender: h2::client::SendRequest<Bytes>,
    driver: Driver,
    ends: Ends,
}

/// Ends only when a server answers: whoever waits has a deadline.
async fn connect<D: Dial>(pod: &Pod<D>, port: u16) -> Channel {
    let mut backoff = BACKOFF;
    loop {
        if let Some(channel) = try_connect(pod, port).await {
            return channel;
        }
        tokio::time::sleep(backoff).await;
        backoff = backoff.mul_f64(BACKOFF_FACTOR).min(BACKOFF_MAX);
    }
}

async fn try_connect<D: Dial>(pod: &Pod<D>, port: u16) -> Option<Channel> {
    let tcp = pod.connect(Place::Pod, port).await.ok()?;
    let ends = Ends::of(&tcp, pod.authority(Place::Pod, port));
    let (stream, head) = Tap::new(tcp);
    let (sender, connection) = builder().handshake(stream).await.ok()?;
    let mut driver = Driver::new(async {
        let _ = connection.await;
    });
    let is_ready = std::future::poll_fn(|cx| {
        driver.poll(cx);
        match head.bytes().get(..FRAME_HEAD_BYTES) {
            Some(frame) => Poll::Ready(frame[3] == SETTINGS),
            None if driver.is_over() => Poll::Ready(false),
            None => Poll::Pending,
        }
    });
    is_ready.await.then_some(Channel { sender, driver, ends })
}

/// The status that the server says its service has.
async fn check(channel: Channel, authority: &str, service: &str, timeout: Duration) -> Result<i32, Status> {
    let Channel { sender, mut driver, ends } = channel;
    let failed = |error: h2::Error| call_failure(&error, &ends);
    let request = request(authority, timeout)?;
    let mut sender = driver.run(sender.ready()).await.map_err(failed)?;
    let (response, mut stream) = sender.send_request(request, false).map_err(failed)?;
    stream.send_data(health::request(service).into(), true).map_err(failed)?;
    let (parts, mut body) = driver.run(response).await.map_err(failed)?.into_parts();
    if let Some(status) = Status::of_foreign(parts.status, &parts.headers) {
        return Err(status);
    }
    if body.is_end_stream() {
        return answer(None, &parts.headers);
    }
    let mut received = vec![];
    while let Some(data) = driver.run(body.data()).await {
        let data = data.map_err(failed)?;
        received.extend_from_slice(&data);
        // An error is one of the connection, and comes with the next part.
        let _ = body.flow_control().release_capacity(data.len());
        check_size(&received)?;
    }
    match driver.run(body.trailers()).await.map_err(failed)? {
        Some(trailers) => answer(Some(&received), &trailers),
        None if received.is_empty() && parts.headers.contains_key("grpc-status") => {
            answer(None, &parts.headers)
        }
        None => Err(Status::new(Code::INTERNAL, "server closed the stream without sending trailers")),
    }
}

fn request(authority: &str, timeout: Duration) -> Result<Request<()>, Status> {
    let uri = Uri::builder().scheme("http").authority(authority).path_and_query(METHOD).build();
    let uri = uri.map_err(|error| Status::new(Code::INTERNAL, error.to_string()))?;
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let agent = format!("kube-probe/{KUBERNETES_VERSION}");
    let texts = [
        (CONTENT_TYPE, "application/grpc"),
        (USER_AGENT, &agent),
        (TE, "trailers"),
        (HeaderName::from_static("grpc-timeout"), &wire_timeout(timeout)),
    ];
    for (name, text) in texts {
        request.headers_mut().extend(HeaderValue::from_str(text).ok().map(|value| (name, value)));
    }
    Ok(request)
}

/// At most eight digits and a unit.
fn wire_timeout(timeout: Duration) -> String {
    match (timeout.as_micros(), timeout.as_millis()) {
        (micros @ ..=99_999_999, _) => format!("{micros}u"),
        (_, millis @ ..=99_999_999) => format!("{millis}m"),
        _ => format!("{}S", timeout.as_secs().min(99_999_999)),
    }
}

/// Of what has come so far: it is one message, and not too long.
fn check_size(received: &[u8]) -> Result<(), Status> {
    let Some((prefix, message)) = received.split_first_chunk::<PREFIX_BYTES>() else { return Ok(()) };
    let [compressed, length @ ..] = *prefix;
    let length = u32::from_be_bytes(length) as usize;
    if compressed != 0 {
        let text = "grpc: compressed flag set with identity or empty encoding";
        return Err(Status::new(Code::INTERNAL, text));
    }
    if length > MESSAGE_BYTES_MAX {
        let text = format!("grpc: received message larger than max ({length} vs. {MESSAGE_BYTES_MAX})");
        return Err(Status::new(Code::RESOURCE_EXHAUSTED, text));
    }
    if message.len() > length {
        let text = "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message";
        return Err(Status::new(Code::INTERNAL, text));
    }
    Ok(())
}

fn answer(received: Option<&[u8]>, trailers: &HeaderMap) -> Result<i32, Status> {
    let status = Status::of_trailers(trailers);
    if status.code != Code::OK {
        return Err(status);
    }
    let received = received.unwrap_or_default();
    if received.len() < PREFIX_BYTES {
        let text = "cardinality violation: received no response message from non-server-streaming RPC";
        return Err(Status::new(Code::INTERNAL, text));
    }
    let whole = received.split_first_chunk::<PREFIX_BYTES>().filter(|(prefix, message)| {
        let [_, length @ ..] = **prefix;
        message.len() == u32::from_be_bytes(length) as usize
    });
    let Some((_, message)) = whole else { return Err(Status::new(Code::INTERNAL, "unexpected EOF")) };
    health::serving_status(message).ok_or_else(|| {
        let reason = "proto: cannot parse invalid wire-format data";
        Status::new(Code::INTERNAL, format!("grpc: failed to unmarshal the received message: {reason}"))
    })
}

fn call_failure(error: &h2::Error, ends: &Ends) -> Status {
    let is_end = error.get_io().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
    let reason = match error.reason() {
        Some(reason) if error.is_reset() => return Status::of_reset(reason),
        _ if is_end => "EOF".to_owned(),
        _ => http2::failure(error, ends),
    };
    Status::new(Code::UNAVAILABLE, format!("error reading from server: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::wire_timeout;

    #[test]
    fn timeouts_have_eight_digits() {
        for (timeout, text) in [
            (Duration::from_secs(1), "1000000u"),
            (Duration::from_millis(99_999), "99999000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
        ] {
            assert_eq!(wire_timeout(timeout), text);
        }
    }
}
