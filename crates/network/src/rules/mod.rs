//! The rules of Services, host ports and policies: what they are to be is plain data, compiled to operations on one table.
//!
//! One thread owns the table: it takes what has gathered, changes the table in one transaction, and answers when that is
//! in force. When others delete the table (`nft flush ruleset`) it makes it anew.

mod error;
mod flows;
mod foreign;
mod frame;
mod names;
mod packet;
mod part;
mod pod;
mod policy;
mod service;
mod table;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nftables::Nftables;
use podspec::PodUid;
use tokio::sync::{mpsc, oneshot};

use crate::{Claimed, PodRules, Ranges, ServiceName, ServicePort};

pub use error::RulesError;
pub use foreign::{ForeignDrop, Way, foreign_drops};

use writer::{Request, Wish};

/// So many wait for the thread; more wait for room.
const WAITING_MAX: usize = 256;

/// The table of a network. What a function was told is in force when it returns; what it returned an error for is kept
/// and tried again with the next change.
#[derive(Clone, Debug)]
pub struct Rules {
    requests: mpsc::Sender<Request>,
    shared: Arc<Shared>,
}

/// What does not wait in the queue.
#[derive(Debug, Default)]
struct Shared {
    /// Pods that are gone, until the thread has seen that.
    removed: Mutex<BTreeSet<PodUid>>,
    /// The table is not ours to write any more. Held while it is written.
    has_ended: Mutex<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Neither is ever left half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All there is to be in a table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    pub services: Vec<(ServiceName, Vec<ServicePort>)>,
    pub pods: Vec<PodRules>,
}

impl Rules {
    /// In this thread's network namespace. Changes nothing yet: the first change makes the table, in place of one that
    /// has its name.
    ///
    /// # Errors
    /// When the kernel lacks something that rules are made of, which is named, or does not let this process.
    pub fn open(table: &str, ranges: &Ranges, claimed: Claimed) -> Result<Self, RulesError> {
        let shared = Arc::new(Shared::default());
        let requests = writer::start(table, ranges.clone(), claimed, shared.clone())?;
        Ok(Self { requests, shared })
    }

    /// Exactly this is in force, from one moment to the next. Connections go on, and clients stay with the endpoints that
    /// they were with (`sessionAffinity`), also those of an earlier engine's table of the same name. Flows of UDP and SCTP
    /// that would go elsewhere now are forgotten right after.
    ///
    /// # Errors
    /// When the kernel refuses; then everything is as before.
    pub async fn replace(&self, state: State) -> Result<(), RulesError> {
        self.ask(Wish::Replace(state)).await
    }

    /// With no ports the Service is removed.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn set_service(&self, name: ServiceName, ports: Vec<ServicePort>) -> Result<(), RulesError> {
        self.ask(Wish::Service(name, ports)).await
    }

    /// # Errors
    /// When the kernel refuses.
    pub async fn set_pod(&self, pod: PodRules) -> Result<(), RulesError> {
        self.set_pods(vec![pod]).await
    }

    /// All at once. A pod of which there is nothing to say need not be told of.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn set_pods(&self, pods: Vec<PodRules>) -> Result<(), RulesError> {
        self.ask(Wish::Pods(pods)).await
    }

    /// # Errors
    /// When the kernel refuses.
    pub async fn remove_pod(&self, uid: PodUid) -> Result<(), RulesError> {
        self.remove_pod_soon(uid);
        self.ask(Wish::Removals).await
    }

    /// Without waiting for it: before whatever is asked for from here on. The pod may not come again.
    pub fn remove_pod_soon(&self, uid: PodUid) {
        lock(&self.shared.removed).insert(uid);
        // When there is no room the thread is at work, and sees it at its next step.
        let _ = self.requests.try_send(Request { wish: Wish::Removals, answer: None });
    }

    /// Deletes the table and forgets everything in it; the next change begins a new one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn remove(&self) -> Result<(), RulesError> {
        self.ask(Wish::Nothing).await
    }

    /// Writes the table no more, whatever is asked for, from when this returns: it is somebody else's to delete.
    pub fn end(&self) {
        *lock(&self.shared.has_ended) = true;
    }

    /// Deletes the table of a network that nobody has any more; `false`: there was none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn delete(table: &str) -> Result<bool, RulesError> {
        match Nftables::open().and_then(|mut nftables| nftables.delete_table(table)) {
            Err(error) if error.is_unsupported() => Ok(false),
            deleted => Ok(deleted?),
        }
    }

    async fn ask(&self, wish: Wish) -> Result<(), RulesError> {
        let (answer, answered) = oneshot::channel();
        let request = Request { wish, answer: Some(answer) };
        self.requests.send(request).await.map_err(|_| RulesError::Ended)?;
        answered.await.map_err(|_| RulesError::Ended)?
    }
}
