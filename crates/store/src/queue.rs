//! The way to the writer's thread: bounded, first in, first out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::WriteError;
use crate::store::Durability;
use crate::tx::Tx;

/// How many writes may wait; the next ones wait for room before they are queued.
const QUEUE_MAX: usize = 1_024;

/// What a closure made of the view, with the answer that waits for the commit.
pub(crate) struct Outcome {
    pub(crate) keep: bool,
    pub(crate) answer: Box<dyn FnOnce(Result<(), WriteError>) + Send>,
}

pub(crate) struct Job {
    pub(crate) durability: Durability,
    pub(crate) change: Box<dyn FnOnce(&mut Tx<'_>) -> Outcome + Send>,
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
