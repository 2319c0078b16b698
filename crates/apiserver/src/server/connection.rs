//! One connection: HTTP/1.1 or HTTP/2, by what the client begins with.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};

use super::first::First;
use crate::api::Api;
use crate::auth::Peer;

/// A client has to send the head of a request within this, also the next one of a connection it keeps.
const HEADER_TIME: Duration = Duration::from_secs(30);
const HEADER_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 128;
/// Requests at a time of one HTTP/2 connection.
const STREAMS_MAX: u32 = 250;
/// Bytes of one answer that wait to be taken by an HTTP/2 client.
const SEND_BYTES_MAX: usize = 256 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIME: Duration = Duration::from_secs(20);

pub(crate) async fn serve<S>(stream: S, peer: Peer, api: Arc<Api>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut shutdown = api.shutdown.subscribe();
    let service = service_fn(move |request: Request<Incoming>| {
        let (api, peer) = (api.clone(), peer.clone());
        async move {
            let request = request.map(|body| body.map_err(io::Error::other).boxed_unsync());
            Ok::<_, Infallible>(api.call(request, peer).await)
        }
    });
    let builder = builder();
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(First::new(stream)), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = super::is_down(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(Some(PING_INTERVAL))
        .keep_alive_timeout(PING_TIME);
    builder
}
