//! A pod's record: what its directory has, with the ends of its logs and, of a pod that is here, who listens in its network.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use apiserver::backend::{BackendError, LogStream};
use bytes::Bytes;
use futures_util::stream;
use journal::{Entry, Live, Record};
use kubelet::{Node, ReadRecordError, Subscription, read_entries, read_record};
use linux_sys::clock;
use podspec::{BootTime, Moment, PodUid, WallTime};
use ports::{PodContext, PortError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::backend::Backend;

/// Whoever its engine is or was: nothing of the pod is locked, moved or written. Blocks.
///
/// # Errors
/// When there is no record of the pod, or one that this version cannot read.
pub fn read(pod: &PodContext) -> Result<Record, ReadRecordError> {
    let now = Moment { boot: BootTime(clock::boot_ns()), wall: WallTime(clock::wall_ns()) };
    let mut record = read_record(&pod.pod_dir, now)?;
    for container in record.pod.spec.all_containers() {
        let dir = pod.log_dir.join(container.name.as_str());
        match runtime::logs::tails(&dir) {
            Ok(tails) if tails.is_empty() => {}
            Ok(tails) => {
                record.logs.insert(container.name.clone(), tails);
            }
            // It explains less without; that is no reason to explain nothing.
            Err(error) => tracing::warn!("cannot read the logs in {}: {error}", dir.display()),
        }
    }
    match runtime::listeners(&record.pod) {
        Ok(listeners) => record.live = Some(Live { listeners }),
        Err(error) => tracing::warn!("cannot see who listens in pod {}: {error}", pod.pod.name),
    }
    Ok(record)
}

impl<N: Node> Backend<N> {
    pub(crate) async fn record_of(&self, uid: &str, name: &str) -> Result<Bytes, BackendError> {
        let pod = self.kubelet().await.pod(&PodUid::new(uid)).ok_or_else(|| gone(name))?;
        let read = tokio::task::spawn_blocking(move || {
            let record = read(&pod).map_err(|error| failed(&error))?;
            serde_json::to_vec(&record).map_err(|error| failed(&error))
        });
        read.await.map_err(|error| failed(&error))?.map(Bytes::from)
    }

    pub(crate) async fn entries_of(
        &self,
        uid: &str,
        name: &str,
        after: u64,
    ) -> Result<LogStream, BackendError> {
        let subscription = self.kubelet().await.subscribe(&PodUid::new(uid)).map_err(|_| gone(name))?;
        let mut following = Following::new(subscription, after);
        following.read_again().await?;
        Ok(Box::pin(stream::unfold(following, async |mut following| {
            let line = following.next().await?;
            Some((Ok(line), following))
        })))
    }
}

fn gone(name: &str) -> BackendError {
    BackendError::NotFound(format!("pods {name:?} not found on this node"))
}

fn failed(error: &(dyn std::error::Error + 'static)) -> BackendError {
    BackendError::Internal(PortError::chain(error).0)
}

/// A journal that is read as it is written.
struct Following {
    pod_dir: PathBuf,
    entries: broadcast::Receiver<Arc<Entry>>,
    /// Read from the disk and not passed on yet; as many as a journal has at most.
    read: VecDeque<Entry>,
    last: u64,
}

impl Following {
    fn new(subscription: Subscription, after: u64) -> Self {
        let Subscription { pod, entries, .. } = subscription;
        Self { pod_dir: pod.pod_dir.clone(), entries, read: VecDeque::new(), last: after }
    }

    /// What is on the disk of what has not been passed on.
    async fn read_again(&mut self) -> Result<(), BackendError> {
        let pod_dir = self.pod_dir.clone();
        let read = tokio::task::spawn_blocking(move || read_entries(&pod_dir)).await;
        let entries = read.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let last = self.last;
        self.read = entries.into_iter().filter(|entry| entry.seq > last).collect();
        Ok(())
    }

    /// The next one, as a line; `None` when the pod is gone.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(entry) = self.read.pop_front() {
                return self.line(&entry);
            }
            match self.entries.recv().await {
                Ok(entry) if entry.seq > self.last => return self.line(&entry),
                Ok(_) => {}
                // The reader is slow; what it missed is on the disk.
                Err(RecvError::Lagged(_)) => self.read_again().await.ok()?,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn line(&mut self, entry: &Entry) -> Option<Bytes> {
        self.last = entry.seq;
        let mut line = serde_json::to_vec(entry).ok()?;
        line.push(b'\n');
        Some(line.into())
    }
}
