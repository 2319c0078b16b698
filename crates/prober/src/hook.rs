//! The hook `httpGet`.

use std::time::Duration;

use podspec::HttpGetAction;
use tokio::time::Instant;

use crate::dial::{Dial, Pod};
use crate::request::{Purpose, Request, within};
use crate::tls;
use crate::transport::Response;

/// Of the body that is waited for.
const BODY_BYTES_MAX: usize = 10 << 10;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HookSuccess {
    /// The server spoke plain HTTP where HTTPS was asked for, and was asked again so: the message of the event
    /// `LifecycleHTTPFallback` of the pod, a warning.
    pub fallback: Option<String>,
}

/// Makes the request of a hook; `port` is the action's, resolved. It succeeds with whatever answer, and fails when
/// there is none. Without `timeout` it takes as long as the server does.
///
/// The hook lasts as long as the answer's body, up to 10 KiB of it.
pub async fn http_hook<D: Dial>(
    pod: &Pod<D>,
    action: &HttpGetAction,
    port: u16,
    timeout: Option<Duration>,
) -> Result<HookSuccess, String> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let request = Request::new(pod, action, port, Purpose::Hook)?;
    let error = match request.send(pod, deadline).await {
        Ok(response) => {
            discard(response, deadline).await;
            return Ok(HookSuccess::default());
        }
        Err(error) => error,
    };
    if !error.ends_with(tls::HTTP_ANSWER) {
        return Err(error);
    }
    let authority = request.url.authority.clone();
    // It is the first error that tells what to change.
    let Ok(response) = request.in_clear().send(pod, deadline).await else { return Err(error) };
    discard(response, deadline).await;
    Ok(HookSuccess {
        fallback: Some(format!(
            "request to HTTPS lifecycle hook {authority} got HTTP response, retry with HTTP succeeded"
        )),
    })
}

/// The answer has come: how its body ends changes nothing.
async fn discard(mut response: Response, deadline: Option<Instant>) {
    let length = response.headers.get(http::header::CONTENT_LENGTH);
    let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_none_or(|length| length <= BODY_BYTES_MAX as u64) {
        let _ = within(deadline, response.body.read(BODY_BYTES_MAX)).await;
    }
}
