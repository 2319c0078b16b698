//! Shows one pod: its steps in the order of its journal, and between them the lines of its containers.
//!
//! A container's exit is shown after its last line. When the way out is slow this task waits, and
//! nothing else does: entries it misses meanwhile are read back from the journal, lines from the log files.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;

use kubelet::events::EventSource;
use kubelet::{Entry, Happening, PodView, Subscription, journal};
use lifecycle::{ConditionKind, Observation};
use podspec::{ContainerName, WallTime};
use ports::PodContext;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::format::{Format, LogLine};
use super::output::Output;
use super::steps::{Step, Steps, Tone};

/// Lines of one attempt are handed over together up to this many bytes.
const BATCH_BYTES_MAX: usize = 32 << 10;

/// Where the lines of containers come from.
pub(crate) trait LogSource: Send + Sync + 'static {
    /// Hands over every line of an attempt, live. Returns once `ended` is true and all there is has
    /// been handed over.
    fn follow(
        &self,
        lines: Lines,
        ended: watch::Receiver<bool>,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// One attempt of one container, and the way out for its lines.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) pod: Arc<PodContext>,
    pub(crate) container: ContainerName,
    pub(crate) attempt: u32,
    format: Arc<Format>,
    output: Output,
    batch: Vec<u8>,
}

impl Lines {
    /// Takes a line; it is shown at the latest with the next [`Self::flush`].
    pub(crate) async fn line(&mut self, at: WallTime, stderr: bool, text: &[u8]) {
        let (container, attempt) = (&self.container, self.attempt);
        let line = LogLine { at, container, attempt, stderr, text };
        self.batch.extend_from_slice(&self.format.log(&self.pod.pod, line));
        if self.batch.len() >= BATCH_BYTES_MAX {
            self.flush().await;
        }
    }

    pub(crate) async fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.output.line(std::mem::take(&mut self.batch)).await;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Presenter<L> {
    watched: Subscription,
    logs: Arc<L>,
    format: Arc<Format>,
    output: Output,
    steps: Steps,
    events: EventSource,
    /// By container, of its newest attempt.
    followers: BTreeMap<ContainerName, Follower>,
    shown_seq: u64,
    shown_ready: bool,
}

#[derive(Debug)]
struct Follower {
    attempt: u32,
    ended: watch::Sender<bool>,
    /// `None` once it has been waited for.
    task: Option<JoinHandle<()>>,
}

impl<L: LogSource> Presenter<L> {
    pub(crate) fn new(watched: Subscription, logs: Arc<L>, format: Arc<Format>, output: Output) -> Self {
        Self {
            watched,
            logs,
            format,
            output,
            steps: Steps::default(),
            events: EventSource::default(),
            followers: BTreeMap::new(),
            shown_seq: 0,
            shown_ready: false,
        }
    }

    /// Runs until the pod is at rest and everything of it has been handed over.
    pub(crate) async fn run(mut self) -> Option<PodView> {
        loop {
            tokio::select! {
                biased;
                entry = self.watched.entries.recv() => match entry {
                    Ok(entry) => self.show_entry(&entry).await,
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => break,
                },
                changed = self.watched.view.changed() => if changed.is_err() { break },
            }
            let view = self.watched.view.borrow_and_update().clone();
            let Some(view) = view.filter(|view| view.seq <= self.shown_seq) else { continue };
            self.show_readiness(&view).await;
            if view.at_rest {
                self.finish_followers().await;
                return Some(view);
            }
        }
        self.finish_followers().await;
        self.watched.view.borrow().clone()
    }

    async fn show_entry(&mut self, entry: &Entry) {
        if entry.seq <= self.shown_seq {
            return;
        }
        self.shown_seq = entry.seq;
        match &entry.what {
            Happening::Observed(Observation::ContainerExited { container, attempt, .. }) => {
                self.follow(container, *attempt).await;
                self.finish(container).await;
            }
            Happening::Observed(Observation::SandboxLost { .. } | Observation::SandboxStopped { .. }) => {
                self.finish_followers().await;
            }
            _ => {}
        }
        let pod = &self.watched.pod.pod;
        for step in self.steps.steps(pod, entry) {
            self.output.line(self.format.step(pod, &step)).await;
        }
        for event in self.events.events(pod, entry) {
            if let Some(line) = self.format.event(pod, &event) {
                self.output.line(line).await;
            }
        }
        if let Happening::Observed(Observation::ContainerStarted { container, attempt, .. }) = &entry.what {
            self.follow(container, *attempt).await;
        }
    }

    /// Shows what the journal has of the entries that were missed.
    async fn catch_up(&mut self) {
        match journal::read(&self.watched.pod.pod_dir) {
            Ok(entries) => {
                for entry in entries {
                    self.show_entry(&entry).await;
                }
            }
            Err(error) => {
                tracing::warn!("some steps of pod {} are not shown: {error}", self.watched.pod.pod.name)
            }
        }
    }

    async fn show_readiness(&mut self, view: &PodView) {
        let ready = view.status.conditions.iter().find(|condition| condition.kind == ConditionKind::Ready);
        let ready = ready.is_some_and(|condition| condition.status);
        if ready && !self.shown_ready {
            let at = view.transitions.get(&ConditionKind::Ready).copied().unwrap_or_default();
            let step =
                Step { at, container: None, step: "ready", text: "ready".to_owned(), tone: Tone::Good };
            self.output.line(self.format.step(&self.watched.pod.pod, &step)).await;
        }
        self.shown_ready = ready;
    }

    /// Begins to follow an attempt unless it is followed, or has been.
    async fn follow(&mut self, container: &ContainerName, attempt: u32) {
        if self.followers.get(container).is_some_and(|follower| follower.attempt >= attempt) {
            return;
        }
        self.finish(container).await;
        let lines = Lines {
            pod: Arc::clone(&self.watched.pod),
            container: container.clone(),
            attempt,
            format: Arc::clone(&self.format),
            output: self.output.clone(),
            batch: Vec::new(),
        };
        let (ended, receiver) = watch::channel(false);
        let (logs, name) = (Arc::clone(&self.logs), container.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = logs.follow(lines, receiver).await {
                tracing::warn!("the log of container {name} cannot be followed: {error}");
            }
        });
        self.followers.insert(container.clone(), Follower { attempt, ended, task: Some(task) });
    }

    /// Waits until every line of an attempt that has ended has been handed over.
    async fn finish(&mut self, container: &ContainerName) {
        let Some(follower) = self.followers.get_mut(container) else { return };
        follower.ended.send_replace(true);
        if let Some(task) = follower.task.take() {
            // It cannot panic its way out: there is nothing to say that its own warning did not.
            let _ = task.await;
        }
    }

    async fn finish_followers(&mut self) {
        let names: Vec<ContainerName> = self.followers.keys().cloned().collect();
        for name in names {
            self.finish(&name).await;
        }
    }
}

impl<L> Drop for Presenter<L> {
    fn drop(&mut self) {
        for task in self.followers.values().filter_map(|follower| follower.task.as_ref()) {
            task.abort();
        }
    }
}
