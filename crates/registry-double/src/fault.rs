//! What a registry should not do.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::serve::Answer;

/// A misbehaviour of one answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, with a body as a registry's errors have.
    Status(u16),
    /// This status with these headers and this body.
    Answer { status: u16, headers: Vec<(String, String)>, body: Bytes },
    /// 307 to this URL.
    Redirect(String),
    /// The right head, this body.
    Body(Bytes),
    /// The body is of this many bytes, and the head agrees.
    Truncate(u64),
    /// The connection ends after so many bytes of the body.
    CutAfter(u64),
    /// As [`Fault::CutAfter`], in an answer that does not say its length.
    ChunkedCutAfter(u64),
    /// The connection ends before an answer.
    Close,
    /// No answer, ever.
    Hang,
    /// No byte after so many of the body.
    HangAfter(u64),
    /// So many bytes at a time, with pauses.
    Drip { bytes: usize, pause: Duration },
    /// The body goes on in zeros, without a length.
    Endless,
    /// The head says so, whatever the body is.
    ContentLength(u64),
    /// This header instead of the right one.
    Header(String, String),
    /// Without this header.
    NoHeader(String),
    /// As if no range had been asked for.
    IgnoreRange,
}

/// A fault, whom it meets and how often.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) path: String,
    pub(crate) times: Option<u32>,
    pub(crate) fault: Fault,
}

/// Answers to some paths wait until it is opened or dropped.
#[derive(Debug)]
pub struct Gate(pub(crate) watch::Sender<bool>);

impl Gate {
    pub fn open(&self) {
        self.0.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

/// Where a gate stands.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) path: String,
    /// Of the body.
    pub(crate) after_bytes: u64,
    pub(crate) opened: watch::Receiver<bool>,
}

/// `answer` with a fault; none when the connection is to be closed.
pub(crate) fn apply(fault: &Fault, mut answer: Answer) -> Option<Answer> {
    match fault {
        Fault::Status(status) => return Some(Answer::error(*status, "DOUBLE", "as the test wants it")),
        Fault::Answer { status, headers, body } => {
            answer = Answer { status: *status, headers: headers.clone(), ..Answer::new(body.clone()) };
        }
        Fault::Redirect(url) => {
            answer = Answer {
                status: 307,
                headers: vec![("location".to_owned(), url.clone())],
                ..Answer::new(Bytes::new())
            };
        }
        Fault::Body(body) => answer.body = body.clone(),
        Fault::Truncate(bytes) => {
            let end = usize::try_from(*bytes).unwrap_or(usize::MAX).min(answer.body.len());
            answer.body.truncate(end);
        }
        Fault::CutAfter(bytes) => answer.cut_after = Some(*bytes),
        Fault::ChunkedCutAfter(bytes) => {
            answer.cut_after = Some(*bytes);
            answer.chunked = true;
        }
        Fault::Close => return None,
        Fault::Hang => answer.hang = Some(None),
        Fault::HangAfter(bytes) => answer.hang = Some(Some(*bytes)),
        Fault::Drip { bytes, pause } => answer.drip = Some(((*bytes).max(1), *pause)),
        Fault::Endless => answer.endless = true,
        Fault::ContentLength(bytes) => answer.length = Some(*bytes),
        Fault::Header(name, value) => {
            answer.headers.retain(|(own, _)| own != name);
            answer.headers.push((name.clone(), value.clone()));
        }
        Fault::NoHeader(name) => answer.headers.retain(|(own, _)| own != name),
        // The request is answered without its range.
        Fault::IgnoreRange => {}
    }
    Some(answer)
}
