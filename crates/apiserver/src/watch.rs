//! Watches: the changes of a selection as they come, one JSON object a line.
//!
//! A watch holds a position in the store's history. What is sent are the bytes that are stored, shared by all watches;
//! only tables, metadata and other forms are made for each.

mod event;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use store::{Object, WatchError};
use tokio::time::{Instant, sleep_until};

use crate::api::Call;
use crate::body::{self, Body};
use crate::entropy;
use crate::handlers::{ListOptions, Shaper};
use crate::kinds::Kind;
use crate::metrics::Watching;
use crate::negotiate::Form;
use crate::route::Resource;
use event::Events;

/// Without `timeoutSeconds` a watch ends after this and up to as much again, so that not all come back at once.
const TIMEOUT_MIN: Duration = Duration::from_secs(1_800);
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Events that are put into one chunk when many wait.
const CHUNK_EVENTS_MAX: usize = 128;
/// A chunk that has grown beyond this takes no more of them.
const CHUNK_BYTES_MAX: usize = 128 * 1024;

pub(crate) fn watch(
    call: &Call<'_>,
    kind: &'static Kind,
    resource: &Resource,
) -> Result<Response<Body>, Status> {
    let shaper = Shaper::of(call, kind)?;
    let options = ListOptions::of(&call.query, kind)?;
    let namespace =
        Some(resource.namespace.clone()).filter(|namespace| kind.namespaced && !namespace.is_empty());
    let (watch, initial, ends_initial) = match begin(call, kind, namespace, &options) {
        Ok(begun) => begun,
        // In the stream, where clients of Kubernetes look for it.
        Err(Failed::Expired(status)) => return Ok(response(shaper.form, body::full(event::error(&status)))),
        Err(Failed::Refused(status)) => return Err(status),
    };
    let timeout = options.timeout.unwrap_or_else(|| {
        let [share] = entropy::bytes::<1>();
        TIMEOUT_MIN + TIMEOUT_MIN * u32::from(share) / 256
    });
    let now = Instant::now();
    let watcher = Watcher {
        watch,
        initial,
        ends_initial,
        events: Events::new(shaper, options.selection),
        bookmarks: options.bookmarks,
        next_bookmark: now + BOOKMARK_INTERVAL,
        deadline: now + timeout,
        shutdown: call.api.shutdown.subscribe(),
        ended: false,
        _counted: Watching::new(call.api),
    };
    Ok(response(shaper.form, body::stream(stream::unfold(watcher, Watcher::step))))
}

enum Failed {
    Expired(Status),
    Refused(Status),
}

type Begun = (store::Watch, VecDeque<Arc<Object>>, bool);

/// Where the watch begins, and what there is already.
fn begin(
    call: &Call<'_>,
    kind: &'static Kind,
    namespace: Option<String>,
    options: &ListOptions,
) -> Result<Begun, Failed> {
    let store = &call.api.store;
    let sends_initial =
        options.send_initial_events.unwrap_or(options.version.is_none_or(|version| version == 0));
    let current = store.revision();
    let asked = options.version.unwrap_or(0);
    if asked > current {
        return Err(Failed::Refused(Status::too_new(asked, current)));
    }
    let (from, initial) = if sends_initial {
        let listing =
            store.list(kind.stored(), namespace.as_deref(), None, None, |o| options.selection.matches(o));
        (listing.revision, listing.objects.into())
    } else if options.send_initial_events == Some(false) && asked == 0 {
        (current, VecDeque::new())
    } else {
        (asked, VecDeque::new())
    };
    let watch = store.watch(kind.stored(), namespace, from).map_err(|error| match error {
        WatchError::Expired { oldest } => Failed::Expired(Status::too_old(from, oldest)),
        WatchError::Future { current } => Failed::Refused(Status::too_new(from, current)),
    })?;
    Ok((watch, initial, options.send_initial_events == Some(true)))
}

fn response(form: Form, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    crate::handlers::label(&mut response, form);
    response
}

/// Why a watch goes on.
enum Woken {
    Change(Result<store::Change, WatchError>),
    Bookmark,
    End,
}

/// One watch under way.
struct Watcher {
    watch: store::Watch,
    /// What was there when it began and has not been sent.
    initial: VecDeque<Arc<Object>>,
    /// A bookmark says when all of that has been sent.
    ends_initial: bool,
    events: Events,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    shutdown: tokio::sync::watch::Receiver<bool>,
    ended: bool,
    _counted: Watching,
}

impl Watcher {
    /// The next chunk of the answer; `None` ends it.
    async fn step(mut self) -> Option<(std::io::Result<Bytes>, Self)> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(chunk) = self.ready() {
                return Some((Ok(chunk), self));
            }
            let chunk = match self.wait().await {
                Woken::Change(Ok(change)) => match self.changes(&change) {
                    Some(chunk) => chunk,
                    None => continue,
                },
                Woken::Change(Err(error)) => self.failed(error),
                Woken::Bookmark => self.events.bookmark(self.watch.revision(), false),
                Woken::End => return None,
            };
            return Some((Ok(chunk), self));
        }
    }

    async fn wait(&mut self) -> Woken {
        let wake = if self.bookmarks { self.next_bookmark.min(self.deadline) } else { self.deadline };
        tokio::select! {
            change = self.watch.next() => Woken::Change(change),
            () = sleep_until(wake) => {
                let now = Instant::now();
                if now >= self.deadline {
                    return Woken::End;
                }
                self.next_bookmark = now + BOOKMARK_INTERVAL;
                Woken::Bookmark
            }
            // It is either true, or whoever could set it is gone.
            _ = async { self.shutdown.wait_for(|down| *down).await.is_ok() } => Woken::End,
        }
    }

    /// The event of a change, and of those that wait behind it.
    fn changes(&mut self, first: &store::Change) -> Option<Bytes> {
        let one = self.events.change(first);
        let mut many = Vec::new();
        for _ in 1..CHUNK_EVENTS_MAX {
            match self.watch.try_next() {
                Ok(Some(change)) => {
                    if let Some(event) = self.events.change(&change) {
                        many.extend_from_slice(&event);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    many.extend_from_slice(&self.failed(error));
                    break;
                }
            }
            if many.len() > CHUNK_BYTES_MAX {
                break;
            }
        }
        match (one, many.is_empty()) {
            (one, true) => one,
            (None, false) => Some(many.into()),
            (Some(one), false) => Some([one.as_ref(), &many].concat().into()),
        }
    }

    /// What can be sent without waiting.
    fn ready(&mut self) -> Option<Bytes> {
        let mut chunk = Vec::new();
        while chunk.len() < CHUNK_BYTES_MAX
            && let Some(object) = self.initial.pop_front()
        {
            self.events.added(&object, &mut chunk);
        }
        if self.initial.is_empty() && std::mem::take(&mut self.ends_initial) {
            chunk.extend_from_slice(&self.events.bookmark(self.watch.revision(), true));
        }
        (!chunk.is_empty()).then(|| chunk.into())
    }

    fn failed(&mut self, error: WatchError) -> Bytes {
        self.ended = true;
        let status = match error {
            WatchError::Expired { oldest } => Status::too_old(self.watch.revision(), oldest),
            WatchError::Future { current } => Status::too_new(self.watch.revision(), current),
        };
        event::error(&status)
    }
}
