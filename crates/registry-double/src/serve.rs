//! Connections, and what is answered on them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::watch;

use crate::auth;
use crate::fault::{self, Fault, Held};
use crate::http::{self, Request};
use crate::{Seen, Shared};

/// How much of a body is written at once.
const CHUNK_BYTES: usize = 256 << 10;

/// An answer, and what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, without the length.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) length: Option<u64>,
    pub(crate) cut_after: Option<u64>,
    /// Before the head, or after so many bytes of the body.
    pub(crate) hang: Option<Option<u64>>,
    pub(crate) drip: Option<(usize, Duration)>,
    pub(crate) endless: bool,
    /// Without a length, in pieces that have one.
    pub(crate) chunked: bool,
    pub(crate) held: Option<(u64, watch::Receiver<bool>)>,
}

impl Answer {
    pub(crate) fn new(body: Bytes) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body,
            length: None,
            cut_after: None,
            hang: None,
            drip: None,
            endless: false,
            chunked: false,
            held: None,
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { status, headers, ..Self::new(body.to_string().into()) }
    }

    /// As registries say what is wrong.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({ "errors": [{ "code": code, "message": message }] }))
    }
}

/// One connection, until it ends.
pub(crate) async fn connection(shared: Arc<Shared>, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut stream = BufReader::new(stream);
    // What goes wrong here is what a client did, or what a test wants.
    while let Ok(Some(request)) = http::read(&mut stream).await {
        let number = shared.see(Seen::of(&request));
        let Some(answer) = answer(&shared, &request) else { return };
        shared.change(number, |seen| seen.status = answer.status);
        if write(&shared, number, stream.get_mut(), &request, answer).await.is_err() {
            return;
        }
    }
    let _ = stream
        .get_mut()
        .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .await;
    let _ = stream.get_mut().shutdown().await;
}

fn answer(shared: &Shared, request: &Request) -> Option<Answer> {
    let mut state = shared.lock();
    let fault = state.fault(&request.path);
    state.held.retain(|held| !*held.opened.borrow());
    let held = state.held.iter().find(|held| request.path.contains(&held.path)).cloned();
    let ignore_range = matches!(fault, Some(Fault::IgnoreRange));
    let mut answer = if request.path == "/token" {
        let state = &mut *state;
        auth::token(&state.auth, &mut state.tokens, request)
    } else {
        content(&mut state, &shared.origin, request, ignore_range)
    };
    if let Some(Held { after_bytes, opened, .. }) = held {
        answer.held = Some((after_bytes, opened));
    }
    match fault {
        Some(fault) => fault::apply(&fault, answer),
        None => Some(answer),
    }
}

fn content(state: &mut crate::State, origin: &str, request: &Request, ignore_range: bool) -> Answer {
    if let Some(file) = state.content.files.get(&request.path) {
        return part(request, file.clone(), "application/octet-stream", ignore_range);
    }
    let Some(rest) = request.path.strip_prefix("/v2/") else {
        return Answer::error(404, "NOT_FOUND", "there is nothing here");
    };
    let (repository, kind, name) = match (rest.rsplit_once("/manifests/"), rest.rsplit_once("/blobs/")) {
        (Some((repository, name)), _) => (repository, "manifests", name),
        (None, Some((repository, name))) => (repository, "blobs", name),
        (None, None) => ("", "", rest),
    };
    if let Some(refusal) = auth::refusal(&state.auth, &mut state.tokens, origin, repository, request) {
        return refusal;
    }
    let key = (repository.to_owned(), name.to_owned());
    match kind {
        "manifests" => match state.content.manifests.get(&key) {
            Some(manifest) => {
                let mut answer = Answer::new(manifest.bytes.clone());
                answer.headers.push(("content-type".to_owned(), manifest.media_type.clone()));
                let digest = crate::content::digest(&manifest.bytes);
                answer.headers.push(("docker-content-digest".to_owned(), digest));
                answer
            }
            None => Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        },
        "blobs" => match state.content.blobs.get(&key) {
            Some(blob) => part(request, blob.clone(), "application/octet-stream", ignore_range),
            None => Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        },
        _ => Answer::json(200, &json!({})),
    }
}

/// `bytes` from where the request wants them.
fn part(request: &Request, bytes: Bytes, media_type: &str, ignore_range: bool) -> Answer {
    let total = bytes.len();
    let from = request
        .header("range")
        .filter(|_| !ignore_range)
        .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse::<usize>().ok());
    let mut answer = match from {
        Some(from) if from >= total => {
            let mut answer = Answer::error(416, "RANGE_INVALID", "there are not so many bytes");
            answer.headers.push(("content-range".to_owned(), format!("bytes */{total}")));
            return answer;
        }
        Some(from) => {
            let mut answer = Answer { status: 206, ..Answer::new(bytes.slice(from..)) };
            answer.headers.push(("content-range".to_owned(), format!("bytes {from}-{}/{total}", total - 1)));
            answer
        }
        None => Answer::new(bytes),
    };
    answer.headers.push(("content-type".to_owned(), media_type.to_owned()));
    answer
}

async fn write(
    shared: &Shared,
    number: usize,
    stream: &mut (impl AsyncWrite + Unpin),
    request: &Request,
    answer: Answer,
) -> io::Result<()> {
    if answer.hang == Some(None) {
        return std::future::pending().await;
    }
    if answer.held.as_ref().is_some_and(|(bytes, _)| *bytes == 0) {
        wait(answer.held.clone()).await;
    }
    let length = answer.length.unwrap_or(answer.body.len() as u64);
    let mut head = format!("HTTP/1.1 {} As Told\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &match (answer.endless, answer.chunked) {
        (true, _) => "connection: close\r\n\r\n".to_owned(),
        (false, true) => "transfer-encoding: chunked\r\n\r\n".to_owned(),
        (false, false) => format!("content-length: {length}\r\n\r\n"),
    };
    stream.write_all(head.as_bytes()).await?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let sent = body(shared, number, stream, answer).await?;
    // A length that was a lie: whoever waits for the rest sees the end instead.
    if length == sent { Ok(()) } else { Err(io::Error::other("the length was a lie")) }
}

/// How many bytes of it there were.
async fn body(
    shared: &Shared,
    number: usize,
    stream: &mut (impl AsyncWrite + Unpin),
    answer: Answer,
) -> io::Result<u64> {
    let held_after = answer.held.as_ref().map(|(bytes, _)| *bytes).filter(|after| *after > 0);
    let chunk = answer.drip.map_or(CHUNK_BYTES, |(bytes, _)| bytes);
    let zeros = Bytes::from(vec![0; if answer.endless { CHUNK_BYTES } else { 0 }]);
    let stops = [answer.cut_after, answer.hang.flatten(), held_after];
    let mut sent = 0u64;
    let mut rest = answer.body;
    loop {
        if answer.cut_after == Some(sent) {
            stream.flush().await?;
            return Err(io::Error::other("cut as told"));
        }
        if answer.hang == Some(Some(sent)) {
            return std::future::pending().await;
        }
        if held_after == Some(sent) {
            wait(answer.held.clone()).await;
        }
        if rest.is_empty() && answer.endless {
            rest = zeros.clone();
        }
        if rest.is_empty() {
            break;
        }
        let to_stop = stops.iter().flatten().filter(|stop| **stop > sent).map(|stop| stop - sent).min();
        let to_stop = to_stop.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let piece = rest.split_to(chunk.min(rest.len()).min(to_stop));
        if answer.chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        stream.write_all(&piece).await?;
        if answer.chunked {
            stream.write_all(b"\r\n").await?;
        }
        stream.flush().await?;
        sent += piece.len() as u64;
        shared.change(number, |seen| seen.bytes_sent = sent);
        if let Some((_, pause)) = answer.drip {
            tokio::time::sleep(pause).await;
        }
    }
    if answer.chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(sent)
}

async fn wait(held: Option<(u64, watch::Receiver<bool>)>) {
    if let Some((_, mut opened)) = held {
        // A gate that is gone is open.
        let _ = opened.wait_for(|opened| *opened).await;
    }
}
