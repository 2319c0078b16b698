//! The thread that owns every change.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::WriteError;
use crate::state::Shared;
use crate::store::Durability;
use crate::tx::{Overlay, Tx};

/// How many writes may wait; the next ones wait for room before they are queued.
const QUEUE_MAX: usize = 1_024;
/// How many writes share a commit.
const BATCH_MAX: usize = 256;

/// What a closure made of the view, with the answer that waits for the commit.
struct Outcome {
    keep: bool,
    answer: Box<dyn FnOnce(Result<(), WriteError>) + Send>,
}

pub(crate) struct Job {
    durability: Durability,
    change: Box<dyn FnOnce(&mut Tx<'_>) -> Outcome + Send>,
    _place: OwnedSemaphorePermit,
}

/// The way to the writer's thread.
#[derive(Debug)]
pub(crate) struct Queue {
    places: Arc<Semaphore>,
    /// `None` when closed. The semaphore is what bounds it.
    jobs: Mutex<Option<Sender<Job>>>,
}

pub(crate) fn queue() -> (Queue, Receiver<Job>) {
    let (jobs, receiver) = mpsc::channel();
    (Queue { places: Arc::new(Semaphore::new(QUEUE_MAX)), jobs: Mutex::new(Some(jobs)) }, receiver)
}

impl Queue {
    pub(crate) async fn write<T, E>(
        &self,
        durability: Durability,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, WriteError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let change = Box::new(move |tx: &mut Tx<'_>| run(tx, change, answer));
        let place = self.places.clone().acquire_owned().await.map_err(|_| WriteError::Closed)?;
        let job = Job { durability, change, _place: place };
        let sent = match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.send(job).is_ok(),
            None => false,
        };
        if !sent {
            return Err(WriteError::Closed);
        }
        answered.await.map_err(|_| WriteError::Closed)?
    }

    /// Refuses every write from now on; those queued are still made.
    pub(crate) fn close(&self) {
        self.places.close();
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn run<T: Send + 'static, E: Send + 'static>(
    tx: &mut Tx<'_>,
    change: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    answer: oneshot::Sender<Result<Result<T, E>, WriteError>>,
) -> Outcome {
    // What a panicking closure leaves half done is undone, so nobody sees it.
    let result = match catch_unwind(AssertUnwindSafe(|| change(tx))) {
        Ok(result) => tx.refused().map_or(Ok(result), Err),
        Err(panic) => Err(WriteError::Panicked { what: panic_text(&*panic) }),
    };
    Outcome {
        keep: matches!(result, Ok(Ok(_))),
        answer: Box::new(move |committed| {
            // Who asked may have stopped waiting.
            let _ = answer.send(committed.and(result));
        }),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "no text".to_owned()
    }
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    last: u64,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, jobs: Receiver<Job>) -> Writer {
        let last = shared.read().revision;
        Writer { shared, jobs, last }
    }

    pub(crate) fn run(mut self) {
        while let Ok(first) = self.jobs.recv() {
            let mut lazy = Vec::new();
            let mut durable = Vec::new();
            for job in std::iter::once(first).chain(self.jobs.try_iter()).take(BATCH_MAX) {
                match job.durability {
                    Durability::Lazy => lazy.push(job),
                    Durability::Durable => durable.push(job),
                }
            }
            self.batch(lazy);
            self.batch(durable);
        }
    }

    fn batch(&mut self, jobs: Vec<Job>) {
        let mut overlay = Overlay::new(self.last);
        let mut answers = Vec::new();
        let state = self.shared.read();
        for job in jobs {
            let mut tx = Tx::new(&state, &mut overlay);
            let outcome = (job.change)(&mut tx);
            if !outcome.keep {
                tx.undo();
            }
            answers.push(outcome.answer);
        }
        drop(state);
        self.last = overlay.last;
        self.shared.publish(overlay.changes);
        for answer in answers {
            answer(Ok(()));
        }
    }
}
