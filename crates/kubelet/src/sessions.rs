//! What clients ask of a running pod and no plan decides: commands, attachments, connections; and when an attempt
//! has ended.

use std::future::Future;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lifecycle::{ContainerState, ContainerStatus};
use podspec::{ContainerName, PodUid, VolumeName};
use ports::{ExecIo, ExecSession, LOOPBACKS, PodContext, PortError, RuntimeService, SessionError, Streams};

use crate::kubelet::{Kubelet, NoSuchPod};
use crate::{Node, PodView};

impl<N: Node> Kubelet<N> {
    /// [`RuntimeService::exec`] in a container of a pod that is here.
    ///
    /// # Errors
    /// When the container does not run, or the command cannot be executed in it.
    pub async fn exec(
        &self,
        uid: &PodUid,
        container: &ContainerName,
        command: &[String],
        io: ExecIo,
    ) -> Result<ExecSession, SessionError> {
        let pod = self.pod_here(uid)?;
        self.node().runtime().exec(&pod, container, command, io).await
    }

    /// [`RuntimeService::attach`] to a container of a pod that is here.
    ///
    /// # Errors
    /// When the container does not run.
    pub async fn attach(
        &self,
        uid: &PodUid,
        container: &ContainerName,
        stdin: bool,
    ) -> Result<Streams, SessionError> {
        let pod = self.pod_here(uid)?;
        self.node().runtime().attach(&pod, container, stdin).await
    }

    /// [`RuntimeService::dial`] to the loopback of a pod that is here.
    ///
    /// # Errors
    /// When the pod has no sandbox, or nobody listens.
    pub async fn dial(&self, uid: &PodUid, port: u16) -> Result<TcpStream, SessionError> {
        let pod = self.pod_here(uid)?;
        self.node().runtime().dial(&pod, &LOOPBACKS, port).await
    }

    /// [`RuntimeService::dial`] to the addresses of a pod that is here, and then to its loopback.
    ///
    /// # Errors
    /// As [`Self::dial`]'s.
    pub async fn dial_address(&self, uid: &PodUid, port: u16) -> Result<TcpStream, SessionError> {
        let subscription = self.subscribe(uid);
        let subscription =
            subscription.map_err(|NoSuchPod(uid)| SessionError::NotRunning(NoSuchPod(uid).to_string()))?;
        let mut addresses =
            subscription.view.borrow().as_ref().map(|view| view.status.pod_ips.clone()).unwrap_or_default();
        addresses.extend(LOOPBACKS);
        self.node().runtime().dial(&subscription.pod, &addresses, port).await
    }

    /// [`RuntimeService::open_volume`] of a pod that is here.
    ///
    /// # Errors
    /// When the pod has no sandbox, or no such volume.
    pub async fn open_volume(&self, uid: &PodUid, volume: &VolumeName) -> Result<OwnedFd, PortError> {
        let pod = self.pod_here(uid)?;
        self.node().runtime().open_volume(&pod, volume).await
    }

    /// Ends when the container's status says that this attempt has: everything it wrote is in its log then. Ends at
    /// once when there is no such pod.
    pub fn attempt_ended(
        &self,
        uid: &PodUid,
        container: &ContainerName,
        attempt: u32,
    ) -> impl Future<Output = ()> + Send + 'static {
        let view = self.subscribe(uid).ok().map(|subscription| subscription.view);
        let container = container.clone();
        async move {
            let Some(mut view) = view else { return };
            let ended = |view: &Option<PodView>| {
                view.as_ref().is_some_and(|view| has_ended(view, &container, attempt))
            };
            // An error says that the pod is forgotten.
            let _ = view.wait_for(ended).await;
        }
    }

    fn pod_here(&self, uid: &PodUid) -> Result<Arc<PodContext>, SessionError> {
        let subscription = self.subscribe(uid);
        let found = subscription.map(|subscription| subscription.pod);
        found.map_err(|NoSuchPod(uid)| SessionError::NotRunning(NoSuchPod(uid).to_string()))
    }
}

fn has_ended(view: &PodView, container: &ContainerName, attempt: u32) -> bool {
    let mut all = view.status.all_containers();
    let Some(ContainerStatus { restart_count, state, last_state, .. }) = all.find(|c| c.name == *container)
    else {
        return true;
    };
    match state {
        _ if *restart_count != attempt => *restart_count > attempt,
        ContainerState::Running { .. } => false,
        ContainerState::Terminated(_) => true,
        ContainerState::Waiting { .. } => last_state.is_some(),
    }
}
