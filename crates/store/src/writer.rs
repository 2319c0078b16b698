//! The thread that owns every change.
//!
//! It takes what is queued, lazy writes first: they are published at once. Then the durable ones run on top, reach the
//! disk together with whatever is pending, and are published. So a commit that fails takes nothing with it that others have seen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::LAZY_MS;
use crate::disk::{Disk, Entry};
use crate::error::{DiskError, WriteError};
use crate::object::ObjectKey;
use crate::queue::{Job, Outcome};
use crate::state::Shared;
use crate::store::Durability;
use crate::tx::{Overlay, Tx};

/// How many writes share a commit.
const BATCH_MAX: usize = 256;
/// How many revisions are reserved ahead. The next block is reserved by the way when half of one is used, so lazy writes hardly ever
/// wait for it, and go on for long while the disk is full.
pub(crate) const BLOCK: u64 = 65_536;
/// How long lazy changes are collected; the rest of `LAZY_MS` is for the commit.
pub(crate) const COLLECT_MS: u64 = LAZY_MS / 2;
/// How many objects may differ between memory and disk while the disk takes nothing.
const PENDING_MAX: usize = 100_000;
/// How long to wait after a failed commit before lazy changes are tried again; doubled each time.
const RETRY_MIN_MS: u64 = 100;
const RETRY_MAX_MS: u64 = 5_000;

type Answer = Box<dyn FnOnce(Result<(), WriteError>) + Send>;

/// `BLOCK` and `COLLECT_MS`; tests take others to get to the ends of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) block: u64,
    pub(crate) collect_ms: u64,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    /// The last revision given, whether it was published or lost with a failed commit.
    last: u64,
    /// The last revision that may be published.
    reserved: u64,
    disk: Option<Disk>,
    pace: Pace,
    /// What may be different on disk.
    pending: BTreeSet<ObjectKey>,
    /// When they are to be written; `Some` while there are any.
    due: Option<Instant>,
    failing: Option<Failing>,
}

/// The disk has taken nothing since.
struct Failing {
    since: Instant,
    delay_ms: u64,
}

impl Writer {
    /// Begins at the revision that was published last, the end of what is reserved.
    pub(crate) fn new(shared: Arc<Shared>, jobs: Receiver<Job>, disk: Option<Disk>, pace: Pace) -> Writer {
        let last = shared.read().revision;
        Writer {
            shared,
            jobs,
            last,
            reserved: last,
            disk,
            pace,
            pending: BTreeSet::new(),
            due: None,
            failing: None,
        }
    }

    pub(crate) fn run(mut self) {
        loop {
            let first = match self.due {
                Some(due) => self.jobs.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match first {
                Ok(first) => self.batch(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                // A failure is on record and will be tried again.
                let _ = self.commit(None);
            }
        }
        self.finish();
    }

    fn batch(&mut self, first: Job) {
        let jobs: Vec<Job> = std::iter::once(first).chain(self.jobs.try_iter().take(BATCH_MAX - 1)).collect();
        let (lazy, durable): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| job.durability == Durability::Lazy);
        if !lazy.is_empty() {
            self.lazy(lazy);
        }
        if !durable.is_empty() {
            self.durable(durable);
        }
    }

    fn lazy(&mut self, jobs: Vec<Job>) {
        let (overlay, answers) = self.make(jobs);
        let room = if self.pending.len() > PENDING_MAX || overlay.last > self.reserved {
            self.commit(None)
        } else {
            Ok(())
        };
        if room.is_ok() && !overlay.changes.is_empty() && self.disk.is_some() {
            self.pending.extend(overlay.touched().map(|(key, _)| key.clone()));
            self.due.get_or_insert_with(|| Instant::now() + Duration::from_millis(self.pace.collect_ms));
        }
        self.conclude(overlay, answers, &room);
    }

    fn durable(&mut self, jobs: Vec<Job>) {
        let (overlay, answers) = self.make(jobs);
        let done = if overlay.changes.is_empty() { Ok(()) } else { self.commit(Some(&overlay)) };
        if done.is_err() {
            // The commit may have reached the disk nevertheless: the next one has to take it back.
            self.pending.extend(overlay.touched().map(|(key, _)| key.clone()));
        }
        self.conclude(overlay, answers, &done);
    }

    /// Runs the closures, each on what the ones before have left.
    fn make(&mut self, jobs: Vec<Job>) -> (Overlay, Vec<Answer>) {
        let mut overlay = Overlay::new(self.last);
        let mut answers = Vec::with_capacity(jobs.len());
        let state = self.shared.read();
        for job in jobs {
            let mut tx = Tx::new(&state, &mut overlay);
            let Outcome { keep, answer } = (job.change)(&mut tx);
            if !keep {
                tx.undo();
            }
            answers.push(answer);
        }
        drop(state);
        self.last = overlay.last;
        (overlay, answers)
    }

    fn conclude(&mut self, overlay: Overlay, answers: Vec<Answer>, done: &Result<(), WriteError>) {
        if done.is_ok() && !overlay.changes.is_empty() {
            self.shared.publish(overlay.changes);
        }
        self.shared.rest();
        for answer in answers {
            answer(done.clone());
        }
    }

    /// Makes durable what is pending, and a batch if there is one.
    fn commit(&mut self, batch: Option<&Overlay>) -> Result<(), WriteError> {
        let block = self.pace.block;
        let reserved = (self.last + block / 2 > self.reserved).then_some(self.last + block);
        let result = match self.disk.take() {
            Some(mut disk) => {
                let result = self.write(&mut disk, batch, reserved);
                self.disk = Some(disk);
                result
            }
            None => Ok(()),
        };
        match result {
            Ok(()) => {
                self.reserved = reserved.unwrap_or(self.reserved);
                self.pending.clear();
                self.due = None;
                self.succeeded();
                Ok(())
            }
            Err(error) => Err(WriteError::Disk { source: self.failed(error) }),
        }
    }

    fn write(
        &self,
        disk: &mut Disk,
        batch: Option<&Overlay>,
        reserved: Option<u64>,
    ) -> Result<(), DiskError> {
        let state = self.shared.read();
        let published = |key: &ObjectKey| (key.clone(), state.get(key).cloned());
        if disk.is_broken() {
            disk.recover(
                || state.all().map(|object| (object.key.clone(), Some(object.clone()))).collect(),
                self.reserved,
            )?;
        }
        let in_batch = |key: &ObjectKey| batch.is_some_and(|batch| batch.get(key).is_some());
        let mut entries: Vec<Entry> =
            self.pending.iter().filter(|key| !in_batch(key)).map(published).collect();
        drop(state);
        let batch = batch.into_iter().flat_map(Overlay::touched);
        entries.extend(batch.map(|(key, object)| (key.clone(), object.cloned())));
        disk.commit(&entries, reserved)
    }

    fn succeeded(&mut self) {
        if let Some(failing) = self.failing.take() {
            tracing::info!(
                after_ms = failing.since.elapsed().as_millis(),
                "the object store is written again"
            );
        }
    }

    fn failed(&mut self, error: DiskError) -> Arc<DiskError> {
        let now = Instant::now();
        let failing = self.failing.get_or_insert_with(|| {
            tracing::warn!(
                %error,
                "cannot write to the object store: clients' changes are refused, what the engine itself observes is kept in memory"
            );
            Failing { since: now, delay_ms: RETRY_MIN_MS / 2 }
        });
        // Durable writes try at once and do not make lazy ones wait longer.
        if self.due.is_none_or(|due| due <= now) {
            failing.delay_ms = (failing.delay_ms * 2).min(RETRY_MAX_MS);
            self.due = Some(now + Duration::from_millis(failing.delay_ms));
        }
        Arc::new(error)
    }

    /// Writes what is left, and that every revision after the last one is free.
    fn finish(mut self) {
        let Some(mut disk) = self.disk.take() else { return };
        if let Err(error) = self.write(&mut disk, None, Some(self.last)) {
            tracing::warn!(%error, "cannot write the last changes to the object store");
        }
    }
}
