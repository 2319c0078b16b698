//! The probes `httpGet` and `tcpSocket`.

use std::time::Duration;

use podspec::{HttpGetAction, TcpSocketAction};
use tokio::time::Instant;

use crate::Outcome;
use crate::dial::{Dial, Place, Pod};
use crate::request::{Purpose, Request, within};

/// Of an answer's body: what a warning may show.
const BODY_BYTES_MAX: usize = 10 << 10;

/// Makes an HTTP probe; `port` is the action's, resolved. Statuses from 200 to 399 are a success, others a failure, as
/// is a request that fails; a redirect to another host is not followed and is a warning. An answer that breaks off
/// within its body is an error.
pub async fn http_get<D: Dial>(
    pod: &Pod<D>,
    action: &HttpGetAction,
    port: u16,
    timeout: Duration,
) -> Outcome {
    let request = match Request::new(pod, action, port, Purpose::Probe) {
        Ok(request) => request,
        Err(error) => return Outcome::Error(error),
    };
    let deadline = Instant::now().checked_add(timeout);
    let mut response = match request.send(pod, deadline).await {
        Ok(response) => response,
        Err(error) => return Outcome::Failure(error),
    };
    let body = within(deadline, response.body.read(BODY_BYTES_MAX)).await;
    let body = body.unwrap_or_else(|| {
        Err("context deadline exceeded (Client.Timeout or context cancellation while reading body)"
            .to_owned())
    });
    let body = match body {
        Ok(body) => body,
        Err(message) => return Outcome::Error(message),
    };
    match response.status {
        200..300 => Outcome::Success,
        300..400 => Outcome::Warning(format!(
            "Probe terminated redirects, Response body: {}",
            String::from_utf8_lossy(&body)
        )),
        status => Outcome::Failure(format!("HTTP probe failed with statuscode: {status}")),
    }
}

/// Makes a TCP probe: somebody listens. The connection is closed at once.
pub async fn tcp_connect<D: Dial>(
    pod: &Pod<D>,
    action: &TcpSocketAction,
    port: u16,
    timeout: Duration,
) -> Outcome {
    let place = Place::of(action.host.as_deref());
    match within(Instant::now().checked_add(timeout), pod.connect(place, port)).await {
        Some(Ok(_)) => Outcome::Success,
        Some(Err(error)) => Outcome::Failure(error),
        None => Outcome::Failure(format!("dial tcp {}: i/o timeout", pod.authority(place, port))),
    }
}
