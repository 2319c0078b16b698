//! What the parts of this crate share, and their beginning.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apiserver::kinds::Kind;
use kubelet::{Kubelet, Node, Subscription};
use lifecycle::Rejection;
use podspec::{Pod, PodUid};
use ports::PortError;
use store::Store;
use tokio::sync::watch;

use crate::limits::Measuring;
use crate::machine::Machine;
use crate::updates::{self, Updates};
use crate::wishes::Said;
use crate::{source, tend};

/// Begins a new pod: makes its directory this engine's, and hands it to the kubelet.
pub type Begin = Box<dyn Fn(Pod, Option<Rejection>) -> Result<Subscription, PortError> + Send + Sync>;

/// What the cluster is told at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    pub machine: Machine,
    /// What `kubeletVersion` says.
    pub version: String,
    /// Pods that were deleted are removed from the kubelet when they are at rest; otherwise somebody else does so,
    /// who has still to read of them.
    pub removes: bool,
}

/// This machine's kubelet on the store.
pub struct LocalCluster<N: Node> {
    shared: Arc<Shared<N>>,
}

pub(crate) struct Shared<N: Node> {
    pub(crate) store: Store,
    pub(crate) kubelet: Arc<Kubelet<N>>,
    pub(crate) begin: Begin,
    pub(crate) settings: Settings,
    pub(crate) pods: &'static Kind,
    pub(crate) event_kind: &'static Kind,
    pub(crate) updates: Updates,
    pub(crate) measuring: Measuring,
    tended: Mutex<BTreeMap<PodUid, Tended>>,
}

/// A pod that is here.
pub(crate) struct Tended {
    /// `metadata.generation` of the spec that was looked at last.
    pub(crate) generation: i64,
    pub(crate) wanted: watch::Sender<Wanted>,
    /// It takes nothing more of the node: it has succeeded or failed, or nobody knows it any more.
    pub(crate) finished: bool,
    /// What the kubelet was told of its readiness gates; `None`: nothing by this engine.
    pub(crate) gates: Option<BTreeMap<String, String>>,
    /// Within what time the kubelet was told to end it; `None`: not by this engine.
    pub(crate) grace: Option<Duration>,
}

/// What the store wants of a pod beside what the kubelet has been told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Wanted {
    /// The store has been asked. Before that nobody knows whether a pod of an earlier engine waits for a resize, and a
    /// status would say that it does not.
    pub(crate) known: bool,
    /// The resize that waits, if any does.
    pub(crate) pending: Option<Pending>,
}

/// A resize that has not been granted. What was granted since is in force whatever is said here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pending {
    /// The pod as it is wanted.
    pub(crate) pod: Pod,
    pub(crate) said: Said,
    pub(crate) message: String,
    /// An event told of it before.
    pub(crate) told: bool,
}

impl<N: Node> LocalCluster<N> {
    /// `inherited`: the pods that were here before, of an engine that has gone. Begins to follow the store at once;
    /// needs a tokio runtime.
    ///
    /// # Panics
    /// When the API server does not serve pods, nodes and events.
    pub async fn start(
        store: Store,
        kubelet: Arc<Kubelet<N>>,
        begin: Begin,
        settings: Settings,
        inherited: Vec<Subscription>,
    ) -> Self {
        let kind = |plural| Kind::find("", "v1", plural).expect("the API server serves it");
        let shared = Arc::new(Shared {
            store,
            kubelet,
            begin,
            settings,
            pods: kind("pods"),
            event_kind: kind("events"),
            updates: Updates::default(),
            measuring: Measuring::default(),
            tended: Mutex::default(),
        });
        for subscription in inherited {
            tend::tend(&shared, subscription, false);
        }
        tokio::spawn(source::follow(Arc::clone(&shared)));
        tokio::spawn(updates::follow(Arc::clone(&shared)));
        Self { shared }
    }

    #[must_use]
    pub fn kubelet(&self) -> &Arc<Kubelet<N>> {
        &self.shared.kubelet
    }
}

impl<N: Node> Shared<N> {
    pub(crate) fn node_name(&self) -> &str {
        &self.settings.machine.name
    }

    pub(crate) fn tended(&self) -> MutexGuard<'_, BTreeMap<PodUid, Tended>> {
        self.tended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<N: Node> fmt::Debug for LocalCluster<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCluster").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
