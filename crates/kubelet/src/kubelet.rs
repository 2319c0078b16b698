//! The pods of this node: taken in, adopted, deleted, forgotten.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use container_config::LogLimits;
use lifecycle::{BackoffLimits, ContainerState, Observation, Observed, Rejection, SandboxState, rejection};
use podspec::{Pod, PodUid};
use ports::{Clock, Observer, Paths, PodContext, PortError, RuntimeService, VolumeService};
use shim_protocol::RecordError;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::AbortHandle;
use tracing::trace_span;

use crate::apply::Effects;
use crate::checkpoint::{self, CheckpointError};
use crate::inbox::Inbox;
use crate::pulls::Pulls;
use crate::status::PodView;
use crate::worker::Worker;
use crate::{Node, change};
use journal::{Entry, Journal, JournalError, Past};

/// Journal entries a watcher may be behind before it has to read them from disk.
const ENTRIES_BEHIND_MAX: usize = 128;

#[derive(Debug)]
pub struct Kubelet<N: Node> {
    node: Arc<N>,
    paths: Paths,
    settings: Settings,
    pods: Mutex<BTreeMap<PodUid, PodHandle<N>>>,
    pulled: Arc<Notify>,
}

/// How this node treats its pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// The pods end with this engine.
    pub bound: bool,
    pub backoff: BackoffLimits,
}

#[derive(Debug)]
struct PodHandle<N: Node> {
    effects: Arc<Effects<N>>,
    worker: AbortHandle,
    entries: broadcast::Sender<Arc<Entry>>,
    view: watch::Receiver<Option<PodView>>,
}

/// What one pod does, as it happens.
#[derive(Debug)]
pub struct Subscription {
    pub pod: Arc<PodContext>,
    /// Journal entries from the moment of subscribing. A receiver that lags finds what it missed with
    /// [`journal::read`].
    pub entries: broadcast::Receiver<Arc<Entry>>,
    /// The newest status; `None` before the first plan.
    pub view: watch::Receiver<Option<PodView>>,
    /// The pulls under way for it.
    pub pulls: watch::Receiver<Pulls>,
}

#[derive(Debug, thiserror::Error)]
pub enum AddPodError {
    #[error("a pod with UID {0} is here already")]
    Exists(PodUid),
    #[error("cannot make the pod's directory {}", path.display())]
    Directory { path: PathBuf, source: std::io::Error },
    #[error("cannot write down the pod")]
    Record(#[source] RecordError),
    #[error("cannot begin the pod's journal")]
    Journal(#[source] JournalError),
}

#[derive(Debug, thiserror::Error)]
pub enum AdoptPodError {
    #[error(transparent)]
    Checkpoint(CheckpointError),
    #[error("the record in {} is of the pod with UID {uid}: move the directory away", pod_dir.display())]
    Misplaced { pod_dir: PathBuf, uid: PodUid },
    #[error("a pod with UID {0} is here already")]
    Exists(PodUid),
    #[error("cannot go on with the pod's journal")]
    Journal(#[source] JournalError),
    #[error("cannot take over the sandbox of pod {pod}")]
    Sandbox { pod: String, source: PortError },
}

#[derive(Debug, thiserror::Error)]
pub enum UpdatePodError {
    #[error(transparent)]
    NoSuchPod(#[from] NoSuchPod),
    #[error("a pod that is here cannot change so: {0}")]
    Immutable(&'static str),
    #[error("cannot write down the pod")]
    Record(#[source] RecordError),
}

#[derive(Debug, thiserror::Error)]
#[error("no pod with UID {0} is here")]
pub struct NoSuchPod(pub PodUid);

impl<N: Node> Kubelet<N> {
    #[must_use]
    pub fn new(node: Arc<N>, paths: Paths, settings: Settings) -> Self {
        Self { node, paths, settings, pods: Mutex::default(), pulled: Arc::default() }
    }

    /// Takes a new pod and begins it.
    ///
    /// # Errors
    /// When it is here already or cannot be written down; nothing is begun then.
    pub fn add_pod(&self, pod: Pod) -> Result<Subscription, AddPodError> {
        self.add_pod_unless(pod, None)
    }

    /// As [`Self::add_pod`], of a pod that somebody may have found a reason not to run.
    ///
    /// # Errors
    /// As [`Self::add_pod`].
    pub fn add_pod_unless(&self, pod: Pod, rejected: Option<Rejection>) -> Result<Subscription, AddPodError> {
        let uid = pod.uid.clone();
        if self.pods().contains_key(&uid) {
            return Err(AddPodError::Exists(uid));
        }
        let context = Arc::new(self.paths.context(pod, self.settings.bound));
        let path = &context.pod_dir;
        std::fs::create_dir_all(path)
            .map_err(|source| AddPodError::Directory { path: path.clone(), source })?;
        trace_span!(target: "start", "write pod.json")
            .in_scope(|| checkpoint::save_pod(path, &context.pod))
            .map_err(AddPodError::Record)?;
        let (journal, past) = trace_span!(target: "start", "open journal")
            .in_scope(|| Journal::open(path))
            .map_err(AddPodError::Journal)?;
        let spec = context.pod.spec.clone();
        let effects = self.effects(context);
        let observed = Observed::default();
        self.configure(&effects, &observed);
        effects.inbox.observe(Observation::Accepted);
        let facts = self.node.facts();
        let rejected = rejection(&spec, facts.app_armor, facts.se_linux).or(rejected);
        if let Some(Rejection { reason, message }) = rejected {
            effects.inbox.observe(Observation::Rejected { reason, message });
        }
        Ok(self.start_worker(&effects, observed, (journal, &past)))
    }

    /// Takes over the pod of an earlier engine, from its directory alone.
    ///
    /// # Errors
    /// When its records cannot be read, or its sandbox lives and cannot be spoken to; nothing is changed
    /// then.
    pub async fn adopt_pod(&self, pod_dir: &Path) -> Result<Subscription, AdoptPodError> {
        let pod = checkpoint::load_pod(pod_dir).map_err(AdoptPodError::Checkpoint)?;
        if self.paths.pods_dir().join(pod.uid.as_str()) != pod_dir {
            return Err(AdoptPodError::Misplaced { pod_dir: pod_dir.to_owned(), uid: pod.uid });
        }
        if self.pods().contains_key(&pod.uid) {
            return Err(AdoptPodError::Exists(pod.uid));
        }
        let now = self.node.clock().now();
        let observed = checkpoint::load_observed(pod_dir, now).map_err(AdoptPodError::Checkpoint)?;
        let past = Past::read(pod_dir).map_err(AdoptPodError::Journal)?;
        let name = pod.name.clone();
        let effects = self.effects(Arc::new(self.paths.context(pod, self.settings.bound)));
        self.configure(&effects, &observed);
        effects.inbox.observe(Observation::Accepted);
        let alive =
            (effects.adopt_sandbox().await).map_err(|source| AdoptPodError::Sandbox { pod: name, source })?;
        if !alive && let Some(attempt) = sandbox_thought_alive(&observed) {
            effects.inbox.observe(Observation::SandboxLost { attempt });
        }
        let (journal, past) = past.go_on().map_err(AdoptPodError::Journal)?;
        Ok(self.start_worker(&effects, observed, (journal, &past)))
    }

    /// Asks for the pod's deletion; a later one can only shorten the grace.
    ///
    /// # Errors
    /// When there is no such pod.
    pub fn delete_pod(&self, uid: &PodUid, grace: Duration) -> Result<(), NoSuchPod> {
        let pods = self.pods();
        let handle = pods.get(uid).ok_or_else(|| NoSuchPod(uid.clone()))?;
        handle.effects.inbox.observe(Observation::DeletionRequested { grace });
        Ok(())
    }

    /// Takes the pod with this UID as it is now: new ephemeral containers, another image or deadline. What is written
    /// down is in force, also for the next engine; the pod's worker plans by it at once.
    ///
    /// # Errors
    /// When there is no such pod here, the change is none that a pod can take, or it cannot be written down; the
    /// pod goes on as it was then.
    pub fn update_pod(&self, pod: Pod) -> Result<(), UpdatePodError> {
        let pods = self.pods();
        let handle = pods.get(&pod.uid).ok_or_else(|| NoSuchPod(pod.uid.clone()))?;
        let before = handle.effects.pod();
        if before.pod == pod {
            return Ok(());
        }
        change::check(&before.pod, &pod).map_err(UpdatePodError::Immutable)?;
        checkpoint::save_pod(&before.pod_dir, &pod).map_err(UpdatePodError::Record)?;
        handle.effects.change_pod(Arc::new(PodContext { pod, ..(*before).clone() }));
        handle.effects.inbox.observe(Observation::SpecChanged);
        Ok(())
    }

    /// # Errors
    /// When there is no such pod.
    pub fn subscribe(&self, uid: &PodUid) -> Result<Subscription, NoSuchPod> {
        self.pods().get(uid).map(PodHandle::subscribe).ok_or_else(|| NoSuchPod(uid.clone()))
    }

    /// Forgets a pod that is at rest and removes what is left of it: its directories and logs.
    ///
    /// # Errors
    /// When something could not be removed: the pod is here still, to be removed again.
    pub async fn remove_pod(&self, uid: &PodUid) -> Result<(), PortError> {
        let pod = self.pods().get(uid).map(|handle| {
            handle.worker.abort();
            handle.effects.pod()
        });
        let pod = pod.ok_or_else(|| PortError(NoSuchPod(uid.clone()).to_string()))?;
        self.node.runtime().remove_pod(&pod).await?;
        self.pods().remove(uid);
        Ok(())
    }

    /// The pod as it is now; `None` when it is not here.
    #[must_use]
    pub fn pod(&self, uid: &PodUid) -> Option<Arc<PodContext>> {
        self.pods().get(uid).map(|handle| handle.effects.pod())
    }

    /// Every pod that is here, as it is now.
    #[must_use]
    pub fn pods_here(&self) -> Vec<Arc<PodContext>> {
        self.pods().values().map(|handle| handle.effects.pod()).collect()
    }

    /// Something that the pod names has changed: a pod that waits for it does so no longer. One that runs is not told.
    pub fn objects_changed(&self, uid: &PodUid) {
        let pods = self.pods();
        let Some(handle) = pods.get(uid) else { return };
        handle.effects.objects_changed();
        let is_waiting = |view: &PodView| {
            let status = &view.status;
            let mut containers =
                status.init_containers.iter().chain(&status.containers).chain(&status.ephemeral_containers);
            containers.any(|container| matches!(container.state, ContainerState::Waiting { .. }))
        };
        if handle.view.borrow().as_ref().is_some_and(is_waiting) {
            handle.effects.inbox.observe(Observation::ObjectsChanged);
        }
    }

    /// Brings the files of the pod's volumes up to date. Says after how long to do so again, if nothing else happens.
    ///
    /// # Errors
    /// When there is no such pod, or files could not be brought up to date; they are as they were then.
    pub async fn refresh_volumes(&self, uid: &PodUid) -> Result<Option<Duration>, PortError> {
        let pod = self.pod(uid).ok_or_else(|| PortError(NoSuchPod(uid.clone()).to_string()))?;
        self.node.volumes().refresh(&pod).await
    }

    /// Whether the pod has to be looked at by [`Self::over_limit`] from time to time.
    #[must_use]
    pub fn has_volume_limits(&self, pod: &PodContext) -> bool {
        self.node.volumes().has_limits(pod)
    }

    /// Why the node cannot bear the pod any longer, when a volume of it holds more than it may.
    ///
    /// # Errors
    /// When there is no such pod, or its volumes could not be measured.
    pub async fn over_limit(&self, uid: &PodUid) -> Result<Option<String>, PortError> {
        let pod = self.pod(uid).ok_or_else(|| PortError(NoSuchPod(uid.clone()).to_string()))?;
        self.node.volumes().over_limit(&pod).await
    }

    /// What others say of the pod's readiness gates now. Nothing happens when there is no such pod.
    pub fn gates_changed(&self, uid: &PodUid, gates: BTreeMap<String, String>) {
        self.observe(uid, Observation::GatesChanged { gates });
    }

    /// The node cannot bear the pod any longer. Nothing happens when there is no such pod.
    pub fn evict_pod(&self, uid: &PodUid, message: String) {
        self.observe(uid, Observation::Evicted { message });
    }

    fn observe(&self, uid: &PodUid, observation: Observation) {
        if let Some(handle) = self.pods().get(uid) {
            handle.effects.inbox.observe(observation);
        }
    }

    fn configure(&self, effects: &Effects<N>, observed: &Observed) {
        let backoff = self.settings.backoff;
        if observed.backoff_limits != backoff {
            effects.inbox.observe(Observation::Configured { backoff });
        }
    }

    /// Whom pods ask for names of the cluster; none: nobody.
    pub fn cluster_dns(&self) -> &[IpAddr] {
        &self.node.facts().cluster_dns
    }

    /// What is kept of the logs of containers.
    pub fn log_limits(&self) -> LogLimits {
        self.node.facts().log_limits
    }

    /// Those of this node.
    pub fn images(&self) -> &N::Images {
        self.node.images()
    }

    /// Waits until an image has been pulled since the last time. For one who waits.
    pub async fn image_pulled(&self) {
        self.pulled.notified().await;
    }

    pub(crate) fn node(&self) -> &N {
        &self.node
    }

    fn effects(&self, pod: Arc<PodContext>) -> Arc<Effects<N>> {
        let inbox = Arc::new(Inbox::new(Arc::clone(&self.node)));
        Arc::new(Effects::new(Arc::clone(&self.node), pod, inbox, Arc::clone(&self.pulled)))
    }

    fn start_worker(
        &self,
        effects: &Arc<Effects<N>>,
        observed: Observed,
        journal: (Journal, &[Entry]),
    ) -> Subscription {
        let (entries, _) = broadcast::channel(ENTRIES_BEHIND_MAX);
        let (view_sender, view) = watch::channel(None);
        let worker = Worker::new(Arc::clone(effects), observed, journal, entries.clone(), view_sender);
        let pod = effects.pod();
        let uid = pod.pod.uid.clone();
        // Before the worker runs, so that the subscriber misses nothing.
        let pulls = effects.pulls.subscribe();
        let subscription = Subscription { pod, entries: entries.subscribe(), view: view.clone(), pulls };
        let worker = tokio::spawn(worker.run()).abort_handle();
        self.pods().insert(uid, PodHandle { effects: Arc::clone(effects), worker, entries, view });
        subscription
    }

    fn pods(&self) -> MutexGuard<'_, BTreeMap<PodUid, PodHandle<N>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<N: Node> Drop for Kubelet<N> {
    /// Ends the workers and leaves the pods as they are.
    fn drop(&mut self) {
        for handle in self.pods().values() {
            handle.worker.abort();
        }
    }
}

impl<N: Node> PodHandle<N> {
    fn subscribe(&self) -> Subscription {
        Subscription {
            pod: self.effects.pod(),
            entries: self.entries.subscribe(),
            view: self.view.clone(),
            pulls: self.effects.pulls.subscribe(),
        }
    }
}

fn sandbox_thought_alive(observed: &Observed) -> Option<u32> {
    match observed.sandbox {
        SandboxState::Creating { attempt }
        | SandboxState::Ready { attempt, .. }
        | SandboxState::Stopping { attempt } => Some(attempt),
        SandboxState::Absent
        | SandboxState::CreateFailed { .. }
        | SandboxState::Lost { .. }
        | SandboxState::Stopped { .. } => None,
    }
}
