//! Bodies of requests and answers.

use std::io;
use std::time::Duration;

use apimachinery::Status;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as _, Frame};

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What a request may carry: as much as a Kubernetes API server takes.
pub(crate) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// How long a client may take to send it.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(30);

#[must_use]
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

#[must_use]
pub(crate) fn empty() -> Body {
    full(Bytes::new())
}

pub(crate) fn stream(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

/// Reads a whole body.
///
/// # Errors
/// The client's answer: it is too large, too slow, or broken off.
pub(crate) async fn read(body: Body) -> Result<Bytes, Status> {
    read_within(body, BODY_TIME).await
}

async fn read_within(body: Body, time: Duration) -> Result<Bytes, Status> {
    let bytes_max = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX);
    if body.size_hint().lower() > bytes_max {
        return Err(too_large());
    }
    let read = tokio::time::timeout(time, collect(body)).await;
    read.unwrap_or_else(|_| Err(Status::timeout("the body of the request did not come in time", 0)))
}

async fn collect(mut body: Body) -> Result<Bytes, Status> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::bad_request(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

fn too_large() -> Status {
    Status::request_too_large(&format!("limit is {BODY_BYTES_MAX}"))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use futures_util::{StreamExt as _, stream};

    use super::read_within;

    #[tokio::test]
    async fn a_body_comes_in_time_or_not_at_all() {
        let first = stream::once(async { Ok("{".into()) });
        let slow = super::stream(first.chain(stream::pending()));
        let status = read_within(slow, Duration::from_millis(20)).await.expect_err("it never ends");
        assert_eq!((status.code, status.reason), (504, "Timeout"));
        let broken = super::stream(stream::once(async { Err(io::ErrorKind::ConnectionReset.into()) }));
        let status = read_within(broken, Duration::from_secs(5)).await.expect_err("it broke");
        assert_eq!(status.code, 400);
    }
}
